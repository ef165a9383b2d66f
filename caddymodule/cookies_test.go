package caddymodule

import (
	"net/http"
	"slices"
	"strings"
	"testing"
)

func TestCookiesAreTakenOut(t *testing.T) { // S60
	for _, c := range []struct {
		name string
		in   []string
		want []string
		got  cookies
	}{
		{"none", nil, nil, cookies{}},
		{"foreign only", []string{"a=1; b=2;c"}, []string{"a=1; b=2;c"}, cookies{}},
		{"alone", []string{"__Host-mfa=s"}, nil, cookies{session: "s"}},
		{"first", []string{"__Host-mfa=s; a=1; b=2"}, []string{"a=1; b=2"}, cookies{session: "s"}},
		{"middle", []string{"a=1; __Host-mfa=s;  b=2"}, []string{"a=1;  b=2"}, cookies{session: "s"}},
		{"last", []string{"a=1;b=2; __Host-mfa=s"}, []string{"a=1;b=2"}, cookies{session: "s"}},
		{"all", []string{"__Host-mfa=s; a=1; __Host-mfa-flow=f; __Host-mfa-browser=b;__Host-mfa-lang=de; __Host-mfa-guest=g; __Host-mfa-guest-code=c"}, []string{"a=1"}, cookies{"s", "f", "b", "de", "g", "c"}},
		{"two lines", []string{"a=1; __Host-mfa=s", "__Host-mfa-flow=f"}, []string{"a=1"}, cookies{session: "s", flow: "f"}},
		{"twice", []string{"__Host-mfa=s; a=1; __Host-mfa=t; __Host-mfa-flow=f"}, []string{"a=1"}, cookies{flow: "f"}},
		{"twice over lines", []string{"__Host-mfa=s", "__Host-mfa=t"}, nil, cookies{}},
		{"no value", []string{"a=1; __Host-mfa; b=2"}, []string{"a=1; b=2"}, cookies{}},
		{"empty value", []string{"__Host-mfa=;a=1"}, []string{"a=1"}, cookies{}},
		{"space before the sign", []string{"__Host-mfa =s; a=1"}, []string{"a=1"}, cookies{session: "s"}},
		{"tabs", []string{"a=1;\t__Host-mfa=s\t"}, []string{"a=1"}, cookies{session: "s"}},
		{"similar names", []string{"__Host-mfa2=x; x__Host-mfa=y; a=__Host-mfa"}, []string{"__Host-mfa2=x; x__Host-mfa=y; a=__Host-mfa"}, cookies{}},
		{"stray semicolons", []string{";;__Host-mfa=s;;a=1;"}, []string{";;;a=1;"}, cookies{session: "s"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := http.Header{}
			if c.in != nil {
				h["Cookie"] = slices.Clone(c.in)
			}
			if got := takeCookies(h); got != c.got {
				t.Errorf("read %+v, want %+v", got, c.got)
			}
			if !slices.Equal(h["Cookie"], c.want) {
				t.Errorf("left %q, want %q", h["Cookie"], c.want)
			}
			if _, ok := h["Cookie"]; ok != (c.want != nil) {
				t.Error("an empty header stayed")
			}
		})
	}
}

// Whatever a client sends: none of our cookies stays, and the others are all there.
func FuzzCookies(f *testing.F) {
	f.Add("a=1; __Host-mfa=s; b=2")
	f.Add("__Host-mfa")
	f.Add(";;__Host-mfa-flow = ;__Host-mfa;")
	f.Fuzz(func(t *testing.T, line string) {
		names := func(line string) (ours, others []string) {
			for part := range strings.SplitSeq(line, ";") {
				name, _, _ := strings.Cut(part, "=")
				if ourCookie(strings.Trim(name, " \t")) >= 0 {
					ours = append(ours, part)
				} else if strings.Trim(part, " \t") != "" {
					others = append(others, strings.TrimLeft(part, " \t"))
				}
			}
			return ours, others
		}
		h := http.Header{"Cookie": {line}}
		takeCookies(h)
		left, others := names(strings.Join(h["Cookie"], ";"))
		if len(left) > 0 {
			t.Errorf("%q left %q", line, left)
		}
		if _, want := names(line); !slices.Equal(others, want) {
			t.Errorf("%q: others became %q, want %q", line, others, want)
		}
	})
}
