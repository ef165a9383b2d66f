package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/caddy-mfa/caddy-mfa/e2e/rig"
)

// product is what the portal calls itself in the tests of mail.
const product = "Example Corp"

// post is a mail server in a process of its own, and the mailboxes that it fills. Every mail is checked when it arrives; and before
// anybody reads one, scanners follow every link in it (see letter.scan).
type post struct {
	t    *testing.T
	addr string
	ca   string // a PEM file
	in   io.WriteCloser
	done chan report

	mu       sync.Mutex
	arrived  chan struct{} // closed and made anew at each mail
	letters  []*letter
	attempts []*letter // handed over whole, whatever became of them
	gone     error
}

// openPost starts a mail server. It ends with the test.
func openPost(t *testing.T) *post {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, "-test.run=^TestMailServer$")
	cmd.Env = append(os.Environ(), mailServerEnv+"=1")
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // a test that dies leaves no server behind
	o := &post{t: t, done: make(chan report, 1), arrived: make(chan struct{})}
	if o.in, err = cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var listening sync.WaitGroup
	listening.Go(func() { o.listen(out) })
	t.Cleanup(func() {
		o.in.Close()
		listening.Wait()
		_ = cmd.Wait() // how it ended says nothing about what is tested
	})
	ready := o.order(order{Up: true})
	o.addr, o.ca = ready.Addr, filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(o.ca, ready.CA, 0o600); err != nil {
		t.Fatal(err)
	}
	return o
}

func (o *post) listen(out io.Reader) {
	in := json.NewDecoder(bufio.NewReader(out))
	for {
		var r report
		if err := in.Decode(&r); err != nil {
			o.mu.Lock()
			o.gone = err
			close(o.arrived)
			o.arrived = make(chan struct{})
			o.mu.Unlock()
			close(o.done)
			return
		}
		switch {
		case r.Done:
			o.done <- r
		case r.Mail != nil:
			o.keep(&o.letters, parseLetter(o.t, r.Mail))
		case r.Attempt != "":
			o.keep(&o.attempts, readLetter(o.t, []byte(r.Attempt)))
		}
	}
}

func (o *post) keep(in *[]*letter, l *letter) {
	o.mu.Lock()
	defer o.mu.Unlock()
	*in = append(*in, l)
	close(o.arrived)
	o.arrived = make(chan struct{})
}

// order has the server do something, and waits until it is done.
func (o *post) order(what order) report {
	o.t.Helper()
	if err := json.NewEncoder(o.in).Encode(what); err != nil {
		o.t.Fatalf("the mail server: %v", err)
	}
	r, ok := <-o.done
	if !ok {
		o.t.Fatal("the mail server has ended")
	}
	return r
}

func (o *post) down()                 { o.t.Helper(); o.order(order{Down: true}) }
func (o *post) up()                   { o.t.Helper(); o.order(order{Up: true}) }
func (o *post) calm()                 { o.t.Helper(); o.order(order{Calm: true}) }
func (o *post) troubled(with trouble) { o.t.Helper(); o.order(order{Trouble: &with}) }

// option is the option smtp for this server.
func (o *post) option() string {
	lines := []string{"from " + mailFrom, "user " + mailUser, "password {env.SMTP_PASSWORD}", "trust " + o.ca}
	return "smtp " + o.addr + " {\n\t\t\t" + strings.Join(lines, "\n\t\t\t") + "\n\t\t}"
}

// mailing is a configuration with a mail server.
func mailing(smtp string, options ...string) string {
	options = append([]string{`name "` + product + `"`, smtp}, options...)
	return strings.Replace(rig.Proxied, "\tauto_https off\n", "\tauto_https off\n\tmfa {\n\t\t"+strings.Join(options, "\n\t\t")+"\n\t}\n", 1)
}

// startMailing starts a server that hands its mail to o.
func startMailing(t *testing.T, o *post, options ...string) *rig.Server {
	t.Helper()
	return start(t, rig.Config{Caddyfile: mailing(o.option(), options...), Env: []string{"SMTP_PASSWORD=" + mailPassword}})
}

// wait returns what pick finds among all letters, once it finds something.
func (o *post) wait(what string, pick func(letters, attempts []*letter) *letter) *letter {
	o.t.Helper()
	// Long enough for the lease of a mail whose sender was killed.
	deadline := time.After(90 * time.Second)
	for {
		o.mu.Lock()
		got, arrived, gone := pick(o.letters, o.attempts), o.arrived, o.gone
		o.mu.Unlock()
		if got != nil {
			return got
		}
		if gone != nil {
			o.t.Fatalf("the mail server has ended: %v", gone)
		}
		select {
		case <-arrived:
		case <-deadline:
			o.t.Fatalf("%s did not arrive; there are %s", what, o.list())
		}
	}
}

