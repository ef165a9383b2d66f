package auth

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/caddy-mfa/caddy-mfa/storage"
)

// The keys of the store. docs/reference.md holds the table.
const (
	keySchema     = "meta/schema"
	keySetup      = "meta/setup"
	keySetupToken = "meta/setup-token"
	keyKeyTurn    = "meta/key-turn"

	keyAssertionTurn = "meta/assertion-key-turn"

	keyPendingResets = "pending-reset/"
	keyAssertionKeys = "assertion-key/"
)

func keyUser(id string) string          { return "user/" + id }
func keyUserName(folded string) string  { return "user-name/" + folded }
func keyUserEmail(folded string) string { return "user-email/" + folded }
func keyCreds(user string) string       { return "cred/" + user + "/" }
func keyCred(user, id string) string    { return "cred/" + user + "/" + id }
func keyFlow(token string) string       { return "flow/" + hashToken(token) }
func keyToken(token string) string      { return "token/" + hashToken(token) }
func keySession(hash string) string     { return "session/" + hash }
func keyUserSessions(user string) string {
	return "user-session/" + user + "/"
}
func keyThrottle(subject string) string      { return "throttle/" + subject + "/" }
func keyActivity(user string) string         { return "activity/" + user + "/" }
func keyBrowsers(user string) string         { return "browser/" + user + "/" }
func keyWebAuthn(key string) string          { return "webauthn/" + key }
func keyHandle(handle []byte) string         { return "user-handle/" + hashToken(string(handle)) }
func keySpent(hash string) string            { return "spent/" + hash }
func keyHandover(code string) string         { return "handover/" + hashToken(code) }
func keyPendingReset(user string) string     { return keyPendingResets + user }
func keyBrowser(user, browser string) string { return "browser/" + user + "/" + hashToken(browser) }

// newID returns 128 random bits for the name of a record.
func newID() string {
	b := make([]byte, 16)
	rand.Read(b) // never fails: crypto/rand
	return hex.EncodeToString(b)
}

// newToken returns 256 random bits for a bearer (S51 asks for 128 or more).
func newToken() string {
	b := make([]byte, 32)
	rand.Read(b)
	return string(b)
}

// newTravelToken returns a token that can stand in the fragment of a link or be typed.
func newTravelToken() string { return base64.RawURLEncoding.EncodeToString([]byte(newToken())) }

// hashToken is what of a token is stored: its hex SHA-256. A token holds 256 random bits, so a fast hash is enough.
func hashToken(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

func getJSON(tx storage.Tx, key string, v any) error {
	e, err := tx.Get(key)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(e.Value, v); err != nil {
		return fmt.Errorf("decoding record %q: %w", key, err)
	}
	return nil
}

func putJSON(tx storage.Tx, key string, v any, expires time.Time) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encoding record %q: %w", key, err)
	}
	return tx.Put(key, b, expires)
}

// exists reads key, so that a transaction conflicts with whoever writes it.
func exists(tx storage.Tx, key string) (bool, error) {
	_, err := tx.Get(key)
	if errors.Is(err, storage.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// getUser returns nil if the user does not exist.
func getUser(tx storage.Tx, id string) (*User, error) {
	u := new(User)
	err := getJSON(tx, keyUser(id), u)
	if errors.Is(err, storage.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return u, nil
}

func putUser(tx storage.Tx, u *User) error { return putJSON(tx, keyUser(u.ID), u, time.Time{}) }

// findUser looks a person up by what they typed: a name, or an address that was confirmed. It returns nil if there is none.
func findUser(tx storage.Tx, typed string) (*User, error) {
	var key string
	if strings.Contains(typed, "@") {
		folded, err := FoldEmail(typed)
		if err != nil {
			return nil, nil //nolint:nilerr // what is no address belongs to nobody
		}
		key = keyUserEmail(folded)
	} else {
		folded, err := FoldName(typed)
		if err != nil {
			return nil, nil //nolint:nilerr // what is no name belongs to nobody
		}
		key = keyUserName(folded)
	}
	e, err := tx.Get(key)
	if errors.Is(err, storage.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return getUser(tx, string(e.Value))
}

// credRecord is a credential as stored.
type credRecord struct {
	Credential
	Sealed []byte `json:"secret,omitempty"`
}

// held is a credential together with its stored bytes, which tell whether it changed since.
type held struct {
	Credential
	raw string
}

func (s *State) getCreds(tx storage.Tx, user string) ([]held, error) {
	var out []held
	sealer := s.sealer.Load()
	for e, err := range tx.Scan(keyCreds(user), "") {
		if err != nil {
			return nil, err
		}
		var rec credRecord
		if err := json.Unmarshal(e.Value, &rec); err != nil {
			return nil, fmt.Errorf("decoding record %q: %w", e.Key, err)
		}
		if rec.Secret, err = sealer.open(e.Key, rec.Sealed); err != nil {
			return nil, err
		}
		out = append(out, held{rec.Credential, string(e.Value)})
	}
	return out, nil
}

func (s *State) putCred(tx storage.Tx, user string, c Credential) error {
	key := keyCred(user, c.ID)
	return putJSON(tx, key, credRecord{c, s.sealer.Load().seal(key, c.Secret)}, time.Time{})
}

// usable returns the enabled credentials of a method.
func usable(creds []held, method string) []Credential {
	var out []Credential
	for _, c := range creds {
		if c.Method == method && !c.Disabled {
			out = append(out, c.Credential)
		}
	}
	return out
}

// credIndex is where the credential with an ID stands in creds, -1 if it does not.
func credIndex(creds []held, id string) int {
	for i := range creds {
		if creds[i].ID == id {
			return i
		}
	}
	return -1
}

// enrolled names the methods of creds, disabled ones too.
func enrolled(creds []held) []string {
	var out []string
	for _, c := range creds {
		if !slices.Contains(out, c.Method) {
			out = append(out, c.Method)
		}
	}
	slices.Sort(out)
	return out
}
