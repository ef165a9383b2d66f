package loginui

import (
	"errors"
	"log/slog"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
	"github.com/caddy-mfa/caddy-mfa/internal/words"
)

// Waits that a 503 asks for.
const (
	busyWait  = 2 * time.Second
	faultWait = 10 * time.Second
)

// exchange is one request being answered.
type exchange struct {
	*Portal
	w    http.ResponseWriter
	r    *http.Request
	in   Request
	form form            // of a POST
	lang *words.Language // once something is said
}

// upgradePath is where a browser that can make a passkey by itself goes after a sign-in that had none.
const upgradePath = "/upgrade"

// securityPath is the Security page, where a change begins and ends.
const securityPath = "/security"

// next is the address of the page for what o asks. It is the one place that maps steps to pages.
func (p *Portal) next(o auth.Outcome) string {
	switch o.Step {
	case auth.StepStart:
	case auth.StepPassword:
		return p.prefix + "/invite"
	case auth.StepVerify:
		return p.prefix + "/verify/" + o.Method + along(o)
	case auth.StepEnroll:
		if o.Method != "" {
			return p.prefix + "/enroll/" + o.Method
		}
		return p.prefix + "/enroll"
	case auth.StepRecovery:
		return p.prefix + "/recovery-codes"
	case auth.StepAskAdmin:
		return p.prefix + "/ask-admin"
	case auth.StepDone:
		return p.href(p.onward(o))
	}
	return p.prefix + "/login"
}

// onward is where somebody goes who is done: a return target.
func (p *Portal) onward(o auth.Outcome) string {
	to := p.returnTarget(o.To)
	switch {
	case o.Changed != "" && o.Changed != auth.ChangeProve && (to == "" || to == p.prefix+securityPath): // said there, and only if it was made
		to = p.prefix + securityPath + "?done=" + url.QueryEscape(string(o.Changed))
	case to == "":
		to = "/"
	}
	to = p.reminded(o, to)
	if o.RecoveryLeft >= 0 {
		return string(appendQuery([]byte(p.prefix+"/recovery-used?to="), to))
	}
	return to
}

// along is the query that carries the target of a sign-in which is stored nowhere.
func along(o auth.Outcome) string {
	if !o.Untold || o.To == "" {
		return ""
	}
	return string(appendQuery([]byte("?to="), o.To))
}

// advance goes where an operation left the visitor. A visitor who came without any cookie may have a browser that refuses
// them: the next page looks.
func (x *exchange) advance(o auth.Outcome) error {
	x.setCookies(o.Cookies)
	if o.Issued != nil {
		return x.showToken(o.Issued)
	}
	to := x.next(o)
	switch {
	case o.Step == auth.StepDone && o.Upgrade && x.form["upgrade"] != "":
		to = string(appendQuery([]byte(x.prefix+upgradePath+"?to="), x.onward(o)))
	case o.Step == auth.StepDone:
		return x.leave(x.onward(o), o.Cookies)
	case o.Step != auth.StepDone && x.in.Visit.Flow == "" && x.in.Session == nil:
		if strings.Contains(to, "?") {
			to += "&check=cookies"
		} else {
			to += "?check=cookies"
		}
	}
	return x.redirect(to)
}

// refuse answers a form with the page it was sent from and says what was wrong with it. Errors that a form can do nothing
// about go on to settle.
func (x *exchange) refuse(pg *page, err error) error {
	var (
		invalid *auth.Invalid
		slow    *auth.Throttled
		hint    *auth.Hint
	)
	switch {
	case errors.As(err, &invalid):
		pg.status = http.StatusUnprocessableEntity
		pg.fault(invalid.Field, x.invalid(invalid))
	case errors.As(err, &slow):
		pg.status = http.StatusTooManyRequests
		pg.fault("", x.throttled(slow))
	case errors.Is(err, auth.ErrRejected):
		if pg.status = pg.wrongStatus; pg.status == 0 {
			pg.status = http.StatusUnauthorized
			x.w.Header().Set("WWW-Authenticate", `MFA login="`+x.prefix+`/login"`)
		}
		text := pg.t(pg.wrong)
		if errors.As(err, &hint) {
			text = x.sentence(hint.ID, hint.Text, hint.Args)
		}
		pg.fault(pg.wrongField, text)
	case errors.Is(err, auth.ErrBusy):
		pg.status = http.StatusServiceUnavailable
		x.retryAfter(busyWait)
		pg.fault("", pg.t("busy.text"))
	default:
		return err
	}
	return x.render(pg)
}

