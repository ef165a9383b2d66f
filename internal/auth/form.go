package auth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/caddy-mfa/caddy-mfa/storage"
)

// A form that somebody signed in sends to a page which asks for more first is kept, so that nobody types it twice: sealed, for as long
// as a flow lives, for the user, the session and the host that it came from. It is given back once.

const (
	// MaxForm bounds a form that is kept, in bytes.
	MaxForm = 1 << 20

	formPart   = 128 << 10 // what goes into one transaction of any engine
	formsBy    = 3         // that are kept of a user at once; the oldest goes first
	formsHour  = 60        // that are kept of a user in an hour
	formPeriod = time.Hour
	formWait   = 30 * time.Second // for the store, whoever leaves meanwhile
)

// ErrNoForm means that no such form is kept: none was, it was given back, it is too old, or it is somebody else's.
var ErrNoForm = errors.New("auth: no such form is kept")

// Form is a form that is kept.
type Form struct {
	URI  string // path and query as they were sent
	Type string // Content-Type
	Body []byte
}

// formRecord is a Form as it is stored, but for the body.
type formRecord struct {
	Session string `json:"session"`
	Host    string `json:"host"`
	URI     string `json:"uri"`
	Type    string `json:"type"`
	Parts   int    `json:"parts"`
}

func keyForms(user string) string               { return "forms/" + user }
func keyForm(user, id string) string            { return "form/" + user + "/" + id }
func keyFormPart(user, id string, n int) string { return keyForm(user, id) + "/" + strconv.Itoa(n) }
func (f *formRecord) form(body []byte) Form     { return Form{f.URI, f.Type, body} }
func (f *formRecord) of(s *Session) bool        { return f.Session == s.ID && f.Host == s.Host }

// KeepForm keeps a form of the session s, and returns its ID, which is no secret. A *Throttled says that too many were kept of this user.
func (r *Realm) KeepForm(ctx context.Context, s *Session, f Form) (id string, err error) {
	if len(f.Body) > MaxForm {
		return "", fmt.Errorf("auth: a form of %d bytes is too large to be kept", len(f.Body))
	}
	// What is written must be bounded, and so does not depend on whether its sender waits.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), formWait)
	defer cancel()
	id = newID()
	now, seal := r.now(), r.sealer.Load()
	end := now.Add(flowLife)
	if err := r.store.Update(ctx, func(tx storage.Tx) error { return r.admitForm(tx, now, s.UserID, id, end) }); err != nil {
		return "", err
	}
	record := formRecord{Session: s.ID, Host: s.Host, URI: f.URI, Type: f.Type}
	for part := range slices.Chunk(f.Body, formPart) {
		key := keyFormPart(s.UserID, id, record.Parts)
		record.Parts++
		if err := r.store.Update(ctx, func(tx storage.Tx) error { return tx.Put(key, seal.seal(key, part), end) }); err != nil {
			return "", err
		}
	}
	head, err := json.Marshal(record)
	if err != nil {
		return "", fmt.Errorf("encoding a form: %w", err)
	}
	key := keyForm(s.UserID, id)
	return id, r.store.Update(ctx, func(tx storage.Tx) error { return tx.Put(key, seal.seal(key, head), end) })
}

// admitForm enters a form among those of a user, before anything of it is stored, and drops the oldest.
func (r *Realm) admitForm(tx storage.Tx, now time.Time, user, id string, end time.Time) error {
	var c counter
	key := keyThrottle(user) + "form"
	if err := getJSON(tx, key, &c); err != nil && !errors.Is(err, storage.ErrNotFound) {
		return err
	}
	if !now.Before(c.Until) {
		c = counter{Until: now.Add(formPeriod)}
	}
	if c.Count++; c.Count > formsHour {
		return &Throttled{RetryAfter: c.Until.Sub(now)}
	}
	var mine []string
	if err := getJSON(tx, keyForms(user), &mine); err != nil && !errors.Is(err, storage.ErrNotFound) {
		return err
	}
	for mine = append(mine, id); len(mine) > formsBy; mine = mine[1:] {
		if err := dropForm(tx, user, mine[0]); err != nil {
			return err
		}
	}
	return errors.Join(putJSON(tx, key, c, c.Until), putJSON(tx, keyForms(user), mine, end))
}

// KeptForm returns a form that is kept of the session s, without its body.
func (r *Realm) KeptForm(ctx context.Context, s *Session, id string) (f Form, err error) {
	err = r.store.View(ctx, func(tx storage.Tx) error {
		record, err := r.getForm(tx, s, id)
		if err == nil {
			f = record.form(nil)
		}
		return err
	})
	return f, err
}

// TakeForm returns a form for uri with its body, which is gone from then on: whoever asks next gets ErrNoForm.
func (r *Realm) TakeForm(ctx context.Context, s *Session, id, uri string) (f Form, err error) {
	err = r.store.Update(ctx, func(tx storage.Tx) error {
		record, err := r.getForm(tx, s, id)
		if err != nil {
			return err
		}
		if record.URI != uri {
			return ErrNoForm
		}
		var body []byte
		for n := range record.Parts {
			part, err := r.unseal(tx, keyFormPart(s.UserID, id, n))
			if err != nil {
				return err
			}
			body = append(body, part...)
		}
		f = record.form(body)
		return dropForm(tx, s.UserID, id)
	})
	return f, err
}

// DropForm forgets a form that nobody wants to send. One that is not there is no error.
func (r *Realm) DropForm(ctx context.Context, s *Session, id string) error {
	err := r.store.Update(ctx, func(tx storage.Tx) error {
		if _, err := r.getForm(tx, s, id); err != nil {
			return err
		}
		return dropForm(tx, s.UserID, id)
	})
	if errors.Is(err, ErrNoForm) {
		return nil
	}
	return err
}

func (r *Realm) getForm(tx storage.Tx, s *Session, id string) (*formRecord, error) {
	if len(id) != len(newID()) {
		return nil, ErrNoForm
	}
	head, err := r.unseal(tx, keyForm(s.UserID, id))
	if err != nil {
		return nil, err
	}
	f := new(formRecord)
	if err := json.Unmarshal(head, f); err != nil {
		return nil, fmt.Errorf("decoding record %q: %w", keyForm(s.UserID, id), err)
	}
	if !f.of(s) {
		return nil, ErrNoForm
	}
	return f, nil
}

// unseal reads what a form is stored in. What the secret does not open any more is gone.
func (r *Realm) unseal(tx storage.Tx, key string) ([]byte, error) {
	e, err := tx.Get(key)
	if errors.Is(err, storage.ErrNotFound) {
		return nil, ErrNoForm
	}
	if err != nil {
		return nil, err
	}
	plain, err := r.sealer.Load().open(key, e.Value)
	if errors.Is(err, ErrSecret) {
		return nil, ErrNoForm
	}
	return plain, err
}

// dropForm removes a form, however many parts it has.
func dropForm(tx storage.Tx, user, id string) error {
	for n := range MaxForm/formPart + 1 {
		if err := tx.Delete(keyFormPart(user, id, n)); err != nil {
			return err
		}
	}
	return tx.Delete(keyForm(user, id))
}
