package caddymodule

import (
	"net/http"
	"runtime"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// ruleIndex says which of many rules a path could match at all, so that a request is not matched against a thousand of them. It
// decides nothing: a rule that it names is still matched by Caddy's matchers, and one that it leaves out could not match.
type ruleIndex struct {
	always   []int            // rules that any path could match
	prefixes map[string][]int // rules by what their paths begin with, in lower case
	lengths  []int            // of the prefixes, ascending
}

// fewRules are matched one by one.
const fewRules = 8

// indexRules returns nil where an index is not worth it.
func indexRules(rules []*Rule) *ruleIndex {
	if len(rules) <= fewRules || runtime.GOOS == "windows" { // there, Caddy reads paths in further ways
		return nil
	}
	x := &ruleIndex{prefixes: make(map[string][]int)}
	for i, rule := range rules {
		prefixes := rule.prefixes()
		if len(prefixes) == 0 {
			x.always = append(x.always, i)
		}
		for _, p := range prefixes {
			x.prefixes[p] = append(x.prefixes[p], i)
			if !slices.Contains(x.lengths, len(p)) {
				x.lengths = append(x.lengths, len(p))
			}
		}
	}
	slices.Sort(x.lengths)
	return x
}

// prefixes returns what the paths begin with that the rule is for, in lower case; nil if that may be anything.
func (rule *Rule) prefixes() (out []string) {
	for _, set := range rule.matchers {
		i := slices.IndexFunc(set, func(m any) bool { _, ok := m.(*caddyhttp.MatchPath); return ok })
		if i < 0 {
			return nil
		}
		for _, pattern := range *set[i].(*caddyhttp.MatchPath) {
			if strings.ContainsAny(pattern, "%{") || strings.Contains(pattern, "//") {
				return nil // about the path as it was sent, known only with the request, or about empty segments
			}
			pattern = strings.ToLower(pattern)
			if wild := strings.IndexAny(pattern, `*?[\`); wild >= 0 {
				pattern = pattern[:wild]
			}
			if pattern == "" {
				return nil
			}
			if !slices.Contains(out, pattern) {
				out = append(out, pattern)
			}
		}
	}
	return out
}

// candidates appends the rules that the request could match, in written order.
func (x *ruleIndex) candidates(to []int, r *http.Request) []int {
	path := caddyhttp.NormalizedPath(strings.ToLower(r.URL.Path), true) // as the matchers read it
	to = append(to, x.always...)
	for _, n := range x.lengths {
		if n > len(path) {
			break
		}
		to = append(to, x.prefixes[path[:n]]...)
	}
	slices.Sort(to)
	return slices.Compact(to)
}
