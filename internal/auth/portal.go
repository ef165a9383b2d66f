package auth

import (
	"errors"
	"net/netip"
	"time"

	"github.com/caddy-mfa/caddy-mfa/internal/words"
)

// Names of the cookies. All are Secure, HttpOnly, SameSite=Lax, Path=/, and their values are sealed by HMAC: a forged one never
// reaches the store.
const (
	CookieSession = "__Host-mfa"         // names the session
	CookieFlow    = "__Host-mfa-flow"    // names the flow in progress; before it, a nonce that binds the browser
	CookieBrowser = "__Host-mfa-browser" // names the browser, for throttling
	CookieGuest   = "__Host-mfa-guest"   // names the link that a guest opened; it never takes the place of a session
	// CookieGuestCode binds a guest's code to the browser that asked for it. It is apart from CookieFlow, which other tabs replace.
	CookieGuestCode = "__Host-mfa-guest-code"
	CookieLang      = "__Host-mfa-lang" // the language that somebody chose; no secret
)

// Visit is where a request of the portal came from, and what it carried.
type Visit struct {
	Host      string     // host without port, lower case
	Origin    string     // scheme://host[:port] as the browser has it
	Addr      netip.Addr // client address, as Caddy trusts it
	UserAgent string
	Session   string // value of CookieSession as received, "" if absent; likewise the next four
	Flow      string
	Browser   string
	Guest     string
	GuestCode string
	Lang      string // that the pages are in, for mails (BCP 47); "" is English
	// To is the path to go to in the end, as the request carries it. It is for a sign-in that is stored nowhere (Outcome.Untold).
	To string
}

// Cookie is a cookie that an Outcome sets. An empty value removes it. MaxAge 0 with a value: until the browser closes.
type Cookie struct {
	Name, Value string
	MaxAge      time.Duration
}

// Step is what a flow asks next.
type Step uint8

// The steps. The dispatcher alone chooses among them.
const (
	StepStart    Step = iota // no flow: begin at the sign-in page
	StepPassword             // an invitation was opened: choose name and password
	StepVerify               // prove a further method
	StepEnroll               // set up a second method
	StepRecovery             // save the recovery codes
	StepAskAdmin             // nothing is enrolled, and the authority to enrol has run out
	StepDone                 // signed in
)

// Outcome is where an operation left the visitor.
type Outcome struct {
	Step    Step
	Method  string // with StepVerify the method asked first; with StepEnroll the one being set up, "" while choosing
	To      string // with StepDone the path to go to, "" for none asked
	Cookies []Cookie
	// RecoveryLeft is how many recovery codes are left after one was used; -1 otherwise.
	RecoveryLeft int
	// NoneEnded, of SignOut, says that there was no session to end.
	NoneEnded bool
	// Changed, with StepDone, is the change that was just made; "" otherwise.
	Changed ChangeOp
	// Policies, with StepEnroll and StepAskAdmin, are the names of those that must be met first, or seen to be met; with StepVerify those
	// that must be met by what may be set up instead; with StepDone those that the person should meet by Due.
	Policies []string
	Due      time.Time
	// Upgrade, with StepDone, says that a passkey would spare this person the next password: see UpgradeAsk.
	Upgrade bool
	// Untold, with StepVerify, says that nobody must learn whether the password was right: pages show nothing of the person, and carry
	// To along, for the flow is stored nowhere.
	Untold bool
	// Issued, with StepDone, is the access token that was just made. It is told this once.
	Issued *IssuedToken

	void *void // what a change has made so; nil: nothing
}

// IssuedToken is an access token with what its owner is to keep of it.
type IssuedToken struct {
	Token string
	AccessToken
}

func (v Visit) site() Site { return Site{Host: v.Host, Origin: v.Origin} }