// list is every letter, for people who look for one.
func (o *post) list() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	var lines []string
	for _, l := range o.letters {
		lines = append(lines, fmt.Sprintf("%s: %s", l.To, l.Subject))
	}
	return strings.Join(lines, "; ")
}

// Subjects, as far as they tell mails apart.
const (
	aCode         = "Your code for " + product
	aGuestCode    = "Your code for a page of " + product
	aConfirmation = "Confirm your address for " + product
	anInvitation  = "Your invitation to " + product
	aReset        = "Reset your password for " + product
	aNewSignIn    = "New sign-in to " + product
	aNewMethod    = "New way to sign in to " + product
	aNewPassword  = "Password changed at " + product
	aNewAddress   = "Email address changed at " + product
	aUsedCode     = "Recovery code used at " + product
	aComingReset  = "How you sign in to " + product + " is going to be reset"
	aStoppedReset = "The reset at " + product + " was stopped"
)

// unread reports whether nobody has opened the letter yet.
func unread(to, subject string) func(*letter) bool {
	return func(l *letter) bool { return !l.read && l.To == to && l.Subject == subject }
}

// open waits for the oldest unread letter with that subject, lets the scanners at it, and marks it as read.
func (o *post) open(to, subject string) *letter {
	o.t.Helper()
	l := o.wait(subject+" for "+to, func(letters, _ []*letter) *letter {
		if i := slices.IndexFunc(letters, unread(to, subject)); i >= 0 {
			letters[i].read = true
			return letters[i]
		}
		return nil
	})
	l.scan(o.t)
	return l
}

// count is how many letters came to an address with that subject, with any if it is "".
func (o *post) count(to, subject string) (n int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, l := range o.letters {
		if l.To == to && (subject == "" || l.Subject == subject) {
			n++
		}
	}
	return n
}

// settled waits until what was to be sent before has been sent: mails go out in the order in which they were written, a few at once,
// so after two that were written one after the other nothing older is on its way. It takes a name that is not an account yet.
func (o *post) settled(s *rig.Server, name string) {
	o.t.Helper()
	for i := range 2 {
		o.invite(s, fmt.Sprintf("%s%d", name, i))
		o.open(address(fmt.Sprintf("%s%d", name, i)), anInvitation)
	}
}

// address is the mailbox of an account.
func address(name string) string { return name + "@example.com" }

// invite makes an account by the command, and returns what it prints.
func (o *post) invite(s *rig.Server, name string) string {
	o.t.Helper()
	said, err := s.MFA(o.t.Context(), "", "user", "add", name, "--email", address(name))
	if err != nil {
		o.t.Fatal(err)
	}
	return said
}

// member makes an account by a mailed invitation, which confirms the address: a password, codes by mail, and recovery codes.
func (o *post) member(s *rig.Server, name string) (*rig.Person, *rig.Visitor) {
	o.t.Helper()
	o.invite(s, name)
	p := &rig.Person{Name: name, Password: "correct horse battery " + name}
	p.Mailed = func(context.Context) (string, error) { return o.open(address(name), aCode).code(o.t), nil }
	v := rig.NewVisitor(s.URL)
	page, err := p.SignUp(o.t.Context(), v, o.open(address(name), anInvitation).link(o.t))
	if err != nil {
		o.t.Fatal(err)
	}
	if page.Heading() != "Example app" || page.Status != http.StatusOK {
		o.t.Fatalf("the invitation led to %s: %s", page.URL, page.Text())
	}
	return p, v
}

// withApp sets up an authenticator app on the Security page of somebody who is signed in.
func (o *post) withApp(p *rig.Person, v *rig.Visitor) {
	o.t.Helper()
	page, err := v.Get(o.t.Context(), "/.mfa/security")
	if err == nil {
		page, err = rig.Fill(o.t.Context(), page, "Add an authenticator app", nil)
	}
	if err == nil {
		page, err = p.Finish(o.t.Context(), page)
	}
	if err != nil {
		o.t.Fatal(err)
	}
	if page.Heading() != "Security" {
		o.t.Fatalf("the app led to %s: %s", page.URL, page.Text())
	}
	o.open(address(p.Name), aNewMethod)
}
