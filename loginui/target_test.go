package loginui

import (
	"net/url"
	"strings"
	"testing"
)

func TestReturnTarget(t *testing.T) { // S65
	p := &Portal{prefix: "/.mfa", login: "/.mfa/login?to="}
	tests := map[string]struct {
		to   string
		kept bool
	}{
		"root":                     {"/", true},
		"path":                     {"/a/b.html", true},
		"query and fragment":       {"/a?b=c&d=/e//f?g#h", true},
		"URL in the query":         {"/a?next=https://other.example/", true},
		"line end in the query":    {"/a?q=one%0atwo", true},
		"escaped UTF-8":            {"/caf%C3%A9", true},
		"escaped slash inside":     {"/group%2Fname", true},
		"double slash inside":      {"/a//b", true},
		"colon":                    {"/a:b", true},
		"at sign":                  {"/@alice", true},
		"dots in names":            {"/a..b/.well-known/...", true},
		"longest":                  {"/" + strings.Repeat("a", 8191), true},
		"Security":                 {"/.mfa/security", true},
		"Security with query":      {"/.mfa/security?x=y", true},
		"app beside the portal":    {"/.mfazine", true},
		"none":                     {"", false},
		"too long":                 {"/" + strings.Repeat("a", 8192), false},
		"relative":                 {"a/b", false},
		"query only":               {"?a", false},
		"absolute":                 {"https://evil.example/", false},
		"other scheme":             {"javascript:alert(1)", false},
		"scheme in capitals":       {"JavaScript:alert(1)//", false},
		"data":                     {"data:text/html,x", false},
		"mailto":                   {"mailto:a@evil.example", false},
		"other host":               {"//evil.example", false},
		"three slashes":            {"///evil.example", false},
		"slash, backslash":         {`/\evil.example`, false},
		"backslash, slash":         {`\/evil.example`, false},
		"two backslashes":          {`\\evil.example`, false},
		"backslash later":          {`/a\b`, false},
		"escaped backslash":        {"/%5cevil.example", false},
		"escaped slash":            {"/%2fevil.example", false},
		"escaped slash, capital":   {"/%2Fevil.example", false},
		"tab":                      {"/\t/evil.example", false},
		"tab first":                {"\t//evil.example", false},
		"line feed":                {"/\n/evil.example", false},
		"carriage return":          {"/\r/evil.example", false},
		"header":                   {"/a\r\nSet-Cookie: a=b", false},
		"escaped header":           {"/a%0d%0aSet-Cookie:a=b", false},
		"NUL":                      {"/\x00", false},
		"escaped NUL":              {"/%00", false},
		"space":                    {" /a", false},
		"space inside":             {"/a b", false},
		"raw UTF-8":                {"/é", false},
		"full-width slash":         {"/／evil.example", false},
		"soft hyphen":              {"/\u00ad/evil.example", false},
		"wrong escape":             {"/%zz", false},
		"user":                     {"//user@evil.example/", false},
		"user and host":            {"https://dash.example.com@evil.example/", false},
		"dot segment":              {"/./evil", false},
		"dots to two slashes":      {"/a/..//evil.example", false},
		"escaped dots":             {"/a/%2e%2e//evil.example", false},
		"dots with parameter":      {"/a/..;x/b", false},
		"into the portal by dots":  {"/a/../.mfa/logout", false},
		"dot then slashes":         {"/.//evil.example", false},
		"sign-out":                 {"/.mfa/logout", false},
		"sign-out, escaped":        {"/%2emfa/logout", false},
		"sign-out, escaped letter": {"/.mfa/log%6fut", false},
		"sign-in":                  {"/.mfa/login?to=/", false},
		"portal":                   {"/.mfa", false},
		"portal, slash":            {"/.mfa/", false},
		"the reminder":             {"/.mfa/remind?to=%2Fdeep", true},
		"the reminder, long":       {p.reminder("/" + strings.Repeat("~#", 4095)), true},
		"the reminder, longest":    {p.reminder("/" + strings.Repeat("%25", 2730)), true},
		"the reminder, too long":   {p.reminder("/" + strings.Repeat("a", 8192)), false},
		"the reminder, twice":      {p.reminder(p.reminder("/" + strings.Repeat("#", 8000))), false},
		"the reminder, and more":   {p.reminder("/"+strings.Repeat("#", 8000)) + "&x=" + strings.Repeat("a", 8192), false},
		"the reminder, elsewhere":  {p.reminder("//evil.example/" + strings.Repeat("a", 9000)), false},
		"below Security":           {"/.mfa/security/../logout", false},
		"recovery codes":           {"/.mfa/recovery-codes", false},
	}
	for name, tt := range tests {
		want := ""
		if tt.kept {
			want = tt.to
		}
		if got := p.returnTarget(tt.to); got != want {
			t.Errorf("%s: %q gave %q", name, tt.to, got)
		}
	}
}

