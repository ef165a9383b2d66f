package loginui

import (
	"encoding/base64"
	"encoding/json"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
	"github.com/caddy-mfa/caddy-mfa/internal/method"
)

// Signals keep a browser's list of passkeys true (WebAuthn Level 3, section 5.1.10). They are JSON: the argument of each call, by its
// name. The script calls those that the browser has.

// rpID is the relying party for which ask was made.
func rpID(ask *auth.Ask) string {
	var o struct {
		RPID string `json:"rpId"`
	}
	if ask == nil || json.Unmarshal(ask.Public, &o) != nil {
		return ""
	}
	return o.RPID
}

// unknownKey signals a passkey that nobody has here; "" for none.
func unknownKey(ask *auth.Ask, id string) string {
	if id == "" {
		return ""
	}
	return signals(map[string]any{"signalUnknownCredential": map[string]string{"rpId": rpID(ask), "credentialId": id}})
}

// siteID is the relying party here, "" where keys do not work. It asks for a passkey that nobody will show.
func (x *exchange) siteID() (string, error) {
	v := auth.Visit{Host: x.in.Visit.Host, Origin: x.in.Visit.Origin}
	if c, ok := x.realm.PreFlow(v); ok {
		v.Flow = c.Value
	}
	ask, err := x.realm.PasskeyAsk(v)
	return rpID(ask), err
}

// accepted signals which keys of u count, and what u is called. Those that are switched off are named too: a browser that forgets a
// passkey does not get it back.
func accepted(u *auth.User, creds []auth.Credential, rpID string) string {
	ids := []string{}
	for _, c := range creds {
		if c.Method != auth.MethodWebAuthn {
			continue
		}
		key, err := method.Key(c)
		if err != nil {
			return "" // what the browser would drop might be this one
		}
		if key.RPID == rpID {
			ids = append(ids, base64.RawURLEncoding.EncodeToString(key.CredentialID))
		}
	}
	user := base64.RawURLEncoding.EncodeToString(u.Handle)
	return signals(map[string]any{
		"signalAllAcceptedCredentials": map[string]any{"rpId": rpID, "userId": user, "allAcceptedCredentialIds": ids},
		"signalCurrentUserDetails":     map[string]string{"rpId": rpID, "userId": user, "name": u.Name, "displayName": u.Display()},
	})
}

func signals(calls map[string]any) string {
	b, err := json.Marshal(calls)
	if err != nil { // strings always encode
		panic(err)
	}
	return string(b)
}
