package method

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
)

// newKept returns a method that keeps codes, its codes and their credential.
func newKept(tb testing.TB) (*Recovery, []string, auth.Credential) {
	tb.Helper()
	m := NewRecovery().KeepCodes()
	weak(&m.argon)
	codes, err := m.Generate()
	if err != nil {
		tb.Fatal(err)
	}
	c, err := m.Seal(codes)
	if err != nil {
		tb.Fatal(err)
	}
	return m, codes, c
}

func TestKeptCodes(t *testing.T) { // S33
	m, codes, c := newKept(t)
	if !slices.Equal(m.Codes(c), codes) || m.Left(c) != 10 || c.Method != auth.MethodRecovery {
		t.Fatalf("keeps %q of %q, %d left", m.Codes(c), codes, m.Left(c))
	}
	for i, code := range codes {
		v, err := m.Verify(noon, alice, []auth.Credential{c}, auth.Challenge{}, []byte(strings.ToUpper(code)))
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Equal(v.Credential.Secret, c.Secret) || !v.Credential.Used.Equal(noon) {
			t.Error("the set is as it was")
		}
		c = v.Credential
		if left := m.Codes(c); !slices.Equal(left, codes[i+1:]) || m.Left(c) != 9-i {
			t.Errorf("after %d: %q", i+1, left)
		}
		for j, code := range codes {
			_, err := m.Verify(noon, alice, []auth.Credential{c}, auth.Challenge{}, []byte(code))
			if j <= i && err != auth.ErrRejected || j > i && err != nil { //nolint:errorlint // exactly this error, nothing more
				t.Errorf("after %d codes, code %d: %v", i+1, j+1, err)
			}
		}
	}
	if left := m.Codes(c); left == nil || len(left) != 0 {
		t.Errorf("of a set that is used up: %#v", left)
	}
}

// TestKeptAndHashedTogether: whether new sets keep their codes says nothing about those that are there.
func TestKeptAndHashedTogether(t *testing.T) {
	keeping, kept, keptSet := newKept(t)
	hashing, hashed, hashedSet := newRecovery(t)
	if keeping.Codes(hashedSet) != nil || keeping.Codes(auth.Credential{}) != nil {
		t.Error("codes of hashes")
	}
	if !keeping.KeepsCodes() || hashing.KeepsCodes() {
		t.Error("says the wrong thing about itself")
	}
	both := []auth.Credential{hashedSet, keptSet}
	for name, m := range map[string]*Recovery{"keeping": keeping, "hashing": hashing} {
		for i, code := range []string{hashed[2], kept[7]} {
			v, err := m.Verify(noon, alice, both, auth.Challenge{}, []byte(code))
			if err != nil {
				t.Fatalf("%s, %d: %v", name, i, err)
			}
			if v.Credential.Secret == nil || m.Left(v.Credential) != 9 || (m.Codes(v.Credential) != nil) != (i == 1) {
				t.Errorf("%s, %d: %d left, codes %q", name, i, m.Left(v.Credential), m.Codes(v.Credential))
			}
		}
	}
}

// TestKeptSetTakesAsLong: no answer is faster because the set needs no hash.
func TestKeptSetTakesAsLong(t *testing.T) { // S32, S88
	m, codes, c := newKept(t)
	runs := weak(&m.argon)
	for name, answer := range map[string]string{"right": codes[0], "wrong": "00000-00000-00000", "no code": "123456", "empty": "", "long": strings.Repeat("0", 300)} {
		runs.Store(0)
		_, err := m.Verify(noon, alice, []auth.Credential{c}, auth.Challenge{}, []byte(answer))
		if (err == nil) != (name == "right") || runs.Load() != 1 {
			t.Errorf("%s: %v, %d runs", name, err, runs.Load())
		}
	}
}

func TestKeptRecordIsStrict(t *testing.T) {
	m, _, _ := newKept(t)
	for _, row := range []struct {
		name, record string
		left         int // -1: refused
	}{
		{"one", "$codes$v=1$0123v1bcde5z810", 1},
		{"two", "$codes$v=1$0123v1bcde5z810,zzzzzzzzzzzzzzz", 2},
		{"used up", "$codes$v=1$", 0},
		{"dashes", "$codes$v=1$0123v-1bcde-5z810", -1},
		{"capitals", "$codes$v=1$0123V1bcde5z810", -1},
		{"look-alikes", "$codes$v=1$oi23v1bcde5z810", -1},
		{"short", "$codes$v=1$0123v1bcde5z81", -1},
		{"long", "$codes$v=1$0123v1bcde5z8100", -1},
		{"twice the same", "$codes$v=1$0123v1bcde5z810,0123v1bcde5z810", -1},
		{"comma at the end", "$codes$v=1$0123v1bcde5z810,", -1},
		{"comma at the start", "$codes$v=1$,0123v1bcde5z810", -1},
		{"comma alone", "$codes$v=1$,", -1},
		{"line break", "$codes$v=1$0123v1bcde5z810\n", -1},
		{"another version", "$codes$v=2$0123v1bcde5z810", -1},
		{"no version", "$codes$0123v1bcde5z810", -1},
		{"beyond all bounds", "$codes$v=1$" + strings.Repeat("0123v1bcde5z810,", 400), -1},
		{"empty", "", -1},
	} {
		t.Run(row.name, func(t *testing.T) {
			c := auth.Credential{ID: "c1", Secret: []byte(row.record)}
			_, err := m.Verify(noon, alice, []auth.Credential{c}, auth.Challenge{}, []byte("yyyyy-yyyyy-yyyyy"))
			if refused := err != nil && !errors.Is(err, auth.ErrRejected); refused != (row.left < 0) {
				t.Errorf("%v", err)
			} else if refused && strings.Contains(err.Error(), "0123") {
				t.Errorf("the error tells the record: %v", err)
			}
			if m.Left(c) != max(row.left, 0) || len(m.Codes(c)) != max(row.left, 0) {
				t.Errorf("%d left, %q", m.Left(c), m.Codes(c))
			}
		})
	}
	twice := []string{"00000-00000-00000", "OOOOO-00000-00000"}
	if _, err := m.Seal(twice); err == nil {
		t.Error("sealed a set that holds a code twice")
	}
}

func FuzzRecoveryRecord(f *testing.F) {
	m, _, kept := newKept(f)
	_, _, hashed := newRecovery(f)
	f.Add(kept.Secret)
	f.Add(hashed.Secret)
	f.Add([]byte("$codes$v=1$"))
	f.Add([]byte("$codes$v=1$0123v1bcde5z810,zzzzzzzzzzzzzzz"))
	f.Fuzz(func(t *testing.T, record []byte) {
		r, err := parseCodes(record)
		if err != nil {
			return
		}
		if !bytes.Equal(r.encode(), record) {
			t.Errorf("%q reads as %q", record, r.encode())
		}
		c := auth.Credential{Secret: record}
		codes := m.Codes(c)
		if r.left() != m.Left(c) || codes != nil && len(codes) != r.left() || (codes != nil) != r.keeps {
			t.Errorf("%q: %d left, codes %q", record, r.left(), codes)
		}
		for i, code := range codes {
			if m.match(r, strings.ReplaceAll(code, "-", "")) != i || m.Left(auth.Credential{Secret: r.without(i).encode()}) != r.left()-1 {
				t.Errorf("%q: code %d is not there", record, i)
			}
		}
	})
}
