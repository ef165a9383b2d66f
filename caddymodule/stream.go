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
// becomes a stream, which costs a little, when it is upgraded or flushed, when it or the request grows, and when it takes its time.
type tether struct {
	realm   *auth.Realm // nil: a public request, which no session ends
	session *auth.Session
	need    *auth.Requirement
	ctx     context.Context // the request's
	cancel  context.CancelCauseFunc
	beat    uint64
	body    int64 // bytes
	frames  bool  // it may become a WebSocket
	stream  *stream
}

// bind readies a request that passes, and returns it as the app gets it.
func (w *response) bind(realm *auth.Realm, need *auth.Requirement, session *auth.Session, r *http.Request) *http.Request {
	w.tether = tether{realm: realm, need: need, session: session, ctx: r.Context(), beat: realm.Beat()}
	upgrade := len(r.Header["Upgrade"]) > 0 || r.Method == http.MethodConnect
	upload := r.ContentLength > streamBytes || r.ContentLength < 0 && r.Method != http.MethodGet && r.Method != http.MethodHead
	early := upgrade || upload || acceptsEvents(r.Header)
	// Over HTTP/1.1 and HTTP/2 a deadline that passes cancels the request's context. Over HTTP/3 it does not.
	if !early && r.ProtoMajor < 3 {
		return r
	}
	w.ctx, w.cancel = context.WithCancelCause(w.ctx)
	r = r.WithContext(w.ctx)
	if early {
		_ = w.hold() // if the session has ended, the context says so
	}
	w.frames = upgrade && isWebSocket(r)
	if upload && r.Body != nil {
		r.Body = &heardBody{r.Body, heard{stream: w.stream, ear: ear{frames: w.frames && r.Method == http.MethodConnect}}}
	}
	return r
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
	return w.stream != nil || w.realm != nil && w.realm.Beat() != w.beat
}

// hold makes a stream of the response if it is none yet. It returns errEnded if nothing more may be sent.
func (w *response) hold() error {
	if w.stream == nil {
		if w.realm == nil {
			return nil
		}
		s := &stream{w: w.ResponseWriter, cancel: w.cancel}
		w.stream = s
		s.watch = w.realm.Watch(w.ctx, w.session, w.need, s.end)
	}
	if w.stream.ended.Load() {
		return errEnded
	}
	return nil
}

// leave is called when the app has returned, or panics.
func (w *response) leave() {
	if w.stream != nil {
		w.stream.leave()
	}
	if w.cancel != nil {
		w.cancel(nil)
	}
	w.realm = nil // whatever writes from now on begins no stream
}

// cut reports whether the response ended before its time. A connection that was upgraded is no response any more.
func (w *response) cut() bool {
	return w.stream != nil && w.stream.ended.Load() && w.stream.conn == nil
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

// leave returns when end will touch the connection no more.
func (s *stream) leave() {
	s.watch.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = true
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
