package caddymodule

import (
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
)

// What a person sends over an upgraded connection, or uploads, is a sign of life, as a request is: whoever works through a WebSocket is
// not idle.
// What the browser sends by itself is none: it answers the pings of a server for as long as a page is open, forgotten or not (S55).

// ear tells one from the other in what a client sends. Its zero value takes all for a sign of life.
type ear struct {
	frames bool // a WebSocket's (RFC 6455, section 5.2)
	head   [10]byte
	have   int    // bytes of head
	rest   uint64 // bytes until the next head
}

// hears reports whether p, which follows what came before, holds a sign of life: the beginning of a frame that is none of control.
func (e *ear) hears(p []byte) bool {
	if !e.frames {
		return len(p) > 0
	}
	life := false
	for len(p) > 0 {
		if e.rest > 0 {
			n := min(e.rest, uint64(len(p)))
			p, e.rest = p[n:], e.rest-n
			continue
		}
		e.head[e.have] = p[0]
		e.have++
		p = p[1:]
		if e.have < 2 {
			continue
		}
		length, size := uint64(e.head[1]&0x7f), 2
		switch length {
		case 126:
			length, size = 0, 4
		case 127:
			length, size = 0, 10
		}
		if e.have < size {
			continue
		}
		for _, b := range e.head[2:size] {
			length = length<<8 | uint64(b)
		}
		length &^= 1 << 63 // must be 0
		if e.head[1]&0x80 != 0 {
			length += 4 // the mask
		}
		life = life || e.head[0]&0x08 == 0
		e.have, e.rest = 0, length
	}
	return life
}

// isWebSocket also knows WebSockets over HTTP/2 (RFC 8441) and HTTP/3 (RFC 9220), as Go's servers report them.
func isWebSocket(r *http.Request) bool {
	switch {
	case r.Method != http.MethodConnect:
		return strings.EqualFold(r.Header.Get("Upgrade"), "websocket")
	case r.ProtoMajor == 2:
		return r.Header.Get(":protocol") == "websocket"
	default:
		return r.Proto == "websocket"
	}
}

// heard is what a reader of the client's bytes needs. A connection may have several at once.
type heard struct {
	stream *stream
	mu     sync.Mutex
	ear    ear
}

func (h *heard) hear(p []byte) {
	h.mu.Lock()
	life := h.ear.hears(p)
	h.mu.Unlock()
	if life {
		h.stream.watch.Heard()
	}
}

// heardConn is an upgraded connection.
type heardConn struct {
	net.Conn
	heard
}

func (c *heardConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.hear(p[:n])
	return n, err
}

// halfCloser is a connection of which one direction can be closed. Caddy's proxy passes that on.
type halfCloser interface{ CloseWrite() error }

type heardHalfConn struct {
	*heardConn
	halfCloser
}

// heardBody is an upload, or the client's half of a WebSocket over HTTP/2 or HTTP/3.
type heardBody struct {
	io.ReadCloser
	heard
}

func (b *heardBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.hear(p[:n])
	if err != nil && b.stream.ended.Load() {
		err = errEnded // not that a deadline has passed, for which Caddy's proxy would blame the upstream
	}
	return n, err
}
