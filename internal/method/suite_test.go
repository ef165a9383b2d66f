package method

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/argon2"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
)

// noon is the clock of the tests.
var noon = time.Date(2026, 3, 1, 12, 0, 7, 0, time.UTC)

var alice = auth.User{ID: "u1", Name: "alice", DisplayName: "Alice Example", Email: "alice@example.com"}

// weak makes a run of argon2id as cheap as it can be, and counts the runs.
func weak(a *argon) *atomic.Int64 {
	runs := new(atomic.Int64)
	a.cost = cost{memory: 8, time: 1, threads: 1}
	a.key = func(secret, salt []byte, time, memory uint32, threads uint8, keyLen uint32) []byte {
		runs.Add(1)
		return argon2.IDKey(secret, salt, time, memory, threads, keyLen)
	}
	return runs
}

// subject is a method with a credential and an answer that is right at noon.
type subject struct {
	name   string
	method auth.Method
	runs   *atomic.Int64 // of argon2id; nil for methods that need none
	cred   auth.Credential
	good   []byte
	kinds  auth.Kind
	again  bool           // the same answer is right a second time
	ch     auth.Challenge // that good answers; zero for methods that ask for nothing but the answer
}

func subjects(t *testing.T) []subject {
	t.Helper()
	password := NewPassword("Example Corp")
	passwordRuns := weak(&password.argon)
	passwordCred, err := password.New("seven green otters")
	if err != nil {
		t.Fatal(err)
	}
	recovery := NewRecovery()
	recoveryRuns := weak(&recovery.argon)
	codes, err := recovery.Generate()
	if err != nil {
		t.Fatal(err)
	}
	recoveryCred, err := recovery.Seal(codes)
	if err != nil {
		t.Fatal(err)
	}
	totpCred, totpGood := totpAt(t, noon)
	email := NewEmail()
	emailCred := email.New(alice.Email)
	emailCred.Method = auth.MethodEmail
	emailChallenge := must(email.Challenge(noon, alice, []auth.Credential{emailCred}))(t)
	emailCode, _ := letter(t, emailChallenge)
	list := []subject{
		{"password", password, passwordRuns, passwordCred, []byte("seven green otters"), auth.Knowledge, true, auth.Challenge{}},
		{"totp", NewTOTP("Example Corp"), nil, totpCred, totpGood, auth.Possession, false, auth.Challenge{}},
		{"recovery", recovery, recoveryRuns, recoveryCred, []byte(codes[3]), auth.Possession, false, auth.Challenge{}},
		{"email", email, nil, emailCred, []byte(emailCode), auth.Possession, true, emailChallenge}, // the caller spends the challenge
	}
	for i := range list {
		list[i].cred.ID = "c1"
		list[i].cred.Label = "a label"
		list[i].cred.Created = noon.Add(-time.Hour)
		if list[i].runs != nil {
			list[i].runs.Store(0)
		}
	}
	return list
}

func clone(creds []auth.Credential) []auth.Credential {
	creds = slices.Clone(creds)
	for i := range creds {
		creds[i].Data = bytes.Clone(creds[i].Data)
		creds[i].Secret = bytes.Clone(creds[i].Secret)
	}
	return creds
}

func TestRightAnswer(t *testing.T) {
	for _, s := range subjects(t) {
		t.Run(s.name, func(t *testing.T) {
			if s.method.Name() != s.name || s.cred.Method != s.name {
				t.Errorf("method %q, credential of %q", s.method.Name(), s.cred.Method)
			}
			ch, err := s.method.Challenge(noon, alice, []auth.Credential{s.cred})
			if asks := !reflect.DeepEqual(s.ch, auth.Challenge{}); err != nil || asks == reflect.DeepEqual(ch, auth.Challenge{}) {
				t.Errorf("Challenge: %+v, %v", ch, err)
			}
			ch = s.ch
			_, expensive := s.method.(auth.Expensive)
			if expensive != (s.runs != nil) {
				t.Errorf("Expensive: %v", expensive)
			}

			creds := []auth.Credential{s.cred}
			before, answer := clone(creds), bytes.Clone(s.good)
			v, err := s.method.Verify(noon, alice, creds, ch, answer)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(creds, before) || !bytes.Equal(answer, s.good) {
				t.Error("Verify changed what it was given")
			}
			c := v.Credential
			if same := s.name == auth.MethodPassword; same != reflect.DeepEqual(c, s.cred) || !same && !c.Used.Equal(noon) {
				t.Errorf("the credential to store: %+v", c)
			}
			if v.Kinds != s.kinds || c.ID != s.cred.ID || c.Method != s.name || c.Label != s.cred.Label || !c.Created.Equal(s.cred.Created) {
				t.Errorf("proved %+v", v)
			}
			_, err = s.method.Verify(noon, alice, []auth.Credential{c}, ch, answer)
			if s.again && err != nil || !s.again && err != auth.ErrRejected { //nolint:errorlint // exactly this error, nothing more
				t.Errorf("the same answer again: %v", err)
			}
		})
	}
}

// badAnswers are wrong for every method.
func badAnswers(good []byte) map[string][]byte {
	return map[string][]byte{
		"nil":            nil,
		"empty":          {},
		"NUL":            {0},
		"binary":         {0xff, 0xfe, 0x00, 0x80},
		"longer":         append(bytes.Clone(good), 'x'),
		"shorter":        good[:len(good)-1],
		"prefixed":       append([]byte("x"), good...),
		"NUL and more":   append(bytes.Clone(good), 0, 'x'),
		"twice":          append(append(bytes.Clone(good), ' '), good...),
		"a kibibyte":     bytes.Repeat([]byte("7"), 1024),
		"a mebibyte":     bytes.Repeat([]byte("x"), 1<<20),
		"padded far out": append(bytes.Repeat([]byte(" "), 1<<16), good...),
		"JSON":           []byte(`{"code":"123456"}`),
		"fullwidth":      []byte("１２３４５６"),
		"minus":          []byte("-12345"),
	}
}

