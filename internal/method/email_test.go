package method

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
)

// letter is what the mail of a challenge holds.
func letter(t testing.TB, ch auth.Challenge) (code, token string) {
	t.Helper()
	code, token, err := NewEmail().Letter(ch)
	if err != nil {
		t.Fatal(err)
	}
	return code, token
}

// mailed is a challenge for alice's address at noon, and her credential.
func mailed(t testing.TB) (m *Email, ch auth.Challenge, c auth.Credential) {
	t.Helper()
	m = NewEmail()
	c = m.New(alice.Email)
	c.ID, c.Method = "c1", auth.MethodEmail
	ch, err := m.Challenge(noon, alice, []auth.Credential{c})
	if err != nil {
		t.Fatal(err)
	}
	return m, ch, c
}

// hinted fails unless err is a wrong answer with the hint text.
func hinted(t *testing.T, err error, text string) {
	t.Helper()
	hint, ok := errors.AsType[*auth.Hint](err)
	if !ok || hint.Text != text || !errors.Is(err, auth.ErrRejected) {
		t.Errorf("%v, want the hint %q", err, text)
	}
}

// otherCode is a code that differs from the given in its last digit.
func otherCode(code string) string {
	return code[:5] + string('0'+(code[5]-'0'+1)%10)
}

func TestEmailChallenge(t *testing.T) { // S24, S25, S27
	m, ch, _ := mailed(t)
	code, token := letter(t, ch)
	if len(code) != 6 || strings.Trim(code, "0123456789") != "" {
		t.Errorf("code %q", code)
	}
	if raw, err := base64.RawURLEncoding.DecodeString(token); err != nil || len(raw) != 32 {
		t.Errorf("token %q: %d bytes, %v", token, len(raw), err)
	}
	if ch.Method != auth.MethodEmail || ch.Public != nil || ch.Reusable || ch.Tries != 5 || !ch.Expires.Equal(noon.Add(10*time.Minute)) {
		t.Errorf("%+v", ch)
	}
	enrol, err := m.BeginEnroll(noon, alice, nil)
	if err != nil || enrol.Tries != 5 || !enrol.Expires.Equal(ch.Expires) {
		t.Errorf("%+v, %v", enrol, err)
	}
	if _, k := letter(t, enrol); k == token {
		t.Error("two challenges have one token")
	}
}

// TestEmailCodesAreEven: every digit stands everywhere about as often, and codes begin with zeros, too.
func TestEmailCodesAreEven(t *testing.T) { // S84
	m := NewEmail()
	const n = 20000
	var seen [6][10]int
	for range n {
		ch, err := m.BeginEnroll(noon, alice, nil)
		if err != nil {
			t.Fatal(err)
		}
		code, _ := letter(t, ch)
		for i := range code {
			seen[i][code[i]-'0']++
		}
	}
	for i := range seen {
		for d, got := range seen[i] {
			if got < n/10*8/10 || got > n/10*12/10 { // nine standard deviations
				t.Errorf("digit %d stands %d times at place %d", d, got, i)
			}
		}
	}
}

func TestEmailRandomnessRunsDry(t *testing.T) {
	for name, source := range map[string]io.Reader{"no code": strings.NewReader(""), "no token": short()} {
		m := &Email{rand: source}
		if ch, err := m.BeginEnroll(noon, alice, nil); err == nil || !reflect.DeepEqual(ch, auth.Challenge{}) {
			t.Errorf("%s: %+v, %v", name, ch, err)
		}
	}
}

