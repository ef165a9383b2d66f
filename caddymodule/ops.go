package caddymodule

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
	"unicode/utf8"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
)

// An operation is one thing that an admin can ask for. The admin API and, with no server running, the commands run the very same
// ones, so both answer alike.
type operation struct {
	name string // "user/add": below /mfa/ in the admin API
	read bool   // changes nothing: GET, with the input in the query
	// run decodes its input strictly and returns what the admin is shown, which never holds a secret beyond a one-time link.
	// Errors: *inputError, *mailError, and those of auth.Realm.
	run func(ctx context.Context, c call, in []byte) (any, error)
	// storeless is an operation that works without a store: its call has no realm.
	storeless bool
}

var operations = []operation{
	define("user/add", false, addUser),
	define("user/list", true, listUsers),
	define("user/show", true, showUser),
	define("user/policy", true, showPolicies),
	define("user/disable", false, disableUser),
	define("user/enable", false, enableUser),
	define("user/delete", false, deleteUser),
	define("user/invite", false, inviteUser),
	define("user/reset-mfa", false, resetMFA),
	define("user/group", false, changeGroups),
	define("session/list", true, listSessions),
	define("session/revoke", false, revokeSessions),
	define("token/list", true, listTokens),
	define("token/revoke", false, revokeTokens),
	define("link/make", false, makeLink),
	define("link/list", true, listLinks),
	define("link/revoke", false, revokeLink),
	withoutRealm(define("mail/test", false, testMail)),
	withoutRealm(define("rules/check", false, checkRules)), // by POST, though it changes nothing: a query is too short
}

// define makes an operation of a function from its input to its output.
func define[In, Out any](name string, read bool, f func(context.Context, call, In) (Out, error)) operation {
	return operation{name: name, read: read, run: func(ctx context.Context, c call, in []byte) (any, error) {
		var v In
		if err := decodeStrict(in, &v); err != nil {
			return nil, err
		}
		return f(ctx, c, v)
	}}
}

func withoutRealm(op operation) operation {
	op.storeless = true
	return op
}

// call is what an operation works with.
type call struct {
	realm   *auth.Realm
	app     *App
	offline bool // in a command, with no server running
}

// inputError is an input that cannot be read: the caller's mistake, said in a sentence.
type inputError struct{ text string }

func (e *inputError) Error() string { return e.text }

// decodeStrict reads exactly one JSON object. What it does not know it refuses: an option that is silently ignored would make an
// admin believe in a change that never happened. The error is a *inputError.
func decodeStrict(in []byte, v any) error {
	if !utf8.Valid(in) { // the decoder would replace the bad bytes, and a password would not be the one that was sent
		return &inputError{"The input is not valid UTF-8."}
	}
	if !bytes.HasPrefix(bytes.TrimLeft(in, " \t\r\n"), []byte("{")) { // null would pass for an object without fields
		return &inputError{"The input is not one JSON object."}
	}
	dec := json.NewDecoder(bytes.NewReader(in))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok && wrong.Field != "" {
			return &inputError{fmt.Sprintf("The field %q does not take a %s.", wrong.Field, wrong.Value)}
		}
		if text, ok := bytes.CutPrefix([]byte(err.Error()), []byte("json: unknown field ")); ok {
			return &inputError{fmt.Sprintf("There is no field %s here.", text)}
		}
		return &inputError{"The input is not one JSON object."}
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return &inputError{"The input holds more than one JSON object."}
	}
	return nil
}

// The inputs. Names are taken in any spelling that folds to the user's.
type (
	nobody    struct{}
	nameInput struct {
		Name string `json:"name"`
	}
	addInput struct {
		Name        string   `json:"name"`
		DisplayName string   `json:"display_name,omitempty"`
		Email       string   `json:"email,omitempty"`
		Groups      []string `json:"groups,omitempty"`
		Password    string   `json:"password,omitempty"` // "": an invitation is made
	}
	groupInput struct {
		Name   string   `json:"name"`
		Add    []string `json:"add,omitempty"`
		Remove []string `json:"remove,omitempty"`
	}
	resetInput struct {
		Name   string  `json:"name"`
		Delay  *string `json:"delay,omitempty"`  // nil: at once
		Cancel bool    `json:"cancel,omitempty"` // the one that is pending
	}
	revokeInput struct {
		Name string  `json:"name"`
		ID   *string `json:"id,omitempty"` // nil: all
	}
)

