// Package verify shows how an app verifies who a person is, instead of trusting headers: by the assertion of the option `identity jwt`.
// It is meant to be copied. Its only dependency is go-jose; any library for JWTs does, if it checks what this checks.
package verify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// Header is where the assertion is, unless the option names another one.
const Header = "Remote-Assertion"

const (
	// keysLife is how long fetched keys are used. A new key is published a day before it signs.
	keysLife = time.Hour
	// keysPause is what lies between two fetches at least, so that made-up key IDs cause no flood of them.
	keysPause = 10 * time.Second
	// skew is how far the clocks of the gate and of the app may be apart. Both should be set by NTP; where they are one machine's,
	// none is needed.
	skew = 0 * time.Second
)

// algorithms are those that the option knows. Without this list, a token could say itself how little it takes to verify it: by "none", or
// by "HS256" with the public key as the secret.
var algorithms = []jose.SignatureAlgorithm{jose.EdDSA, jose.ES256}

// ErrNoPerson means that nothing proves who sends a request. Any other error means that the keys cannot be fetched.
var ErrNoPerson = errors.New("no valid assertion")

// Person is who an assertion is about.
type Person struct {
	ID            string   `json:"sub"` // stays the same when the name changes, and is never given to anybody else
	Username      string   `json:"preferred_username"`
	Name          string   `json:"name"`
	Email         string   `json:"email"`
	EmailVerified bool     `json:"email_verified"`
	Groups        []string `json:"groups"`
	AuthTime      int64    `json:"auth_time"` // of the newest proof, in seconds since 1970; 0 for an access token of theirs, which proves nothing
	Methods       []string `json:"amr"`       // none for an access token
	Class         string   `json:"acr"`       // "mfa", or "phr" with a proof that nobody can phish; "" for an access token
}

// Verifier verifies assertions for one app. It is safe for concurrent use. The first two fields must be set.
type Verifier struct {
	Issuer string           // the address of the site, such as https://dash.example.com
	Host   string           // the host under which people reach the app, such as dash.example.com
	Keys   string           // where the keys are; "": below Issuer, at /.mfa/jwks.json
	Client *http.Client     // that fetches them; nil: http.DefaultClient
	Now    func() time.Time // nil: time.Now

	mu       sync.Mutex
	keys     jose.JSONWebKeySet
	tried    time.Time
	fetched  time.Time
	failed   error         // of the last fetch
	fetching chan struct{} // closed when the fetch that goes on is over; nil: none does
}

// Verify returns who a token is about. The error wraps ErrNoPerson where the token is not right, not for this app, or not valid now.
func (v *Verifier) Verify(ctx context.Context, token string) (*Person, error) {
	if v.Issuer == "" || v.Host == "" {
		return nil, errors.New("issuer and host must be set: what is not set is not checked")
	}
	parsed, err := jwt.ParseSigned(token, algorithms)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoPerson, err)
	}
	header := parsed.Headers[0] // there is one: the serialization is compact
	key, err := v.key(ctx, header.KeyID)
	if err != nil {
		return nil, err
	}
	if key.Algorithm != header.Algorithm { // a key is good for its own algorithm alone
		return nil, fmt.Errorf("%w: key %q does not sign by %s", ErrNoPerson, header.KeyID, header.Algorithm)
	}
	var standard jwt.Claims
	person := new(Person)
	if err := parsed.Claims(key.Key, &standard, person); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoPerson, err)
	}
	now := v.now()
	if standard.Expiry == nil || !now.Before(standard.Expiry.Time().Add(skew)) {
		return nil, fmt.Errorf("%w: it has expired", ErrNoPerson)
	}
	expected := jwt.Expected{Issuer: v.Issuer, AnyAudience: jwt.Audience{v.Host}, Time: now}
	if err := standard.ValidateWithLeeway(expected, skew); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoPerson, err)
	}
	if person.ID == "" {
		return nil, fmt.Errorf("%w: it names nobody", ErrNoPerson)
	}
	return person, nil
}

// key returns the public key with an ID. One that is not known may be new: then the keys are fetched again, once for all who wait for that. Nobody
// else does.
func (v *Verifier) key(ctx context.Context, id string) (*jose.JSONWebKey, error) {
	v.mu.Lock()
	if key := v.known(id); key != nil {
		v.mu.Unlock()
		return key, nil
	}
	done := v.fetching
	if done == nil && v.now().Sub(v.tried) >= keysPause {
		done = make(chan struct{})
		v.fetching, v.tried = done, v.now()
		go v.refresh(context.WithoutCancel(ctx), done) // others wait for the keys, too, when the one who asked has left
	}
	v.mu.Unlock()
	if done != nil {
		select {
		case <-done:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	switch key := v.known(id); {
	case key != nil:
		return key, nil
	case done != nil && v.failed != nil:
		return nil, fmt.Errorf("fetching the keys: %w", v.failed)
	case !v.fresh():
		return nil, errors.New("the keys could not be fetched a moment ago")
	}
	return nil, fmt.Errorf("%w: there is no key %q", ErrNoPerson, id)
}

// fresh reports whether the keys that are here may be used. Its caller has the lock.
func (v *Verifier) fresh() bool { return v.now().Sub(v.fetched) < keysLife }

// known returns the key with an ID if it is here, else nil. Its caller has the lock.
func (v *Verifier) known(id string) *jose.JSONWebKey {
	if found := v.keys.Key(id); len(found) == 1 && v.fresh() {
		return &found[0]
	}
	return nil
}

// refresh fetches the keys, without the lock, and closes done.
func (v *Verifier) refresh(ctx context.Context, done chan struct{}) {
	keys, err := v.fetch(ctx)
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.failed = err; err == nil {
		v.keys, v.fetched = keys, v.tried
	}
	v.fetching = nil
	close(done)
}

func (v *Verifier) fetch(ctx context.Context) (keys jose.JSONWebKeySet, err error) {
	address, client := v.Keys, v.Client
	if address == "" {
		address = v.Issuer + "/.mfa/jwks.json"
	}
	if client == nil {
		client = http.DefaultClient
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return keys, err
	}
	r.Header.Set("Cache-Control", "no-cache") // what a cache on the way holds may be older than the key that is asked for
	res, err := client.Do(r)
	if err != nil {
		return keys, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return keys, fmt.Errorf("%s: %s", address, res.Status)
	}
	err = json.NewDecoder(io.LimitReader(res.Body, 1<<20)).Decode(&keys)
	return keys, err
}

func (v *Verifier) now() time.Time {
	if v.Now != nil {
		return v.Now()
	}
	return time.Now()
}

type personKey struct{}

// Require lets only requests through that carry a valid assertion, and says to next who it is (From). It looks at no other header:
// whoever reaches the app around the gate can write Remote-User.
func (v *Verifier) Require(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		tokens := r.Header.Values(Header)
		if len(tokens) != 1 {
			http.Error(w, ErrNoPerson.Error(), http.StatusUnauthorized)
			return
		}
		person, err := v.Verify(r.Context(), tokens[0])
		switch {
		case errors.Is(err, ErrNoPerson):
			http.Error(w, ErrNoPerson.Error(), http.StatusUnauthorized)
		case err != nil:
			http.Error(w, "sign-in cannot be verified right now", http.StatusServiceUnavailable)
		default:
			next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), personKey{}, person)))
		}
	})
}

// From returns who sends a request, inside a handler that Require guards.
func From(r *http.Request) *Person {
	person, _ := r.Context().Value(personKey{}).(*Person)
	return person
}
