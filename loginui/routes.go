package loginui

import "net/http"

// A handler answers one request, or returns an error for settle.
type handler func(*exchange) error

// route is what a path below the prefix answers. HEAD is served by get; a nil post refuses POST.
type route struct {
	get, post handler
}

// routes is the table of everything that the portal serves besides its static files.
var routes = map[string]route{
	"":                     {get: getRoot},
	"/":                    {get: getRoot},
	"/login":               {getLogin, postLogin},
	"/verify/totp":         {getVerifyTOTP, postVerifyTOTP},
	"/verify/email":        {getVerifyEmail, postVerifyEmail},
	"/verify/email/send":   {getMailSent("/verify/email"), postVerifyEmailSend},
	"/verify/webauthn":     {getVerifyWebAuthn, postVerifyWebAuthn},
	"/verify/recovery":     {getVerifyRecovery, postVerifyRecovery},
	"/verify/password":     {getVerifyPassword, postVerifyPassword},
	"/enroll":              {getEnroll, navigated(postEnroll)},
	"/enroll/totp":         {getEnrollTOTP, navigated(postEnrollTOTP)},
	"/enroll/webauthn":     {getEnrollWebAuthn, navigated(postEnrollWebAuthn)},
	"/enroll/email":        {getEnrollEmail, navigated(postEnrollEmail)},
	"/enroll/email/send":   {getMailSent("/enroll/email"), navigated(postEnrollEmailSend)},
	"/recovery-codes":      {getRecoveryCodes, navigated(postRecoveryCodes)},
	"/recovery-used":       {get: getRecoveryUsed},
	remindPath:             {get: getRemind},
	"/upgrade":             {getUpgrade, navigated(postUpgrade)},
	"/invite":              {getInvite, postInvite},
	"/more-time":           {getMoreTime, postMoreTime},
	"/link":                {getLink, postLink},
	"/forgot":              {getForgot, postForgot},
	"/reset":               {getReset, navigated(postReset)},
	"/not-me":              {notMe.get, navigated(notMe.post)},
	"/stop-reset":          {stopReset.get, navigated(stopReset.post)},
	"/ask-admin":           {get: getAskAdmin},
	"/security":            {get: getSecurity},
	"/security/add":        {getRoot, navigated(postSecurityAdd)},
	"/security/rename":     {getRoot, navigated(postSecurityRename)},
	"/security/remove":     {getRoot, navigated(postSecurityRemove)},
	"/security/email":      {getRoot, navigated(postSecurityEmail)},
	"/security/replace":    {getRoot, navigated(postSecurityReplace)},
	"/security/password":   {getRoot, navigated(postSecurityPassword)},
	"/security/name":       {getRoot, navigated(postSecurityName)},
	"/security/first":      {getRoot, navigated(postSecurityFirst)},
	"/security/codes":      {getRoot, navigated(postSecurityCodes)},
	"/security/codes/view": {getRoot, navigated(postSecurityViewCodes)},
	"/security/off":        {getRoot, navigated(postSecurityOff)},
	"/security/sessions":   {getRoot, navigated(postSecuritySessions)},
	"/security/activity":   {get: getActivity},
	resendPath:             {getResend, postResend},
	stepUpPath:             {getStepUp, navigated(postStepUp)},
	"/logout":              {getLogout, postLogout},
	continuePath:           {getContinue, navigated(postContinue)},
	sessionPath:            {get: getSession},
	scriptPath:             {get: getScript},
	signedInPath:           {get: getSignedIn},
	languagePath:           {getRoot, postLanguage},

	"/security/tokens":        {getRoot, navigated(postSecurityTokens)},
	"/security/tokens/revoke": {getRoot, navigated(postSecurityTokensRevoke)},

	GuestPath:                {getGuest, postGuest},
	"/security/links/revoke": {getRoot, navigated(postSecurityLinksRevoke)},
}

func getRoot(x *exchange) error { return x.redirect(x.prefix + "/security") }

// getMailSent leads to the page at path, for whoever opens the address that sends a code: that takes a POST.
func getMailSent(path string) handler {
	return func(x *exchange) error { return x.redirect(x.prefix + path) }
}

// navigated is h for those who load a page. Apps on the portal's own origin share its cookies: what changes how somebody signs in
// is refused to their scripts, in so far as a browser tells them from pages (W3C Fetch Metadata).
func navigated(h handler) handler {
	return func(x *exchange) error { return x.ifNavigated(h) }
}

// ifNavigated is the body of navigated, which would be compiled once more for each route.
func (x *exchange) ifNavigated(h handler) error {
	mode, dest := x.r.Header.Get("Sec-Fetch-Mode"), x.r.Header.Get("Sec-Fetch-Dest")
	if mode != "" && mode != "navigate" || dest != "" && dest != "document" {
		return x.message(http.StatusForbidden, x.plain("forged"))
	}
	return h(x)
}
