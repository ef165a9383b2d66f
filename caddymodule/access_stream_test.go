package caddymodule

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
)

// A gate further in, and one in the error routes, go by the token that the first removed.
func TestAccessTokenThroughTwoGates(t *testing.T) {
	s := newSite(t)
	s.serve(`{address} {
	route {
		mfa
		handle /deep/* {
			mfa {
				allow alice
			}
			reverse_proxy {app}
		}
		handle /fails {
			error 418
		}
		respond "{http.vars.mfa.access_token}{http.request.header.Authorization}"
	}
	handle_errors {
		mfa
		reverse_proxy {app}
	}
}
`)
	issued, _ := bearer(t, "localhost", "alice", nil)
	bob, bobs := bearer(t, "localhost", "bob", nil)
	got := arrived(t, s.get("/deep/a", bearerHeader(issued.Token), bobs))
	clean(t, got, issued.Token)
	if got.Header.Get("Remote-User") != "alice" {
		t.Errorf("got %v", got.Header)
	}
	refusedToken(t, s.get("/deep/a", bearerHeader(bob.Token)), http.StatusForbidden, "token_not_allowed")
	res := s.get("/fails", bearerHeader(issued.Token), bobs)
	var seen seen
	if err := json.NewDecoder(res.Body).Decode(&seen); err != nil || seen.Header.Get("Remote-User") != "alice" {
		t.Errorf("in the error routes: %s %v %v", res.Status, seen, err)
	}
	clean(t, seen, issued.Token)
	if body, _ := io.ReadAll(s.get("/x", bearerHeader(issued.Token)).Body); len(body) != 0 {
		t.Errorf("placeholders say %s", body)
	}
}

func TestWrongAccessTokensAreThrottled(t *testing.T) { // S13
	s := newSite(t)
	s.serve(plainGate)
	issued, session := bearer(t, "localhost", "alice", nil)
	arrived(t, s.get("/", bearerHeader(issued.Token)))
	var limited *http.Response
	for i := 0; limited == nil && i < 70; i++ { // a minute may begin meanwhile
		res := s.get("/", bearerHeader(fmt.Sprintf("mfa_%043d", i)))
		if res.StatusCode == http.StatusTooManyRequests {
			limited = res
		} else {
			refusedToken(t, res, http.StatusUnauthorized, "token_refused")
		}
	}
	if limited == nil || limited.Header.Get("Retry-After") == "" {
		t.Fatalf("never told to wait: %v", limited)
	}
	refusedToken(t, limited, http.StatusTooManyRequests, "too_many_requests")
	arrived(t, s.get("/", bearerHeader(issued.Token)))
	arrived(t, s.get("/", session))
}

func TestAccessTokenWithoutStore(t *testing.T) { // S76
	s := newSite(t)
	s.serve(plainGate)
	fresh, _ := bearer(t, "localhost", "alice", nil)
	if err := running(t).live.Load().realm.State.Close(); err != nil {
		t.Fatal(err)
	}
	for _, token := range []string{fresh.Token, auth.AccessTokenPrefix + strings.Repeat("x", 43)} {
		res := s.get("/", bearerHeader(token), asScript)
		if body, _ := io.ReadAll(res.Body); res.StatusCode != http.StatusServiceUnavailable || res.Header.Get("Retry-After") == "" {
			t.Errorf("%s\n%s", res.Status, body)
		}
	}
}

func TestAccessTokenRevokedWhileUsed(t *testing.T) {
	s := newSite(t)
	s.serve(plainGate)
	issued, _ := bearer(t, "localhost", "alice", nil)
	realm := running(t).live.Load().realm
	var wg sync.WaitGroup
	revoked := make(chan struct{})
	for i := range 50 {
		wg.Go(func() {
			if i == 25 {
				if _, err := realm.RevokeAccessTokens(t.Context(), "alice", ""); err != nil {
					t.Error(err)
				}
				close(revoked)
			}
			for range 5 {
				over := false
				select {
				case <-revoked:
					over = true
				default:
				}
				if res := s.get("/", bearerHeader(issued.Token)); over && res.StatusCode == http.StatusOK {
					t.Error("it passes after it was revoked")
				}
			}
		})
	}
	wg.Wait()
}

func TestAccessTokenStreams(t *testing.T) { // S73
	l := newLiveSite(t)
	l.serveLive()
	realm := running(t).live.Load().realm
	for _, c := range []struct {
		name string
		end  func(id string) error
	}{
		{"revoked", func(id string) error { _, err := realm.RevokeAccessTokens(t.Context(), "alice", id); return err }},
		{"disabled", func(string) error { return realm.SetDisabled(t.Context(), "alice", true) }},
		{"sessions ended", func(string) error { _, err := realm.RevokeSessions(t.Context(), "alice", ""); return err }},
		{"no longer allowed", func(string) error {
			_, err := realm.ChangeGroups(t.Context(), "alice", nil, []string{"ops"})
			return err
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			issued, cookie := bearer(t, liveHost, "alice", nil, "ops")
			var open []*talk
			for _, version := range []string{"HTTP/1.1", "HTTP/2.0", "HTTP/3.0"} {
				open = append(open, l.connect(version, "/events", bearerHeader(issued.Token)), l.connect(version, "/chunked", bearerHeader(issued.Token)))
			}
			open = append(open, l.connect("HTTP/1.1", "/ws", bearerHeader(issued.Token)))
			session := l.connect("HTTP/1.1", "/events", cookie)
			eventually(t, "all are watched", func() bool { return l.streams() == len(open)+1 })
			var slowly []<-chan error
			ctx, cancel := context.WithCancel(t.Context())
			for _, version := range []string{"HTTP/1.1", "HTTP/2.0", "HTTP/3.0"} {
				for _, s := range []slow{{"GET", "/late", 0, ""}, {"DELETE", "/upload", -1, "a beginning"}, {"PUT", "/late", 100, "a beginning"}} {
					slowly = append(slowly, l.ask(ctx, version, bearerHeader(issued.Token), s))
				}
			}
			eventually(t, "all have begun", func() bool { return l.open.Load() == int64(len(open)+1+len(slowly)) })
			from := realm.Beat()
			eventually(t, "the first beat has passed", func() bool { return realm.Beat() > from })
			for _, s := range open {
				s.goesOn(t)
			}
			if err := c.end(issued.ID); err != nil {
				t.Fatal(err)
			}
			for _, s := range open {
				s.ended(t)
			}
			if c.name == "revoked" { // the session has nothing to do with it
				eventually(t, "the app is rid of the rest", func() bool { return l.open.Load() == 1 })
				session.goesOn(t)
			}
			cancel() // some clients wait for the rest of what they send
			for _, done := range slowly {
				if err := <-done; err == nil {
					t.Error("a slow request was answered")
				}
			}
			session.close()
			eventually(t, "nothing is left", func() bool { return l.streams() == 0 && l.open.Load() == 0 })
			if err := realm.DeleteUser(t.Context(), "alice"); err != nil {
				t.Fatal(err)
			}
		})
	}
}
