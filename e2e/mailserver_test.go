package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/smtp"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/caddy-mfa/caddy-mfa/internal/mail/smtptest"
)

// mailServerEnv tells a process of this binary that it is a mail server; see TestMailServer.
const mailServerEnv = "CADDY_MFA_E2E_MAIL_SERVER"

// Who may hand mail to the server, and how.
const (
	mailUser     = "portal"
	mailPassword = "8rT2-only-the-mail-server-knows"
	mailFrom     = "sign-in@example.com"
)

// trouble is what goes wrong at a step of the conversation with the mail server.
type trouble struct {
	At    smtptest.Step
	For   string // in what the step is about: an address, or the whole mail; "" for everything
	Code  int    // the reply, 400 to 599; without one the connection is dropped
	Stall bool   // nothing is said at all
	Times int    // how often; 0 for always
}

// order is what the test asks of the server's process, one after the other.
type order struct {
	Up      bool     // listen, at the same address as before
	Down    bool     // close everything
	Calm    bool     // no more trouble
	Trouble *trouble // more of it
}

// report is what the process tells: that an order was carried out, that a mail was taken, or that one was handed over whole and not
// yet answered.
type report struct {
	Done bool
	Addr string
	CA   []byte

	Mail    *smtptest.Mail
	Attempt string
}

// TestMailServer shows that the mail server takes mail from nobody who does not sign in over TLS: what arrives in other tests came
// that way. In a process of its own it is that server.
func TestMailServer(t *testing.T) {
	if os.Getenv(mailServerEnv) != "" {
		serveMail(t)
		return
	}
	t.Parallel()
	o := openPost(t)
	c, err := smtp.Dial(o.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Mail(mailFrom); err == nil || !strings.Contains(err.Error(), "Authentication required") {
		t.Errorf("a stranger's mail: %v", err)
	}
	if ok, _ := c.Extension("AUTH"); ok {
		t.Error("signing in is offered without TLS")
	}
}

// serveMail carries out orders until there are no more.
func serveMail(t *testing.T) {
	d := &mailDesk{t: t, authority: smtptest.NewAuthority(t), out: json.NewEncoder(os.Stdout)}
	in := json.NewDecoder(bufio.NewReader(os.Stdin))
	for {
		var o order
		if err := in.Decode(&o); err != nil {
			if !errors.Is(err, io.EOF) {
				t.Error(err)
			}
			d.down()
			return
		}
		d.obey(o)
		d.report(report{Done: true, Addr: d.addr, CA: d.ca})
	}
}

// mailDesk is the server in its own process.
type mailDesk struct {
	t         *testing.T
	authority *smtptest.Authority
	addr      string
	ca        []byte
	stop      func()

	mu       sync.Mutex // of what follows
	out      *json.Encoder
	troubles []trouble
}

func (d *mailDesk) report(r report) {
	d.mu.Lock()
	defer d.mu.Unlock()
	_ = d.out.Encode(r) // the test that does not listen any more has ended
}

func (d *mailDesk) obey(o order) {
	switch {
	case o.Up:
		d.up()
	case o.Down:
		d.down()
	case o.Calm:
		d.mu.Lock()
		d.troubles = nil
		d.mu.Unlock()
	case o.Trouble != nil:
		d.mu.Lock()
		d.troubles = append(d.troubles, *o.Trouble)
		d.mu.Unlock()
	}
}

func (d *mailDesk) up() {
	s := smtptest.Start(d.t, smtptest.Options{Addr: d.addr, Authority: d.authority, User: mailUser, Password: mailPassword, Answer: d.answer})
	d.addr, d.ca = s.Addr, s.CA
	ctx, cancel := context.WithCancel(d.t.Context())
	told := 0
	tell := func(mails []smtptest.Mail) {
		for ; told < len(mails); told++ {
			d.report(report{Mail: &mails[told]})
		}
	}
	var telling sync.WaitGroup
	telling.Go(func() {
		for {
			mails, err := s.Wait(ctx, told+1)
			if err != nil {
				return
			}
			tell(mails)
		}
	})
	d.stop = func() {
		s.Stop()
		cancel()
		telling.Wait()
		tell(s.Mails()) // the last of them
	}
}

func (d *mailDesk) down() {
	if d.stop != nil {
		d.stop()
	}
	d.stop = nil
}

// answer makes the first trouble that fits.
func (d *mailDesk) answer(step smtptest.Step, arg string) error {
	if step == smtptest.Data {
		d.report(report{Attempt: arg})
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	i := slices.IndexFunc(d.troubles, func(tr trouble) bool { return tr.At == step && strings.Contains(arg, tr.For) })
	if i < 0 {
		return nil
	}
	tr := d.troubles[i]
	switch tr.Times {
	case 0:
	case 1:
		d.troubles = slices.Delete(d.troubles, i, i+1)
	default:
		d.troubles[i].Times--
	}
	switch {
	case tr.Stall:
		return smtptest.ErrStall
	case tr.Code != 0:
		return smtptest.Reply(tr.Code, "as the test wants it")
	}
	return smtptest.ErrDrop
}
