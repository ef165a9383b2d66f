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

// heardConn is an upgraded connection. It may have several readers at once.
type heardConn struct {
	net.Conn
	stream *stream
	mu     sync.Mutex
	ear    ear
}

func (c *heardConn) hear(p []byte) {
	c.mu.Lock()
	life := c.ear.hears(p)
	c.mu.Unlock()
	if life {
		c.stream.watch.Heard()
	}
}

func (c *heardConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.hear(p[:n])
	return n, err
}

// Close ends the watch, too.
func (c *heardConn) Close() error {
	c.stream.watch.Close()
	return c.Conn.Close()
}

// halfCloser is a connection of which one direction can be closed. Caddy's proxy passes that on.
type halfCloser interface{ CloseWrite() error }

type heardHalfConn struct {
	*heardConn
	halfCloser
}

// heardBody is a request's body, or the client's half of a WebSocket over HTTP/2 or HTTP/3.
type heardBody struct {
	io.ReadCloser
	w   *response
	mu  sync.Mutex // where Caddy's proxy tries again, the first try may still read
	ear ear
}

func (b *heardBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	s := b.w.stream.Load()
	if s == nil {
		return n, err
	}
	b.mu.Lock()
	life := b.ear.hears(p[:n])
	b.mu.Unlock()
	if life {
		s.watch.Heard()
	}
	if err != nil && s.ended.Load() {
		err = errEnded // not that a deadline has passed, for which Caddy's proxy would blame the upstream
	}
	return n, err
}
