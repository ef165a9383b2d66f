package caddymodule

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
)

// finding is what a request needs, and by which words of the configuration.
type finding struct {
	need   *auth.Requirement
	source string  // where they are; of several readings, all places
	tried  []*Rule // rules that match and only report
}

// find returns what a request needs: the requirement of the first rule that matches, or else the site's own. Apps read some paths in
// more ways than one. Then each reading is judged, and what any of them needs must be met, so that no app sees a path which asks for
// more than was asked for (S70).
func (g *Gate) find(r *http.Request) (finding, error) {
	f := finding{need: &g.site, source: g.Source}
	if err := g.first(r, &f); err != nil || len(g.Rules) == 0 {
		return f, err
	}
	plain := ordinary(r.URL.Path)
	if plain && r.URL.RawPath == "" { // it was sent as what it decodes to is normally encoded
		return f, nil
	}
	read := *r.URL
	defer func() { *r.URL = read }() // in place: Caddy's placeholders hold this very URL
	judge := func(path string) error {
		*r.URL = url.URL{Scheme: read.Scheme, Host: read.Host, Path: path, RawQuery: read.RawQuery}
		other := finding{need: &g.site, source: g.Source, tried: f.tried}
		err := g.first(r, &other)
		f.add(other)
		return err
	}
	for _, path := range readings(&read, plain) {
		if err := judge(path); err != nil {
			return f, err
		}
	}
	if !plain {
		f.add(finding{need: &g.site, source: g.Source, tried: f.tried}) // nothing is open that is out of the ordinary
	}
	return f, nil
}

// readings are the further ways in which apps read a path: as it was sent; and, if it is out of the ordinary, without the parameters of
// its segments, cut off before or after it is decoded, without what follows an encoded "?" or "#", without control bytes, and without what
// stands where a URL has its host.
func readings(u *url.URL, plain bool) (paths []string) {
	add := func(path string) {
		if path != u.Path && !slices.Contains(paths, path) {
			paths = append(paths, path)
		}
	}
	sent := u.EscapedPath()
	if add(sent); plain {
		return paths
	}
	early, err := url.PathUnescape(cutParameters(sent))
	if err != nil { // it was unescaped before
		early = u.Path
	}
	for _, path := range []string{u.Path, early} {
		for _, path := range []string{path, cutParameters(path), bare(path)} {
			add(path)
			if rest, ok := strings.CutPrefix(path, "//"); ok {
				_, rest, _ = strings.Cut(rest, "/")
				add("/" + rest)
			}
		}
	}
	return paths
}

// cutParameters leaves out of each segment what follows a ";".
func cutParameters(path string) string {
	segments := strings.Split(path, "/")
	for i, s := range segments {
		segments[i], _, _ = strings.Cut(s, ";")
	}
	return strings.Join(segments, "/")
}

// bare is the path without parameters, without what follows "?" or "#", and without control bytes.
func bare(path string) string {
	if i := strings.IndexAny(path, "?#"); i >= 0 {
		path = path[:i]
	}
	return cutParameters(strings.Map(func(c rune) rune {
		if c < ' ' || c == 0x7f {
			return -1
		}
		return c
	}, path))
}

// add asks for what another reading needs, too.
func (f *finding) add(other finding) {
	f.tried = other.tried
	switch {
	case other.need == f.need || other.need.Mode == auth.ModePublic:
	case f.need.Mode == auth.ModePublic:
		f.need, f.source = other.need, other.source
	default:
		both := *other.need // has no And of its own: it stands in the configuration
		both.And = f.need
		f.need = &both
		if !strings.Contains(f.source+",", other.source+",") {
			f.source += ", " + other.source
		}
	}
}

// first notes in f the first rule that matches, if any does.
func (g *Gate) first(r *http.Request, f *finding) error {
	if g.index == nil {
		for _, rule := range g.Rules {
			if done, err := f.try(rule, r); done || err != nil {
				return err
			}
		}
		return nil
	}
	var room [32]int
	for _, i := range g.index.candidates(room[:0], r) {
		if done, err := f.try(g.Rules[i], r); done || err != nil {
			return err
		}
	}
	return nil
}

// try reports whether the search is over with rule.
func (f *finding) try(rule *Rule, r *http.Request) (bool, error) {
	ok, err := rule.matchers.AnyMatchWithError(r)
	switch {
	case err != nil || !ok:
		return false, err
	case rule.ReportOnly:
		if !slices.Contains(f.tried, rule) {
			f.tried = append(f.tried, rule)
		}
		return false, nil
	}
	f.need, f.source = &rule.requirement, rule.Source
	return true, nil
}
