package loginui

import (
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

// checkHeaders holds for every answer, errors and redirects too (S62, S63, S64).
func checkHeaders(t *testing.T, style *styleSheet, req *http.Request, a answer) {
	t.Helper()
	want := map[string]string{
		"X-Content-Type-Options":       "nosniff",
		"Referrer-Policy":              "same-origin",
		"Cross-Origin-Opener-Policy":   "same-origin",
		"Cross-Origin-Resource-Policy": "same-origin",
		"Permissions-Policy":           permissions,
		"Strict-Transport-Security":    "max-age=31536000",
		"Content-Security-Policy":      policy,
		"Cache-Control":                "no-store",
	}
	picture, fetches := strings.Contains(a.body, `alt="QR code"`), strings.Contains(a.body, "data-source=")
	if req.Method == http.MethodHead { // says what GET would, without the page
		ok, path := a.StatusCode == http.StatusOK, strings.TrimPrefix(req.URL.Path, "/.mfa")
		picture, fetches = ok && path == "/enroll/totp", ok && (path == "/login" || path == "/verify/webauthn")
	}
	switch {
	case picture:
		want["Content-Security-Policy"] = imagePolicy
	case fetches:
		want["Content-Security-Policy"] = fetchPolicy
	}
	if strings.HasPrefix(a.Header.Get("Content-Type"), "text/html") {
		want["Content-Security-Policy"] = strings.Replace(want["Content-Security-Policy"], "style-src 'self'", "style-src 'self' "+style.source, 1)
	}
	if strings.HasPrefix(req.URL.Path, "/.mfa/static/") && a.StatusCode == http.StatusOK {
		want["Cache-Control"] = "public, max-age=31536000, immutable"
	}
	if path := strings.TrimPrefix(req.URL.Path, "/.mfa"); path == scriptPath && a.StatusCode < 400 {
		want["Cache-Control"] = scriptAge
	}
	for name, value := range want {
		got := slices.Clone(a.Header.Values(name))
		for i, v := range got { // of another host that sign-ins lead to; the test of those says where it stands
			got[i] = strings.NewReplacer("'self' https://"+app+";", "'self';", "'self' https://"+stray+";", "'self';").Replace(v)
		}
		if !slices.Equal(got, []string{value}) {
			t.Errorf("%s %s: %s is %q, want %q", req.Method, req.URL.Path, name, got, value)
		}
	}
}

var void = []string{"meta", "link", "input", "img", "br", "path"}

// checkPage looks for what the policy would block or a reader would stumble over: script and style in the page, addresses
// elsewhere, elements left open, fields without label, ids twice or missing.
func checkPage(t *testing.T, style *styleSheet, where, page string) {
	t.Helper()
	var open []string
	ids, labels, refs := map[string]bool{}, map[string]bool{}, []string{}
	var fields []string
	headings := 0
	z := html.NewTokenizer(strings.NewReader(page))
	for z.Next() != html.ErrorToken {
		tok := z.Token()
		switch tok.Type {
		case html.EndTagToken:
			if len(open) == 0 || open[len(open)-1] != tok.Data {
				t.Fatalf("%s: </%s> closes %q", where, tok.Data, open)
			}
			open = open[:len(open)-1]
			continue
		case html.TextToken:
			if parent := open[max(0, len(open)-1):]; slices.Equal(parent, []string{"script"}) && strings.TrimSpace(tok.Data) != "" {
				t.Errorf("%s: script in the page: %q", where, tok.Data)
			}
			continue
		case html.StartTagToken, html.SelfClosingTagToken:
		default:
			continue
		}
		if tok.Type == html.StartTagToken && !slices.Contains(void, tok.Data) {
			open = append(open, tok.Data)
		}
		attr := map[string]string{}
		for _, a := range tok.Attr {
			if a.Key == "style" || strings.HasPrefix(a.Key, "on") {
				t.Errorf("%s: <%s %s>", where, tok.Data, a.Key)
			}
			if _, twice := attr[a.Key]; twice {
				t.Errorf("%s: <%s> has %s twice", where, tok.Data, a.Key)
			}
			attr[a.Key] = a.Val
		}
		for _, key := range []string{"href", "src", "action"} {
			v, ok := attr[key]
			image := tok.Data == "img" && strings.HasPrefix(v, "data:image/png;base64,")
			app := tok.Data == "a" && (strings.HasPrefix(v, "otpauth://totp/") || v == imprint && attr["rel"] == "noopener noreferrer")
			whole := tok.Data == "link" && attr["rel"] == "expect" && v == "#end" // nothing is loaded
			if ok && !image && !app && !whole && (!strings.HasPrefix(v, "/") || strings.HasPrefix(v, "//")) {
				t.Errorf("%s: <%s %s=%q>", where, tok.Data, key, v)
			}
		}
		if id := attr["id"]; id != "" {
			if ids[id] {
				t.Errorf("%s: id %q twice", where, id)
			}
			ids[id] = true
		}
		refs = append(refs, strings.Fields(attr["aria-describedby"])...)
		switch tok.Data {
		case "style":
			if !strings.Contains(page, "<style>"+string(style.css)+"</style>") || strings.Count(page, "<style") > 1 {
				t.Errorf("%s: another <style> than ours", where)
			}
		case "h1":
			headings++
		case "label":
			labels[attr["for"]] = true
		case "input":
			if attr["type"] != "hidden" {
				fields = append(fields, attr["id"])
			}
			if attr["name"] == "password" || attr["name"] == "code" {
				if attr["value"] != "" {
					t.Errorf("%s: a secret is in the page", where)
				}
			}
		case "form":
			if attr["method"] != "post" {
				t.Errorf("%s: form that is not POST", where)
			}
		}
	}
	if !errors.Is(z.Err(), io.EOF) || len(open) > 0 {
		t.Errorf("%s: left open: %q (%v)", where, open, z.Err())
	}
	if headings != 1 {
		t.Errorf("%s: %d headings", where, headings)
	}
	for _, f := range fields {
		if !labels[f] {
			t.Errorf("%s: field %q has no label", where, f)
		}
	}
	for _, ref := range refs {
		if !ids[ref] {
			t.Errorf("%s: described by %q, which is not there", where, ref)
		}
	}
	if !strings.Contains(page, " · Example Corp</title>") || !strings.Contains(page, `<html lang="`) {
		t.Errorf("%s: title or language", where)
	}
}