func TestEmailAnswers(t *testing.T) { // S21, S25
	m, ch, c := mailed(t)
	code, token := letter(t, ch)
	_, before, _ := mailed(t)
	oldCode, oldToken := letter(t, before)
	if oldCode == code {
		oldCode = otherCode(code)
	}
	wide := strings.Map(func(r rune) rune { return r - '0' + '０' }, code)
	arabic := strings.Map(func(r rune) rune { return r - '0' + '٠' }, code)
	for name, row := range map[string]struct {
		answer string
		right  bool
	}{
		"code":                    {code, true},
		"spaces":                  {" " + code[:3] + " " + code[3:] + " ", true},
		"no-break space":          {code[:3] + "\u00a0" + code[3:], true},
		"token":                   {token, true},
		"wrong code":              {otherCode(code), false},
		"five digits":             {code[:5], false},
		"seven digits":            {code + "0", false},
		"fullwidth digits":        {wide, false},
		"Arabic digits":           {arabic, false},
		"a letter":                {code[:5] + "O", false},
		"dash":                    {code[:3] + "-" + code[3:], false},
		"newline":                 {code + "\n", false},
		"empty":                   {"", false},
		"NULs":                    {"\x00\x00\x00\x00\x00\x00", false},
		"another's code":          {oldCode, false},
		"another's token":         {oldToken, false},
		"part of the token":       {token[:42], false},
		"token in capitals":       {strings.ToUpper(token) + "A", false},
		"token with more":         {token + "A", false},
		"token and code":          {token + code, false},
		"address":                 {alice.Email, false},
		"the whole of the record": {string(ch.Private), false},
	} {
		t.Run(name, func(t *testing.T) {
			v, err := m.Verify(noon, alice, []auth.Credential{c}, ch, []byte(row.answer))
			got, enrolErr := m.FinishEnroll(noon, alice, ch, []byte(row.answer))
			if !row.right {
				if err != auth.ErrRejected || enrolErr != auth.ErrRejected { //nolint:errorlint // exactly this error, nothing more
					t.Errorf("%v, %v", err, enrolErr)
				}
				if !reflect.DeepEqual(v, auth.Verified{}) || !reflect.DeepEqual(got, auth.Credential{}) {
					t.Errorf("a rejection proved %+v, %+v", v, got)
				}
				return
			}
			if err != nil || v.Kinds != auth.Possession || v.Credential.ID != c.ID || !v.Credential.Used.Equal(noon) {
				t.Errorf("%+v, %v", v, err)
			}
			if enrolErr != nil || got.Method != auth.MethodEmail || !got.Created.Equal(noon) || got.ID != "" || m.Address(got) != alice.Email {
				t.Errorf("%+v, %v", got, enrolErr)
			}
		})
	}
}

func TestEmailExpires(t *testing.T) { // S24
	m, ch, c := mailed(t)
	code, token := letter(t, ch)
	for _, answer := range []string{code, token} {
		last := ch.Expires.Add(-time.Nanosecond)
		if _, err := m.Verify(last, alice, []auth.Credential{c}, ch, []byte(answer)); err != nil {
			t.Errorf("at the last moment: %v", err)
		}
		if _, err := m.FinishEnroll(last, alice, ch, []byte(answer)); err != nil {
			t.Errorf("at the last moment: %v", err)
		}
		for _, now := range []time.Time{ch.Expires, ch.Expires.Add(time.Hour)} {
			_, err := m.Verify(now, alice, []auth.Credential{c}, ch, []byte(answer))
			hinted(t, err, "This code has expired. Send a new one.")
			_, err = m.FinishEnroll(now, alice, ch, []byte(answer))
			hinted(t, err, "This code has expired. Send a new one.")
		}
	}
	_, err := m.Verify(ch.Expires, alice, []auth.Credential{c}, ch, []byte(otherCode(code)))
	hinted(t, err, "This code has expired. Send a new one.") // right or wrong
	ch.Expires = time.Time{}
	_, err = m.Verify(noon, alice, []auth.Credential{c}, ch, []byte(code))
	hinted(t, err, "This code has expired. Send a new one.")
}

