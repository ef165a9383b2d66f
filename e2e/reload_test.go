package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/caddy-mfa/caddy-mfa/e2e/rig"
)

// TestReloadUnderLoad reloads again and again while people work and one is signing in.
func TestReloadUnderLoad(t *testing.T) {
	t.Parallel()
	s := start(t, rig.Config{})
	_, v := enrolled(t, s, "alice")
	bob, _ := enrolled(t, s, "bob")
	half := halfway(t, s, bob, "")

	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	var served, cut atomic.Int64
	for range 8 {
		worker := v.Clone()
		wg.Go(func() {
			for ctx.Err() == nil {
				page, err := worker.Fetch(t.Context(), "/headers")
				switch {
				case errors.Is(err, syscall.ECONNRESET) || errors.Is(err, io.EOF):
					// The kernel ends connections that wait in the listener which Caddy closes; plain Caddy loses them too.
					cut.Add(1)
					continue
				case err != nil:
					t.Errorf("a request failed: %v", err)
				case page.Status != http.StatusOK || !strings.Contains(string(page.Body), `"alice"`):
					t.Errorf("a request got %d: %.200s", page.Status, page.Body)
				}
				served.Add(1)
			}
		})
	}
	for i := range 20 {
		if i == 10 { // a real change, too
			if err := s.Write(strings.Replace(rig.Gated, "\tmfa\n", "\tmfa\n\theader X-Changed yes\n", 1)); err != nil {
				t.Error(err)
			}
		}
		if err := s.Reload(t.Context()); err != nil {
			t.Error(err)
		}
	}
	stop()
	wg.Wait()
	t.Logf("%d requests during 20 reloads, %d connections cut", served.Load(), cut.Load())
	if cut.Load() > 8*20 { // one for each worker and reload
		t.Error("more connections were cut than wait in a listener")
	}

	page, err := half.Get(t.Context(), "/.mfa/verify/totp")
	if err == nil {
		page, err = bob.Finish(t.Context(), page)
	}
	if err != nil {
		t.Fatalf("the half-finished sign-in did not go on: %v", err)
	}
	if !signedIn(t, half) || page.Status != http.StatusOK {
		t.Errorf("the half-finished sign-in ended at %s: %s", page.URL, page.Text())
	}
	if page, err := v.Get(t.Context(), "/"); err != nil || page.Header.Get("X-Changed") != "yes" {
		t.Errorf("the changed config is not in force: %v", err)
	}
}

// TestStoreIsReleased takes the module out of the config: the store is free for others, and comes back with everything in it.
func TestStoreIsReleased(t *testing.T) {
	t.Parallel()
	s := start(t, rig.Config{})
	_, v := enrolled(t, s, "alice")
	offline := func() rig.Result {
		ports, err := rig.FreePorts(1)
		if err != nil {
			t.Fatal(err)
		}
		r, err := s.Command(t.Context(), "", "mfa", "user", "list", "--address", "127.0.0.1:"+ports[0])
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	if r := offline(); r.Code != 1 || strings.Count(r.Err, "\n") != 1 {
		t.Errorf("with the store in use: exit code %d and %q, want 1 and one line", r.Code, r.Err)
	}
	without := strings.Replace(rig.Gated, "\tmfa\n", "", 1)
	for _, step := range []struct {
		text string
		want string
	}{{without, ""}, {rig.Gated, "alice"}} {
		if err := s.Write(step.text); err != nil {
			t.Fatal(err)
		}
		if err := s.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
		if step.want == "" {
			if r := offline(); r.Code != 0 || !strings.Contains(r.Out, "alice") {
				t.Errorf("with the module gone: exit code %d, %q, %q", r.Code, r.Out, r.Err)
			}
		}
		page, err := v.Fetch(t.Context(), "/headers")
		if err != nil || page.Status != http.StatusOK {
			t.Fatalf("the app does not answer: %v", err)
		}
		if got := strings.Contains(string(page.Body), `"Remote-User":["alice"]`); got != (step.want != "") {
			t.Errorf("the app was told of alice: %v, want %v", got, step.want != "")
		}
	}
}

// TestCommandsTakeEffectAtOnce runs each command that ends sessions, and asks for the app right after it.
func TestCommandsTakeEffectAtOnce(t *testing.T) { // S56
	t.Parallel()
	s := start(t, rig.Config{})
	for i, command := range []string{"user disable", "user delete", "user reset-mfa", "session revoke"} {
		t.Run(command, func(t *testing.T) {
			name := fmt.Sprintf("user%d", i)
			_, v := enrolled(t, s, name)
			_, other := enrolled(t, s, "other"+name)
			if !signedIn(t, v) {
				t.Fatal("not signed in to begin with")
			}
			if _, err := s.MFA(t.Context(), "", append(strings.Fields(command), name)...); err != nil {
				t.Fatal(err)
			}
			if signedIn(t, v) {
				t.Error("the next request still reaches the app")
			}
			if !signedIn(t, other) {
				t.Error("another user was signed out, too")
			}
		})
	}
}
