package smtptest

import (
	"io"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// session is one conversation, from a hello on.
type session struct {
	s    *Server
	conn *smtp.Conn
	user string
	mail Mail
}

func (s *Server) session(conn *smtp.Conn) (smtp.Session, error) {
	if err := s.answer(conn.Conn(), Hello, conn.Hostname()); err != nil {
		return nil, err
	}
	return &session{s: s, conn: conn}, nil
}

func (c *session) ask(step Step, arg string) error { return c.s.answer(c.conn.Conn(), step, arg) }

// AuthMechanisms are what the server offers.
func (c *session) AuthMechanisms() []string {
	switch {
	case c.s.opt.User == "":
		return nil
	case c.s.opt.Mechanisms != nil:
		return c.s.opt.Mechanisms
	}
	return []string{"PLAIN", "LOGIN"}
}

// Auth begins signing in.
func (c *session) Auth(mechanism string) (sasl.Server, error) {
	switch mechanism {
	case "PLAIN":
		return sasl.NewPlainServer(func(_, user, password string) error { return c.signIn(user, password) }), nil
	case "LOGIN":
		return &login{session: c}, nil
	}
	return nil, smtp.ErrAuthUnknownMechanism
}

func (c *session) signIn(user, password string) error {
	if user != c.s.opt.User || password != c.s.opt.Password {
		return smtp.ErrAuthFailed
	}
	if err := c.ask(SignIn, user); err != nil {
		return err
	}
	c.user = user
	return nil
}

// login is the server's side of LOGIN, which the library does not have.
type login struct {
	*session
	asked int
	name  string
}

// Next answers.
func (l *login) Next(response []byte) (challenge []byte, done bool, err error) {
	switch l.asked++; l.asked {
	case 1:
		return []byte("Username:"), false, nil
	case 2:
		l.name = string(response)
		return []byte("Password:"), false, nil
	}
	return nil, true, l.signIn(l.name, string(response))
}

// Mail begins a mail.
func (c *session) Mail(from string, opt *smtp.MailOptions) error {
	if c.s.opt.User != "" && c.user == "" {
		return &smtp.SMTPError{Code: 530, EnhancedCode: smtp.EnhancedCode{5, 7, 0}, Message: "Authentication required"}
	}
	_, encrypted := c.conn.TLSConnectionState()
	c.mail = Mail{From: from, TLS: encrypted, User: c.user, UTF8: opt.UTF8}
	return c.ask(Sender, from)
}

// Rcpt says who gets it. One recipient is enough for what is tested.
func (c *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	if c.mail.To != "" {
		return Reply(452, "one recipient at a time")
	}
	if err := c.ask(Recipient, to); err != nil {
		return err
	}
	c.mail.To = to
	return nil
}

// Data takes it.
func (c *session) Data(r io.Reader) error {
	b, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if err := c.ask(Data, string(b)); err != nil {
		return err
	}
	c.mail.Data = b
	c.s.keep(c.mail)
	return nil
}

// Reset forgets the mail that was begun.
func (c *session) Reset() { c.mail = Mail{} }

// Logout has nothing to give back.
func (c *session) Logout() error { return nil }
