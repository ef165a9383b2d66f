package method

import (
	"bytes"
	"errors"
	"math"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
)

// rfcSeed is the seed of the vectors in RFC 6238, appendix B.
const rfcSeed = "12345678901234567890"

// newTOTP returns a credential with rfcSeed, whose codes were never used.
func newTOTP(tb testing.TB) auth.Credential {
	tb.Helper()
	c, err := burn(auth.Credential{ID: "c1", Method: auth.MethodTOTP, Secret: []byte(rfcSeed)}, 0)
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

// codeAt is the code that an app shows at a moment.
func codeAt(tb testing.TB, seed []byte, at time.Time) []byte {
	tb.Helper()
	s, err := totpCode(seed, stepAt(at), totpDigits)
	if err != nil {
		tb.Fatal(err)
	}
	return []byte(s)
}

// totpAt enrols an app an hour before now, and returns its credential and its code at now.
func totpAt(t *testing.T, now time.Time) (auth.Credential, []byte) {
	t.Helper()
	m := NewTOTP("Example Corp")
	ch, err := m.BeginEnroll(now, alice, nil)
	if err != nil {
		t.Fatal(err)
	}
	before := now.Add(-time.Hour)
	c, err := m.FinishEnroll(before, alice, ch, codeAt(t, ch.Private, before))
	if err != nil {
		t.Fatal(err)
	}
	return c, codeAt(t, ch.Private, now)
}

var rfcVectors = []struct {
	unix int64
	code string // eight digits
}{
	{59, "94287082"},
	{1111111109, "07081804"},
	{1111111111, "14050471"},
	{1234567890, "89005924"},
	{2000000000, "69279037"},
	{20000000000, "65353130"},
}

func TestTOTPVectors(t *testing.T) { // RFC 6238, appendix B
	for _, v := range rfcVectors {
		t.Run(v.code, func(t *testing.T) {
			now := time.Unix(v.unix, 0)
			if s, err := totpCode([]byte(rfcSeed), stepAt(now), 8); err != nil || s != v.code {
				t.Errorf("eight digits: %s, %v", s, err)
			}
			creds := []auth.Credential{newTOTP(t)}
			if _, err := NewTOTP("").Verify(now, alice, creds, auth.Challenge{}, []byte(v.code[2:])); err != nil {
				t.Errorf("six digits: %v", err)
			}
		})
	}
}

func TestTOTPSkew(t *testing.T) { // S18
	start := time.Unix(stepAt(noon)*totpPeriod, 0) // of noon's step
	for _, now := range []time.Time{start, start.Add(totpPeriod*time.Second - time.Nanosecond)} {
		for steps := -25; steps <= 25; steps++ {
			c := newTOTP(t)
			answer := codeAt(t, c.Secret, start.Add(time.Duration(steps)*totpPeriod*time.Second))
			_, err := NewTOTP("").Verify(now, alice, []auth.Credential{c}, auth.Challenge{}, answer)
			if near := steps >= -1 && steps <= 1; near && err != nil || !near && err != auth.ErrRejected { //nolint:errorlint // no hint at sign-in
				t.Errorf("%+d steps: %v", steps, err)
			}
		}
	}
}

func TestTOTPUsedOnce(t *testing.T) { // S17
	m, c := NewTOTP(""), newTOTP(t)
	at := func(steps int) time.Time { return noon.Add(time.Duration(steps) * totpPeriod * time.Second) }
	for _, row := range []struct {
		name      string
		now, code int // in steps after noon
		ok        bool
	}{
		{"first", 0, 0, true},
		{"the same code", 0, 0, false},
		{"the same code, a step later", 1, 0, false},
		{"the code before", 0, -1, false},
		{"the code after", 0, 1, true},
		{"that code in its own step", 1, 1, false},
		{"an older one than the last used", 1, 0, false},
		{"the next", 1, 2, true},
		{"the one between, when nothing is left", 2, 1, false},
		{"later", 3, 3, true},
		{"much later", 100, 99, true},
		{"the server's clock set back", 50, 50, false},
		{"after that", 100, 100, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			v, err := m.Verify(at(row.now), alice, []auth.Credential{c}, auth.Challenge{}, codeAt(t, c.Secret, at(row.code)))
			if row.ok != (err == nil) {
				t.Fatal(err)
			}
			if err != nil {
				if err != auth.ErrRejected { //nolint:errorlint // as any wrong code
					t.Errorf("a used code is %v", err)
				}
				return
			}
			c = v.Credential
		})
	}
}

