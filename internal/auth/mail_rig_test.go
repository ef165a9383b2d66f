package auth_test

import (
	"context"
	"encoding/json"
	"maps"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
	"github.com/caddy-mfa/caddy-mfa/internal/mail"
	"github.com/caddy-mfa/caddy-mfa/storage"
)

// portal is where links lead: to the sites that are configured, and for all else to the portal.
func portal(host string) string {
	if host == "dash.example.com" || host == "wiki.example.com" {
		return "https://" + host + "/.mfa"
	}
	return "https://login.example.com/.mfa"
}

// inbox is a Post that keeps what it gets. It tells at once when something came.
type inbox struct {
	mu    sync.Mutex
	came  chan struct{}
	mails []mail.Message
	all   []mail.Message // also those that were cleared
}

func newInbox() *inbox { return &inbox{came: make(chan struct{})} }

func (i *inbox) Send(_ context.Context, m mail.Message) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.mails, i.all = append(i.mails, m), append(i.all, m)
	close(i.came)
	i.came = make(chan struct{})
	return nil
}

// take returns the first mail that fits, and removes it.
func (i *inbox) take(fits func(mail.Message) bool) (mail.Message, bool, <-chan struct{}) {
	i.mu.Lock()
	defer i.mu.Unlock()
	n := slices.IndexFunc(i.mails, fits)
	if n < 0 {
		return mail.Message{}, false, i.came
	}
	m := i.mails[n]
	i.mails = slices.Delete(i.mails, n, n+1)
	return m, true, nil
}

func newMailRig(t testing.TB, change ...func(*auth.Config)) *rig {
	t.Helper()
	r := &rig{t: t, clock: auth.NewClock(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)), dir: t.TempDir(), inbox: newInbox()}
	if len(change) > 0 {
		r.change = change[0]
	}
	r.open(secret)
	t.Cleanup(func() { r.state.Close() })
	return r
}

// halfIn makes alice, with the address that an admin set, and is her browser with the password shown: a code by mail is asked for.
func (r *rig) halfIn(address string) *browser {
	r.t.Helper()
	ctx, b := r.t.Context(), newBrowser()
	if _, _, err := r.AddUser(ctx, auth.NewUser{Name: "alice", Email: address, Password: password}); err != nil {
		r.t.Fatal(err)
	}
	r.must(b, auth.StepVerify)(r.SignIn(ctx, b.v, "alice", password, ""))
	return b
}

func resetMailOnly(c *auth.Config) { withoutCodes(c); c.Mail.ResetMailOnly = true }

// withoutCodes leaves people with nothing but mail.
func withoutCodes(c *auth.Config) {
	c.Methods = slices.DeleteFunc(c.Methods, func(m auth.Method) bool { return m.Name() == auth.MethodRecovery })
}

// drained waits until no mail is left in the queue.
func (r *rig) drained() {
	r.t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	late := time.After(20 * time.Second)
	for len(r.keys("mail/")) > 0 {
		select {
		case <-tick.C:
		case <-late:
			r.t.Fatalf("mails still wait: %v", r.keys("mail/"))
		}
	}
}

// letter waits for the first mail to an address whose subject holds a word.
func (r *rig) letter(to, subject string) mail.Message {
	r.t.Helper()
	late := time.After(20 * time.Second)
	for {
		m, ok, came := r.inbox.take(func(m mail.Message) bool { return m.To == to && strings.Contains(m.Subject, subject) })
		if ok {
			return m
		}
		select {
		case <-came:
		case <-late:
			r.t.Fatalf("no mail about %q to %s; there are %q", subject, to, r.subjects())
		}
	}
}

// subjects lists the mails that nobody has read, once all are delivered.
func (r *rig) subjects() (out []string) {
	r.t.Helper()
	r.drained()
	r.inbox.mu.Lock()
	defer r.inbox.mu.Unlock()
	for _, m := range r.inbox.mails {
		out = append(out, m.To+": "+m.Subject)
	}
	return out
}

// noMail fails if anything was sent.
func (r *rig) noMail(when string) {
	r.t.Helper()
	if got := r.subjects(); len(got) > 0 {
		r.t.Errorf("%s: mails were sent: %q", when, got)
	}
	r.clear()
}

func (r *rig) clear() {
	r.drained()
	r.inbox.mu.Lock()
	defer r.inbox.mu.Unlock()
	r.inbox.mails = nil
}

var (
	codeLine = regexp.MustCompile(`(?m)^    (\d{6})$`)
	linkLine = regexp.MustCompile(`(?m)^(https://\S+)/(link|reset|invite|not-me|stop-reset)#([A-Za-z0-9_-]{43})$`)
)

func codeOf(t testing.TB, m mail.Message) string {
	t.Helper()
	found := codeLine.FindStringSubmatch(m.Text)
	if found == nil {
		t.Fatalf("no code in %q", m.Text)
	}
	return found[1]
}

// linkOf returns base, page and token of the link in a mail.
func linkOf(t testing.TB, m mail.Message) (base, page, token string) {
	t.Helper()
	found := linkLine.FindStringSubmatch(m.Text)
	if found == nil {
		t.Fatalf("no link in %q", m.Text)
	}
	return found[1], found[2], found[3]
}

// tokenOf is the token of a link to a page.
func tokenOf(t testing.TB, m mail.Message, page string) string {
	t.Helper()
	_, at, token := linkOf(t, m)
	if at != page {
		t.Fatalf("the link is to %q, not %q", at, page)
	}
	return token
}

