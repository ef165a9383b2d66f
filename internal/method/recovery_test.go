package method

import (
	"bytes"
	"errors"
	"regexp"
	"strings"
	"testing"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
)

// newRecovery returns a method whose runs are cheap, its codes and their credential.
func newRecovery(tb testing.TB) (*Recovery, []string, auth.Credential) {
	tb.Helper()
	m := NewRecovery()
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

func TestRecoveryCodes(t *testing.T) { // S32: 75 bits from the source of randomness
	m := NewRecovery()
	shape := regexp.MustCompile(`^[0-9a-hjkmnp-tv-z]{5}-[0-9a-hjkmnp-tv-z]{5}-[0-9a-hjkmnp-tv-z]{5}$`)
	seen := map[string]bool{}
	count := map[byte]int{}
	for range 100 {
		codes, err := m.Generate()
		if err != nil || len(codes) != 10 {
			t.Fatal(codes, err)
		}
		for _, c := range codes {
			if !shape.MatchString(c) || seen[c] || !LooksLikeRecoveryCode(c) {
				t.Errorf("code %q", c)
			}
			seen[c] = true
			for _, b := range []byte(strings.ReplaceAll(c, "-", "")) {
				count[b]++
			}
		}
	}
	// 15,000 symbols, 469 of each on average with a deviation of 21: eight deviations either way are chance in no one's lifetime.
	for _, b := range []byte(recoverySymbols) {
		if n := count[b]; n < 300 || n > 640 {
			t.Errorf("%c stands %d times", b, n)
		}
	}
	m.rand = bytes.NewReader(bytes.Repeat([]byte{0, 31, 32, 63, 255}, 30))
	if codes, err := m.Generate(); err != nil || codes[9] != "0z0zz-0z0zz-0z0zz" {
		t.Error(codes, err)
	}
	m.rand = short()
	if _, err := m.Generate(); err == nil {
		t.Error("made codes without randomness")
	}
}

func TestRecoverySealed(t *testing.T) { // S32: hashed at full cost, under one salt
	m := NewRecovery()
	if m.argon.cost != currentCost {
		t.Errorf("cost %+v", m.argon.cost)
	}
	runs := weak(&m.argon)
	codes, err := m.Generate()
	if err != nil {
		t.Fatal(err)
	}
	c, err := m.Seal(codes)
	if err != nil {
		t.Fatal(err)
	}
	r, err := parseRecord(c.Secret)
	if err != nil || len(r.tags) != 10 || len(r.salt) != saltLen || runs.Load() != 10 {
		t.Errorf("record %+v, %v, %d runs", r, err, runs.Load())
	}
	for _, code := range codes {
		for _, s := range []string{code, strings.ReplaceAll(code, "-", "")} {
			if bytes.Contains(c.Secret, []byte(s)) || bytes.Contains(c.Data, []byte(s)) {
				t.Error("a code is stored in the clear")
			}
		}
	}
	for name, bad := range map[string][]string{"none": nil, "malformed": {"00000-00000-0000"}, "many": make([]string, 33)} {
		for i := range bad {
			if bad[i] == "" {
				bad[i] = codes[0]
			}
		}
		if _, err := m.Seal(bad); err == nil || strings.Contains(err.Error(), "0000") {
			t.Errorf("%s: %v", name, err)
		}
	}
	m.argon.rand = short()
	if _, err := m.Seal(codes); err == nil {
		t.Error("sealed without randomness")
	}
}

func TestRecoveryUsedOnce(t *testing.T) { // S33
	m, codes, c := newRecovery(t)
	for i, code := range codes {
		if n := m.Left(c); n != 10-i {
			t.Errorf("%d codes left, want %d", n, 10-i)
		}
		v, err := m.Verify(noon, alice, []auth.Credential{c}, auth.Challenge{}, []byte(code))
		if err != nil {
			t.Fatal(err)
		}
		c = v.Credential
		for j, code := range codes {
			_, err := m.Verify(noon, alice, []auth.Credential{c}, auth.Challenge{}, []byte(code))
			if j <= i && err != auth.ErrRejected || j > i && err != nil { //nolint:errorlint // exactly this error, nothing more
				t.Errorf("after %d codes, code %d: %v", i+1, j+1, err)
			}
		}
	}
	if m.Left(c) != 0 || m.Left(auth.Credential{}) != 0 {
		t.Errorf("%d codes left", m.Left(c))
	}
	runs := weak(&m.argon)
	if _, err := m.Verify(noon, alice, []auth.Credential{c}, auth.Challenge{}, []byte(codes[0])); !errors.Is(err, auth.ErrRejected) || runs.Load() != 1 {
		t.Errorf("a spent set: %v, %d runs", err, runs.Load())
	}
}

func TestRecoverySetsAreApart(t *testing.T) { // S34: a set holds its own codes alone
	m, codes, _ := newRecovery(t)
	_, _, other := newRecovery(t)
	for _, code := range codes {
		if _, err := m.Verify(noon, alice, []auth.Credential{other}, auth.Challenge{}, []byte(code)); !errors.Is(err, auth.ErrRejected) {
			t.Error(err)
		}
	}
}

func TestRecoveryTyped(t *testing.T) {
	m := NewRecovery()
	weak(&m.argon)
	c, err := m.Seal([]string{"0123v-1bcde-5z810"})
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		name, answer string
		ok           bool
	}{
		{"as shown", "0123v-1bcde-5z810", true},
		{"capitals", "0123V-1BCDE-5Z810", true},
		{"no dashes", "0123v1bcde5z810", true},
		{"spaces", " 0123v 1bcde 5z810\n", true},
		{"no-break spaces", "0123v\u00a01bcde\u00a05z810", true},
		{"other dashes", "0123v–1bcde—5z810", true},
		{"minus and wide hyphen", "0123v\u22121bcde\uff0d5z810", true},
		{"grouped by three", "012-3v1-bcd-e5z-810", true},
		{"letters for digits", "oi23v-lbcde-5z8iO", true},
		{"capital letters for digits", "OL23V-IBCDE-5Z8IO", true},
		{"u for v", "0123u-1bcde-5z810", true},
		{"another code", "0123v-1bcde-5z811", false},
		{"z for 2", "01z3v-1bcde-5z810", false},
		{"one short", "0123v-1bcde-5z81", false},
		{"one long", "0123v-1bcde-5z8100", false},
		{"dots", "0123v.1bcde.5z810", false},
		{"long dash", "0123v" + strings.Repeat("-", 241) + "1bcde5z810", true},
		{"longer dash", "0123v" + strings.Repeat("-", 242) + "1bcde5z810", false},
		{"wide digits", "０123v-1bcde-5z810", false},
		{"NUL", "0123v-1bcde-5z810\x00", false},
		{"empty", "", false},
		{"dashes alone", "-----", false},
	} {
		t.Run(row.name, func(t *testing.T) {
			_, err := m.Verify(noon, alice, []auth.Credential{c}, auth.Challenge{}, []byte(row.answer))
			if row.ok && err != nil || !row.ok && err != auth.ErrRejected { //nolint:errorlint // exactly this error, nothing more
				t.Errorf("%q: %v", row.answer, err)
			}
		})
	}
}

