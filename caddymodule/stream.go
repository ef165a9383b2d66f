package caddymodule

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
)

// streamBytes is how much of a body does not make a stream of a response yet: what Caddy's proxy hands over at once. A client that
// does not read may still get that much after the end, if the app gave it before.
const streamBytes = 32 << 10

// errEnded is what writes get after the session ended. It wraps context.Canceled: Caddy's proxy takes that for a client who left,
// and anything else for a failure of the upstream.
var errEnded = fmt.Errorf("the session has ended: %w", context.Canceled)

// longAgo is a deadline that has passed.
var longAgo = time.Unix(1, 0)

// tether ties a response to the session that it is for. Most requests are over before anybody could end their session: a response
// becomes a stream, which costs a little, when it is upgraded or flushed, when it grows, when the request has a body, and when it
// takes its time.
type tether struct {
	realm    *auth.Realm // nil: a public request, which no session ends
	session  *auth.Session
	need     *auth.Requirement
	cancel   context.CancelCauseFunc
	beat     uint64
	body     int64 // bytes
	frames   bool  // it may become a WebSocket
	ongoing  ongoing
	upload   heardBody
	underway auth.Underway
	stream   atomic.Pointer[stream]
}

// bind readies a request that passes, and returns it as the app gets it.
func (w *response) bind(realm *auth.Realm, need *auth.Requirement, session *auth.Session, r *http.Request) *http.Request {
	w.realm, w.need, w.session, w.beat = realm, need, session, realm.Beat()
	upgrade := len(r.Header["Upgrade"]) > 0 || r.Method == http.MethodConnect
	early := upgrade || uploads(r) || acceptsEvents(r.Header)
	// Over HTTP/1.1 and HTTP/2 a deadline that passes cancels the request's context. Over HTTP/3 it does not, nor where there is a body.
	if early || r.ProtoMajor >= 3 {
		ctx, cancel := context.WithCancelCause(r.Context())
		w.cancel, r = cancel, r.WithContext(ctx)
	}
	if early { // what comes later is found out while handlers may change them
		w.ongoing.header = r.Header.Clone()
	}
	if early || !realm.Begin(&w.underway, w) {
		_ = w.hold() // if the session has ended, the context says so
	}
	w.frames = upgrade && isWebSocket(r)
	if r.ContentLength != 0 && r.Body != nil {
		w.upload.ReadCloser, w.upload.w, w.upload.ear.frames = r.Body, w, w.frames && r.Method == http.MethodConnect
		r.Body = &w.upload
	}
	return r
}

// uploads reports whether a body follows. Over HTTP/3 every request without a length looks as if one did: of those, GET and HEAD are
// left to the beat.
func uploads(r *http.Request) bool {
	return r.ContentLength > 0 || r.ContentLength < 0 && (r.ProtoMajor < 3 || r.Method != http.MethodGet && r.Method != http.MethodHead)
}

func acceptsEvents(h http.Header) bool {
	for _, accept := range h["Accept"] {
		if strings.Contains(accept, "text/event-stream") {
			return true
		}
	}
	return false
}

// late reports whether a response is a stream, or takes so long that it counts as one.
func (w *response) late() bool {
	return w.stream.Load() != nil || w.realm != nil && w.realm.Beat() != w.beat
}

// hold makes a stream of the response if it is none yet. It returns errEnded if nothing more may be sent.
func (w *response) hold() error {
	s := w.stream.Load()
	if s == nil {
		if w.realm == nil {
			return nil
		}
		w.realm.Over(&w.underway)
		if s = w.stream.Load(); s == nil { // and stays so: nobody else makes one now
			s = w.begin()
			s.watch.Look()
		}
	}
	if s.ended.Load() {
		return errEnded
	}
	return nil
}

// Lasts makes a stream of the response when it takes its time, whatever its handler does (auth.Lasting).
func (w *response) Lasts() { w.begin() }

// begin makes a stream of the response. Whoever finds it finds it whole: the body may be read by somebody else meanwhile.
func (w *response) begin() *stream {
	s := &stream{w: w.ResponseWriter, cancel: w.cancel}
	s.watch = w.realm.Watch(w.session, w.need, &w.ongoing, s.end)
	w.stream.Store(s)
	return s
}

// leave is called when the app has returned, or panics.
func (w *response) leave() {
	if w.realm == nil {
		return
	}
	w.realm.Over(&w.underway)
	if s := w.stream.Load(); s != nil {
		s.leave()
	}
	if w.cancel != nil {
		w.cancel(nil)
	}
	w.realm = nil // whatever writes from now on begins no stream
}

// cut reports whether the response ended before its time; it is asked after leave. A connection that was upgraded is no response any
// more.
func (w *response) cut() bool {
	s := w.stream.Load()
	return s != nil && s.ended.Load() && s.conn == nil
}

// stream is a response that goes on, or an upgraded connection.
type stream struct {
	w      http.ResponseWriter // below the gate's own
	cancel context.CancelCauseFunc
	watch  *auth.Stream
	ended  atomic.Bool

	mu   sync.Mutex
	conn net.Conn // upgraded
	over bool
}

// end ends the stream. It may come at any moment, more than once, and while the app writes; it waits for nobody.
func (s *stream) end() {
	if s.ended.Swap(true) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		return // the connection may be another request's by now
	}
	if s.cancel != nil {
		s.cancel(errEnded)
	}
	if s.conn != nil {
		go s.conn.Close() // TLS says goodbye first, for which a client may let us wait
		return
	}
	// A write that a slow client holds up fails, and so does the next. Besides, net/http cancels the request's context: over HTTP/1.1
	// because the client cannot be read from, over HTTP/2 because the response is reset.
	c := http.NewResponseController(s.w)
	_ = c.SetReadDeadline(longAgo)
	_ = c.SetWriteDeadline(longAgo)
}

// leave returns when end will touch the response no more. A connection that was upgraded may go on without its handler: it is watched
// until it is closed (heardConn).
func (s *stream) leave() {
	s.mu.Lock()
	s.over = s.conn == nil
	s.mu.Unlock()
	if s.over {
		s.watch.Close()
	}
}

// take makes a hijacked connection what end closes.
func (s *stream) take(conn net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conn = conn
	if s.ended.Load() {
		go conn.Close()
	}
}
