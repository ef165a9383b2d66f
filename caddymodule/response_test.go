package caddymodule

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

// wrap serves handler behind the response filter on a real connection.
func wrap(t *testing.T, handler http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p := new(response)
		p.ResponseWriter = w
		handler(p, r)
	}))
	t.Cleanup(s.Close)
	return s
}

func TestAppCannotSetOurCookies(t *testing.T) { // S60
	for _, c := range []struct {
		name string
		send func(w http.ResponseWriter)
	}{
		{"write", func(w http.ResponseWriter) { io.WriteString(w, "x") }},
		{"header", func(w http.ResponseWriter) { w.WriteHeader(http.StatusTeapot) }},
		{"flush", func(w http.ResponseWriter) { w.(http.Flusher).Flush() }},
		{"controller", func(w http.ResponseWriter) { http.NewResponseController(w).Flush() }},
		{"copy", func(w http.ResponseWriter) { w.(io.ReaderFrom).ReadFrom(strings.NewReader("x")) }},
		{"after hints", func(w http.ResponseWriter) {
			w.WriteHeader(http.StatusEarlyHints)
			w.Header().Add("Set-Cookie", "__Host-mfa=late")
			w.WriteHeader(http.StatusOK)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := wrap(t, func(w http.ResponseWriter, _ *http.Request) {
				for _, v := range []string{
					"__Host-mfa=x; Path=/; Secure", "a=1; Path=/", "__Host-mfa-flow=x", "__host-MFA-browser=x", "=__Host-mfa=x", " __Host-mfa = x",
					"__Host-mfa", "__Host-mfa2=ok", "b=__Host-mfa",
				} {
					w.Header().Add("Set-Cookie", v)
				}
				c.send(w)
			})
			res, err := http.Get(s.URL)
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
			if got, want := res.Header["Set-Cookie"], []string{"a=1; Path=/", "__Host-mfa2=ok", "b=__Host-mfa"}; !slices.Equal(got, want) {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}

func TestHijackPasses(t *testing.T) {
	s := wrap(t, func(w http.ResponseWriter, _ *http.Request) {
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		rw.WriteString("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
		rw.Flush()
		line, _ := rw.ReadString('\n')
		rw.WriteString(line)
		rw.Flush()
	})
	conn, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	io.WriteString(conn, "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
	br := bufio.NewReader(conn)
	res, err := http.ReadResponse(br, nil)
	if err != nil || res.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("%v, %v", res, err)
	}
	io.WriteString(conn, "hello\n")
	if line, err := br.ReadString('\n'); err != nil || line != "hello\n" {
		t.Errorf("got %q, %v", line, err)
	}
}
