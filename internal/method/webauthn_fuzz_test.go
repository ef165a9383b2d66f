package method

import (
	"bytes"
	"errors"
	"testing"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
)

// zeros is a source of randomness that is none, so that the fuzzer sees the same paths again.
type zeros struct{}

func (zeros) Read(b []byte) (int, error) {
	clear(b)
	return len(b), nil
}

// FuzzWebAuthnAssertion feeds JSON, client data and authenticator data to sign-in.
func FuzzWebAuthnAssertion(f *testing.F) { // S50
	m, err := NewWebAuthn(WebAuthnConfig{})
	if err != nil {
		f.Fatal(err)
	}
	m.rand = zeros{}
	s := specSite(f, m)
	list, _ := vectors(f)
	for _, v := range list {
		f.Add(v.assertion(f), []byte(v.Assertion.ClientDataJSON), []byte(v.Assertion.AuthenticatorData))
	}
	f.Add([]byte(`{"id":"","rawId":null,"type":"public-key","response":{}}`), []byte(`{"tokenBinding":{}}`), make([]byte, 37))
	v := list[0]
	c, err := s.FinishEnroll(noon, aliceKeys, s.ask(f, forEnrolment, v.Registration.Challenge), v.registration(f))
	if err != nil {
		f.Fatal(err)
	}
	ch := s.ask(f, forSecondStep, v.Assertion.Challenge, c)
	f.Fuzz(func(t *testing.T, answer, client, data []byte) {
		built := v
		built.Assertion.ClientDataJSON, built.Assertion.AuthenticatorData = client, data
		for _, a := range [][]byte{answer, built.assertion(t)} {
			sameAssertion(t, a)
			for _, creds := range [][]auth.Credential{{c}, nil} {
				got, err := s.Verify(noon, aliceKeys, creds, ch, a)
				if err == nil && (len(creds) == 0 || got.Credential.Data == nil) || err != nil && !errors.Is(err, auth.ErrRejected) {
					t.Errorf("%v for %q", err, a)
				}
			}
			if _, _, err := s.Identify(a); err != nil && !errors.Is(err, auth.ErrRejected) {
				t.Errorf("%v for %q", err, a)
			}
		}
	})
}

// FuzzWebAuthnRegistration feeds JSON and CBOR to set-up.
func FuzzWebAuthnRegistration(f *testing.F) { // S50
	m, err := NewWebAuthn(WebAuthnConfig{})
	if err != nil {
		f.Fatal(err)
	}
	m.rand = zeros{}
	s := specSite(f, m)
	list, _ := vectors(f)
	for i, v := range list {
		f.Add(byte(i), v.registration(f), []byte(v.Registration.AttestationObject))
		f.Add(byte(i), []byte(nil), unattested(f, v.Registration.AttestationObject))
	}
	f.Add(byte(0), []byte(`{"id":"AA","rawId":"AA","type":"public-key","response":{"transports":[null]}}`), []byte{0xbf, 0xff})
	f.Fuzz(func(t *testing.T, i byte, answer, object []byte) {
		v := list[int(i)%len(list)]
		ch := s.ask(t, forEnrolment, v.Registration.Challenge)
		built := v
		built.Registration.AttestationObject = object
		for _, a := range [][]byte{answer, built.registration(t)} {
			sameRegistration(t, a)
			c, err := s.FinishEnroll(noon, aliceKeys, ch, a)
			if err != nil {
				if !errors.Is(err, auth.ErrRejected) {
					t.Errorf("%v for %q", err, a)
				}
				continue
			}
			// Whatever was taken can be asked for, and cannot break sign-in.
			r, err := parseKeyRecord(c)
			if err != nil || len(c.Data) > 4096 {
				t.Fatalf("stored %s, %v", c.Data, err)
			}
			v.ID = r.CredentialID
			if _, err := s.Verify(noon, aliceKeys, []auth.Credential{c}, s.ask(t, forSecondStep, v.Assertion.Challenge, c), v.assertion(t)); err != nil && !errors.Is(err, auth.ErrRejected) {
				t.Errorf("%v with %s", err, c.Data)
			}
		}
	})
}

func TestWebAuthnMalformed(t *testing.T) { // S50
	s, d := onSite(t, WebAuthnConfig{}), newDevice()
	c := mustEnrol(t, s, d, aliceKeys)
	creds := []auth.Credential{c}
	ch := refresh(t, s, new([]byte), d, creds)
	good, err := d.Get(ch.Public)
	if err != nil {
		t.Fatal(err)
	}
	begun, err := s.BeginEnroll(noon, aliceKeys, nil)
	if err != nil {
		t.Fatal(err)
	}
	made, err := newDevice().Create(begun.Public)
	if err != nil {
		t.Fatal(err)
	}
	bad := map[string][]byte{
		"nil": nil, "NUL": {0}, "null": []byte("null"), "number": []byte("57"), "list": []byte("[]"), "object": []byte("{}"),
		"deep": bytes.Repeat([]byte(`{"a":`), 1<<13), "large": append(bytes.Clone(good), bytes.Repeat([]byte(" "), 1<<16)...),
		"a mebibyte": bytes.Repeat([]byte("x"), 1<<20), "twice": append(bytes.Clone(good), good...), "set-up": made,
	}
	for i := range good { // every truncation, of the right answer too
		v, err := s.Verify(noon, aliceKeys, creds, ch, good[:i])
		refused(t, v, err)
	}
	for i := range made {
		if _, err := s.FinishEnroll(noon, aliceKeys, begun, made[:i]); !errors.Is(err, auth.ErrRejected) {
			t.Errorf("%d bytes of it: %v", i, err)
		}
	}
	for name, answer := range bad {
		v, err := s.Verify(noon, aliceKeys, creds, ch, answer)
		refused(t, v, err)
		if name == "set-up" {
			continue
		}
		if _, err := s.FinishEnroll(noon, aliceKeys, begun, answer); !errors.Is(err, auth.ErrRejected) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
