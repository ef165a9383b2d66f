package main

import (
	"context"
	"fmt"
	"regexp"
	"strconv"

	"github.com/caddy-mfa/caddy-mfa/e2e/rig"
)

var (
	accessToken = regexp.MustCompile(`mfa_[A-Za-z0-9_-]{43}`)

	benchmarkTokens = regexp.MustCompile(`BenchmarkManyAccessTokens\S*\s.*?([\d.]+) MiB\s`)
	benchmarkMade   = regexp.MustCompile(`BenchmarkManyAccessTokens\S*\s.*?(-?[\d.]+) MiB-made`)
)

// tokens compares a request with an access token with one through a plain proxy, and with one that has a session cookie instead; and asks
// what many tokens cost.
func (b *bench) tokens(ctx context.Context) error {
	s, plain, _, err := b.threeWays(ctx)
	if err != nil {
		return err
	}
	defer s.Stop()
	p, v, err := enrolled(ctx, s, "alice")
	if err != nil {
		return err
	}
	token, err := newToken(ctx, p, v)
	if err != nil {
		return err
	}
	bearer := []string{"Authorization: Bearer " + token}
	gated := target{port: s.Port, headers: bearer}
	for _, c := range []struct {
		name    string
		against target
	}{
		{"access token", target{port: plain, headers: bearer}},
		{"access token (plain: session cookie)", target{port: s.Port, headers: []string{"Cookie: " + sessionCookie + "=" + v.Cookie(sessionCookie)}}},
	} {
		progress("tokens: %s", c.name)
		p, m, err := b.compare(ctx, s.Pid(), c.against, gated)
		if err != nil {
			return err
		}
		b.table.pairs(c.name+": CPU seconds for 1000 requests", column(p, func(r round) float64 { return r.cpu }), column(m, func(r round) float64 { return r.cpu }),
			func(v float64) string { return fmt.Sprintf("%.4f", v) }, "")
	}
	progress("tokens: 100,000")
	said, err := goBenchmark(ctx, "BenchmarkManyAccessTokens")
	if err != nil {
		return err
	}
	for _, c := range []struct {
		what string
		mib  *regexp.Regexp
	}{{"made", benchmarkMade}, {"made and all in use", benchmarkTokens}} {
		mib, err := strconv.ParseFloat(match(c.mib, said), 64)
		if err != nil {
			return fmt.Errorf("go test printed something new: %w\n%s", err, said)
		}
		b.table.row("100,000 access tokens "+c.what+": live heap grows by", "", fmt.Sprintf("%.1f MiB", mib), "", "")
	}
	return nil
}

// newToken makes an access token for the whole site, on the Security page.
func newToken(ctx context.Context, p *rig.Person, v *rig.Visitor) (string, error) {
	page, err := v.Get(ctx, "/.mfa/security")
	if err != nil {
		return "", err
	}
	if page, err = rig.Fill(ctx, page, "Make an access token", map[string]string{"Name of the token": "bench"}); err != nil {
		return "", err
	}
	if page, err = p.Finish(ctx, page); err != nil {
		return "", err
	}
	token := accessToken.FindString(page.Text())
	if token == "" {
		return "", fmt.Errorf("asking for a token led to %s: %s", page.URL, page.Text())
	}
	return token, nil
}