// sentCode is the code that has just been mailed.
func (r *rig) sentCode(to string) string {
	r.t.Helper()
	return codeOf(r.t, r.letter(to, "Your code"))
}

const (
	aliceMail   = "alice@example.com"
	bobMail     = "bob@example.com"
	malloryMail = "mallory@example.net"
)

// wrongCode is a code, but not that one.
func wrongCode(code string) []byte {
	b := []byte(code)
	b[0] = '0' + (b[0]-'0'+1)%10
	return b
}

// stranger is a browser at an address of its own.
func stranger(n byte) *browser {
	b := newBrowser()
	b.v.Addr = netip.AddrFrom4([4]byte{198, 51, 100, n})
	b.v.UserAgent = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"
	return b
}

// reader has a password and a confirmed address, and is signed in at home.
func (r *rig) reader(name string) *person {
	r.t.Helper()
	ctx := r.t.Context()
	to := name + "@example.com"
	if _, _, err := r.AddUser(ctx, auth.NewUser{Name: name, Email: to, Password: password}); err != nil {
		r.t.Fatal(err)
	}
	b := newBrowser()
	r.must(b, auth.StepVerify)(r.SignIn(ctx, b.v, name, password, ""))
	out, err := r.Prove(ctx, b.v, auth.MethodEmail, []byte(r.sentCode(to)))
	if err != nil {
		r.t.Fatal(err)
	}
	b.take(out)
	var p auth.Progress
	if out.Step == auth.StepRecovery {
		r.must(b, auth.StepRecovery)(r.MakeRecoveryCodes(ctx, b.v))
		p = r.progress(b)
		r.clock.Add(time.Second)
		out = r.must(b, auth.StepDone)(r.ConfirmRecoveryCodes(ctx, b.v))
	}
	if out.Step != auth.StepDone {
		r.t.Fatalf("step is %d", out.Step)
	}
	r.clock.Add(time.Minute)
	r.clear()
	return &person{name: name, codes: p.RecoveryList, home: b}
}

// member has an app besides.
func (r *rig) member(name string) *person {
	r.t.Helper()
	p := r.reader(name)
	p.app = r.addApp(p.home)
	r.clear()
	r.clock.Add(15 * time.Minute) // the cap of codes has room again
	return p
}

// addApp sets up an app in a session whose proofs are fresh.
func (r *rig) addApp(b *browser) app {
	r.t.Helper()
	ctx := r.t.Context()
	r.must(b, auth.StepEnroll)(r.Change(ctx, b.v, auth.Change{Op: auth.ChangeAdd, Method: auth.MethodTOTP}, ""))
	p, err := r.Progress(ctx, b.v)
	if err != nil {
		r.t.Fatal(err)
	}
	a := appOf(r, p)
	r.must(b, auth.StepDone)(r.FinishEnroll(ctx, b.v, auth.MethodTOTP, "", []byte(a.now())))
	r.clock.Add(time.Minute)
	return a
}

// half begins a sign-in at b, up to the code by mail.
func (r *rig) half(b *browser, name string) string {
	r.t.Helper()
	out := r.must(b, auth.StepVerify)(r.SignIn(r.t.Context(), b.v, name, password, ""))
	if out.Method != auth.MethodEmail {
		r.t.Fatalf("asks for %q", out.Method)
	}
	return r.sentCode(name + "@example.com")
}

func (r *rig) progress(b *browser) auth.Progress {
	r.t.Helper()
	p, err := r.Progress(r.t.Context(), b.v)
	if err != nil {
		r.t.Fatal(err)
	}
	return p
}

func (r *rig) user(name string) auth.User {
	r.t.Helper()
	a, err := r.User(r.t.Context(), name)
	if err != nil {
		r.t.Fatal(err)
	}
	return a.User
}

// records are the values below a prefix.
func (r *rig) records(prefix string) map[string]string {
	r.t.Helper()
	out := map[string]string{}
	err := r.store.View(context.Background(), func(tx storage.Tx) error {
		for e, err := range tx.Scan(prefix, "") {
			if err != nil {
				return err
			}
			out[e.Key] = string(e.Value)
		}
		return nil
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return out
}

// index compares the addresses that find somebody with those that were confirmed, and with want, name by address.
func (r *rig) index(when string, want map[string]string) {
	r.t.Helper()
	users, err := r.Users(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	names, confirmed := map[string]string{}, map[string]string{}
	for _, u := range users {
		names[u.ID] = u.Name
		if u.EmailConfirmed {
			confirmed[strings.ToLower(u.Email)] = u.Name
		}
	}
	got := map[string]string{}
	for k, id := range r.records("user-email/") {
		got[strings.TrimPrefix(k, "user-email/")] = names[id]
	}
	if !maps.Equal(got, want) || !maps.Equal(confirmed, want) {
		r.t.Errorf("%s: found by %v, confirmed %v, want %v", when, got, confirmed, want)
	}
}

// events are the names in the audit trail, oldest first.
func (r *rig) events() (out []string) {
	r.t.Helper()
	all := r.records("audit/")
	for _, k := range slices.Sorted(maps.Keys(all)) {
		var e auth.Event
		if err := json.Unmarshal([]byte(all[k]), &e); err != nil {
			r.t.Fatal(err)
		}
		out = append(out, e.Name)
	}
	return out
}

// asks has a reset mailed, and returns the token.
func (r *rig) asks(b *browser, typed, to string) string {
	r.t.Helper()
	if err := r.Forgot(r.t.Context(), b.v, typed); err != nil {
		r.t.Fatal(err)
	}
	return tokenOf(r.t, r.letter(to, "password"), "reset")
}
