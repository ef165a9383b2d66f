package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-mfa/caddy-mfa/e2e/rig"
)

// breaks are texts that would become a header, or another recipient, where a line break passes.
var breaks = []string{"\r\nBcc: eve@example.com", "\nBcc: eve@example.com", "\rBcc: eve@example.com", "\r\n\r\nhello there ", "\x00", "\u2028Bcc: eve@example.com"}

// TestNoHeaderInjection puts line breaks into everything that gets into a mail, by commands, by the admin API and by forms. What is
// refused is refused with a sentence; of the mails that go out every header is checked as they arrive.
func TestNoHeaderInjection(t *testing.T) { // S31
	t.Parallel()
	o := openPost(t)
	s := startMailing(t, o)
	refused := func(what string, err error) {
		t.Helper()
		if err == nil || !strings.Contains(err.Error(), ": 4") && !strings.Contains(err.Error(), "exit code 1") {
			t.Errorf("%s: %v, want it refused", what, err)
		}
	}
	for i, evil := range breaks {
		_, err := s.API(t.Context(), "user/add", map[string]any{"name": "user" + evil, "email": address("alice")})
		refused(fmt.Sprintf("the name with %q", evil), err)
		for _, email := range []string{address("alice") + evil, "alice" + evil + "@example.com", evil + address("alice"), `"alice` + evil + `" <alice@example.com>`} {
			_, err = s.API(t.Context(), "user/add", map[string]any{"name": "user", "email": email})
			refused(fmt.Sprintf("the address %q", email), err)
			_, err = s.API(t.Context(), "mail/test", map[string]any{"address": email})
			refused(fmt.Sprintf("the address %q of a test mail", email), err)
		}
		_, err = s.API(t.Context(), "user/add", map[string]any{"name": "shown", "display_name": "Alice" + evil, "email": address("shown")})
		refused(fmt.Sprintf("the display name with %q", evil), err)
		if strings.Contains(evil, "\x00") { // no argument of a command holds one
			continue
		}
		_, err = s.MFA(t.Context(), "", "user", "add", fmt.Sprintf("user%d%s", i, evil), "--email", address("alice"))
		refused(fmt.Sprintf("the command with the name %q", evil), err)
		_, err = s.MFA(t.Context(), "", "user", "add", fmt.Sprintf("user%d", i), "--email", address("alice")+evil)
		refused(fmt.Sprintf("the command with the address %q", evil), err)
	}
	for _, email := range []string{"alice@example.com,eve@example.com", "alice@example.com eve@example.com", "<alice@example.com>", "alice"} {
		_, err := s.MFA(t.Context(), "", "user", "add", "user", "--email", email)
		refused("the address "+email, err)
	}

	alice, member := o.member(s, "alice")
	o.withApp(alice, member)
	for i, evil := range breaks {
		v := rig.NewVisitor(s.URL)
		v.Addr = fmt.Sprintf("203.0.113.%d", i+1)
		// As for any name that nobody has.
		for _, name := range []string{"alice" + evil, address("alice") + evil, evil + address("alice")} {
			if page := submit(t, v, "/.mfa/forgot", "name", name); page.Status != http.StatusSeeOther && page.Status != http.StatusBadRequest && page.Status != http.StatusUnprocessableEntity {
				t.Errorf("forgot: %q gives %d", name, page.Status)
			}
		}
		for _, email := range []string{address("eve") + evil, "eve" + evil + "@example.com"} {
			if page := submit(t, member, "/.mfa/security/email", "email", email); page.Status != http.StatusBadRequest && page.Status != http.StatusUnprocessableEntity {
				t.Errorf("the address %q gives %d %s", email, page.Status, page.Header.Get("Location"))
			}
		}
	}
	// A label gets into the notice, where it stands as what it is.
	device := rig.Device(s.URL)
	if err := alice.AddKey(t.Context(), member, device, "Bcc: eve@evil.example visit http://evil.example/"); err != nil {
		t.Fatal(err)
	}
	notice := o.open(address("alice"), aNewMethod)
	if len(notice.links) != 1 || !strings.HasPrefix(notice.link(t), s.URL+"/.mfa/not-me#") {
		t.Errorf("the links are %q", notice.links)
	}
	// So does what a browser says of itself.
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/.mfa/forgot", strings.NewReader("name=alice"))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Sec-Fetch-Site", "same-origin")
	req.Header.Set("User-Agent", "Bcc:eve@evil.example/http://evil.example =?utf-8?q?=0ABcc:?= <b>x</b>")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if reset := o.open(address("alice"), aReset); len(reset.links) != 1 || strings.Contains(reset.HTML, "<b>x") {
		t.Errorf("the reset says\n%s", reset.HTML)
	}
	o.settled(s, "bob")
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, l := range o.letters {
		if !strings.HasPrefix(l.To, "alice@") && !strings.HasPrefix(l.To, "bob") {
			t.Errorf("a mail to %s: %s", l.To, l.Subject)
		}
	}
}
