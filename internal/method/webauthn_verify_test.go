package method

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"testing"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
	"github.com/caddy-mfa/caddy-mfa/internal/method/authenticator"
)

type draft = authenticator.Draft

// forged is one field that was changed before everything was signed.
type forged struct {
	name   string
	change func(*draft)
}

// clientForgeries are wrong for set-up and sign-in alike.
var clientForgeries = []forged{ // S39, S40
	{"no type", func(d *draft) { d.Type = "" }},
	{"type of payments", func(d *draft) { d.Type = "payment.get" }},
	{"type in capitals", func(d *draft) { d.Type = "WEBAUTHN.GET" }},
	{"no challenge", func(d *draft) { d.Challenge = "" }},
	{"other challenge", func(d *draft) { d.Challenge = base64.RawURLEncoding.EncodeToString(make([]byte, 32)) }},
	{"longer challenge", func(d *draft) { d.Challenge += "AA" }},
	{"padded challenge", func(d *draft) { d.Challenge += "=" }},
	{"no origin", func(d *draft) { d.Origin = "" }},
	{"other origin", func(d *draft) { d.Origin = "https://example.net" }},
	{"origin below", func(d *draft) { d.Origin = "https://dash.example.com" }},
	{"origin above", func(d *draft) { d.Origin = "https://com" }},
	{"plain origin", func(d *draft) { d.Origin = "http://example.com" }},
	{"origin with a port", func(d *draft) { d.Origin = home + ":443" }},
	{"origin with another port", func(d *draft) { d.Origin = home + ":8443" }},
	{"origin in capitals", func(d *draft) { d.Origin = "HTTPS://EXAMPLE.COM" }},
	{"origin with a slash", func(d *draft) { d.Origin = home + "/" }},
	{"origin with a path", func(d *draft) { d.Origin = home + "/evil" }},
	{"origin with a user", func(d *draft) { d.Origin = "https://evil@example.com" }},
	{"origin of an app", func(d *draft) { d.Origin = "android:apk-key-hash:AAAA" }},
	{"opaque origin", func(d *draft) { d.Origin = "null" }},
	{"cross-origin", func(d *draft) { d.CrossOrigin = true }},
	{"cross-origin in a frame of ours", func(d *draft) { d.CrossOrigin, d.TopOrigin = true, home }},
	{"top origin alone", func(d *draft) { d.TopOrigin = home }},
}

// dataForgeries are wrong for set-up and sign-in alike.
var dataForgeries = []forged{
	{"RP ID hash of another", func(d *draft) { d.RPID = "example.net" }}, // S41
	{"RP ID hash of the origin", func(d *draft) { d.RPID = home }},
	{"RP ID hash of nothing", func(d *draft) { d.RPID = "" }},
	{"user not present", func(d *draft) { d.Flags &^= authenticator.UserPresent }},    // S42
	{"backed up, not eligible", func(d *draft) { d.Flags |= authenticator.BackedUp }}, // S43
	{"extensions missing", func(d *draft) { d.Flags |= authenticator.Extended }},      // S50
	{"extensions unannounced", func(d *draft) { d.Extensions = []byte{0xa0} }},        //
	{"data cut", func(d *draft) { d.AuthData = func(b []byte) []byte { return b[:36] } }},
	{"no data", func(d *draft) { d.AuthData = func([]byte) []byte { return nil } }},
	{"client data cut", func(d *draft) { d.ClientData = func(b []byte) []byte { return b[:len(b)-1] } }},
	{"no client data", func(d *draft) { d.ClientData = func([]byte) []byte { return nil } }},
	{"two client data", func(d *draft) { d.ClientData = func(b []byte) []byte { return append(bytes.Clone(b), b...) } }},
	{"type of the response", func(d *draft) { d.JSON = func(m map[string]any) { m["type"] = "password" } }},
	{"other ID than raw ID", func(d *draft) { d.JSON = func(m map[string]any) { m["id"] = "AAAA" } }},
}

