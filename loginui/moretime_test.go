package loginui

import (
	"strings"
	"testing"
	"time"
)

// plainLimit is what the page says of its time where no scripts run, and how to get more.
func plainLimit(t *testing.T, a answer) string {
	t.Helper()
	_, rest, _ := strings.Cut(a.body, `<noscript><form class="note warn" method="post" action="/.mfa/more-time">`)
	form, _, ok := strings.Cut(rest, "</noscript>")
	if !ok {
		t.Fatalf("nothing is said without scripts:\n%s", a.body)
	}
	return form
}

// TestTimeWithoutScripts reads how long a page is good for without a script that counts, and gets more (WCAG 2.2, success criterion 2.2.1).
func TestTimeWithoutScripts(t *testing.T) {
	r := newRig(t)
	r.account()
	b := r.browser()
	b.get("/.mfa/login")
	b.want(b.post("/.mfa/login", "name", "alice", "password", password), 303, "/.mfa/verify/totp")
	const more = "Give me 10 more minutes</button>"
	for _, c := range []struct {
		pass time.Duration
		says string
	}{
		{0, "10 minutes were left when this page was loaded."},
		{time.Second, "9 minutes were left when this page was loaded."},
		{8 * time.Minute, "1 minute was left when this page was loaded."},
		{59 * time.Second, "1 minute was left when this page was loaded."},
		{time.Second, "Less than a minute was left when this page was loaded."},
	} {
		r.pass(c.pass)
		if form := plainLimit(t, b.get("/.mfa/verify/totp")); !strings.Contains(form, c.says) || !strings.Contains(form, more) {
			t.Errorf("after %v more: not %q in\n%s", c.pass, c.says, form)
		}
	}
	for n := range 10 {
		form := plainLimit(t, b.get("/.mfa/verify/totp"))
		if !strings.Contains(form, more) || !strings.Contains(form, `name="page" value="/verify/totp"`) {
			t.Fatalf("no more time after %d times:\n%s", n, form)
		}
		b.want(b.post("/.mfa/more-time", "page", "/verify/totp"), 303, "/.mfa/verify/totp")
	}
	form := plainLimit(t, b.get("/.mfa/verify/totp"))
	if strings.Contains(form, "<button") || !strings.Contains(form, "10 minutes were left when this page was loaded. After that you can start again.") {
		t.Errorf("after ten times:\n%s", form)
	}
}
