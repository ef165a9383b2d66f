package auth

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-mfa/caddy-mfa/internal/mail"
	"github.com/caddy-mfa/caddy-mfa/internal/mail/smtptest"
	"github.com/caddy-mfa/caddy-mfa/storage"
	"github.com/caddy-mfa/caddy-mfa/storage/badgerstore"
)

const (
	mailedCode  = "493027"
	mailedToken = "kq3ZbX0W4dM1vT8yJr6LhN2sPfGcUaEoQiIeDwRxYt7"
)

var (
	queueSecret = []byte("0123456789abcdef0123456789abcdef")
	aliceUser   = &User{ID: "5f1c", Name: "alice"}
)

// postOffice is a State with its queue over a real store, and what it logs.
type postOffice struct {
	*State
	t     *testing.T
	dir   string
	clock *Clock
	log   *notebook
}

// notebook keeps the lines of a log.
type notebook struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (n *notebook) Write(b []byte) (int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.b.Write(b)
}

func (n *notebook) String() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.b.String()
}

// count is how many lines of a level there are.
func (n *notebook) count(level string) int { return strings.Count(n.String(), "level="+level+" ") }

func newPostOffice(t *testing.T) *postOffice {
	t.Helper()
	o := &postOffice{t: t, dir: t.TempDir(), clock: &Clock{now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}, log: &notebook{}}
	o.open(queueSecret)
	t.Cleanup(func() { o.Close() })
	return o
}

func (o *postOffice) open(secrets ...[]byte) {
	o.t.Helper()
	store, err := badgerstore.Open(o.t.Context(), badgerstore.Options{Dir: o.dir, Now: o.clock.Now})
	if err != nil {
		o.t.Fatal(err)
	}
	o.State = o.node(store, secrets...)
}

// node is a State over a store that may have others.
func (o *postOffice) node(store storage.Store, secrets ...[]byte) *State {
	o.t.Helper()
	log := slog.New(slog.NewTextHandler(o.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	s, err := NewState(o.t.Context(), Options{Store: store, Secrets: secrets, Now: o.clock.Now, Logger: log})
	if err != nil {
		store.Close()
		o.t.Fatal(err)
	}
	return s
}

func (o *postOffice) reopen(secrets ...[]byte) {
	o.t.Helper()
	if err := o.Close(); err != nil {
		o.t.Fatal(err)
	}
	o.open(secrets...)
}

// signInCode is a mail as it is queued.
func signInCode(to string) mail.Message {
	m := mail.SignInCode{
		Product: "Example Corp", Name: "alice", Code: mailedCode, Link: "https://dash.example.com/.mfa/link#" + mailedToken, Minutes: 10, Host: "dash.example.com",
	}.Message()
	m.To = to
	return m
}

// queue puts mails into the queue, useful for a time, and has it looked at.
func (o *postOffice) queue(life time.Duration, to ...string) {
	o.t.Helper()
	for batch := range slices.Chunk(to, 25) {
		if err := o.tryQueue(life, batch...); err != nil {
			o.t.Fatal(err)
		}
	}
}

func (o *postOffice) tryQueue(life time.Duration, to ...string) error {
	err := o.store.Update(o.t.Context(), func(tx storage.Tx) error {
		for _, addr := range to {
			if err := o.enqueue(tx, aliceUser, signInCode(addr), o.clock.Now().Add(life)); err != nil {
				return err
			}
		}
		return nil
	})
	o.wakeMail()
	return err
}

// records are the values below a prefix, by key.
func (o *postOffice) records(prefix string) map[string]string {
	o.t.Helper()
	out := map[string]string{}
	err := o.store.View(o.t.Context(), func(tx storage.Tx) error {
		for e, err := range tx.Scan(prefix, "") {
			if err != nil {
				return err
			}
			out[e.Key] = string(e.Value)
		}
		return nil
	})
	if err != nil {
		o.t.Fatal(err)
	}
	return out
}

// mails are the records of the queue.
func (o *postOffice) mails() (out []queued) {
	o.t.Helper()
	for _, v := range o.records(keyQueue) {
		var q queued
		if err := json.Unmarshal([]byte(v), &q); err != nil {
			o.t.Fatal(err)
		}
		out = append(out, q)
	}
	return out
}

// events are the names in the audit trail that begin with "mail_", and whom they are about.
func (o *postOffice) events() (out []string) {
	o.t.Helper()
	for _, v := range o.records("audit/") {
		var e Event
		if err := json.Unmarshal([]byte(v), &e); err != nil {
			o.t.Fatal(err)
		}
		if strings.HasPrefix(e.Name, "mail_") {
			out = append(out, e.Name+" "+e.UserID+" "+e.User)
		}
	}
	return out
}

// eventually waits for a condition.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	late := time.After(2 * time.Minute)
	for !ok() {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

// idle waits until nothing is being delivered, and n mails wait.
func (o *postOffice) idle(n int) {
	o.t.Helper()
	eventually(o.t, "an idle queue", func() bool {
		o.outbox.mu.Lock()
		busy := len(o.outbox.flying)
		if out := o.outbox.outlet; out != nil {
			busy += out.busy
		}
		o.outbox.mu.Unlock()
		return busy == 0 && len(o.records(keyQueue)) == n
	})
}

// arrive waits for n mails at a server, and fails if any comes twice.
func (o *postOffice) arrive(srv *smtptest.Server, n int) []smtptest.Mail {
	o.t.Helper()
	ctx, cancel := context.WithTimeout(o.t.Context(), 20*time.Second)
	defer cancel()
	mails, err := srv.Wait(ctx, n)
	if err != nil {
		o.t.Fatalf("%d mails arrived, want %d: %v\n%s", len(mails), n, err, o.log)
	}
	seen := map[string]bool{}
	for _, m := range mails {
		if id := idOf(m); seen[id] || id == "" {
			o.t.Errorf("message %q came twice", id)
		} else {
			seen[id] = true
		}
	}
	return mails
}

// idOf is the Message-ID of a mail.
func idOf(m smtptest.Mail) string {
	_, rest, _ := strings.Cut(string(m.Data), "Message-ID: ")
	id, _, _ := strings.Cut(rest, "\r\n")
	return id
}

// senderTo is a Sender for a server that there may not be yet.
func senderTo(t *testing.T, addr string, a *smtptest.Authority) *mail.Sender {
	t.Helper()
	s, err := mail.New(mail.Config{Addr: addr, From: "Example Corp <sign-in@example.com>", Roots: a.Pool()})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func startServer(t *testing.T, answer func(step smtptest.Step, arg string) error) (*smtptest.Server, *mail.Sender) {
	t.Helper()
	a := smtptest.NewAuthority(t)
	srv := smtptest.Start(t, smtptest.Options{Authority: a, Answer: answer})
	return srv, senderTo(t, srv.Addr, a)
}

// deadAddr is an address at which nobody listens.
func deadAddr(t *testing.T) string {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func people(n int) (to []string) {
	for i := range n {
		to = append(to, "person"+string(rune('a'+i/26))+string(rune('a'+i%26))+"@example.com")
	}
	return to
}
