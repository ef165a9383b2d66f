package mail

// english holds every word that mails say by themselves. %s in a subject is the product; a text says beside it what its verbs are.
var english = map[string]string{
	"code.subject": "Your code for %s",
	"code.title":   "Your sign-in code",
	"code.lead":    "This code finishes your sign-in to %s:",            // product
	"code.change":  "This code confirms that it is you, at %s:",         // product
	"code.where":   "Type it in the browser in which you began, on %s.", // host
	"code.link":    "Or open this link in that browser, and press the button there:",
	"code.open":    "Continue signing in",
	"code.valid":   "Code and link work once, for %s.", // minutes
	"code.warn":    "If you are not signing in right now, somebody else knows your password: change it, and give this code to nobody.",

	"confirm.subject": "Confirm your address for %s",
	"confirm.title":   "Confirm your address",
	"confirm.lead":    "This code confirms that the address is yours, for an account of %s:", // product
	"confirm.where":   "Type it on the page that asks for it, on %s.",                        // host
	"confirm.valid":   "The code works once, for %s.",                                        // minutes
	"confirm.warn":    "If you did not ask for this, do nothing: without the code, the address is not used.",

	"invite.subject": "Your invitation to %s",
	"invite.title":   "Your invitation",
	"invite.lead":    "There is an account for you at %s. Open this link to choose how you sign in:", // product
	"invite.open":    "Accept the invitation",
	"invite.valid":   "The link works once, for %s. Whoever has it can take the account, so keep it to yourself.", // hours
	"invite.warn":    "If you do not know what this is about, do nothing.",

	"reset.subject": "Reset your password for %s",
	"reset.title":   "Reset your password",
	"reset.lead":    "Somebody, most likely you, asked for a new password at %s. Open this link to choose one:", // product
	"reset.open":    "Choose a new password",
	"reset.valid":   "The link works once, for %s.", // hours
	"reset.once":    "The link works once.",
	"reset.warn":    "If it was not you, do nothing: your password stays as it is.",

	"signin.subject":    "New sign-in to %s",
	"signin.title":      "New sign-in",
	"signin.lead":       "Somebody signed in to your account at %s, from a browser that was not used there before.", // product
	"added.subject":     "New way to sign in to %s",
	"added.title":       "New way to sign in",
	"added.lead":        "A way to sign in was added to your account at %s.", // product
	"removed.subject":   "A way to sign in to %s was removed",
	"removed.title":     "A way to sign in was removed",
	"removed.lead":      "A way to sign in was removed from your account at %s.", // product
	"used.subject":      "Recovery code used at %s",
	"used.title":        "Recovery code used",
	"used.lead":         "One of your recovery codes was used to sign in to your account at %s. It does not work again.", // product
	"used.left.none":    "No code is left. Make new ones on the Security page.",
	"used.left.one":     "One code is left. Make new ones on the Security page.",
	"used.left.other":   "%d codes are left.",
	"codes.subject":     "New recovery codes at %s",
	"codes.title":       "New recovery codes",
	"viewed.subject":    "Recovery codes shown at %s",
	"viewed.title":      "Recovery codes shown",
	"viewed.lead":       "The unused recovery codes of your account at %s were shown on the Security page. They still work.", // product
	"viewed.not":        "If it was not you, open this link and press the button there, which switches the codes off, too:",
	"codes.lead":        "New recovery codes were made for your account at %s. Older ones do not work any more.", // product
	"replaced.subject":  "A way to sign in to %s was replaced",
	"replaced.title":    "A way to sign in was replaced",
	"replaced.lead":     "A way to sign in to your account at %s was replaced by another one.", // product
	"renamed.subject":   "A way to sign in to %s was renamed",
	"renamed.title":     "A way to sign in was renamed",
	"renamed.lead":      "A way to sign in to your account at %s has another name now.", // product
	"display.subject":   "Display name changed at %s",
	"display.title":     "Display name changed",
	"display.lead":      "The name that is shown for your account at %s was changed.", // product
	"prefer.subject":    "Preferred method changed at %s",
	"prefer.title":      "Preferred method changed",
	"prefer.lead":       "Signing in to your account at %s asks for another method first.", // product
	"off.subject":       "Two-factor authentication turned off at %s",
	"off.title":         "Two-factor authentication turned off",
	"off.lead":          "Every second method but codes by mail was removed from your account at %s, and the recovery codes.", // product
	"ended.subject":     "Sessions ended at %s",
	"ended.title":       "Sessions ended",
	"ended.lead":        "Somebody who was signed in to your account at %s ended other sessions of it.", // product
	"ended.count.one":   "One session was ended.",
	"ended.count.other": "%d sessions were ended.",
	"password.subject":  "Password changed at %s",
	"password.title":    "Password changed",
	"password.lead":     "The password of your account at %s was changed.", // product
	"address.subject":   "Email address changed at %s",
	"address.title":     "Email address changed",
	"address.lead":      "The email address of your account at %s was changed. This is the last mail to the old one, which you read here.", // product
	"throttled.subject": "Too many wrong attempts at %s",
	"throttled.title":   "Too many wrong attempts",
	"throttled.lead":    "Somebody tried to sign in to your account at %s and was wrong too often. Nobody got in this way. Browsers that you did not use before cannot sign in like that, until you have signed in from one that you did.", // product
	"throttled.yours":   "Nothing was changed, and there is nothing to do. Sign in from a browser that you used before, or in another way.",
	"throttled.not":     "Only if you believe that somebody is in your account, open this link and press the button there:",

	"reset-mfa.subject": "An administrator reset how you sign in to %s",
	"reset-mfa.title":   "How you sign in was reset",
	"reset-mfa.lead":    "An administrator removed every second method from your account at %s, and ended all sessions.", // product
	"reset-mfa.yours":   "If you asked for it, sign in and set up a new one.",
	"reset-mfa.not":     "If you did not ask for it, open this link and press the button there:",

	"announced.subject": "How you sign in to %s is going to be reset",
	"announced.title":   "How you sign in is going to be reset",
	"announced.lead":    "The administrators of %s were asked to remove every second method from your account and to end all sessions. After that, whoever knows your password can set up a new one.", // product
	"announced.yours":   "If you asked for it, there is nothing to do until then. After that, sign in and set up a new method.",
	"announced.not":     "If you did not ask for it, open this link and press the button there:",
	"announced.open":    "Stop the reset",
	"announced.then":    "Then everything stays as it is, and the administrators learn that you did not ask. The link works once, until the reset.",
	"stopped.subject":   "The reset at %s was stopped",
	"stopped.title":     "The reset was stopped",
	"stopped.lead":      "The link in the mail that announced it was used to stop the reset of your account at %s. Your second methods stay as they are.", // product
	"late.subject":      "The reset at %s was called off",
	"late.title":        "The reset was called off",
	"late.lead":         "The reset of your account at %s that was announced to you came due while the server did not run. It is not made up for: your second methods stay as they are.", // product
	"late.not":          "Only if you believe that somebody is in your account, open this link and press the button there:",
	"cancelled.subject": "The reset at %s was taken back",
	"cancelled.title":   "The reset was taken back",
	"cancelled.lead":    "An administrator took back the reset of your account at %s that was announced to you. Your second methods stay as they are.", // product
	"cancelled.yours":   "There is nothing to do.",
	"cancelled.not":     "Only if you believe that somebody is in your account, open this link and press the button there:",

	"notice.yours": "If it was you, there is nothing to do.",
	"notice.not":   "If it was not you, open this link and press the button there:",
	"notice.open":  "This wasn't me",
	"notice.then":  "It ends every session, puts this address back, switches off what was added since, and blocks signing in until you set a new password. It works once, for 7 days.",

	"fact.account": "Account",
	"fact.method":  "Method",
	"fact.label":   "Name",
	"fact.due":     "Reset at",
	"fact.by":      "By",
	"fact.admin":   "an administrator",
	"fact.before":  "Before",
	"fact.now":     "Now",
	"fact.none":    "none",
	"fact.when":    "When",
	"fact.browser": "Browser",
	"fact.ip":      "IP address",
	"fact.unknown": "unknown",

	"method.password": "Password",
	"method.totp":     "Authenticator app",
	"method.webauthn": "Security key or passkey",
	"method.email":    "Email",
	"method.recovery": "Recovery codes",

	"test.subject": "Test mail from %s",
	"test.title":   "Mail works",
	"test.lead":    "This is a test, sent by %s. Nobody has to do anything.", // server

	"foot":        "%s sent this mail by itself. Nobody reads answers to it.", // product
	"foot.button": "If the button does nothing, open this address:",

	"when":          "2 January 2006, 15:04", // a layout of Go's package time
	"minutes.one":   "1 minute",
	"minutes.other": "%d minutes",
	"hours.one":     "1 hour",
	"hours.other":   "%d hours",
}
