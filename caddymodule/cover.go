package caddymodule

import (
	"bytes"
	"encoding/json"
	"path"
	"strings"

	"github.com/caddyserver/caddy/v2"
)

// shadow returns the earlier rule that leaves none of the requests which rule is for, or -1. It goes by how the matchers are
// written: what it finds is so, and what is hidden in expressions it does not find.
func shadow(earlier []*Rule, rule *Rule) int {
	for i, e := range earlier {
		if !e.ReportOnly && coversAll(e, rule) {
			return i
		}
	}
	return -1
}

// coversAll reports whether each set of rule is covered by one of e. No sets at all match every request.
func coversAll(e, rule *Rule) bool {
	sets := rule.MatcherSetsRaw
	if len(sets) == 0 {
		sets = []caddy.ModuleMap{nil}
	}
	for _, set := range sets {
		covered := len(e.MatcherSetsRaw) == 0
		for _, by := range e.MatcherSetsRaw {
			covered = covered || covers(by, set)
		}
		if !covered {
			return false
		}
	}
	return true
}

// covers reports whether every request that matches the set also matches by: each matcher of by stands in the set too, at least as narrow.
func covers(by, set caddy.ModuleMap) bool {
	for name, raw := range by {
		own, ok := set[name]
		switch {
		case name == "path" && coversPaths(raw, own):
		case !ok || !bytes.Equal(raw, own):
			return false
		}
	}
	return true
}

// coversPaths reports whether every path that matches one of own also matches one of by. A nil own stands for every path.
func coversPaths(by, own json.RawMessage) bool {
	var wide, narrow []string
	if json.Unmarshal(by, &wide) != nil {
		return false
	}
	if own == nil {
		narrow = []string{"/*"}
	} else if json.Unmarshal(own, &narrow) != nil {
		return false
	}
	for _, n := range narrow {
		covered := false
		for _, w := range wide {
			covered = covered || coversPath(strings.ToLower(w), strings.ToLower(n))
		}
		if !covered {
			return false
		}
	}
	return true
}

// coversPath compares two patterns as Caddy's matcher reads them: in any case, with "*" at an end for anything. A pattern with "%" is
// about the path as it was sent, and one with "//" about empty segments: those cover nothing but themselves.
func coversPath(wide, narrow string) bool {
	const special = `*?[\`
	switch {
	case wide == narrow || wide == "*" || wide == "/*" || wide == "**":
		return true
	case strings.ContainsAny(wide+narrow, "%{") || strings.Contains(wide+narrow, "//"):
		return false
	case strings.Count(wide, "*") == 1 && strings.HasSuffix(wide, "*"):
		prefix := wide[:len(wide)-1]
		return !strings.ContainsAny(prefix, special) && strings.HasPrefix(narrow, prefix)
	case strings.ContainsAny(narrow, special):
		return false
	case strings.Count(wide, "*") == 1 && strings.HasPrefix(wide, "*"):
		return strings.HasSuffix(narrow, wide[1:])
	}
	matches, err := path.Match(wide, narrow)
	return err == nil && matches
}