// settle answers with what err means when no form was at fault: another page, or one that says what happened.
func (x *exchange) settle(err error) error {
	var (
		bad  *badRequestError
		slow *auth.Throttled
		page *renderError
	)
	switch {
	case err == nil:
		return nil
	case errors.As(err, &page):
		return err
	case errors.As(err, &bad):
		return x.message(bad.status, x.plain(bad.page))
	case errors.Is(err, auth.ErrNoFlow):
		if x.in.Visit.Flow == "" && x.r.URL.Query().Get("check") == "cookies" {
			return x.message(http.StatusBadRequest, x.plain("cookies"))
		}
		return x.redirect(x.again())
	case errors.Is(err, auth.ErrNoSession):
		return x.redirect(x.LoginURL(x.prefix + "/security"))
	case errors.Is(err, auth.ErrNoCredential):
		return x.message(http.StatusNotFound, x.plain("nocredential"))
	case errors.Is(err, auth.ErrStep):
		now, err := x.realm.Progress(x.r.Context(), x.in.Visit)
		if errors.Is(err, auth.ErrNoFlow) {
			return x.settle(err)
		}
		if err != nil {
			return x.fault(err)
		}
		return x.redirect(x.next(now.Outcome))
	case errors.As(err, &slow):
		id := "throttled"
		switch {
		case slow.Changes:
			id = "changes"
		case slow.Visits:
			id = "visits"
		}
		m := x.plain(id)
		m.Text = x.throttled(slow)
		return x.message(http.StatusTooManyRequests, m)
	case errors.Is(err, auth.ErrBusy):
		x.retryAfter(busyWait)
		return x.message(http.StatusServiceUnavailable, x.plain("busy"))
	}
	return x.fault(err)
}

// again is where somebody goes whose flow is over: to the sign-in page, keeping the target that the form carried. What is left to be
// over in a session is a change, whose forms lead back to the Security page or the reminder; other forms are of a sign-in that was sent twice.
func (x *exchange) again() string {
	security := x.prefix + securityPath
	if to := x.form["to"]; x.in.Session != nil && (x.r.Method != http.MethodPost || to == security || x.reminderOf(to) != "") {
		return security + "?lost=1"
	}
	to := x.prefix + "/login?again=1"
	if target := x.returnTarget(x.form["to"]); target != "" {
		to = string(appendQuery([]byte(to+"&to="), target))
	}
	return to
}

// fault answers for an error of ours: logged with an id that the page shows too, and never in detail on the page.
func (x *exchange) fault(err error) error {
	x.retryAfter(faultWait)
	m := x.plain("fault")
	m.ErrorID = x.report(err)
	return x.message(http.StatusServiceUnavailable, m)
}

// report logs a fault and returns its id.
func (x *exchange) report(err error) (id string) {
	if x.r.Context().Err() != nil { // the client left, and that is what err says
		return ""
	}
	return x.faults.write(x.r.Context(), x.logger, x.now(), append(requested(x.r), slog.Any("error", err))...)
}

// throttled says how long to wait, and sets Retry-After.
func (x *exchange) throttled(slow *auth.Throttled) string {
	if slow.Off {
		return x.t("throttled.off")
	}
	x.retryAfter(slow.RetryAfter)
	switch {
	case slow.Changes:
		return x.t("changes.wait", x.wait(slow.RetryAfter))
	case slow.Visits:
		return x.t("visits.wait", x.wait(slow.RetryAfter))
	}
	return x.t("throttled.wait", x.wait(slow.RetryAfter))
}

// retryAfter rounds up to whole seconds (RFC 9110, section 10.2.3).
func (x *exchange) retryAfter(d time.Duration) {
	x.w.Header().Set("Retry-After", strconv.Itoa(max(1, int(math.Ceil(d.Seconds())))))
}

func (x *exchange) redirect(to string) error {
	x.w.Header().Set("Location", to)
	x.w.Header().Set("Content-Length", "0")
	x.w.WriteHeader(http.StatusSeeOther)
	return nil
}

func (x *exchange) setCookies(cookies []auth.Cookie) { SetCookies(x.w, cookies) }

// SetCookies makes a browser keep cookies of ours, or forget those without a value.
func SetCookies(w http.ResponseWriter, cookies []auth.Cookie) {
	for _, c := range cookies {
		age := int(math.Ceil(c.MaxAge.Seconds()))
		if c.Value == "" {
			age = -1
		}
		http.SetCookie(w, &http.Cookie{
			Name: c.Name, Value: c.Value, Path: "/", MaxAge: age,
			Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode,
		})
	}
}
