package method

import (
	"bytes"
	"crypto/sha256"
	"reflect"
	"strings"
	"testing"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
	"github.com/caddy-mfa/caddy-mfa/internal/method/authenticator"
)

func TestWebAuthnDecoy(t *testing.T) { // S88: the key that stands in for none proves nothing, even to who knows its private key
	s := onSite(t, WebAuthnConfig{})
	if _, _, found, err := s.pick(nil, "x"); found || err != nil {
		t.Errorf("the decoy: %v, %v", found, err)
	}
	if err := offered(decoy.PublicKey); err != nil {
		t.Errorf("the decoy costs nothing: %v", err)
	}
	d := newDevice()
	one, err := authenticator.NewKey(authenticator.ES256)
	if err != nil {
		t.Fatal(err)
	}
	one.Signer, one.ID, one.RPID, one.UserHandle, one.Discoverable = generator(t), []byte("decoy"), "example.com", aliceKeys.Handle, true
	if !bytes.Equal(one.COSE(), decoy.PublicKey) {
		t.Fatalf("the decoy is not the generator: %x", one.COSE())
	}
	d.Add(one)
	ch, err := s.Challenge(noon, auth.User{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := d.Get(ch.Public)
	if err != nil {
		t.Fatal(err)
	}
	v, err := s.Verify(noon, aliceKeys, nil, ch, answer)
	refused(t, v, err)
}

// TestWebAuthnDecoysVary: names without keys look like names with them, of which some have several, and some browsers told no transports.
func TestWebAuthnDecoysVary(t *testing.T) { // S88
	s := onSite(t, WebAuthnConfig{})
	other := *s
	other.rpID = "example.net"
	numbers, sizes, transports, ids := map[int]int{}, map[int]int{}, map[string]int{}, map[string]bool{}
	for i := range 1000 {
		seed := sha256.Sum256([]byte{byte(i), byte(i >> 8)})
		decoys := s.Decoys(seed[:])
		if again := s.Decoys(seed[:]); !reflect.DeepEqual(decoys, again) {
			t.Fatalf("%v, then %v", decoys, again)
		}
		if there := other.Decoys(seed[:]); reflect.DeepEqual(decoys, there) {
			t.Fatal("the same on another site")
		}
		numbers[len(decoys)]++
		for _, c := range decoys {
			r, err := parseKeyRecord(c)
			if err != nil || !s.Fits(c) || ids[string(r.CredentialID)] {
				t.Fatalf("%s: %v", c.Data, err)
			}
			ids[string(r.CredentialID)] = true
			sizes[len(r.CredentialID)]++
			transports[strings.Join(r.Transports, " ")]++
		}
	}
	if numbers[1] < 300 || numbers[2] < 100 || numbers[3] < 50 || len(numbers) != 3 {
		t.Errorf("numbers of keys %v", numbers)
	}
	if sizes[16] < 100 || sizes[20] < 100 || sizes[32] < 100 || sizes[48] < 100 || sizes[64] < 100 {
		t.Errorf("sizes %v", sizes)
	}
	if transports[""] < 100 || transports["hybrid internal"] < 100 || transports["internal"] < 100 || transports["usb nfc"] < 100 || transports["usb"] < 100 {
		t.Errorf("transports %v", transports)
	}
}