// Progress is what a page of a flow shows. It never holds a secret beyond what that very page is for.
type Progress struct {
	Outcome                 // Step, Method, To; no cookies
	Purpose      Purpose    // sign-in, invitation, set-up, change
	Change       *Change    // with PurposeChange
	Elsewhere    []string   // sites that the user's keys are for, if none is for this one
	User         User       // zero before a name is proven or given; for an invitation its fixed name
	Others       []string   // further methods that would do in place of Method, in order of preference
	Enrollable   []string   // methods that may be set up now
	Duties       []Duty     // the Policies that Enrollable is for
	Challenge    *Challenge // with StepEnroll and Method: Public only
	RecoveryList []string   // with StepRecovery: the pending codes, none while none were made; with ChangeViewCodes the unused ones
	Mail         *CodeMail  // where a code by mail would do: what is asked, one of the Others, or for the address to be confirmed
	End          time.Time  // when the step is over
	More         bool       // MoreTime puts that off
	MailOnly     bool       // with StepAskAdmin: the password was set by mail, and mail is the only second method
}

// CodeMail is where a code is sent to.
type CodeMail struct {
	To     string // at sign-in with most of it left out; whole where the person typed it; "" with Untold
	Sent   bool   // a code is out that still counts; with Untold: one was asked for
	Before bool   // one was sent, whether or not it counts
}

// Purpose is what a flow or a travelling token is for.
type Purpose string

// The purposes.
const (
	PurposeSignIn Purpose = "sign_in"
	PurposeInvite Purpose = "invite"
	PurposeSetup  Purpose = "setup"
	PurposeChange Purpose = "change" // somebody who is signed in changes how they sign in
	PurposeReset  Purpose = "reset"  // the password was forgotten

	purposeInviteMail Purpose = "invite_mail" // an invitation that went by mail, and so confirms the address
	purposeLink       Purpose = "link"        // in a mail with a code: it stands for the code
	purposeNotMe      Purpose = "not_me"      // in a notice: undoes what it tells of
	purposeStopReset  Purpose = "stop_reset"  // in the announcement of a reset: stops it
)

var (
	// ErrNoFlow means that there is no flow: never begun, expired, finished, or moved on by another request.
	ErrNoFlow = errors.New("auth: no flow in progress")
	// ErrStep means that the flow does not ask for this now. The caller sends the visitor to the step that it does ask for.
	ErrStep = errors.New("auth: not what the flow asks for")
	// ErrToken means that a travelling token is unknown, used, replaced or expired.
	ErrToken = errors.New("auth: token is not valid")
	// ErrUnconfirmed means that a session goes to a host only after the person has confirmed that.
	ErrUnconfirmed = errors.New("auth: not confirmed")
	// ErrBusy means that all slots for expensive work are taken and the queue is full: 503 with Retry-After.
	ErrBusy = errors.New("auth: too many sign-ins at once")
	// ErrNoSession means that there is no session that counts.
	ErrNoSession = errors.New("auth: no session")
)

// Throttled means that too many wrong answers were given, or that too much was asked for. Nothing was verified or done.
type Throttled struct {
	RetryAfter time.Duration // 0 with Off
	Off        bool          // the method is off for browsers that the account does not know
	Changes    bool          // it is changes that were too many, and no answer was wrong
	Visits     bool          // it is ways to other hosts, and no answer was wrong
}

func (t *Throttled) Error() string { return "auth: throttled" }

// Invalid is input that cannot be accepted, with a sentence for the person. Field is the form field it belongs to, "" for none. ID and Args
// are for pages, which say it in the language of the person; ID is "" where no page shows it. Text is the sentence in English, for commands.
type Invalid struct {
	Field, ID, Text string
	Args            []any // strings, ints, and lists as []string
}

// NewInvalid is an Invalid whose text names args as catalogues do, {{.Name}}, in their order.
func NewInvalid(field, id, text string, args ...any) *Invalid {
	return &Invalid{Field: field, ID: id, Text: words.Fill(text, args...), Args: args}
}

func (e *Invalid) Error() string { return e.Text }
