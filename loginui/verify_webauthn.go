package loginui

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
)

// keyAsk is what the script needs to ask for a security key or passkey.
type keyAsk struct {
	Options string // JSON, as PublicKeyCredential.parseRequestOptionsFromJSON or parseCreationOptionsFromJSON takes it
	Sealed  string // comes back with the answer
	Source  string // page that holds new ones
	Auto    bool   // the prompt opens by itself
}

// showKey answers with the page that asks for a key, and what was wrong if something was. A challenge is spent by its first answer,
// so each page has a new one.
func (x *exchange) showKey(pg *page, wrong error) error {
	ask, err := x.realm.Ask(x.r.Context(), x.in.Visit, auth.MethodWebAuthn)
	if err != nil {
		return err
	}
	pg.policy, pg.fields, pg.wrongField = fetchPolicy, nil, ""
	pg.Body = &keyAsk{string(ask.Public), ask.Sealed, x.prefix + "/verify/webauthn" + pg.along, wrong == nil}
	if wrong != nil {
		return x.refuse(pg, wrong)
	}
	return x.render(pg)
}

func getVerifyWebAuthn(x *exchange) error {
	pg, _, err := x.verifyPage(auth.MethodWebAuthn)
	if err != nil {
		return err
	}
	return x.showKey(pg, nil)
}

// postVerifyWebAuthn takes the second step, and the passkey of the sign-in page.
func postVerifyWebAuthn(x *exchange) error {
	if x.form["passkey"] != "" {
		return x.passkey()
	}
	pg, _, err := x.verifyPage(auth.MethodWebAuthn)
	if err != nil {
		return err
	}
	answer := x.form["response"]
	if answer == "" {
		return x.showKey(pg, &auth.Invalid{Text: x.t("webauthn.empty")})
	}
	out, err := x.realm.ProveAsked(x.r.Context(), x.in.Visit, auth.MethodWebAuthn, []byte(answer), x.form["challenge"])
	if err != nil {
		return x.showKey(pg, err)
	}
	return x.advance(out)
}

// passkey takes a sign-in without a name.
func (x *exchange) passkey() error {
	body := &signIn{OnePage: x.realm.OnePage(), Refused: true}
	pg := x.loginForm("", x.form["to"])
	pg.Body, pg.wrong = body, "passkey.wrong"
	answer := x.form["response"]
	if answer == "" {
		return x.showLogin(pg, &auth.Invalid{Text: x.t("webauthn.empty")})
	}
	out, err := x.realm.Passkey(x.r.Context(), x.in.Visit, []byte(answer), x.form["challenge"], pg.To)
	if errors.Is(err, auth.ErrUnknownKey) {
		if body.unknown = credentialID(answer); body.unknown != "" {
			pg.wrong = "passkey.unknown"
		}
	}
	if x.in.Session != nil && errors.Is(err, auth.ErrRejected) {
		return x.signedIn(x.form["to"]) // in another tab, meanwhile, which took the cookie that the challenge is bound to
	}
	if x.in.Visit.Flow == "" && errors.Is(err, auth.ErrRejected) { // the cookie that the challenge is bound to did not come along
		return x.message(http.StatusBadRequest, x.plain("cookies"))
	}
	if err != nil {
		return x.showLogin(pg, err)
	}
	return x.advance(out)
}

// credentialID is what an answer says it is from, in base64url; "" if that is not an ID (WebAuthn Level 3, section 7.1, step 25).
func credentialID(answer string) string {
	var a struct {
		ID string `json:"id"`
	}
	if json.Unmarshal([]byte(answer), &a) != nil {
		return ""
	}
	id, err := base64.RawURLEncoding.DecodeString(a.ID)
	if err != nil || len(id) == 0 || len(id) > 1023 {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(id)
}
