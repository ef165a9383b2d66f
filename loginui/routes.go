package loginui

// A handler answers one request, or returns an error for settle.
type handler func(*exchange) error

// route is what a path below the prefix answers. HEAD is served by get; a nil post refuses POST.
type route struct {
	get, post handler
}

// routes is the table of everything that the portal serves besides its static files.
var routes = map[string]route{
	"":                 {get: getRoot},
	"/":                {get: getRoot},
	"/login":           {getLogin, postLogin},
	"/verify/totp":     {getVerifyTOTP, postVerifyTOTP},
	"/verify/recovery": {getVerifyRecovery, postVerifyRecovery},
	"/enroll":          {getEnroll, postEnroll},
	"/enroll/totp":     {getEnrollTOTP, postEnrollTOTP},
	"/recovery-codes":  {getRecoveryCodes, postRecoveryCodes},
	"/recovery-used":   {get: getRecoveryUsed},
	"/invite":          {getInvite, postInvite},
	"/ask-admin":       {get: getAskAdmin},
	"/security":        {get: getSecurity},
	"/logout":          {getLogout, postLogout},
	"/session":         {get: getSession},
}

func getRoot(x *exchange) error { return x.redirect(x.prefix + "/security") }
