package mail

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/mail"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

const (
	defaultTimeout = 30 * time.Second
	maxTimeout     = 10 * time.Minute
	portTLS        = "465" // RFC 8314, section 7.3: TLS from the start
)

// Config is where and as whom mail is sent.
type Config struct {
	// Addr is the server's host:port. On port 465 TLS is spoken from the start, on any other STARTTLS is demanded. The server's
	// certificate must be valid for the host, and TLS at least 1.2.
	Addr string
	// From is an address, with or without a name: "Example Corp <sign-in@example.com>".
	From string
	// User and Password sign in by PLAIN or LOGIN, over TLS only. Both are "" for a server that asks for none.
	User, Password string
	// Insecure sends mail in the clear where the server offers no STARTTLS. Where it offers it, nothing changes.
	Insecure bool
	// Roots are who may sign the server's certificate; nil for the system's.
	Roots *x509.CertPool
	// Timeout bounds a whole delivery, from looking up the name to the last answer; 0 is 30 seconds, 10 minutes the most.
	Timeout time.Duration
}

// Check says in a sentence what is wrong with c, and uses no network. It never repeats the password.
func Check(c Config) error {
	_, err := New(c)
	return err
}

// Sender hands mails to the server of one Config. It may be used from several goroutines.
type Sender struct {
	addr, host     string
	from           mail.Address // the domain in ASCII
	user, password string
	implicit       bool // TLS from the start
	insecure       bool
	roots          *x509.CertPool
	timeout        time.Duration

	dial func(ctx context.Context, network, addr string) (net.Conn, error)
	now  func() time.Time
}

// New returns a Sender, or what is wrong with c, as Check does. It does not connect.
func New(c Config) (*Sender, error) {
	host, port, err := splitAddr(c.Addr)
	if err != nil {
		return nil, err
	}
	from, err := parseFrom(c.From)
	if err != nil {
		return nil, err
	}
	switch {
	case c.User == "" && c.Password != "":
		return nil, errors.New("there is a password without a user")
	case c.User != "" && c.Password == "":
		return nil, fmt.Errorf("there is no password for the user %q; is a variable not set?", c.User)
	case !oneLine(c.User):
		return nil, errors.New("the user holds a line break or another control character")
	case !oneLine(c.Password):
		return nil, errors.New("the password holds a line break or another control character; does its file end with one?")
	case c.Insecure && port == portTLS:
		return nil, errors.New("insecure has no meaning on port 465, where TLS is spoken from the start")
	case c.Timeout < 0 || c.Timeout > maxTimeout:
		return nil, fmt.Errorf("the timeout %s is out of range: at most %s", c.Timeout, maxTimeout)
	}
	if c.Timeout == 0 {
		c.Timeout = defaultTimeout
	}
	return &Sender{
		addr: net.JoinHostPort(host, port), host: host, from: from,
		user: c.User, password: c.Password,
		implicit: port == portTLS, insecure: c.Insecure, roots: c.Roots, timeout: c.Timeout,
		dial: new(net.Dialer).DialContext, now: time.Now,
	}, nil
}

// hostName is a name as it stands in DNS; underscores are for the names that containers have.
var hostName = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?)*$`)

func splitAddr(addr string) (host, port string, err error) {
	if addr == "" {
		return "", "", errors.New("there is no server; write its address, such as mail.example.com:465")
	}
	host, port, err = net.SplitHostPort(addr)
	if err != nil {
		return "", "", fmt.Errorf("%q is not a server's address such as mail.example.com:465", addr)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return "", "", fmt.Errorf("%q is not a port; mail servers take mail on 465, 587 or 25", port)
	}
	host = strings.TrimSuffix(host, ".")
	if net.ParseIP(host) == nil && (len(host) > 253 || !hostName.MatchString(host)) {
		return "", "", fmt.Errorf("%q is not the name of a server", host)
	}
	return host, port, nil
}

func parseFrom(from string) (mail.Address, error) {
	bad := fmt.Errorf("%q is not one mail address such as sign-in@example.com or Example Corp <sign-in@example.com>", from)
	if len(from) > 400 || !oneLine(from) {
		return mail.Address{}, bad
	}
	a, err := mail.ParseAddress(from)
	if err != nil {
		return mail.Address{}, bad
	}
	plain, err := parseAddress(a.Address)
	if err != nil {
		return mail.Address{}, bad
	}
	if !ascii(plain) {
		return mail.Address{}, fmt.Errorf("the part before the @ in %q must be ASCII, or few servers take mail from it", from)
	}
	return mail.Address{Name: clean(a.Name, 100), Address: plain}, nil
}

// oneLine says whether s is valid UTF-8 without control characters.
func oneLine(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
}

func (s *Sender) tls() *tls.Config {
	return &tls.Config{ServerName: s.host, RootCAs: s.roots, MinVersion: tls.VersionTLS12}
}
