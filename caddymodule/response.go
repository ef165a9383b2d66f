package caddymodule

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// response passes an app's response on, without cookies of ours that the app tries to set (S60), and for as long as the session
// lasts (S73, stream.go). Everything else goes through untouched: streaming, upgrades, sendfile.
type response struct {
	caddyhttp.ResponseWriterWrapper
	tether
	sent bool // the final header is out
}

// clean drops our names from Set-Cookie. It runs before anything that may send the header.
func (w *response) clean() {
	if w.sent {
		return
	}
	h := w.ResponseWriter.Header()
	if set := h["Set-Cookie"]; slices.ContainsFunc(set, setsOurs) {
		if set = slices.DeleteFunc(slices.Clone(set), setsOurs); len(set) == 0 {
			delete(h, "Set-Cookie")
		} else {
			h["Set-Cookie"] = set
		}
	}
}

// setsOurs also finds nameless cookies: a browser that keeps "=__Host-mfa=x" sends it back as ours.
func setsOurs(setCookie string) bool {
	pair, _, _ := strings.Cut(setCookie, ";")
	name, _, _ := strings.Cut(strings.TrimLeft(pair, " \t="), "=")
	name = strings.ToLower(strings.TrimSpace(name)) // browsers check the prefix __Host- in any case
	for _, ours := range [...]string{"__host-mfa", "__host-mfa-flow", "__host-mfa-browser", "__host-mfa-lang", "__host-mfa-guest"} {
		if name == ours {
			return true
		}
	}
	return false
}

// WriteHeader sends the header; one below 200 is followed by another.
func (w *response) WriteHeader(status int) {
	w.clean()
	if w.late() && w.hold() != nil {
		return // Write says why, and the gate cuts the connection
	}
	w.sent = w.sent || status >= 200 || status == http.StatusSwitchingProtocols
	w.ResponseWriter.WriteHeader(status)
}

func (w *response) Write(p []byte) (int, error) {
	w.clean()
	w.sent = true
	if w.body += int64(len(p)); w.body > streamBytes || w.late() {
		if err := w.hold(); err != nil {
			return 0, err
		}
	}
	return w.ResponseWriter.Write(p)
}

// ReadFrom lets the server use sendfile where it can.
func (w *response) ReadFrom(r io.Reader) (int64, error) {
	w.clean()
	w.sent = true
	if part, ok := r.(*io.LimitedReader); !ok || part.N > streamBytes || w.late() {
		if err := w.hold(); err != nil {
			return 0, err
		}
	}
	return w.ResponseWriterWrapper.ReadFrom(r)
}

// FlushError is what http.ResponseController calls. What is flushed may be the beginning of anything.
func (w *response) FlushError() error {
	w.clean()
	w.sent = true
	if err := w.hold(); err != nil {
		return err
	}
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// Flush is for handlers that look for an http.Flusher.
func (w *response) Flush() { _ = w.FlushError() }

// Hijack is for handlers that look for an http.Hijacker.
func (w *response) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	if err := w.hold(); err != nil {
		return nil, nil, err
	}
	conn, rw, err := http.NewResponseController(w.ResponseWriter).Hijack()
	stream := w.stream.Load()
	if err != nil || stream == nil {
		return conn, rw, err
	}
	stream.take(conn)
	c := &heardConn{Conn: conn, stream: stream, ear: ear{frames: w.frames}}
	early, _ := rw.Reader.Peek(rw.Reader.Buffered()) // the app has that already
	c.hear(early)
	if half, ok := conn.(halfCloser); ok {
		return &heardHalfConn{c, half}, rw, nil
	}
	return c, rw, nil
}

var (
	_ http.ResponseWriter = (*response)(nil)
	_ http.Flusher        = (*response)(nil)
	_ http.Hijacker       = (*response)(nil)
	_ http.Pusher         = (*response)(nil)
	_ io.ReaderFrom       = (*response)(nil)
)
