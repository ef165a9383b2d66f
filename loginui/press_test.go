package loginui

import (
	"maps"
	"testing"
	"time"
)

func TestStopReset(t *testing.T) { // S28, S61
	r := newMailRig(t)
	r.mailAccount()
	if _, _, err := r.realm.AnnounceReset(t.Context(), "alice", 24*time.Hour); err != nil {
		t.Fatal(err)
	}
	token := r.part(r.letter("How you sign in"), `/stop-reset#(\S+)`)
	b := r.browser()
	before := r.quiet()
	b.want(b.get("/.mfa/stop-reset"), 200, "Stop the reset</h1>", ">Stop the reset</button>", " data-token>", `name="token" type="text"`, "close this page")
	b.want(b.get("/.mfa/stop-reset?token="+token), 200, ">Stop the reset</button>")
	b.want(b.post("/.mfa/stop-reset", "token", " "), 422, `id="token-error"`)
	b.want(b.post("/.mfa/stop-reset", "token", token[1:]+"x"), 422, "This link no longer works", "Nothing was changed", `href="/.mfa/security"`)
	script := r.browser()
	script.headers = map[string]string{"Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty", "Sec-Fetch-Site": "same-origin"}
	script.want(script.post("/.mfa/stop-reset", "token", token), 403)
	elsewhere := r.browser()
	elsewhere.headers = map[string]string{"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document", "Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}
	elsewhere.want(elsewhere.post("/.mfa/stop-reset", "token", token), 403)
	if !maps.Equal(before, r.records()) {
		t.Error("something happened before the press")
	}
	b.want(b.post("/.mfa/stop-reset", "token", " "+token+" "), 303, "/.mfa/stop-reset?done=1") // pasted
	b.want(b.get("/.mfa/stop-reset?done=1"), 200, "The reset is stopped", `href="/.mfa/security">Go to the Security page</a>`)
	b.want(b.post("/.mfa/stop-reset", "token", token), 422, "This link no longer works")
	r.letter("The reset")
	if a, err := r.realm.User(t.Context(), "alice"); err != nil || !a.ResetAt.IsZero() {
		t.Errorf("due at %v, %v", a.ResetAt, err)
	}

	if _, _, err := r.realm.AnnounceReset(t.Context(), "alice", time.Hour); err != nil {
		t.Fatal(err)
	}
	token = r.part(r.letter("How you sign in"), `/stop-reset#(\S+)`)
	r.pass(2 * time.Hour)
	b.want(b.post("/.mfa/stop-reset", "token", token), 422, "This link no longer works") // too late
}