func TestBackslashInQueryIsEscaped(t *testing.T) {
	p := &Portal{prefix: "/.mfa", login: "/.mfa/login?to="}
	if got := p.returnTarget(`/files?path=C:\docs\a#\b`); got != "/files?path=C:%5Cdocs%5Ca#%5Cb" {
		t.Errorf("it became %q", got)
	}
	if got := p.returnTarget(`/a\b?c`); got != "" {
		t.Errorf("one in the path became %q", got)
	}
}

func FuzzReturnTarget(f *testing.F) { // S65
	for _, seed := range []string{"/", "/a?b#c", "//evil.example", `/\evil.example`, "/%2f/x", "/a/%2e%2e/.mfa/logout", "/\t/x", "javascript:x"} {
		f.Add(seed)
	}
	p := &Portal{prefix: "/.mfa", login: "/.mfa/login?to="}
	base, _ := url.Parse("https://dash.example.com/.mfa/login")
	f.Fuzz(func(t *testing.T, to string) {
		if got := p.LoginURL(to); to != "" && len(to) <= maxTarget && got != "/.mfa/login?to="+url.QueryEscape(to) {
			t.Fatalf("LoginURL(%q) is %q", to, got)
		}
		got := p.returnTarget(to)
		if got == "" {
			return
		}
		if got != strings.ReplaceAll(to, `\`, "%5C") {
			t.Fatalf("%q became %q", to, got)
		}
		// Read it as a browser does, which takes backslashes for slashes and drops tabs and line ends (WHATWG URL, section 4.4).
		seen := strings.NewReplacer(`\`, "/", "\t", "", "\n", "", "\r", "").Replace(strings.TrimSpace(got))
		u, err := base.Parse(seen)
		if err != nil || u.Scheme != "https" || u.Host != "dash.example.com" || strings.HasPrefix(u.Path, "//") {
			t.Fatalf("%q leads to %v (%v)", to, u, err)
		}
		if u.Path == "/.mfa" || strings.HasPrefix(u.Path, "/.mfa/") && u.Path != "/.mfa/security" {
			t.Fatalf("%q leads into the portal", to)
		}
	})
}

func TestLoginURL(t *testing.T) {
	p := &Portal{prefix: "/.mfa", login: "/.mfa/login?to="}
	for to, want := range map[string]string{
		"":                        "/.mfa/login",
		"/":                       "/.mfa/login?to=%2F",
		"/a b?c=d&e=é#%2f+~":      "/.mfa/login?to=%2Fa+b%3Fc%3Dd%26e%3D%C3%A9%23%252f%2B~",
		strings.Repeat("a", 8193): "/.mfa/login",
	} {
		if got := p.LoginURL(to); got != want {
			t.Errorf("LoginURL(%q) is %q", to, got)
		}
	}
	if n := testing.AllocsPerRun(100, func() { p.LoginURL("/some/deep/path?with=a&query=b") }); n > 1 {
		t.Errorf("%v allocations", n)
	}
}