func TestEmailIsForItsAddress(t *testing.T) {
	m, ch, c := mailed(t)
	code, token := letter(t, ch)
	other := m.New("bob@example.com")
	other.ID = "c2"
	for name, creds := range map[string][]auth.Credential{"another address": {other}, "no credential": nil} {
		for _, answer := range []string{code, token} {
			if v, err := m.Verify(noon, alice, creds, ch, []byte(answer)); err != auth.ErrRejected { //nolint:errorlint // exactly this error, nothing more
				t.Errorf("%s: %+v, %v", name, v, err)
			}
		}
	}
	v, err := m.Verify(noon, alice, []auth.Credential{other, c}, ch, []byte(code))
	if err != nil || v.Credential.ID != "c1" {
		t.Errorf("%+v, %v", v, err)
	}

	moved := alice
	moved.Email = "bob@example.com"
	got, err := m.FinishEnroll(noon, moved, ch, []byte(code)) // sent before the address was another
	if err != nil || m.Address(got) != alice.Email {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestEmailAsksTheUsersAddress(t *testing.T) {
	m, _, c := mailed(t)
	other := m.New("old@example.com")
	address := func(ch auth.Challenge) string {
		var p struct{ Address string }
		if err := json.Unmarshal(ch.Private, &p); err != nil {
			t.Fatal(err)
		}
		return p.Address
	}
	for _, creds := range [][]auth.Credential{{c, other}, {other, c}} {
		if ch, err := m.Challenge(noon, alice, creds); err != nil || address(ch) != alice.Email {
			t.Errorf("%s, %v", ch.Private, err)
		}
	}
	if ch, err := m.Challenge(noon, alice, []auth.Credential{other}); err != nil || address(ch) != "old@example.com" {
		t.Errorf("%s, %v", ch.Private, err)
	}
	for name, creds := range map[string][]auth.Credential{"no credential": nil, "a damaged one": {{Data: []byte("{")}}} {
		if ch, err := m.Challenge(noon, alice, creds); err == nil || errors.Is(err, auth.ErrRejected) || !reflect.DeepEqual(ch, auth.Challenge{}) {
			t.Errorf("%s: %+v, %v", name, ch, err)
		}
	}
	if _, err := m.BeginEnroll(noon, auth.User{}, nil); err == nil {
		t.Error("a code for no address")
	}
}

func TestEmailWithoutChallenge(t *testing.T) {
	m, _, c := mailed(t)
	for _, answer := range []string{"", "000000", "\x00\x00\x00\x00\x00\x00"} {
		_, err := m.Verify(noon, alice, []auth.Credential{c}, auth.Challenge{}, []byte(answer))
		hinted(t, err, "Send a new code.")
		_, err = m.FinishEnroll(noon, alice, auth.Challenge{}, []byte(answer))
		hinted(t, err, "Send a new code.")
	}
	if _, _, err := m.Letter(auth.Challenge{}); err == nil {
		t.Error("a letter without a challenge")
	}
}

func TestEmailDamagedChallenge(t *testing.T) {
	m, _, c := mailed(t)
	token := strings.Repeat("a", 43)
	for name, private := range map[string]string{
		"no JSON":         "123456",
		"another type":    `{"code":123456}`,
		"empty":           "{}",
		"no code":         `{"token":"` + token + `","address":"alice@example.com"}`,
		"NULs for a code": `{"code":"\u0000\u0000\u0000\u0000\u0000\u0000","token":"` + token + `","address":"alice@example.com"}`,
		"spaces in code":  `{"code":"123 456","token":"` + token + `","address":"alice@example.com"}`,
		"no token":        `{"code":"123456","address":"alice@example.com"}`,
		"no address":      `{"code":"123456","token":"` + token + `"}`,
	} {
		t.Run(name, func(t *testing.T) {
			ch := auth.Challenge{Method: auth.MethodEmail, Private: []byte(private), Expires: noon.Add(time.Minute), Tries: 5}
			for _, answer := range []string{"", "123456", token, "\x00\x00\x00\x00\x00\x00"} {
				_, err := m.Verify(noon, alice, []auth.Credential{c}, ch, []byte(answer))
				if err == nil || errors.Is(err, auth.ErrRejected) || strings.Contains(err.Error(), "123456") {
					t.Errorf("%q: %v", answer, err)
				}
			}
			if _, _, err := m.Letter(ch); err == nil {
				t.Error("a letter of it")
			}
		})
	}
}

func TestEmailRecord(t *testing.T) {
	m := NewEmail()
	c := m.New("élodie@example.com")
	if c.ID != "" || c.Method != "" || !c.Created.IsZero() || c.Secret != nil || m.Address(c) != "élodie@example.com" {
		t.Errorf("%+v", c)
	}
	if got := m.Address(auth.Credential{Data: []byte("damaged")}); got != "" {
		t.Errorf("%q", got)
	}
}

// FuzzEmailAnswer feeds answers and records of challenges to sign-in and set-up.
func FuzzEmailAnswer(f *testing.F) { // S50
	m, ch, c := mailed(f)
	code, token := letter(f, ch)
	for _, answer := range []string{code, code[:3] + " " + code[3:], token, "", "１２３４５６"} {
		f.Add([]byte(answer), ch.Private)
	}
	f.Add([]byte(""), []byte(`{"code":"","token":"","address":"a@example.com"}`))
	f.Fuzz(func(t *testing.T, answer, private []byte) {
		v, err := m.Verify(noon, alice, []auth.Credential{c}, ch, answer)
		digits := strings.NewReplacer(" ", "", "\u00a0", "").Replace(string(answer))
		if right := digits == code || string(answer) == token; right != (err == nil) && len(answer) <= maxTOTP {
			t.Errorf("%q: %v", answer, err)
		}
		if err != nil && !errors.Is(err, auth.ErrRejected) || err == nil && v.Credential.ID != c.ID {
			t.Errorf("%q: %+v, %v", answer, v, err)
		}
		other := auth.Challenge{Method: auth.MethodEmail, Private: private, Expires: noon.Add(time.Minute)}
		if got, err := m.FinishEnroll(noon, alice, other, answer); err == nil && (len(answer) < 6 || m.Address(got) == "") {
			t.Errorf("%q of %q: %+v", answer, private, got)
		}
	})
}
