package e2e

import (
	"encoding/json"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/caddy-mfa/caddy-mfa/e2e/rig"
	"github.com/caddy-mfa/caddy-mfa/storage"
	"github.com/caddy-mfa/caddy-mfa/storage/badgerstore"
)

// age makes the proofs of every session older, as waiting would: in the store, while no server runs.
func age(t *testing.T, s *rig.Server, d time.Duration) {
	t.Helper()
	s.Stop()
	store, err := badgerstore.Open(t.Context(), badgerstore.Options{Dir: filepath.Join(s.Store(), "mfa")})
	if err != nil {
		t.Fatal(err)
	}
	aged := 0
	err = store.Update(t.Context(), func(tx storage.Tx) error {
		for e, err := range tx.Scan("session/", "") {
			if err != nil {
				return err
			}
			var session map[string]any
			if err := json.Unmarshal(e.Value, &session); err != nil {
				return err
			}
			for key, value := range session {
				proofs, _ := value.([]any)
				for _, p := range proofs {
					proof, _ := p.(map[string]any)
					at, err := time.Parse(time.RFC3339Nano, proof["at"].(string))
					if err != nil {
						return err
					}
					proof["at"] = at.Add(-d)
					aged++
				}
				session[key] = value
			}
			value, err := json.Marshal(session)
			if err != nil {
				return err
			}
			if err := tx.Put(e.Key, value, e.Expires); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	if aged == 0 {
		t.Fatal("no session has a proof")
	}
	if err := s.Again(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// TestAgedSession changes things in a session whose proofs are older than ten minutes: it is asked who is there, and what was begun is done
// without typing it again.
func TestAgedSession(t *testing.T) { // S58
	t.Parallel()
	s := start(t, rig.Config{})
	alice, _ := enrolled(t, s, "alice")
	b := open(t, s)
	b.signIn(alice)
	age(t, s, 11*time.Minute)

	b.visit("/.mfa/security")
	b.reveal("Change display name")
	b.fill("Display name", "Alice Example")
	b.sends("name")
	b.sees("Enter your password")
	b.reads("Confirm that it is you, to change your display name.")
	b.shoot("aged-password")
	b.fill("Password", "not the password")
	if status := b.press("Verify"); status != http.StatusUnauthorized {
		t.Errorf("a wrong password gives %d, want 401", status)
	}
	b.fill("Password", alice.Password)
	b.press("Verify")
	b.sees("Enter your code")
	b.shoot("aged-code")
	b.fill("Code", code(t, alice.Phone))
	b.press("Verify")
	b.sees("Security")
	b.reads("Your display name was changed.")
	b.reads("Alice Example")

	// The proofs are fresh again: the next change asks for nothing.
	b.press("Add an authenticator app")
	b.sees("Set up your authenticator app")
	tablet := b.qr()
	b.fill("Code", code(t, tablet))
	b.press("Verify & enable")
	b.reads("Added.")

	// A removal that was begun with old proofs is made after them, and the right one goes.
	age(t, s, 11*time.Minute)
	b.visit("/.mfa/security")
	b.unfold("Authenticator app (2)", "Remove")
	b.within("Authenticator app (2)", "Remove")
	b.sees("Enter your password")
	b.fill("Password", alice.Password)
	b.press("Verify")
	b.fill("Code", code(t, alice.Phone))
	b.press("Verify")
	b.sees("Security")
	b.reads("Removed.")
	other := open(t, s)
	other.signIn(alice)
}
