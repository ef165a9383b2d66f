package caddymodule

import (
	"net/url"
	"testing"
)

func parse(t *testing.T, target string) *url.URL {
	t.Helper()
	u, err := url.ParseRequestURI(target)
	if err != nil {
		t.Fatalf("%q: %v", target, err)
	}
	return u
}

func TestAmbiguousPaths(t *testing.T) { // S70
	for _, c := range []struct {
		target string
		want   bool
	}{
		{"/", false},
		{"/a/b.c/.well-known/..hidden/x...", false},
		{"/a;b=1/c", false},
		{"/caf%C3%A9/%20", false},
		{"/a%2fb", false},
		{"/a//b", false},
		{"/.mfa/login", false},
		{"/a?to=..%2f%00%25\\", false},
		{"/a/..", true},
		{"/a/../b", true},
		{"/a/./b", true},
		{"/%2e%2e/b", true},
		{"/a/.%2E/b", true},
		{"/a%2f..%2fb", true},
		{"/a/..%2fb", true},
		{"/a/..;/b", true},
		{"/a/..;x=1/b", true},
		{"/a/.;/b", true},
		{"/a/%2e%2e%3b/b", true},
		{"/a\\b", true},
		{"/a%5cb", true},
		{"/a%5C..%5Cb", true},
		{"/a%252fb", true},
		{"/100%25", true},
		{"/a%00b", true},
		{"/a/%c0%ae%c0%ae/b", true},
		{"/a%c1%9cb", true},
		{"/a%e0%80%afb", true},
		{"/a%f0%80%80%afb", true},
		{"/a%e0%a4%85b", false}, // अ
		{"/a%f0%9f%98%80b", false},
		{"/a%e9b", false}, // é in Latin-1
		{"/a%e0", false},
	} {
		t.Run(c.target, func(t *testing.T) {
			if got := ambiguous(parse(t, c.target).Path); got != c.want {
				t.Errorf("got %v", got)
			}
		})
	}
	if !ambiguous("/a\x00b") {
		t.Error("a raw NUL passes")
	}
}

func TestOrdinaryPaths(t *testing.T) { // S70
	for _, c := range []struct {
		target string
		want   bool
	}{
		{"/", true},
		{"/assets/a~b.css", true},
		{"/caf%C3%A9/a%20b&c=d", true},
		{"/a%2fb", true}, // compared as sent, too
		{"/a;x.css", false},
		{"/a%3bx.css", false},
		{"/a/b;", false},
		{"/a%3Fx.css", false},
		{"/a%23x.css", false},
		{"/a%0ax.css", false},
		{"/a%1fx.css", false},
		{"/a%7fx.css", false},
		{"/a%FFx.css", false},
		{"/a%C3.css", false},
		{"/a%c0%afx.css", false},
		{"//a.css", false},
		{"/a//b.css", false},
		{"/a%2f%2fb.css", false},
		{"/a/%2fb.css", false},
	} {
		t.Run(c.target, func(t *testing.T) {
			if got := ordinary(parse(t, c.target).Path); got != c.want {
				t.Errorf("got %v", got)
			}
		})
	}
}

func TestPortalPrefix(t *testing.T) {
	for _, c := range []struct {
		target string
		want   bool
	}{
		{"/.mfa", true},
		{"/.mfa/", true},
		{"/.mfa/login?to=/", true},
		{"/.mfa/a%2fb", true},
		{"/.mfax", false},
		{"/.MFA/login", false},
		{"/%2emfa/login", false},
		{"/.mfa%2flogin", false},
		{"//.mfa/login", false},
		{"/a/.mfa/login", false},
	} {
		t.Run(c.target, func(t *testing.T) {
			if got := below(parse(t, c.target), "/.mfa"); got != c.want {
				t.Errorf("got %v", got)
			}
		})
	}
}

// A path that is taken for unequivocal is what it was sent as, to every reader.
func FuzzPath(f *testing.F) {
	f.Add("/a/%2e%2e;/b")
	f.Add("/assets/..%5c")
	f.Fuzz(func(t *testing.T, target string) {
		u, err := url.ParseRequestURI(target)
		if err != nil || u.Path == "" || u.Path[0] != '/' || ambiguous(u.Path) {
			return
		}
		again, err := url.PathUnescape(u.Path)
		if err != nil || again != u.Path {
			t.Errorf("%q decodes twice: %q, %v", target, again, err)
		}
		if clean := u.JoinPath(); u.RawPath == "" && ordinary(u.Path) && clean.Path != u.Path {
			t.Errorf("%q is cleaned to %q", target, clean.Path)
		}
	})
}
