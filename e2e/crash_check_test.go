package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/caddy-mfa/caddy-mfa/e2e/rig"
)

// check compares the server with what it had acknowledged to the people who were touched.
func (w *worker) check() {
	for _, a := range w.touched {
		w.checkOne(a)
		a.out, a.used, a.lost = nil, nil, nil
	}
	w.touched = w.touched[:0]
}

func (w *worker) checkOne(a *account) {
	ctx := w.t.Context()
	groups, methods, err := w.show(ctx, a.Name)
	if err != nil {
		w.t.Errorf("%s is lost: %v", a.Name, err)
		return
	}
	most := a.groups
	if a.unsure {
		most++
	}
	if groups < a.groups || groups > most {
		w.t.Errorf("%s has %d groups, want %d", a.Name, groups, a.groups)
	}
	a.groups, a.unsure = groups, false
	for _, v := range a.in {
		if !signedIn(w.t, v) {
			w.t.Errorf("%s was signed out by the crash", a.Name)
		}
	}
	for _, v := range a.out {
		if signedIn(w.t, v) {
			w.t.Errorf("%s is signed in again after signing out", a.Name)
		}
	}
	for _, l := range a.lost {
		w.retry(ctx, a, l)
	}
	for _, c := range a.used[max(0, len(a.used)-2):] { // more wrong answers would close the account for a while
		w.replay(ctx, a, c)
	}
	if !a.complete {
		if err := w.finish(ctx, a); err != nil {
			w.t.Errorf("%s (%s) cannot finish what the crash interrupted: %v", a.Name, methods, err)
		}
	}
}

// visitor is somebody at an address of their own: wrong answers are counted for each address, too.
func (w *worker) visitor() *rig.Visitor {
	w.addressed++
	v := rig.NewVisitor(w.s.URL)
	v.Addr = fmt.Sprintf("2001:db8:%x:%x::1", w.n+1, w.addressed)
	return v
}

// verify signs in with the password and a code that was sent before. The server knows the code from wrong ones only where the
// status is 303 or 401; others mean that it did not look.
func (w *worker) verify(ctx context.Context, a *account, code string) (v *rig.Visitor, status int) {
	v = w.visitor()
	if _, err := v.Post(ctx, "/.mfa/login", url.Values{"name": {a.Name}, "password": {a.Password}}); err != nil {
		w.t.Errorf("%s cannot sign in: %v", a.Name, err)
		return v, 0
	}
	page, err := v.Post(ctx, "/.mfa/verify/totp", url.Values{"code": {code}})
	if err != nil {
		w.t.Errorf("%s: %v", a.Name, err)
		return v, 0
	}
	in := signedIn(w.t, v)
	switch page.Status {
	case http.StatusSeeOther, http.StatusUnauthorized, http.StatusTooManyRequests, http.StatusServiceUnavailable:
		if in == (page.Status == http.StatusSeeOther) {
			return v, page.Status
		}
	}
	w.t.Errorf("%s: the code %s gets %d, signed in: %v: %s", a.Name, code, page.Status, in, page.Text())
	return v, 0
}

// replay tries a code that has opened a session before.
func (w *worker) replay(ctx context.Context, a *account, used string) {
	switch _, status := w.verify(ctx, a, used); status {
	case http.StatusSeeOther:
		w.t.Errorf("%s: the used code %s opened a second session", a.Name, used)
	case http.StatusUnauthorized:
		w.refused++
	}
}

// retry tries a code whose answer was lost. Using it and opening the session are one, so of the two tries one has opened a session:
// the lost one if it was used up by it, or else this one. A code of the phone may have grown too old meanwhile.
func (w *worker) retry(ctx context.Context, a *account, l try) {
	before := w.sessionsFrom(ctx, a.Name, l.addr)
	v, status := w.verify(ctx, a, l.code)
	opened := before
	switch status {
	case http.StatusSeeOther:
		opened++
		a.in, a.used = append(a.in, v), append(a.used, l.code)
	case http.StatusUnauthorized:
	default:
		return
	}
	w.lost++
	w.counted += before
	if recovery := strings.Contains(l.code, "-"); opened > 1 || recovery && opened == 0 {
		w.t.Errorf("%s: the code %s, whose answer was lost, opened %d sessions, %d of them before the crash", a.Name, l.code, opened, before)
	}
}

// sessionsFrom counts the live sessions of a user that were opened from an address.
func (w *worker) sessionsFrom(ctx context.Context, name, addr string) (n int) {
	var list []struct {
		Addr string `json:"addr"`
	}
	if err := w.ask(ctx, "session/list", name, &list); err != nil {
		w.t.Errorf("%s: %v", name, err)
	}
	for _, s := range list {
		if s.Addr == addr {
			n++
		}
	}
	return n
}

// show asks for a user as an admin would.
func (w *worker) show(ctx context.Context, name string) (groups int, methods string, err error) {
	var u struct {
		Name    string   `json:"name"`
		Groups  []string `json:"groups"`
		Methods []string `json:"methods"`
	}
	if err := w.ask(ctx, "user/show", name, &u); err != nil {
		return 0, "", err
	}
	if u.Name != name {
		return 0, "", fmt.Errorf("%q is shown", u.Name)
	}
	return len(u.Groups), strings.Join(u.Methods, ","), nil
}

// ask reads from the admin API what an operation says of a user.
func (w *worker) ask(ctx context.Context, op, name string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+w.s.Admin+"/mfa/"+op+"?name="+name, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: status %d", op, resp.StatusCode)
	}
	return json.NewDecoder(resp.Body).Decode(into)
}
