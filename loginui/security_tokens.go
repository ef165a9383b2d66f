package loginui

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
)

// tokenRow is an access token as its owner sees it.
type tokenRow struct {
	ID, Label              string
	For                    [][]string // hosts, paths and HTTP methods, as far as it is limited to some
	Created, Used, Expires time.Time
}

// tokenForm is what the form for a new one holds.
type tokenForm struct {
	Label, Days, Hosts, Paths, Methods string
}

// issued is what the page shows of a token that was just made.
type issued struct {
	Token   string // in no other place
	Rows    []row  // its name and its limits
	Expires time.Time
	Curl    string // how a script sends it
}

// row is a line of a <dl>.
type row struct {
	What string
	Is   []string
}

// tokens are those of whoever is signed in.
func (x *exchange) tokens(ctx context.Context) ([]tokenRow, error) {
	all, err := x.realm.AccessTokens(ctx, x.in.User.Name)
	if err != nil {
		return nil, err
	}
	var rows []tokenRow
	for _, t := range all {
		var limits [][]string
		for _, l := range [][]string{t.Hosts, t.Paths, t.Methods} {
			if len(l) > 0 {
				limits = append(limits, l)
			}
		}
		rows = append(rows, tokenRow{t.ID, t.Label, limits, t.Created, t.Used, t.Expires})
	}
	return rows, nil
}

// newToken is what the form asks for.
func (f form) newToken() auth.Change {
	words := func(field string) []string {
		return strings.FieldsFunc(f[field], func(r rune) bool { return r == ' ' || r == ',' || r == '\t' || r == '\n' || r == '\r' })
	}
	days, _ := strconv.Atoi(f.trimmed("days")) // 0 is refused
	return auth.Change{Op: auth.ChangeAddToken, Label: f.trimmed("label"), Access: &auth.NewAccessToken{
		Days: days, TokenLimits: auth.TokenLimits{Hosts: words("hosts"), Paths: words("paths"), Methods: words("methods")},
	}}
}

func postSecurityTokens(x *exchange) error { return x.change(x.form.newToken()) }

func postSecurityTokensRevoke(x *exchange) error {
	return x.change(auth.Change{Op: auth.ChangeRevokeToken, TokenID: x.form["id"]})
}

// example is an address that a token is good for.
func (x *exchange) example(l *auth.TokenLimits) string {
	at, path := "https://"+l.Hosts[0], "/"
	if l.Hosts[0] == x.in.Visit.Host {
		at = x.in.Visit.Origin // with its port
	}
	if len(l.Paths) > 0 {
		path = strings.TrimSuffix(l.Paths[0], "*")
	}
	return at + path
}

// showToken is the only page that a token is ever on. It answers the form itself: a page with an address of its own would have to keep
// the token somewhere until it is asked for. Sent again, the form asks for a second token of the same name, which is refused.
func (x *exchange) showToken(t *auth.IssuedToken) error {
	list := func(words []string) []string {
		if len(words) == 0 {
			return []string{x.t("token.any")}
		}
		return words
	}
	pg := x.newPage("access_token", "token")
	pg.once = true
	pg.Body = issued{t.Token, []row{
		{x.t("security.tokens.name"), []string{t.Label}}, {x.t("token.hosts"), list(t.Hosts)}, {x.t("token.paths"), list(t.Paths)}, {x.t("token.methods"), list(t.Methods)},
	}, t.Expires, `curl -H "Authorization: Bearer $TOKEN" ` + x.example(&t.TokenLimits)}
	return x.render(pg)
}
