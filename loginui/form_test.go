package loginui

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func TestBadForms(t *testing.T) {
	r := newRig(t)
	const urlencoded = "application/x-www-form-urlencoded"
	tests := map[string]struct {
		media, body string
		status      int
	}{
		"as browsers send it":      {urlencoded, "name=alice&password=", 422},
		"with charset":             {urlencoded + "; charset=UTF-8", "name=alice", 422},
		"other charset":            {urlencoded + "; charset=utf-7", "name=alice", 415},
		"no type":                  {"", "name=alice", 415},
		"malformed type":           {"application/x-www-form-urlencoded; =", "name=alice", 415},
		"multipart":                {"multipart/form-data; boundary=x", "--x--", 415},
		"JSON":                     {"application/json", `{"name":"alice"}`, 415},
		"text":                     {"text/plain", "name=alice", 415},
		"repeated":                 {urlencoded, "name=alice&name=bob", 400},
		"repeated unknown":         {urlencoded, "x=1&x=1", 400},
		"repeated, escaped":        {urlencoded, "name=alice&%6eame=bob", 400},
		"cut escape":               {urlencoded, "name=%4", 400},
		"wrong escape":             {urlencoded, "name=%zz", 400},
		"wrong escape in a key":    {urlencoded, "%zz=a", 400},
		"not UTF-8":                {urlencoded, "name=%ff", 400},
		"overlong UTF-8":           {urlencoded, "name=%c0%80", 400},
		"NUL":                      {urlencoded, "name=a%00b", 400},
		"NUL, raw":                 {urlencoded, "name=a\x00b", 400},
		"many fields":              {urlencoded, manyFields(33), 400},
		"unknown fields":           {urlencoded, "foo=bar&name=alice", 422},
		"long name":                {urlencoded, "name=" + strings.Repeat("a", 257), 422},
		"long password":            {urlencoded, "name=a&password=" + strings.Repeat("a", 1025), 422},
		"long unknown":             {urlencoded, "x=" + strings.Repeat("a", 257), 422},
		"long target":              {urlencoded, "name=alice&to=/" + strings.Repeat("a", 60000), 422},
		"empty":                    {urlencoded, "", 422},
		"separators only":          {urlencoded, "&&&=&", 422},
		"just below the limit":     {urlencoded, "to=" + strings.Repeat("a", 64<<10-3), 422},
		"above the limit":          {urlencoded, "to=" + strings.Repeat("a", 64<<10-2), 413},
		"far above the limit":      {urlencoded, strings.Repeat("a", 1<<20), 413},
		"control characters":       {urlencoded, "name=%0d%0aSet-Cookie:x&password=%1b", 401},
		"markup":                   {urlencoded, "name=%22%3e%3cscript%3e&password=x", 401},
		"right-to-left and spaces": {urlencoded, "name=%e2%80%ae+a&password=x", 401},
	}
	for name, tt := range tests {
		for _, path := range []string{"/login", "/invite", "/logout", "/enroll", "/enroll/totp", "/verify/totp", "/verify/recovery", "/recovery-codes"} {
			for _, length := range []string{"known", "unknown"} {
				b := r.browser()
				req := b.request(http.MethodPost, "/.mfa"+path, tt.body)
				req.Header.Set("Content-Type", tt.media)
				if length == "unknown" {
					req.ContentLength = -1
				}
				got := b.send(req)
				switch {
				case path == "/login" && got.StatusCode != tt.status:
					t.Errorf("%s, length %s: %s, want %d", name, length, got.Status, tt.status)
				case got.StatusCode >= 500:
					t.Errorf("%s to %s: %s", name, path, got.Status)
				case strings.Contains(got.body, "<script>"), strings.Contains(got.Header.Get("Set-Cookie"), "Set-Cookie:x"):
					t.Errorf("%s to %s: input came back as it was", name, path)
				}
			}
			r.pass(61e9) // the address has its tries back
		}
	}
	if log := r.log.String(); strings.Contains(log, "level=ERROR") || strings.Count(log, "\n") != strings.Count(log, "level=INFO") {
		t.Errorf("logged: %s", log)
	}
}

func manyFields(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString("&f" + string(rune('A'+i)) + "=1")
	}
	return b.String()
}

