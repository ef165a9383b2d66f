package loginui

// A handler answers one request, or returns an error for settle.
type handler func(*exchange) error

// route is what a path below the prefix answers. HEAD is served by get; a nil post refuses POST.
type route struct {
	get, post handler
	anyhow    bool // post is not only for those who load a page (ifNavigated)
}

// Who may POST, as the table says it: those who load a page, or anybody whom the check of the request's origin lets through.
const (
	navigated = false
	anyhow    = true
)

// routes is the table of everything that the portal serves besides its static files.
var routes = map[string]route{
	"":                     {get: getRoot},
	"/":                    {get: getRoot},
	"/login":               {getLogin, postLogin, anyhow},
	"/verify/totp":         {getVerifyTOTP, postVerifyTOTP, anyhow},
	"/verify/email":        {getVerifyEmail, postVerifyEmail, anyhow},
	"/verify/email/send":   {getMailSent("/verify/email"), postVerifyEmailSend, anyhow},
	"/verify/webauthn":     {getVerifyWebAuthn, postVerifyWebAuthn, anyhow},
	"/verify/recovery":     {getVerifyRecovery, postVerifyRecovery, anyhow},
	"/verify/password":     {getVerifyPassword, postVerifyPassword, anyhow},
	"/enroll":              {getEnroll, postEnroll, navigated},
	"/enroll/totp":         {getEnrollTOTP, postEnrollTOTP, navigated},
	"/enroll/webauthn":     {getEnrollWebAuthn, postEnrollWebAuthn, navigated},
	"/enroll/email":        {getEnrollEmail, postEnrollEmail, navigated},
	"/enroll/email/send":   {getMailSent("/enroll/email"), postEnrollEmailSend, navigated},
	"/recovery-codes":      {getRecoveryCodes, postRecoveryCodes, navigated},
	"/recovery-used":       {get: getRecoveryUsed},
	remindPath:             {get: getRemind},
	"/upgrade":             {getUpgrade, postUpgrade, navigated},
	"/invite":              {getInvite, postInvite, anyhow},
	"/more-time":           {getMoreTime, postMoreTime, anyhow},
	"/link":                {getLink, postLink, anyhow},
	"/forgot":              {getForgot, postForgot, anyhow},
	"/reset":               {getReset, postReset, navigated},
	"/not-me":              {notMe.get, notMe.post, navigated},
	"/stop-reset":          {stopReset.get, stopReset.post, navigated},
	"/ask-admin":           {get: getAskAdmin},
	"/security":            {get: getSecurity},
	"/security/add":        {getRoot, postSecurityAdd, navigated},
	"/security/rename":     {getRoot, postSecurityRename, navigated},
	"/security/remove":     {getRoot, postSecurityRemove, navigated},
	"/security/email":      {getRoot, postSecurityEmail, navigated},
	"/security/replace":    {getRoot, postSecurityReplace, navigated},
	"/security/password":   {getRoot, postSecurityPassword, navigated},
	"/security/name":       {getRoot, postSecurityName, navigated},
	"/security/first":      {getRoot, postSecurityFirst, navigated},
	"/security/codes":      {getRoot, postSecurityCodes, navigated},
	"/security/codes/view": {getRoot, postSecurityViewCodes, navigated},
	"/security/off":        {getRoot, postSecurityOff, navigated},
	"/security/sessions":   {getRoot, postSecuritySessions, navigated},
	"/security/activity":   {get: getActivity},
	resendPath:             {getResend, postResend, anyhow},
	stepUpPath:             {getStepUp, postStepUp, navigated},
	"/logout":              {getLogout, postLogout, anyhow},
	continuePath:           {getContinue, postContinue, navigated},
	sessionPath:            {get: getSession},
	scriptPath:             {get: getScript},
	signedInPath:           {get: getSignedIn},
	languagePath:           {getRoot, postLanguage, anyhow},

	"/security/tokens":        {getRoot, postSecurityTokens, navigated},
	"/security/tokens/revoke": {getRoot, postSecurityTokensRevoke, navigated},

	GuestPath:                {getGuest, postGuest, anyhow},
	"/security/links/revoke": {getRoot, postSecurityLinksRevoke, navigated},
}

func getRoot(x *exchange) error { return x.redirect(x.prefix + "/security") }

// getMailSent leads to the page at path, for whoever opens the address that sends a code: that takes a POST.
func getMailSent(path string) handler {
	return func(x *exchange) error { return x.redirect(x.prefix + path) }
}

// ifNavigated is ifPressed for all that a route does.
func (x *exchange) ifNavigated(h handler) error { return x.ifPressed(func() error { return h(x) }) }
