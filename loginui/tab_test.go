package loginui

import (
	"html"
	"net/http"
	"regexp"
	"strings"
	"testing"
)

var documentTitle = regexp.MustCompile(`<title>([^<]*)</title>`)

// tab is the title of the document.
func (a answer) tab(t *testing.T) string {
	t.Helper()
	m := documentTitle.FindStringSubmatch(a.body)
	if m == nil {
		t.Fatalf("no title:\n%s", a.body)
	}
	return html.UnescapeString(m[1])
}

// TestTitleSaysWhatHappened: a page that was loaded again is read from its title on. What an alert or a notice says that is there from the
// start, not every screen reader says.
func TestTitleSaysWhatHappened(t *testing.T) {
	r := newRig(t)
	b, _ := r.account()
	other := r.browser()
	for _, c := range []struct {
		name string
		page answer
		want string
	}{
		{"nothing yet", other.get("/.mfa/login"), "Sign in · Example Corp"},
		{"an empty field", other.post("/.mfa/login", "name", "alice"), "Enter your password. · Sign in · Example Corp"},
		{"a wrong password", other.post("/.mfa/login", "name", "alice", "password", "wrong"), "That name and password do not match. · Sign in · Example Corp"},
		{"signed out", other.get("/.mfa/login?signed_out=1"), "You are signed out · Sign in · Example Corp"},
		{"a change", b.get("/.mfa/security?done=name"), "Your display name was changed. · Security · Example Corp"},
		{"a made-up change", b.get("/.mfa/security?done=x"), "Security · Example Corp"},
		{"a change that cannot be", b.post("/.mfa/security/name", "display_name", strings.Repeat("x", 129)), "A display name is one line of at most 128 characters. · Security · Example Corp"},
		{"a page that is not there", b.get("/.mfa/nowhere"), "Page not found · Example Corp"},
	} {
		if got := c.page.tab(t); got != c.want {
			t.Errorf("%s: %q, not %q", c.name, got, c.want)
		}
	}
	other.want(other.post("/.mfa/login", "name", "alice", "password", password), 303, "/.mfa/verify/totp")
	if got := other.want(other.post("/.mfa/verify/totp", "code", "000000"), 401).tab(t); !strings.HasPrefix(got, "That code is not right.") || !strings.HasSuffix(got, " · Enter your code · Example Corp") || strings.Contains(got, "000000") {
		t.Errorf("a wrong code: %q", got)
	}
}

// TestTitleIsPlain: a title that is not shown by a page knows no isolates and no soft hyphens.
func TestTitleIsPlain(t *testing.T) {
	r := newRig(t)
	for _, lang := range []string{"en", "ar"} {
		x := &exchange{Portal: r.Portal, lang: catalogue().Language(lang), r: r.browser().request(http.MethodGet, "/", "")}
		pg := x.newPage("verify_totp", "totp")
		pg.Title, pg.Alert = "Wieder\u00adherstellung", x.t("invalid.name.taken", "alice")
		if tab := pg.Tab(); strings.ContainsAny(tab, "\u00ad\u2066\u2067\u2068\u2069") || !strings.Contains(tab, "alice") || !strings.HasSuffix(tab, " · Wiederherstellung") {
			t.Errorf("%s: %q", lang, tab)
		}
		pg.Notice, pg.asks = "why", true
		if pg.Alert = ""; pg.Tab() != "Wiederherstellung" {
			t.Errorf("%s: %q", lang, pg.Tab())
		}
		if pg.Done = true; pg.Tab() != "why · Wiederherstellung" {
			t.Errorf("%s: %q", lang, pg.Tab())
		}
	}
}
