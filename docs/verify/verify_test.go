package verify_test

import (
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/caddy-mfa/caddy-mfa/docs/verify"
)

// signed is a token by a key, for the app of these tests.
func signed(t *testing.T, id string, key ed25519.PrivateKey) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.EdDSA, Key: jose.JSONWebKey{Key: key, KeyID: id}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	token, err := jwt.Signed(signer).Claims(jwt.Claims{
		Issuer: "https://dash.example.com", Audience: jwt.Audience{"dash.example.com"}, Subject: "1", Expiry: jwt.NewNumericDate(time.Now().Add(time.Hour)),
	}).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// A fetch that hangs holds up nobody but those who need what it fetches, and there is one for all of them.
func TestFetchHoldsUpNobodyElse(t *testing.T) {
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	published := []jose.JSONWebKey{{Key: public, KeyID: "old", Algorithm: "EdDSA"}}
	asked, answer := make(chan struct{}, 100), make(chan struct{}, 100)
	var fetches atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		n := fetches.Add(1)
		asked <- struct{}{}
		<-answer
		if n == 3 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		keys := published
		if n > 1 {
			keys = append(keys, jose.JSONWebKey{Key: public, KeyID: "new", Algorithm: "EdDSA"})
		}
		_ = json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: keys})
	}))
	defer server.Close()
	defer close(answer)
	var later atomic.Int64
	v := &verify.Verifier{
		Issuer: "https://dash.example.com", Host: "dash.example.com", Keys: server.URL,
		Now: func() time.Time { return time.Now().Add(time.Duration(later.Load())) },
	}
	check := func(id string) error {
		_, err := v.Verify(t.Context(), signed(t, id, private))
		return err
	}
	many := func(id string) chan error {
		errs := make(chan error, 50)
		tokens := signed(t, id, private)
		for range cap(errs) {
			go func() {
				_, err := v.Verify(t.Context(), tokens)
				errs <- err
			}()
		}
		return errs
	}

	first := many("old") // nobody has a key yet
	<-asked
	answer <- struct{}{}
	for range cap(first) {
		if err := <-first; err != nil {
			t.Fatal(err)
		}
	}
	later.Store(int64(time.Minute))
	waiting := many("new")
	<-asked
	for range 100 { // while that hangs
		if err := check("old"); err != nil {
			t.Fatal(err)
		}
	}
	answer <- struct{}{}
	for range cap(waiting) {
		if err := <-waiting; err != nil {
			t.Fatal(err)
		}
	}
	if n := fetches.Load(); n != 2 {
		t.Errorf("%d fetches", n)
	}

	// One that fails is a fault to those who waited, and no judgement about the token.
	later.Store(int64(2 * time.Minute))
	failing := many("unknown")
	<-asked
	answer <- struct{}{}
	faults := 0
	for range cap(failing) {
		err := <-failing
		if err == nil {
			t.Fatal("an unknown key counts")
		}
		if !errors.Is(err, verify.ErrNoPerson) {
			faults++
		}
	}
	if faults == 0 || fetches.Load() != 3 || check("old") != nil {
		t.Errorf("%d faults, %d fetches", faults, fetches.Load())
	}
}
