package mail

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/smtp"
	"os"
	"slices"
	"strings"
	"time"
)

// quitTimeout is how long a server may take to say goodbye, after it took the mail.
const quitTimeout = time.Second

// Send hands m to the server. It returns nil once the server has taken the mail, a *Refused where trying again is useless, and
// another error where it is not. It ends when ctx does, and after the Config's Timeout. Where the connection breaks after all was
// sent and before the server answered, nobody knows whether it took the mail; the ID shows that a second one is the same.
func (s *Sender) Send(ctx context.Context, m Message) error {
	e, err := s.seal(m)
	if err != nil {
		return &Refused{Reason: err.Error()}
	}
	if f := s.deliver(ctx, e); f != nil {
		if r := f.refused(); r != nil {
			return r
		}
		return f
	}
	return nil
}

// deliver does what Send promises. The library's SendMail is not used: it minds no context and no deadline, sends in the clear where
// there is no TLS, and takes a connection that breaks after the mail was taken for a failure.
func (s *Sender) deliver(ctx context.Context, e *envelope) *failure {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	conn, err := s.dial(ctx, "tcp", s.addr)
	if err != nil {
		return s.newFailure(ctx, stageConnect, err)
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()

	t := &talk{Sender: s}
	if err := t.run(ctx, conn, e); err != nil {
		return s.newFailure(ctx, t.at, err)
	}
	_ = conn.SetDeadline(time.Now().Add(quitTimeout))
	_ = t.client.Quit() // the mail is theirs, whatever they say now
	return nil
}

// talk is one conversation with the server.
type talk struct {
	*Sender
	at        stage
	client    *smtp.Client
	encrypted bool
}

func (t *talk) run(ctx context.Context, conn net.Conn, e *envelope) error {
	if t.implicit {
		t.at = stageTLS
		wrapped := tls.Client(conn, t.tls())
		if err := wrapped.HandshakeContext(ctx); err != nil {
			return err
		}
		conn, t.encrypted = wrapped, true
	}
	t.at = stageGreeting
	client, err := smtp.NewClient(conn, t.host)
	if err != nil {
		return err
	}
	t.client = client
	t.at = stageHello
	if err := client.Hello(ourName(conn)); err != nil {
		return err
	}
	for _, step := range []func() error{t.startTLS, t.signIn} {
		if err := step(); err != nil {
			return err
		}
	}
	return t.hand(e)
}

func (t *talk) startTLS() error {
	if t.encrypted {
		return nil
	}
	t.at = stageStartTLS
	switch offered, _ := t.client.Extension("STARTTLS"); {
	case offered:
		t.encrypted = true
		return t.client.StartTLS(t.tls())
	case t.insecure:
		return nil
	}
	return errNoStartTLS
}

func (t *talk) signIn() error {
	if t.user == "" {
		return nil
	}
	t.at = stageSignIn
	if !t.encrypted {
		return errClear
	}
	offered, list := t.client.Extension("AUTH")
	if !offered {
		return errNoAuth
	}
	mechanisms := strings.Fields(strings.ToUpper(list))
	switch {
	case slices.Contains(mechanisms, "PLAIN"):
		return t.client.Auth(smtp.PlainAuth("", t.user, t.password, t.host))
	case slices.Contains(mechanisms, "LOGIN"):
		return t.client.Auth(&login{[]string{t.user, t.password}})
	}
	return errNoMechanism
}

// hand gives the server the mail.
func (t *talk) hand(e *envelope) error {
	t.at = stageRecipient
	if known, _ := t.client.Extension("SMTPUTF8"); e.utf8 && !known {
		return errNoUTF8
	}
	t.at = stageSender
	if err := t.nameSender(e); err != nil {
		return err
	}
	t.at = stageRecipient
	if err := t.client.Rcpt(e.to); err != nil {
		return err
	}
	t.at = stageData
	w, err := t.client.Data()
	if err != nil {
		return err
	}
	if _, err := w.Write(e.data); err != nil {
		return errors.Join(err, w.Close())
	}
	return w.Close()
}

// nameSender is the command MAIL. The library's own asks for SMTPUTF8 wherever it is offered; asked for without need, it would keep
// the mail from servers further on that do not know it.
func (t *talk) nameSender(e *envelope) error {
	command := "MAIL FROM:<" + t.from.Address + ">"
	if e.utf8 {
		command += " BODY=8BITMIME SMTPUTF8" // who knows the one knows the other: RFC 6531, section 3.1
	}
	id, err := t.client.Text.Cmd("%s", command)
	if err != nil {
		return err
	}
	t.client.Text.StartResponse(id)
	defer t.client.Text.EndResponse(id)
	_, _, err = t.client.Text.ReadResponse(250)
	return err
}

// ourName is what we call ourselves: this machine's name where it is a full one, else the address that the server sees anyway
// (RFC 5321, section 4.1.4).
func ourName(conn net.Conn) string {
	if name, err := os.Hostname(); err == nil && strings.Contains(name, ".") && hostName.MatchString(name) {
		return name
	}
	addr, ok := conn.LocalAddr().(*net.TCPAddr)
	switch {
	case !ok:
		return "localhost"
	case addr.IP.To4() != nil:
		return "[" + addr.IP.String() + "]"
	}
	return "[IPv6:" + addr.IP.String() + "]" // RFC 5321, section 4.1.3
}
