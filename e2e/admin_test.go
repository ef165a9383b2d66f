package e2e

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/caddy-mfa/caddy-mfa/e2e/rig"
)

// TestAdminPicksNoPassword asks the admin API in every way to give somebody a password. It never does: an admin starts a reset, and
// the person chooses.
func TestAdminPicksNoPassword(t *testing.T) { // S86
	t.Parallel()
	s := start(t, rig.Config{})
	alice, _ := enrolled(t, s, "alice")
	const picked = "what the admin picked"
	signIn := func(password string) int {
		t.Helper()
		page, err := rig.NewVisitor(s.URL).Post(t.Context(), "/.mfa/login", url.Values{"name": {alice.Name}, "password": {password}})
		if err != nil {
			t.Fatal(err)
		}
		return page.Status
	}
	for _, op := range []string{"user/add", "user/enable", "user/disable", "user/invite", "user/reset-mfa", "user/group", "user/delete", "session/revoke"} {
		if said, err := s.API(t.Context(), op, map[string]any{"name": alice.Name, "password": picked}); err == nil {
			t.Errorf("%s takes a password for somebody who has an account: %s", op, said)
		} else if !strings.Contains(err.Error(), "There is no field") && !strings.Contains(err.Error(), "already") {
			t.Errorf("%s refuses something else: %v", op, err)
		}
	}
	for _, op := range []string{"user/disable", "user/enable", "user/reset-mfa", "user/invite"} {
		if _, err := s.API(t.Context(), op, map[string]any{"name": alice.Name}); err != nil {
			t.Fatal(err)
		}
	}
	if status := signIn(picked); status != http.StatusUnauthorized {
		t.Errorf("the password that the admin picked gets %d, want 401", status)
	}
	if status := signIn(alice.Password); status != http.StatusSeeOther {
		t.Errorf("alice's own password gets %d, want 303", status)
	}
}