func addUser(ctx context.Context, c call, in addInput) (invitationView, error) {
	u, invited, err := c.realm.AddUser(ctx, auth.NewUser{
		Name: in.Name, DisplayName: in.DisplayName, Email: in.Email, Groups: in.Groups, Password: in.Password,
	})
	if err != nil {
		return invitationView{}, err
	}
	return c.invitation(viewUser(&u), invited), nil
}

// invitation is what an admin is shown of one.
func (c call) invitation(u userView, in auth.Invited) invitationView {
	out := invitationView{userView: u, MailedTo: in.MailedTo}
	if in.Token != "" {
		out.Link, out.LinkExpires = c.app.LinkFor(in.Token), wholeSeconds(in.Expires)
	}
	return out
}

func listUsers(ctx context.Context, c call, _ nobody) ([]userView, error) {
	users, err := c.realm.Users(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]userView, len(users))
	for i := range users {
		out[i] = viewUser(&users[i])
	}
	return out, nil
}

func showUser(ctx context.Context, c call, in nameInput) (accountView, error) {
	a, err := c.realm.User(ctx, in.Name)
	if err != nil {
		return accountView{}, err
	}
	return viewAccount(&a), nil
}

func disableUser(ctx context.Context, c call, in nameInput) (userView, error) {
	return c.changed(ctx, in.Name, c.realm.SetDisabled(ctx, in.Name, true))
}

func enableUser(ctx context.Context, c call, in nameInput) (userView, error) {
	return c.changed(ctx, in.Name, c.realm.SetDisabled(ctx, in.Name, false))
}

func resetMFA(ctx context.Context, c call, in resetInput) (out resetView, err error) {
	switch {
	case in.Delay != nil && in.Cancel:
		return out, &inputError{"A reset is either announced or taken back."}
	case in.Cancel:
		err = c.realm.CancelReset(ctx, in.Name)
	case in.Delay == nil:
		err = c.realm.ResetMFA(ctx, in.Name)
	default:
		delay, bad := caddy.ParseDuration(*in.Delay)
		if bad != nil { // an empty one too: somebody's empty variable must not reset at once
			return out, &inputError{fmt.Sprintf("The delay %q is no duration such as 24h or 2d.", *in.Delay)}
		}
		if c.offline && c.app.settings.mails && !c.realm.Mails() {
			return out, &inputError{"It cannot be announced: no Caddy answers, and the option url does not say where links lead."}
		}
		out.ResetAt, out.MailedTo, err = c.realm.AnnounceReset(ctx, in.Name, delay)
		out.ResetAt = wholeSeconds(out.ResetAt)
	}
	out.userView, err = c.changed(ctx, in.Name, err)
	return out, err
}

// changed shows the user after a change that may have failed.
func (c call) changed(ctx context.Context, name string, err error) (userView, error) {
	if err != nil {
		return userView{}, err
	}
	a, err := c.realm.User(ctx, name)
	return viewUser(&a.User), err
}

func deleteUser(ctx context.Context, c call, in nameInput) (deletedView, error) {
	a, err := c.realm.User(ctx, in.Name)
	if err != nil {
		return deletedView{}, err
	}
	return deletedView{a.User.Name, true}, c.realm.DeleteUser(ctx, in.Name)
}

func inviteUser(ctx context.Context, c call, in nameInput) (invitationView, error) {
	invited, err := c.realm.Invite(ctx, in.Name)
	if err != nil {
		return invitationView{}, err
	}
	u, err := c.changed(ctx, in.Name, nil)
	return c.invitation(u, invited), err
}

func changeGroups(ctx context.Context, c call, in groupInput) (userView, error) {
	if len(in.Add)+len(in.Remove) == 0 {
		return userView{}, &inputError{"No group is named."}
	}
	u, err := c.realm.ChangeGroups(ctx, in.Name, in.Add, in.Remove)
	return viewUser(&u), err
}

func listSessions(ctx context.Context, c call, in nameInput) ([]sessionView, error) {
	sessions, err := c.realm.Sessions(ctx, in.Name)
	if err != nil {
		return nil, err
	}
	out := make([]sessionView, len(sessions))
	for i := range sessions {
		out[i] = viewSession(&sessions[i])
	}
	return out, nil
}

func revokeSessions(ctx context.Context, c call, in revokeInput) (revokedView, error) {
	return c.revoke(ctx, in, "end all sessions", c.realm.RevokeSessions)
}

// wholeSeconds is how times are shown: RFC 3339 in UTC, without a fraction.
func wholeSeconds(t time.Time) time.Time { return t.UTC().Truncate(time.Second) }
