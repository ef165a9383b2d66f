package mail

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/textproto"
	"strings"
)

// Refused is a final no, about this recipient or this message. Trying again is useless. Any other error of Send may pass: it is
// about the server, the way there, or the configuration.
type Refused struct {
	// Code is the server's, 500 to 599; 0 where the message was not sent to the server at all.
	Code int
	// Reason is what the server said, on one line, or what is wrong with the message.
	Reason string
}

func (r *Refused) Error() string {
	if r.Code == 0 {
		return "mail refused: " + r.Reason
	}
	return fmt.Sprintf("mail refused: %d %s", r.Code, r.Reason)
}

// ErrServer is what errors of Send are, by errors.Is, that are about the server, the way there or the configuration: any other mail
// would have met the same.
var ErrServer = errors.New("no mail can be sent")

// stage is how far a delivery got.
type stage int

const (
	stageConnect stage = iota
	stageTLS
	stageGreeting
	stageHello
	stageStartTLS
	stageSignIn
	stageSender
	stageRecipient
	stageData
)

func (s stage) String() string {
	return [...]string{"connecting", "starting TLS", "waiting for the greeting", "greeting the server", "starting TLS", "signing in",
		"naming the sender", "naming the recipient", "handing over the message"}[s]
}

var (
	errNoStartTLS  = errors.New("the server offers no STARTTLS")
	errClear       = errors.New("the server offers no STARTTLS, and the password is not sent in the clear")
	errNoAuth      = errors.New("the server lets nobody sign in")
	errNoMechanism = errors.New("the server wants a way to sign in other than PLAIN or LOGIN")
	errNoUTF8      = errors.New("the server takes no addresses with letters beyond ASCII before the @")
)

// failure is what went wrong in a delivery.
type failure struct {
	addr  string
	stage stage
	code  int    // of the server's answer, 0 if it gave none
	reply string // its text, on one line, without the password
	err   error  // what happened, if the server gave no answer; may be a context's
}

// newFailure makes one of err. The password is taken out of whatever a server may have sent back.
func (s *Sender) newFailure(ctx context.Context, at stage, err error) *failure {
	f := &failure{addr: s.addr, stage: at}
	var answer *textproto.Error
	switch {
	case ctx.Err() != nil:
		f.err = ctx.Err()
	case errors.As(err, &answer):
		f.code, f.reply = answer.Code, clean(s.scrub(answer.Msg), 400)
	case s.scrub(err.Error()) != err.Error():
		f.err = errors.New(s.scrub(err.Error()))
	default:
		f.err = err
	}
	return f
}

// scrub takes the password out of text, also as it goes over the wire (RFC 4616, section 2).
func (s *Sender) scrub(text string) string {
	if s.password == "" {
		return text
	}
	b64 := base64.StdEncoding.EncodeToString
	for _, secret := range []string{s.password, b64([]byte(s.password)), b64([]byte("\x00" + s.user + "\x00" + s.password))} {
		text = strings.ReplaceAll(text, secret, "***")
	}
	return text
}

func (f *failure) Error() string {
	if f.code != 0 {
		return fmt.Sprintf("sending mail by %s: %s: the server answered %d %s", f.addr, f.stage, f.code, f.reply)
	}
	return fmt.Sprintf("sending mail by %s: %s: %s", f.addr, f.stage, f.err)
}

func (f *failure) Unwrap() error { return f.err }

// Is makes a failure an ErrServer where the conversation never came to the recipient, or the server is closing (421: RFC 5321,
// section 3.8).
func (f *failure) Is(target error) bool {
	return target == ErrServer && (f.stage < stageRecipient || f.code == 421)
}

// timeout says whether the server took too long.
func (f *failure) timeout() bool {
	var timed net.Error
	return errors.Is(f.err, context.DeadlineExceeded) || errors.As(f.err, &timed) && timed.Timeout()
}

// refused is f as a final answer, or nil. A 5xx to the recipient or the message is one (RFC 5321, section 4.2.1). One to the
// connection, the sender's name or password, or the sender's address says nothing about this mail, and goes away when the
// configuration is repaired; so do 503 (wrong order) and 530 (sign in first), which some servers say only at the recipient.
func (f *failure) refused() *Refused {
	switch {
	case errors.Is(f.err, errNoUTF8):
		return &Refused{Reason: f.err.Error()}
	case f.code < 500 || f.code > 599 || f.code == 503 || f.code == 530:
		return nil
	case f.stage == stageRecipient, f.stage == stageData:
		return &Refused{Code: f.code, Reason: f.reply}
	}
	return nil
}
