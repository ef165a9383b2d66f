package caddymodule

import (
	"bufio"
	"net/http"
	"strings"
	"testing"
)

// FuzzForwardAuthQuestion compares what is taken for clear with how Go's server, and so a gate, reads the same request.
func FuzzForwardAuthQuestion(f *testing.F) {
	for _, seed := range [][4]string{
		{"GET", "https", "dash.example.com", "/a?b=c"},
		{"PROPFIND", "wss", "[2001:db8::1]:8443", "//evil.example/%2e%2e/x;y#z"},
		{"GET", "http", "alice@dash.example.com", "/"},
		{"get", "https", "dash.example.com:80:443", "https://dash.example.com/"},
		{"GET", "https", "dash.example.com\r\nX: y", "/a b"},
	} {
		f.Add(seed[0], seed[1], seed[2], seed[3])
	}
	f.Fuzz(func(t *testing.T, method, proto, host, uri string) {
		d := described{method: method, proto: proto, host: host, uri: uri}
		u, err := d.check()
		if err != nil {
			return
		}
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(method + " " + uri + " HTTP/1.1\r\nHost: " + host + "\r\n\r\n")))
		if err != nil {
			t.Fatalf("%q %q %q is clear, and a server reads: %v", method, host, uri, err)
		}
		if r.Method != method || r.Host != host || r.URL.Path != u.Path || r.URL.RawPath != u.RawPath || r.URL.RawQuery != u.RawQuery || u.Host != "" {
			t.Errorf("%q %q %q: %v, and a server reads %v", method, host, uri, u, r.URL)
		}
		if d.proto != "http" && d.proto != "https" {
			t.Errorf("the scheme is %q", d.proto)
		}
	})
}