func TestTOTPSpaces(t *testing.T) { // S21
	c := newTOTP(t)
	s := string(codeAt(t, c.Secret, noon))
	for _, row := range []struct {
		name, answer string
		ok           bool
	}{
		{"plain", s, true},
		{"grouped", s[:3] + " " + s[3:], true},
		{"grouped by no-break space", s[:3] + "\u00a0" + s[3:], true},
		{"around", "  " + s + " ", true},
		{"dash", s[:3] + "-" + s[3:], false},
		{"tab", s + "\t", false},
		{"line break", s + "\n", false},
		{"five digits", s[:5], false},
		{"seven digits", s + "0", false},
		{"leading zero", "0" + s, false},
		{"wide digits", strings.Map(func(r rune) rune { return r - '0' + '０' }, s), false},
		{"Arabic digits", strings.Map(func(r rune) rune { return r - '0' + '٠' }, s), false},
		{"sign", "+" + s[1:], false},
		{"NUL", s + "\x00", false},
		{"only spaces", "      ", false},
		{"64 bytes", s + strings.Repeat(" ", 58), true},
		{"65 bytes", s + strings.Repeat(" ", 59), false},
	} {
		t.Run(row.name, func(t *testing.T) {
			_, err := NewTOTP("").Verify(noon, alice, []auth.Credential{c}, auth.Challenge{}, []byte(row.answer))
			if row.ok && err != nil || !row.ok && err != auth.ErrRejected { //nolint:errorlint // exactly this error, nothing more
				t.Errorf("%q: %v", row.answer, err)
			}
		})
	}
}

func TestTOTPOddClocks(t *testing.T) {
	m, c := NewTOTP(""), newTOTP(t)
	zero := codeAt(t, c.Secret, time.Unix(0, 0))
	for _, now := range []time.Time{
		{},
		time.Unix(-1, 0),
		time.Unix(-31, 0),
		time.Unix(0, 0), // step 0 is burned
		time.Unix(math.MinInt64/2, 0),
		time.Unix(math.MaxInt64/2, 0),
		time.Unix(math.MaxInt64, 999999999),
		time.Unix(math.MinInt64, 0),
	} {
		t.Run(strconv.FormatInt(now.Unix(), 10), func(t *testing.T) {
			if _, err := m.Verify(now, alice, []auth.Credential{c}, auth.Challenge{}, zero); !errors.Is(err, auth.ErrRejected) {
				t.Error(err)
			}
			if _, err := m.FinishEnroll(now, alice, auth.Challenge{Private: c.Secret}, []byte("123456")); !errors.Is(err, auth.ErrRejected) {
				t.Error(err)
			}
		})
	}
	if _, err := m.FinishEnroll(time.Unix(-1, 0), alice, auth.Challenge{Private: c.Secret}, zero); err != auth.ErrRejected { //nolint:errorlint // no hint
		t.Errorf("before 1970: %v", err)
	}
}

func FuzzTOTPAnswer(f *testing.F) {
	c := newTOTP(f)
	good := codeAt(f, c.Secret, noon)
	f.Add(good)
	f.Add(append([]byte("\u00a0 "), good...))
	f.Add([]byte("12345\xff"))
	f.Add([]byte(nil))
	var right [][]byte
	for step := -1; step <= 1; step++ {
		right = append(right, codeAt(f, c.Secret, noon.Add(time.Duration(step)*totpPeriod*time.Second)))
	}
	f.Fuzz(func(t *testing.T, answer []byte) {
		v, err := NewTOTP("").Verify(noon, alice, []auth.Credential{c}, auth.Challenge{}, answer)
		if err != nil && err != auth.ErrRejected { //nolint:errorlint // exactly this error, nothing more
			t.Fatal(err)
		}
		bare := bytes.ReplaceAll(bytes.ReplaceAll(answer, []byte(" "), nil), []byte("\u00a0"), nil)
		want := false
		for _, r := range right {
			want = want || bytes.Equal(bare, r)
		}
		if (err == nil) != (want && len(answer) <= maxTOTP) {
			t.Errorf("%q: %v", answer, err)
		}
		if err == nil {
			if last, err := lastStep(v.Credential); err != nil || last < stepAt(noon)-1 {
				t.Errorf("burned %d, %v", last, err)
			}
		}
		if LooksLikeRecoveryCode(string(bare)) && err == nil {
			t.Errorf("%q is both", answer)
		}
	})
}

func BenchmarkTOTPVerify(b *testing.B) {
	creds := []auth.Credential{newTOTP(b)}
	for b.Loop() {
		if _, err := NewTOTP("").Verify(noon, alice, creds, auth.Challenge{}, []byte("000000")); err == nil {
			b.Fatal("000000 is right")
		}
	}
}