func TestWrongCredentials(t *testing.T) { // S88
	r := newRig(t)
	r.addAlice()
	known, unknown := r.browser(), r.browser()
	known.get("/.mfa/login")
	unknown.get("/.mfa/login")
	a := known.want(known.post("/.mfa/login", "name", "alice", "password", "wrong password", "to", "/deep"), 401, "do not match", `value="alice"`, `name="to" value="/deep"`)
	b := unknown.want(unknown.post("/.mfa/login", "name", "nobody", "password", "wrong password", "to", "/deep"), 401)
	if strings.ReplaceAll(undrawn(b.body), "nobody", "alice") != undrawn(a.body) {
		t.Error("known and unknown names get different pages")
	}
	if strings.Contains(a.body, "wrong password") { // nor does any page hold a password again
		t.Error("the password came back")
	}
	if got := a.Header.Get("WWW-Authenticate"); got != `MFA login="/.mfa/login"` {
		t.Errorf("WWW-Authenticate %q", got)
	}
}

func TestThrottled(t *testing.T) {
	r := newRig(t)
	r.addAlice()
	b := r.browser()
	b.get("/.mfa/login")
	for range 5 {
		b.want(b.post("/.mfa/login", "name", "alice", "password", "wrong"), 401)
	}
	a := b.want(b.post("/.mfa/login", "name", "alice", "password", password), 429, "Wait 30 seconds", `value="alice"`)
	if got := a.Header.Get("Retry-After"); got != "30" {
		t.Errorf("Retry-After %q", got)
	}
	b.pass(30e9)
	b.want(b.post("/.mfa/login", "name", "alice", "password", password), 303, "/.mfa/enroll")
}

func FuzzForm(f *testing.F) {
	for _, seed := range []string{"name=alice&password=a+b&to=%2F", "a=1&a=2", "%zz", "&&=&", "x=%00", "é=ü", manyFields(40), strings.Repeat("x", 3000)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		fields, err := parseForm(body)
		if err != nil {
			var bad *badRequestError
			if !errors.As(err, &bad) || bad.status < 400 || bad.status > 499 || !english.Has(bad.page+".title") || !english.Has(bad.page+".text") {
				t.Fatalf("%q: %v", body, err)
			}
			return
		}
		if len(fields) > maxFields {
			t.Fatalf("%d fields", len(fields))
		}
		for k, v := range fields {
			if !utf8.ValidString(k+v) || strings.ContainsRune(k+v, 0) || len(v) > max(maxLength[k], otherLength) {
				t.Fatalf("%q: %q=%q", body, k, v)
			}
		}
	})
}

// TestCodeOfAnyKeyboard: digits of Arabic, Persian and Japanese keyboards are digits.
func TestCodeOfAnyKeyboard(t *testing.T) {
	for name, tt := range map[string]struct{ typed, want string }{
		"ASCII":                   {" 123 456\n", "123 456"},
		"Arabic":                  {"١٢٣ ٤٥٠", "123 450"},
		"Persian":                 {"۱۲۳۴۵۹", "123459"},
		"Japanese":                {"　１２３４５６", "123456"},
		"a recovery code, so":     {"ＡＢＣＤＥ－ｆｇｈｊｋーｍｎｐｑｒ", "ABCDE-fghjk-mnpqr"},
		"another script's digits": {"१२३४५६", "१२३४५६"},
		"superscript":             {"¹²³456", "¹²³456"},
	} {
		if got := (form{"code": tt.typed}).code(); got != tt.want {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// TestCodeInArabicDigits: what stands for a code is one, for the app as for the recovery codes.
func TestCodeInArabicDigits(t *testing.T) {
	r := newRig(t)
	r.addAlice()
	first := r.browser()
	first.get("/.mfa/login")
	first.want(first.post("/.mfa/login", "name", "alice", "password", password), 303, "/.mfa/enroll")
	secret, _ := first.enroll("/")
	arabic := func(code string) string {
		return strings.Map(func(c rune) rune {
			if c >= '0' && c <= '9' {
				return c - '0' + '٠'
			}
			return c
		}, code)
	}
	b := r.browser()
	b.get("/.mfa/login")
	b.want(b.post("/.mfa/login", "name", "alice", "password", password), 303)
	r.pass(time.Minute)
	b.want(b.post("/.mfa/verify/totp", "code", arabic(r.code(secret))), 303, "/")
}
