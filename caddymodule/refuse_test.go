package caddymodule

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
	"github.com/caddy-mfa/caddy-mfa/loginui"
)

// TestRefusalsHaveWords: what the gate refuses has words in the catalogue of the pages, and the English ones are those of the error.
func TestRefusalsHaveWords(t *testing.T) {
	p, err := loginui.New(new(auth.State).Realm(auth.Config{Name: "Example Corp"}), loginui.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, why := range []*refusal{errAmbiguous, errOdd, errMethod, errNotAllowed, errInsecure, errForeignHost, errNotFound, errNotKept, errUnavailable} {
		said := func(accept string) string {
			w, r := httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), http.MethodGet, "https://dash.example.com/", nil)
			r.Header.Set("Accept-Language", accept)
			p.Message(w, r, why.status, loginui.Message{ID: "refused." + why.code, Code: why.code})
			var answer struct{ Error, Message string }
			if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || w.Code != why.status || answer.Error != why.code {
				t.Errorf("%s: %d %s (%v)", why.code, w.Code, w.Body, err)
			}
			return answer.Message
		}
		if got := said("en"); got != why.text {
			t.Errorf("%s: %q, and the page says %q", why.code, why.text, got)
		}
		if got := said("de"); got == "" || got == why.text {
			t.Errorf("%s: in German %q", why.code, got)
		}
	}
}