func TestWebAuthnForgedAssertion(t *testing.T) { // S39-S43, S50
	s, d := onSite(t, WebAuthnConfig{}), newDevice()
	c := mustEnrol(t, s, d, aliceKeys)
	rows := append([]forged{
		{"type of set-up", func(d *draft) { d.Type = "webauthn.create" }},
		{"signature changed", func(d *draft) { d.Signature = func(b []byte) []byte { b[len(b)-1] ^= 1; return b } }},
		{"signature longer", func(d *draft) { d.Signature = func(b []byte) []byte { return append(b, 0) } }},
		{"no signature", func(d *draft) { d.Signature = func([]byte) []byte { return nil } }},
		{"signed by another key", func(d *draft) { d.Key, _ = authenticator.NewKey(authenticator.ES256) }},
		{"data changed after signing", func(d *draft) {
			d.JSON = func(m map[string]any) {
				m["response"].(map[string]any)["authenticatorData"] = base64.RawURLEncoding.EncodeToString(make([]byte, 37))
			}
		}},
	}, append(clientForgeries, dataForgeries...)...)
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			v, err := second(t, s, d, aliceKeys, c, row.change)
			refused(t, v, err)
			v, err = signIn(t, s, d, aliceKeys, c, row.change)
			refused(t, v, err)
		})
	}
	if _, err := second(t, s, d, aliceKeys, c); err != nil {
		t.Errorf("unforged: %v", err)
	}
}

func TestWebAuthnUserVerification(t *testing.T) { // S42: this assertion's flag, and only once established beside another kind
	blind := func(d *draft) { d.Flags &^= authenticator.UserVerified }
	s, d := onSite(t, WebAuthnConfig{}), newDevice()
	c := mustEnrol(t, s, d, aliceKeys)
	if v, err := signIn(t, s, d, aliceKeys, c, blind); err != nil || v.Kinds != auth.Possession {
		t.Errorf("established, not in this assertion: %v, %v", v.Kinds, err)
	}
	if v, err := second(t, s, d, aliceKeys, c, blind); err != nil || v.Kinds != auth.Possession || !readRecord(t, v.Credential).UserVerified {
		t.Errorf("established, not at this second step: %v, %v", v.Kinds, err)
	}

	c, err := enrol(t, s, d, aliceKeys, blind)
	if err != nil {
		t.Fatal(err)
	}
	v, err := signIn(t, s, d, aliceKeys, c)
	if err != nil || v.Kinds != auth.Possession || readRecord(t, v.Credential).UserVerified {
		t.Errorf("a sign-in alone established it: %v, %v", v.Kinds, err)
	}
	if v, err = second(t, s, d, aliceKeys, v.Credential); err != nil || v.Kinds != auth.Possession || !v.UserVerified {
		t.Errorf("a second step established it by itself: %v, %v", v.Kinds, err)
	}
	// What else was proven, only the flow knows.
	if c, err = s.Establish(v.Credential); err != nil {
		t.Fatal(err)
	}
	if v, err = signIn(t, s, d, aliceKeys, c); err != nil || v.Kinds != auth.Possession|auth.Inherence {
		t.Errorf("established: %v, %v", v.Kinds, err)
	}
	if _, err := s.Establish(auth.Credential{Data: []byte("{")}); err == nil {
		t.Error("established in a damaged record")
	}
}