func TestWrongAnswer(t *testing.T) { // S21, S88: one answer, and one amount of work, whatever is wrong
	for _, s := range subjects(t) {
		for name, bad := range badAnswers(s.good) {
			t.Run(s.name+"/"+name, func(t *testing.T) {
				for _, creds := range [][]auth.Credential{{s.cred}, nil} {
					before := clone(creds)
					v, err := s.method.Verify(noon, alice, creds, s.ch, bytes.Clone(bad))
					if err != auth.ErrRejected { //nolint:errorlint // exactly this error, nothing more
						t.Errorf("%d credentials: %v", len(creds), err)
					}
					if !reflect.DeepEqual(v, auth.Verified{}) {
						t.Errorf("%d credentials: a rejection proved %+v", len(creds), v)
					}
					if !reflect.DeepEqual(creds, before) {
						t.Error("Verify changed the credentials")
					}
				}
			})
		}
	}
}

func TestSameWork(t *testing.T) { // S88, S8
	for _, s := range subjects(t) {
		if s.runs == nil {
			continue
		}
		t.Run(s.name, func(t *testing.T) {
			for name, answer := range map[string][]byte{"right": s.good, "wrong": []byte("00000-00000-00000"), "empty": nil, "no code": []byte("!")} {
				for _, creds := range [][]auth.Credential{{s.cred}, nil} {
					s.runs.Store(0)
					_, err := s.method.Verify(noon, alice, creds, auth.Challenge{}, answer)
					if (err == nil) != (name == "right" && creds != nil) {
						t.Errorf("%s, %d credentials: %v", name, len(creds), err)
					}
					if n := s.runs.Load(); n != 1 {
						t.Errorf("%s, %d credentials: %d runs of argon2id", name, len(creds), n)
					}
				}
			}
		})
	}
}

func TestDamagedCredential(t *testing.T) {
	for _, s := range subjects(t) {
		damage := map[string]func(*auth.Credential){
			"no secret":    func(c *auth.Credential) { c.Secret = nil },
			"short secret": func(c *auth.Credential) { c.Secret = c.Secret[:len(c.Secret)-2] }, // one less may be right base64, of less
			"long secret":  func(c *auth.Credential) { c.Secret = append(bytes.Clone(c.Secret), '!') },
		}
		if s.name == auth.MethodTOTP {
			damage["no data"] = func(c *auth.Credential) { c.Data = nil }
			damage["empty data"] = func(c *auth.Credential) { c.Data = []byte("{}") }
			damage["negative step"] = func(c *auth.Credential) { c.Data = []byte(`{"step":-1}`) }
			damage["no JSON"] = func(c *auth.Credential) { c.Data = []byte("57") }
		}
		if s.name == auth.MethodEmail { // it has no secret
			damage = map[string]func(*auth.Credential){
				"no data":    func(c *auth.Credential) { c.Data = nil },
				"no address": func(c *auth.Credential) { c.Data = []byte(`{"address":""}`) },
				"no JSON":    func(c *auth.Credential) { c.Data = []byte("alice@example.com") },
			}
		}
		for name, harm := range damage {
			t.Run(s.name+"/"+name, func(t *testing.T) {
				c := s.cred
				harm(&c)
				_, err := s.method.Verify(noon, alice, []auth.Credential{c}, s.ch, s.good)
				if err == nil || errors.Is(err, auth.ErrRejected) {
					t.Errorf("a damaged record is %v", err)
				}
				if err != nil && len(s.cred.Secret) > 0 && (strings.Contains(err.Error(), string(s.cred.Secret)) || strings.Contains(err.Error(), base64.StdEncoding.EncodeToString(s.cred.Secret))) {
					t.Errorf("the error tells the secret: %v", err) // S78
				}
			})
		}
	}
}

func TestAnyOfSeveral(t *testing.T) {
	others := subjects(t)
	for i, s := range subjects(t) {
		t.Run(s.name, func(t *testing.T) {
			other := others[i].cred
			other.ID = "c2"
			if s.name == auth.MethodPassword {
				other.Secret = changeTag(t, other.Secret)
			}
			if s.name == auth.MethodEmail {
				other.Data = NewEmail().New("bob@example.com").Data
			}
			for _, creds := range [][]auth.Credential{{s.cred, other}, {other, s.cred}} {
				v, err := s.method.Verify(noon, alice, creds, s.ch, s.good)
				if err != nil || v.Credential.ID != "c1" {
					t.Errorf("proved %+v, %v", v, err)
				}
			}
		})
	}
}

// changeTag gives a record another hash.
func changeTag(t *testing.T, secret []byte) []byte {
	t.Helper()
	r, err := parseRecord(secret)
	if err != nil {
		t.Fatal(err)
	}
	r.tags[0][0] ^= 1
	return r.encode()
}

func TestConcurrentUse(t *testing.T) {
	for _, s := range subjects(t) {
		t.Run(s.name, func(t *testing.T) {
			creds := []auth.Credential{s.cred}
			var wg sync.WaitGroup
			for i := range 16 {
				wg.Go(func() {
					answer, want := s.good, error(nil)
					if i%2 == 1 {
						answer, want = []byte("000000"), auth.ErrRejected
					}
					if _, err := s.method.Verify(noon, alice, creds, s.ch, answer); !errors.Is(err, want) {
						t.Errorf("%s: %v", answer, err)
					}
				})
			}
			wg.Wait()
		})
	}
}

// short is a source of randomness that runs dry.
func short() io.Reader { return strings.NewReader("dry") }
