package method

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
	"github.com/caddy-mfa/caddy-mfa/internal/method/authenticator"
)

const home = "https://example.com"

// keyUser is a user with a handle, as every user has one.
func keyUser(id, name string) auth.User {
	return auth.User{ID: id, Name: name, DisplayName: name + " Example", Handle: bytes.Repeat([]byte(id), 32)[:64]}
}

var aliceKeys, bobKeys = keyUser("u1", "alice"), keyUser("u2", "bob")

// onSite is the method as c configures it, on https://example.com.
func onSite(t testing.TB, c WebAuthnConfig) *siteWebAuthn {
	t.Helper()
	m, err := NewWebAuthn(c)
	if err != nil {
		t.Fatal(err)
	}
	s, ok := m.At(auth.Site{Host: "example.com", Origin: home}).(*siteWebAuthn)
	if !ok {
		t.Fatal("does not work on the site")
	}
	return s
}

// newDevice is a security key with a PIN.
func newDevice() *authenticator.Device {
	return &authenticator.Device{Origin: home, Verifies: true, Counts: true}
}

// enrol sets up a key of u. change makes the device misbehave.
func enrol(t testing.TB, s *siteWebAuthn, d *authenticator.Device, u auth.User, change ...func(*authenticator.Draft)) (auth.Credential, error) {
	t.Helper()
	ch, err := s.BeginEnroll(noon, u, nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := d.Create(ch.Public, change...)
	if err != nil {
		t.Fatal(err)
	}
	c, err := s.FinishEnroll(noon, u, ch, answer)
	c.ID = "c1"
	return c, err
}

func mustEnrol(t testing.TB, s *siteWebAuthn, d *authenticator.Device, u auth.User) auth.Credential {
	t.Helper()
	c, err := enrol(t, s, d, u)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// second is u proving c at the second step.
func second(t testing.TB, s *siteWebAuthn, d *authenticator.Device, u auth.User, c auth.Credential, change ...func(*authenticator.Draft)) (auth.Verified, error) {
	t.Helper()
	ch, err := s.Challenge(noon, u, []auth.Credential{c})
	if err != nil {
		t.Fatal(err)
	}
	answer, err := d.Get(ch.Public, change...)
	if err != nil {
		t.Fatal(err)
	}
	return s.Verify(noon, u, []auth.Credential{c}, ch, answer)
}

// signIn is somebody signing in with a passkey; the user is looked up as u, with c.
func signIn(t testing.TB, s *siteWebAuthn, d *authenticator.Device, u auth.User, c auth.Credential, change ...func(*authenticator.Draft)) (auth.Verified, error) {
	t.Helper()
	ch, err := s.Challenge(noon, auth.User{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := d.Get(ch.Public, change...)
	if err != nil {
		t.Fatal(err)
	}
	return s.Verify(noon, u, []auth.Credential{c}, ch, answer)
}

// refused demands a rejection that proves nothing.
func refused(t testing.TB, v auth.Verified, err error) {
	t.Helper()
	if !errors.Is(err, auth.ErrRejected) {
		t.Errorf("not rejected: %v", err)
	}
	if !reflect.DeepEqual(v, auth.Verified{}) {
		t.Errorf("a rejection proved %+v", v)
	}
}

func readRecord(t testing.TB, c auth.Credential) keyRecord {
	t.Helper()
	r, err := parseKeyRecord(c)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestWebAuthnAlgorithms(t *testing.T) { // S44: each that is offered works
	for name, alg := range map[string]int64{"ES256": authenticator.ES256, "EdDSA": authenticator.EdDSA, "RS256": authenticator.RS256} {
		t.Run(name, func(t *testing.T) {
			s, d := onSite(t, WebAuthnConfig{Name: "Example Corp"}), newDevice()
			d.Algorithms = []int64{alg}
			c := mustEnrol(t, s, d, aliceKeys)
			if got := d.Keys()[0].Algorithm; got != alg {
				t.Errorf("made a key for %d", got)
			}
			creds := []auth.Credential{c}
			before := clone(creds)
			v, err := second(t, s, d, aliceKeys, c)
			if err != nil {
				t.Fatal(err)
			}
			if v.Kinds != auth.Possession|auth.Inherence || v.Credential.ID != "c1" || !v.Credential.Used.Equal(noon) {
				t.Errorf("proved %+v", v)
			}
			if !reflect.DeepEqual(creds, before) {
				t.Error("Verify changed what it was given")
			}
			if v, err = signIn(t, s, d, aliceKeys, v.Credential); err != nil || v.Kinds != auth.Possession|auth.Inherence {
				t.Errorf("passkey sign-in proved %+v, %v", v, err)
			}
		})
	}
}

func TestWebAuthnChallenge(t *testing.T) { // S38: 32 random bytes, five minutes, one answer
	s, d := onSite(t, WebAuthnConfig{UserVerification: "required"}), newDevice()
	d.Transports = []string{"usb", "nfc", "carrier pigeon"}
	c := mustEnrol(t, s, d, aliceKeys)
	other := c
	other.Data = bytes.Replace(c.Data, []byte("example.com"), []byte("example.net"), 1)
	type options struct {
		Challenge        string
		Timeout          int
		RPID             string `json:"rpId"`
		UserVerification string
		Allow            []struct {
			Type, ID   string
			Transports []string
		} `json:"allowCredentials"`
	}
	seen := map[string]bool{}
	for _, u := range []auth.User{aliceKeys, {}} {
		ch, err := s.Challenge(noon, u, []auth.Credential{c, other})
		if err != nil {
			t.Fatal(err)
		}
		var private ceremony
		if err := json.Unmarshal(ch.Private, &private); err != nil || len(private.Challenge) != 32 {
			t.Errorf("a challenge of %d bytes, %v", len(private.Challenge), err)
		}
		if seen[string(private.Challenge)] {
			t.Error("the same challenge twice")
		}
		seen[string(private.Challenge)] = true
		if !ch.Expires.Equal(noon.Add(5*time.Minute)) || ch.Reusable || ch.Method != auth.MethodWebAuthn {
			t.Errorf("challenge %+v", ch)
		}
		var o options
		if err := json.Unmarshal(ch.Public, &o); err != nil {
			t.Fatalf("%v in %s", err, ch.Public)
		}
		if o.Challenge != base64.RawURLEncoding.EncodeToString(private.Challenge) || o.Timeout != 300000 || o.RPID != "example.com" || o.UserVerification != "required" {
			t.Errorf("options %s", ch.Public)
		}
		if u.ID == "" {
			if strings.Contains(string(ch.Public), "allowCredentials") {
				t.Errorf("a passkey sign-in names credentials: %s", ch.Public)
			}
		} else if len(o.Allow) != 1 || o.Allow[0].Type != "public-key" || !reflect.DeepEqual(o.Allow[0].Transports, []string{"usb", "nfc"}) {
			t.Errorf("allowed %+v", o.Allow)
		}
	}
	s.rand = short()
	if _, err := s.Challenge(noon, aliceKeys, nil); err == nil || errors.Is(err, auth.ErrRejected) {
		t.Errorf("without randomness: %v", err)
	}
}

func TestWebAuthnChallengeBound(t *testing.T) { // S38: to user, purpose, site and time
	shared := WebAuthnConfig{RPID: "example.com", Origins: []string{home, "https://dash.example.com"}}
	s, d := onSite(t, shared), newDevice()
	c := mustEnrol(t, s, d, aliceKeys)
	creds := []auth.Credential{c}
	ch, err := s.Challenge(noon, aliceKeys, creds)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := d.Get(ch.Public)
	if err != nil {
		t.Fatal(err)
	}
	verify := func(m auth.Method, now time.Time, u auth.User, ch auth.Challenge) {
		t.Helper()
		v, err := m.Verify(now, u, creds, ch, answer)
		refused(t, v, err)
	}
	verify(s, noon.Add(5*time.Minute), aliceKeys, ch)
	verify(s, noon, bobKeys, ch)
	verify(s, noon, auth.User{Handle: aliceKeys.Handle}, ch)
	dash := s.At(auth.Site{Host: "dash.example.com", Origin: "https://dash.example.com"})
	verify(dash, noon, aliceKeys, ch)
	forever := ch
	forever.Expires = time.Time{}
	verify(s, noon, aliceKeys, forever)
	fresh, err := s.Challenge(noon, aliceKeys, creds)
	if err != nil {
		t.Fatal(err)
	}
	verify(s, noon, aliceKeys, fresh) // the answer is to another one

	setUp, err := s.BeginEnroll(noon, aliceKeys, nil)
	if err != nil {
		t.Fatal(err)
	}
	verify(s, noon, aliceKeys, setUp)
	right := answer
	for name, other := range map[string]struct {
		at     auth.Method
		ch     auth.Challenge
		change func(*authenticator.Draft)
	}{
		"signed for set-up":       {s, setUp, func(d *authenticator.Draft) { d.Challenge = challengeOf(t, setUp) }},
		"signed for another site": {dash, ch, func(d *authenticator.Draft) { d.Origin = "https://dash.example.com" }},
	} {
		if answer, err = d.Get(ch.Public, other.change); err != nil {
			t.Fatal(name, err)
		}
		verify(other.at, noon, aliceKeys, other.ch)
	}
	answer = right
	made, err := newDevice().Create(setUp.Public)
	if err != nil {
		t.Fatal(err)
	}
	for name, finish := range map[string]func() (auth.Credential, error){
		"late": func() (auth.Credential, error) {
			return s.FinishEnroll(noon.Add(5*time.Minute), aliceKeys, setUp, made)
		},
		"somebody":    func() (auth.Credential, error) { return s.FinishEnroll(noon, bobKeys, setUp, made) },
		"for sign-in": func() (auth.Credential, error) { return s.FinishEnroll(noon, aliceKeys, ch, made) },
		"made for sign-in": func() (auth.Credential, error) {
			made, err := newDevice().Create(setUp.Public, func(d *authenticator.Draft) { d.Challenge = challengeOf(t, ch) })
			if err != nil {
				t.Fatal(err)
			}
			return s.FinishEnroll(noon, aliceKeys, ch, made)
		},
	} {
		if c, err := finish(); !errors.Is(err, auth.ErrRejected) || c.Data != nil {
			t.Errorf("%s: %+v, %v", name, c, err)
		}
	}
	for _, damaged := range []string{"", "{}", "[]", `{"for":"second","challenge":"AAAA"}`} {
		ch.Private = []byte(damaged)
		if _, err := s.Verify(noon, aliceKeys, creds, ch, answer); err == nil || errors.Is(err, auth.ErrRejected) {
			t.Errorf("the damaged challenge %s is %v", damaged, err)
		}
	}
	if v, err := s.Verify(noon.Add(5*time.Minute-time.Nanosecond), aliceKeys, creds, refresh(t, s, &answer, d, creds), answer); err != nil {
		t.Errorf("in the last moment: %+v, %v", v, err)
	}
}

// challengeOf is the challenge as browsers sign it.
func challengeOf(t *testing.T, ch auth.Challenge) string {
	t.Helper()
	var o struct{ Challenge string }
	if err := json.Unmarshal(ch.Public, &o); err != nil {
		t.Fatal(err)
	}
	return o.Challenge
}

// refresh makes a challenge and its answer.
func refresh(t *testing.T, s *siteWebAuthn, answer *[]byte, d *authenticator.Device, creds []auth.Credential) auth.Challenge {
	t.Helper()
	ch, err := s.Challenge(noon, aliceKeys, creds)
	if err != nil {
		t.Fatal(err)
	}
	if *answer, err = d.Get(ch.Public); err != nil {
		t.Fatal(err)
	}
	return ch
}

func TestWebAuthnUnbound(t *testing.T) {
	m, err := NewWebAuthn(WebAuthnConfig{})
	if err != nil {
		t.Fatal(err)
	}
	_, challenge := m.Challenge(noon, aliceKeys, nil)
	_, verify := m.Verify(noon, aliceKeys, nil, auth.Challenge{}, nil)
	_, begin := m.BeginEnroll(noon, aliceKeys, nil)
	_, finish := m.FinishEnroll(noon, aliceKeys, auth.Challenge{}, nil)
	for _, err := range []error{challenge, verify, begin, finish} {
		if err == nil || errors.Is(err, auth.ErrRejected) {
			t.Errorf("without a site: %v", err)
		}
	}
}

func TestWebAuthnIdentify(t *testing.T) { // S46, S50
	s, d := onSite(t, WebAuthnConfig{}), newDevice()
	c := mustEnrol(t, s, d, aliceKeys)
	ch, err := s.Challenge(noon, auth.User{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := d.Get(ch.Public)
	if err != nil {
		t.Fatal(err)
	}
	key, handle, err := s.Identify(answer)
	if err != nil || key != s.Key(c) || len(key) != 64 || !bytes.Equal(handle, aliceKeys.Handle) {
		t.Errorf("identified %q, %x, %v", key, handle, err)
	}
	without, err := d.Get(ch.Public, func(d *authenticator.Draft) { d.UserHandle = nil })
	if err != nil {
		t.Fatal(err)
	}
	if key, handle, err = s.Identify(without); err != nil || key != s.Key(c) || handle != nil {
		t.Errorf("without a handle: %q, %x, %v", key, handle, err)
	}
	long, err := d.Get(ch.Public, func(d *authenticator.Draft) { d.UserHandle = make([]byte, 65) })
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range [][]byte{nil, []byte("{}"), long, append(bytes.Clone(answer), '!'), answer[:len(answer)-1]} {
		if key, handle, err := s.Identify(bad); !errors.Is(err, auth.ErrRejected) || key != "" || handle != nil {
			t.Errorf("malformed: %q, %x, %v", key, handle, err)
		}
	}
	if got := s.Key(auth.Credential{Data: []byte("{}")}); got != "" {
		t.Errorf("a damaged record has the key %q", got)
	}
}

func TestKeyInfo(t *testing.T) {
	s, d := onSite(t, WebAuthnConfig{}), newDevice()
	d.Synced, d.AAGUID = true, [16]byte{0xfb, 0xfc, 0x30, 0x07, 0x15, 0x4e, 0x4e, 0xcc, 0x8c, 0x0b, 0x6e, 0x02, 0x05, 0x57, 0xd7, 0xbd}
	c := mustEnrol(t, s, d, aliceKeys)
	got, err := Key(c)
	want := KeyInfo{CredentialID: d.Keys()[0].ID, RPID: "example.com", Passkey: true, Synced: true, Model: "iCloud Keychain"}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v", got, err)
	}
	for _, damaged := range []string{"", "{}", "57", `{"rp_id":"example.com"}`} {
		if _, err := Key(auth.Credential{Data: []byte(damaged)}); err == nil {
			t.Errorf("%q is a key", damaged)
		}
	}
}

func BenchmarkWebAuthnVerify(b *testing.B) {
	s, d := onSite(b, WebAuthnConfig{}), newDevice()
	d.Counts = false
	c := mustEnrol(b, s, d, aliceKeys)
	ch, err := s.Challenge(noon, auth.User{}, nil)
	if err != nil {
		b.Fatal(err)
	}
	answer, err := d.Get(ch.Public)
	if err != nil {
		b.Fatal(err)
	}
	creds := []auth.Credential{c}
	for b.Loop() {
		if _, err := s.Verify(noon, aliceKeys, creds, ch, answer); err != nil {
			b.Fatal(err)
		}
	}
}
