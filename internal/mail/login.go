package mail

import (
	"errors"
	"net/smtp"
)

// login signs in by LOGIN, which never became a standard, and which is all that some servers have (draft-murchison-sasl-login). The
// words in which they ask differ, so only the order counts: first the user, then the password.
type login struct{ answers []string }

// Start refuses to go on without TLS, whatever the caller saw to, as the library's PLAIN does.
func (l *login) Start(server *smtp.ServerInfo) (string, []byte, error) {
	if !server.TLS {
		return "", nil, errClear
	}
	return "LOGIN", nil, nil
}

// Next answers one question of the server.
func (l *login) Next(_ []byte, more bool) ([]byte, error) {
	switch {
	case !more:
		return nil, nil
	case len(l.answers) == 0:
		return nil, errors.New("the server asks for more than user and password")
	}
	answer := l.answers[0]
	l.answers = l.answers[1:]
	return []byte(answer), nil
}