func TestLooksLikeRecoveryCode(t *testing.T) {
	for s, want := range map[string]bool{
		"0123v-1bcde-5z810":  true,
		"OI23V lBCDE 5Z8IO":  true,
		"zzzzz-zzzzz-zzzzz":  true, // wrong codes look like codes, too
		"123456":             false,
		"123 456":            false,
		"":                   false,
		"seven green otters": false,
		"0123v-1bcde-5z81!":  false,
	} {
		if LooksLikeRecoveryCode(s) != want {
			t.Errorf("%q: %v", s, !want)
		}
	}
}

func FuzzRecoveryAnswer(f *testing.F) {
	m, codes, c := newRecovery(f)
	f.Add([]byte(codes[0]))
	f.Add([]byte("oi23v-lbcde-5z8iO"))
	f.Add([]byte("0123v–1bcde—5z810"))
	f.Add([]byte{0xff, 0xad})
	f.Fuzz(func(t *testing.T, answer []byte) {
		_, err := m.Verify(noon, alice, []auth.Credential{c}, auth.Challenge{}, answer)
		if err != nil && err != auth.ErrRejected { //nolint:errorlint // exactly this error, nothing more
			t.Fatal(err)
		}
		code, ok := recoveryCode(string(answer))
		if ok != LooksLikeRecoveryCode(string(answer)) || err == nil && !ok {
			t.Errorf("%q: %v, looks like a code: %v", answer, err, ok)
		}
		if !ok {
			return
		}
		if len(code) != recoveryLen || strings.Trim(code, recoverySymbols) != "" {
			t.Errorf("%q reads as %q", answer, code)
		}
		if again, ok := recoveryCode(code); !ok || again != code {
			t.Errorf("%q reads as %q", code, again)
		}
		want := false
		for _, k := range codes {
			want = want || strings.ReplaceAll(k, "-", "") == code
		}
		if (err == nil) != want {
			t.Errorf("%q: %v", answer, err)
		}
	})
}
