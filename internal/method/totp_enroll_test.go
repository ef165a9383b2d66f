package method

import (
	"bytes"
	"encoding/base32"
	"encoding/json"
	"errors"
	"image/png"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/qrcode"
	"github.com/pquerna/otp"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
)

func begin(t *testing.T, m *TOTP, u auth.User) (auth.Challenge, TOTPSetup) {
	t.Helper()
	ch, err := m.BeginEnroll(noon, u, nil)
	if err != nil {
		t.Fatal(err)
	}
	var s TOTPSetup
	if err := json.Unmarshal(ch.Public, &s); err != nil {
		t.Fatal(err)
	}
	return ch, s
}

// scan reads a QR code as a phone does.
func scan(t *testing.T, image []byte) string {
	t.Helper()
	img, err := png.Decode(bytes.NewReader(image))
	if err != nil {
		t.Fatal(err)
	}
	if n := img.Bounds().Dx(); n != img.Bounds().Dy() || n < 300 || n > 500 {
		t.Errorf("an image of %v", img.Bounds())
	}
	bitmap, err := gozxing.NewBinaryBitmapFromImage(img)
	if err != nil {
		t.Fatal(err)
	}
	r, err := qrcode.NewQRCodeReader().Decode(bitmap, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r.GetText()
}

func TestTOTPSeed(t *testing.T) { // S16: 160 bits from the source of randomness, each time anew
	m := NewTOTP("Example Corp")
	one, _ := begin(t, m, alice)
	two, _ := begin(t, m, alice)
	if len(one.Private) != 20 || bytes.Equal(one.Private, two.Private) {
		t.Errorf("seeds of %d bytes: %x, %x", len(one.Private), one.Private, two.Private)
	}
	m.rand = strings.NewReader(rfcSeed)
	ch, s := begin(t, m, alice)
	if string(ch.Private) != rfcSeed || s.Secret != "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ" {
		t.Errorf("seed %q, typed as %s", ch.Private, s.Secret)
	}
	if ch.Method != auth.MethodTOTP || !ch.Reusable || !ch.Expires.IsZero() {
		t.Errorf("challenge %+v", ch)
	}
	m.rand = short()
	if _, err := m.BeginEnroll(noon, alice, nil); err == nil {
		t.Error("made a seed without randomness")
	}
}

func TestTOTPSetup(t *testing.T) {
	long := strings.Repeat("a", 300)
	for _, row := range []struct {
		name, issuer, account         string
		wantIssuer, wantAccount, path string
	}{
		{"plain", "Example Corp", "alice", "Example Corp", "alice", "Example%20Corp:alice"},
		{"colons", "Example: Corp", "a:b", "Example Corp", "a b", "Example%20Corp:a%20b"},
		{"signs", `a/b?c#d&e=f+g%20"<h>`, "x/../y+z", `a/b?c#d&e=f+g%20"<h>`, "x/../y+z", "a%2Fb%3Fc%23d%26e%3Df%2Bg%2520%22%3Ch%3E:x%2F..%2Fy%2Bz"},
		{"other scripts", "Beispiel Grün", "алиса", "Beispiel Grün", "алиса", "Beispiel%20Gr%C3%BCn:%D0%B0%D0%BB%D0%B8%D1%81%D0%B0"},
		{"no issuer", "", "alice", "", "alice", "alice"},
		{"only a colon", " : ", "alice", "", "alice", "alice"},
		{"bad UTF-8", "Ex\xffample", "alice", "Example", "alice", "Example:alice"},
		{"long", long, long, long[:180], long[:180], long[:180] + ":" + long[:180]},
		{"long, other script", strings.Repeat("竹", 100), "alice", strings.Repeat("竹", 20), "alice", strings.Repeat("%E7%AB%B9", 20) + ":alice"},
	} {
		t.Run(row.name, func(t *testing.T) {
			m := NewTOTP(row.issuer)
			m.rand = strings.NewReader(rfcSeed)
			_, s := begin(t, m, auth.User{Name: row.account})
			if s.Issuer != row.wantIssuer || s.Account != row.wantAccount {
				t.Errorf("issuer %q, account %q", s.Issuer, s.Account)
			}
			path, query, _ := strings.Cut(strings.TrimPrefix(s.URI, "otpauth://totp/"), "?")
			if path != row.path {
				t.Errorf("label %s, want %s", path, row.path)
			}
			values, err := url.ParseQuery(query)
			if err != nil || values.Get("issuer") != row.wantIssuer || values.Get("secret") != s.Secret || strings.Contains(query, "+") {
				t.Errorf("query %s, %v", query, err)
			}
			key, err := otp.NewKeyFromURL(s.URI)
			if err != nil {
				t.Fatal(err)
			}
			if key.Type() != "totp" || key.Issuer() != row.wantIssuer || key.AccountName() != row.wantAccount || key.Secret() != s.Secret ||
				key.Period() != 30 || key.Digits() != otp.DigitsSix || key.Algorithm() != otp.AlgorithmSHA1 {
				t.Errorf("an app reads %s", key)
			}
			if got := scan(t, s.QR); got != s.URI {
				t.Errorf("the QR code says %q", got)
			}
		})
	}
}

func TestQRQuietZone(t *testing.T) { // ISO/IEC 18004: four modules of white around
	_, s := begin(t, NewTOTP("Example Corp"), alice)
	img, err := png.Decode(bytes.NewReader(s.QR))
	if err != nil {
		t.Fatal(err)
	}
	side := img.Bounds().Dx()
	margin := 0
	for !dark(img.At(margin, margin)) {
		margin++
	}
	finder := 0
	for dark(img.At(margin+finder, margin)) {
		finder++
	}
	for i := range side {
		for j := range margin {
			if dark(img.At(i, j)) || dark(img.At(j, i)) || dark(img.At(i, side-1-j)) || dark(img.At(side-1-j, i)) {
				t.Fatalf("dark at %d, %d", i, j)
			}
		}
	}
	if finder%7 != 0 || finder < 7*3 || margin != finder/7*4 {
		t.Errorf("a margin of %d pixels, a finder pattern of %d", margin, finder)
	}
	if len(s.QR) > 4096 {
		t.Errorf("the image has %d bytes", len(s.QR))
	}
}

func TestTOTPEnrollBurnsItsCode(t *testing.T) { // S20
	m := NewTOTP("Example Corp")
	ch, s := begin(t, m, alice)
	good := codeAt(t, ch.Private, noon)
	for _, answer := range [][]byte{nil, []byte("12345"), []byte("abcdef"), otherThan(t, ch.Private)} {
		if c, err := m.FinishEnroll(noon, alice, ch, answer); err != auth.ErrRejected || c.Secret != nil { //nolint:errorlint // no hint
			t.Errorf("%q: %+v, %v", answer, c, err)
		}
	}
	c, err := m.FinishEnroll(noon, alice, ch, good)
	if err != nil {
		t.Fatal(err)
	}
	if c.Method != auth.MethodTOTP || c.Label != "Authenticator app" || !bytes.Equal(c.Secret, ch.Private) || !c.Created.Equal(noon) || c.Disabled {
		t.Errorf("enrolled %+v", c)
	}
	if bytes.Contains(c.Data, []byte(s.Secret)) { // Data is stored in the clear
		t.Error("the seed is in Data")
	}
	if _, err := m.Verify(noon, alice, []auth.Credential{c}, auth.Challenge{}, good); !errors.Is(err, auth.ErrRejected) {
		t.Errorf("the code of the enrolment signs in: %v", err)
	}
	next := noon.Add(totpPeriod * time.Second)
	if _, err := m.Verify(next, alice, []auth.Credential{c}, auth.Challenge{}, codeAt(t, c.Secret, next)); err != nil {
		t.Errorf("the next code: %v", err)
	}
}

// otherThan is a code that no step near noon has.
func otherThan(t *testing.T, seed []byte) []byte {
	t.Helper()
	for _, s := range []string{"000000", "111111", "222222"} {
		step, err := matchStep(seed, [6]byte([]byte(s)), stepAt(noon), totpHint)
		if err != nil {
			t.Fatal(err)
		}
		if step < 0 {
			return []byte(s)
		}
	}
	t.Fatal("three codes in a row are near")
	return nil
}

func TestTOTPClockHint(t *testing.T) {
	m := NewTOTP("Example Corp")
	ch := auth.Challenge{Private: []byte(rfcSeed)}
	for _, row := range []struct {
		steps int
		says  string // "" for no hint
	}{
		{-1, "right"},
		{0, "right"},
		{1, "right"},
		{2, "about 1 min fast"},
		{-2, "about 1 min slow"},
		{3, "about 2 min fast"},
		{-6, "about 3 min slow"},
		{20, "about 10 min fast"},
		{-20, "about 10 min slow"},
		{21, ""},
		{-21, ""},
	} {
		answer := codeAt(t, ch.Private, noon.Add(time.Duration(row.steps)*totpPeriod*time.Second))
		_, err := m.FinishEnroll(noon, alice, ch, answer)
		var hint *auth.Hint
		switch {
		case row.says == "right":
			if err != nil {
				t.Errorf("%+d steps: %v", row.steps, err)
			}
		case !errors.Is(err, auth.ErrRejected):
			t.Errorf("%+d steps: %v", row.steps, err)
		case errors.As(err, &hint) != (row.says != ""):
			t.Errorf("%+d steps: %v", row.steps, err)
		case hint != nil && (!strings.Contains(hint.Text, row.says) || strings.Contains(hint.Text, string(answer))):
			t.Errorf("%+d steps: %s", row.steps, hint.Text)
		}
	}
}

func TestTOTPEnrollDamagedChallenge(t *testing.T) {
	for _, private := range [][]byte{nil, []byte("short"), bytes.Repeat([]byte("x"), 21)} {
		_, err := NewTOTP("").FinishEnroll(noon, alice, auth.Challenge{Private: private}, []byte("123456"))
		if err == nil || errors.Is(err, auth.ErrRejected) || strings.Contains(err.Error(), base32.StdEncoding.EncodeToString(private)) && private != nil {
			t.Errorf("a seed of %d bytes: %v", len(private), err)
		}
	}
}

func BenchmarkTOTPBeginEnroll(b *testing.B) {
	m := NewTOTP("Example Corp")
	for b.Loop() {
		if _, err := m.BeginEnroll(noon, alice, nil); err != nil {
			b.Fatal(err)
		}
	}
}