func TestWebAuthnOtherKeys(t *testing.T) { // S47: no other key counts
	s, d, other := onSite(t, WebAuthnConfig{}), newDevice(), newDevice()
	c, err := enrol(t, s, d, aliceKeys, func(d *draft) { d.Flags &^= authenticator.UserVerified })
	if err != nil {
		t.Fatal(err)
	}
	added := mustEnrol(t, s, other, aliceKeys)
	ch, err := s.Challenge(noon, aliceKeys, []auth.Credential{c})
	if err != nil {
		t.Fatal(err)
	}
	answer, err := d.Get(ch.Public)
	if err != nil {
		t.Fatal(err)
	}
	v, err := s.Verify(noon, aliceKeys, []auth.Credential{c, added}, ch, answer)
	if err != nil || v.Kinds != auth.Possession {
		t.Errorf("proved %v, %v", v.Kinds, err)
	}
	v, err = s.Verify(noon, bobKeys, []auth.Credential{c, added}, ch, answer)
	refused(t, v, err)
	if _, err = other.Get(ch.Public); !errors.Is(err, authenticator.ErrNoKey) {
		t.Fatalf("the other key answers: %v", err)
	}
	fresh, err := s.Challenge(noon, auth.User{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if answer, err = other.Get(fresh.Public, func(d *draft) { d.Challenge = challengeOf(t, ch) }); err != nil {
		t.Fatal(err)
	}
	v, err = s.Verify(noon, aliceKeys, []auth.Credential{c, added}, ch, answer)
	refused(t, v, err)
}

func TestWebAuthnVerificationRequired(t *testing.T) { // S42
	blind := func(d *draft) { d.Flags &^= authenticator.UserVerified }
	s, d := onSite(t, WebAuthnConfig{UserVerification: "required"}), newDevice()
	var hint *auth.Hint
	if _, err := enrol(t, s, d, aliceKeys, blind); !errors.Is(err, auth.ErrRejected) || !errors.As(err, &hint) {
		t.Errorf("set up without: %v", err)
	}
	c := mustEnrol(t, s, d, aliceKeys)
	for _, prove := range []func(testing.TB, *siteWebAuthn, *authenticator.Device, auth.User, auth.Credential, ...func(*draft)) (auth.Verified, error){second, signIn} {
		v, err := prove(t, s, d, aliceKeys, c, blind)
		refused(t, v, err)
		if !errors.As(err, &hint) {
			t.Errorf("no word of it: %v", err)
		}
	}
	if v, err := signIn(t, s, d, aliceKeys, c); err != nil || v.Kinds != auth.Possession|auth.Inherence {
		t.Errorf("with: %v, %v", v.Kinds, err)
	}
}

func TestWebAuthnBackupState(t *testing.T) { // S43: eligibility is fixed, the state follows
	for name, synced := range map[string]bool{"eligible": true, "not eligible": false} {
		t.Run(name, func(t *testing.T) {
			s, d := onSite(t, WebAuthnConfig{}), newDevice()
			d.Synced = synced
			c := mustEnrol(t, s, d, aliceKeys)
			v, err := second(t, s, d, aliceKeys, c, func(d *draft) {
				d.Flags &^= authenticator.BackedUp
				d.Flags ^= authenticator.BackupEligible
			})
			refused(t, v, err)
			if !synced {
				return
			}
			if v, err = second(t, s, d, aliceKeys, c, func(d *draft) { d.Flags &^= authenticator.BackedUp }); err != nil {
				t.Fatal(err)
			}
			if r := readRecord(t, v.Credential); r.BackupState || !r.BackupEligible {
				t.Errorf("stored %+v", r)
			}
		})
	}
}

func TestWebAuthnCounter(t *testing.T) { // S48
	for _, row := range []struct {
		name        string
		stored, got uint32
		ok          bool
	}{
		{"does not count", 0, 0, true},
		{"begins to", 0, 1, true},
		{"goes on", 7, 8, true},
		{"jumps", 7, 7000, true},
		{"to the end", 1<<32 - 2, 1<<32 - 1, true},
		{"stands still", 7, 7, false},
		{"goes back", 7, 6, false},
		{"stops", 7, 0, false},
		{"wraps", 1<<32 - 1, 0, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			s, d := onSite(t, WebAuthnConfig{}), newDevice()
			c, err := enrol(t, s, d, aliceKeys, func(d *draft) { d.Counter = row.stored })
			if err != nil {
				t.Fatal(err)
			}
			v, err := second(t, s, d, aliceKeys, c, func(d *draft) { d.Counter = row.got })
			if row.ok {
				if err != nil || readRecord(t, v.Credential).Counter != row.got {
					t.Errorf("%+v, %v", v, err)
				}
				return
			}
			refused(t, v, err)
			var hint *auth.Hint
			if !errors.Is(err, auth.ErrCounter) || !errors.As(err, &hint) || hint.Text == "" {
				t.Errorf("no word of the counter: %v", err)
			}
			// Who cannot sign learns nothing of it.
			_, err = second(t, s, d, aliceKeys, c, func(d *draft) {
				d.Counter, d.Signature = row.got, func([]byte) []byte { return []byte{0} }
			})
			if !errors.Is(err, auth.ErrRejected) || errors.Is(err, auth.ErrCounter) {
				t.Errorf("a wrong signature: %v", err)
			}
		})
	}
}

func TestWebAuthnUserHandle(t *testing.T) { // S46
	s, d := onSite(t, WebAuthnConfig{}), newDevice()
	c := mustEnrol(t, s, d, aliceKeys)
	for _, row := range []struct {
		name       string
		handle     []byte
		secondStep bool
	}{
		{"somebody else's", bobKeys.Handle, false},
		{"nearly", append(bytes.Clone(aliceKeys.Handle[:63]), 1), false},
		{"cut", aliceKeys.Handle[:63], false},
		{"too long", make([]byte, 65), false},
		{"none", nil, true},
		{"empty", []byte{}, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			change := func(d *draft) { d.UserHandle = row.handle }
			v, err := signIn(t, s, d, aliceKeys, c, change)
			refused(t, v, err)
			v, err = second(t, s, d, aliceKeys, c, change)
			if !row.secondStep {
				refused(t, v, err)
			} else if err != nil {
				t.Errorf("at the second step: %v", err)
			}
		})
	}
	// Bob's handle with the credential of alice, looked up by the handle: bob does not have it.
	ch, err := s.Challenge(noon, auth.User{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := d.Get(ch.Public, func(d *draft) { d.UserHandle = bobKeys.Handle })
	if err != nil {
		t.Fatal(err)
	}
	v, err := s.Verify(noon, bobKeys, nil, ch, answer)
	refused(t, v, err)
	v, err = s.Verify(noon, bobKeys, []auth.Credential{mustEnrol(t, s, newDevice(), bobKeys)}, ch, answer)
	refused(t, v, err)
}

func TestWebAuthnAllowed(t *testing.T) { // S47: a key that was not asked for, even one's own
	s, d, late := onSite(t, WebAuthnConfig{}), newDevice(), newDevice()
	c, added := mustEnrol(t, s, d, aliceKeys), mustEnrol(t, s, late, aliceKeys)
	added.ID = "c2"
	ch, err := s.Challenge(noon, aliceKeys, []auth.Credential{c})
	if err != nil {
		t.Fatal(err)
	}
	var o map[string]any
	if err := json.Unmarshal(ch.Public, &o); err != nil {
		t.Fatal(err)
	}
	delete(o, "allowCredentials")
	anyKey, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := late.Get(anyKey)
	if err != nil {
		t.Fatal(err)
	}
	v, err := s.Verify(noon, aliceKeys, []auth.Credential{c, added}, ch, answer)
	refused(t, v, err)

	// With no key that fits, no key is right.
	if ch, err = s.Challenge(noon, aliceKeys, nil); err != nil {
		t.Fatal(err)
	}
	if answer, err = late.Get(ch.Public); err != nil {
		t.Fatal(err)
	}
	v, err = s.Verify(noon, aliceKeys, []auth.Credential{c, added}, ch, answer)
	refused(t, v, err)
}

func TestWebAuthnOtherRPID(t *testing.T) { // S41: a key of another RP ID does not count here, whatever it signs
	s, d := onSite(t, WebAuthnConfig{}), newDevice()
	c := mustEnrol(t, s, d, aliceKeys)
	if !s.Fits(c) {
		t.Error("does not fit its own site")
	}
	elsewhere := c
	elsewhere.Data = bytes.Replace(c.Data, []byte("example.com"), []byte("example.net"), 1)
	if s.Fits(elsewhere) || s.Fits(auth.Credential{Data: []byte("{}")}) {
		t.Error("fits another site")
	}
	v, err := signIn(t, s, d, aliceKeys, elsewhere)
	refused(t, v, err)
}

func TestWebAuthnDamagedRecord(t *testing.T) {
	s, d := onSite(t, WebAuthnConfig{}), newDevice()
	c := mustEnrol(t, s, d, aliceKeys)
	ch, err := s.Challenge(noon, aliceKeys, []auth.Credential{c})
	if err != nil {
		t.Fatal(err)
	}
	answer, err := d.Get(ch.Public)
	if err != nil {
		t.Fatal(err)
	}
	r := readRecord(t, c)
	r.PublicKey = r.PublicKey[:20]
	cut, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{"none": nil, "empty": []byte("{}"), "no JSON": []byte("57"), "key cut": cut} {
		bad := c
		bad.Data = data
		if v, err := s.Verify(noon, aliceKeys, []auth.Credential{bad}, ch, answer); err == nil || errors.Is(err, auth.ErrRejected) {
			t.Errorf("%s: %+v, %v", name, v, err)
		}
	}
}
