package e2e

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-mfa/caddy-mfa/e2e/rig"
)

// TestAskingIsNoSignOfLife asks for the session again and again, as a tab does that was left open.
func TestAskingIsNoSignOfLife(t *testing.T) { // S55
	t.Parallel()
	s := start(t, rig.Config{Caddyfile: strings.Replace(rig.Gated, "auto_https off\n", "auto_https off\n\tmfa {\n\t\tsession {\n\t\t\tidle 1m\n\t\t}\n\t}\n", 1)})
	_, v := enrolled(t, s, "alice")
	ends := func() string {
		t.Helper()
		page, err := v.Fetch(t.Context(), "/.mfa/session")
		if err != nil {
			t.Fatal(err)
		}
		var said struct {
			SignedIn bool   `json:"signed_in"`
			IdleEnds string `json:"idle_ends"`
		}
		if err := json.Unmarshal(page.Body, &said); err != nil || !said.SignedIn || said.IdleEnds == "" {
			t.Fatalf("the session says %d %s: %v", page.Status, page.Body, err)
		}
		return said.IdleEnds
	}
	// Being seen counts once in six seconds, a tenth of the limit. The last line proves that they are over.
	first := ends()
	for begun := time.Now(); time.Since(begun) < 8*time.Second; {
		if again := ends(); again != first {
			t.Fatalf("asking moved the end from %s to %s", first, again)
		}
		<-time.After(200 * time.Millisecond)
	}
	page, err := v.Fetch(t.Context(), "/headers")
	if err != nil || page.Status != http.StatusOK {
		t.Fatalf("the app: %d, %v", page.Status, err)
	}
	if ends() == first {
		t.Error("using the app did not move the end, so not moving it proves nothing")
	}
}
