package method

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
)

// newPassword returns a method whose runs are cheap, and a credential for password, which need not pass the policy.
func newPassword(t *testing.T, password string) (*Password, auth.Credential) {
	t.Helper()
	p := NewPassword("Example Corp")
	weak(&p.argon)
	c, err := p.New(password)
	if err != nil {
		t.Fatal(err)
	}
	return p, c
}

func TestPasswordVerifiedWhole(t *testing.T) { // S3: no truncation, no case change
	long := strings.Repeat("0123456789abcdeF", 63) + "tail Ends Here!" // 1023 bytes
	for _, right := range []string{"seven green otters", " two spaces around ", "Grün wächst 竹 🌱🌱", long, long + "x"} {
		p, c := newPassword(t, right)
		for _, try := range []string{
			right,
			strings.ToUpper(right),
			strings.ToLower(right),
			strings.TrimSpace(right),
			right + " ",
			right[:len(right)-1],
			right[:min(72, len(right)-1)],
			right[:len(right)-1] + "y",
			"S" + right[1:],
		} {
			_, err := p.Verify(noon, alice, []auth.Credential{c}, auth.Challenge{}, []byte(try))
			if try == right && err != nil {
				t.Errorf("%.20q: %v", right, err)
			}
			if try != right && !errors.Is(err, auth.ErrRejected) {
				t.Errorf("%.20q (%d bytes) signs in with %.20q (%d bytes): %v", right, len(right), try, len(try), err)
			}
		}
	}
}

func TestPasswordSpelledBothWays(t *testing.T) { // S2
	one, two := "gr\u00fcne \u00e5hus \u00e9t\u00e9", "gru\u0308ne a\u030ahus e\u0301te\u0301"
	for _, set := range []string{one, two} {
		p, c := newPassword(t, set)
		for _, try := range []string{one, two} {
			if _, err := p.Verify(noon, alice, []auth.Credential{c}, auth.Challenge{}, []byte(try)); err != nil {
				t.Errorf("set as %+q, typed as %+q: %v", set, try, err)
			}
		}
	}
}

func TestPasswordRehashed(t *testing.T) { // S7
	p := NewPassword("")
	runs := weak(&p.argon)
	old := auth.Credential{ID: "c1", Method: auth.MethodPassword, Secret: knownRecord(t)}

	v, err := p.Verify(noon, alice, []auth.Credential{old}, auth.Challenge{}, []byte(knownSecret))
	if err != nil || !p.Outdated(v.Credential.Secret) || v.Credential.ID != "c1" {
		t.Fatalf("%+v, %v", v, err)
	}
	if runs.Load() != 1 { // or time would tell that it was right
		t.Errorf("%d runs", runs.Load())
	}
	if old.Secret, err = p.Renewed([]byte(knownSecret)); err != nil || p.Outdated(old.Secret) || !bytes.HasPrefix(old.Secret, []byte("$argon2id$v=19$m=8,t=1,p=1$")) {
		t.Errorf("not hashed again: %s, %v", old.Secret, err)
	}
	if _, err := p.Verify(noon, alice, []auth.Credential{old}, auth.Challenge{}, []byte(knownSecret)); err != nil {
		t.Errorf("the new record: %v", err)
	}
	if p.Outdated([]byte("x")) {
		t.Error("what cannot be read is outdated")
	}

	runs.Store(0)
	if _, err := p.Renewed(bytes.Repeat([]byte("x"), MaxPasswordBytes+1)); !errors.Is(err, auth.ErrRejected) || runs.Load() != 0 { // S8
		t.Errorf("too long: %v, %d runs", err, runs.Load())
	}
	p.argon.rand = short()
	if _, err := p.Renewed([]byte(knownSecret)); err == nil || errors.Is(err, auth.ErrRejected) {
		t.Errorf("without randomness: %v", err)
	}
}

func TestPasswordInputBounded(t *testing.T) { // S8: nothing beyond 1 KiB is hashed
	p, c := newPassword(t, strings.Repeat("abcdefgh7", 113)+"1234567") // 1024 bytes
	runs := weak(&p.argon)
	for _, creds := range [][]auth.Credential{{c}, nil} {
		_, err := p.Verify(noon, alice, creds, auth.Challenge{}, bytes.Repeat([]byte("a"), MaxPasswordBytes+1))
		if !errors.Is(err, auth.ErrRejected) || runs.Load() != 0 {
			t.Errorf("%v, %d runs", err, runs.Load())
		}
	}
}

func TestPasswordOneRecordOnly(t *testing.T) {
	p, c := newPassword(t, "seven green otters")
	r, err := parseRecord(c.Secret)
	if err != nil {
		t.Fatal(err)
	}
	for name, tags := range map[string][][]byte{"none": nil, "two": {r.tags[0], r.tags[0]}} {
		c.Secret = record{cost: r.cost, salt: r.salt, tags: tags}.encode()
		if _, err := p.Verify(noon, alice, []auth.Credential{c}, auth.Challenge{}, []byte("seven green otters")); err == nil || errors.Is(err, auth.ErrRejected) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestPasswordNew(t *testing.T) {
	p := NewPassword("Example Corp")
	runs := weak(&p.argon)
	var invalid *auth.Invalid
	if _, err := p.New("alicealice", "alice"); !errors.As(err, &invalid) || runs.Load() != 0 {
		t.Errorf("a refused password: %v, %d runs", err, runs.Load())
	}
	p.argon.rand = short()
	if _, err := p.New("seven green otters"); err == nil || errors.As(err, &invalid) {
		t.Errorf("without randomness: %v", err)
	}
}

func BenchmarkPasswordVerify(b *testing.B) {
	p := NewPassword("Example Corp")
	c, err := p.New("seven green otters")
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.Verify(noon, alice, []auth.Credential{c}, auth.Challenge{}, []byte("seven green otters")); err != nil {
			b.Fatal(err)
		}
	}
}
