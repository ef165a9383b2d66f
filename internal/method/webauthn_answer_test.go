package method

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/protocol/webauthncbor"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
)

// sameRegistration demands that parseRegistration takes what the library's own parser takes, and reads the same.
func sameRegistration(t *testing.T, answer []byte) {
	t.Helper()
	answer = used(answer, "clientDataJSON", "attestationObject", "transports")
	got, err := parseRegistration(answer)
	want, wrong := protocol.ParseCredentialCreationResponseBytes(answer)
	if !sameVerdict(t, answer, err, wrong) {
		return
	}
	if !bytes.Equal(got.Raw.AttestationResponse.ClientDataJSON, want.Raw.AttestationResponse.ClientDataJSON) {
		t.Errorf("other client data for %s", answer)
	}
	got.Raw, want.Raw = protocol.CredentialCreationResponse{}, protocol.CredentialCreationResponse{}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("we read\n%+v, the library\n%+v, of %s", got, want, answer)
	}
}

// sameAssertion is sameRegistration for parseAssertion.
func sameAssertion(t *testing.T, answer []byte) {
	t.Helper()
	answer = used(answer, "clientDataJSON", "authenticatorData", "signature", "userHandle")
	got, err := parseAssertion(answer)
	want, wrong := protocol.ParseCredentialRequestResponseBytes(answer)
	if wrong == nil && len(want.Response.UserHandle) > maxUserHandle || !sameVerdict(t, answer, err, wrong) {
		return
	}
	mine, theirs := got.Raw.AssertionResponse, want.Raw.AssertionResponse
	if !bytes.Equal(mine.ClientDataJSON, theirs.ClientDataJSON) || !bytes.Equal(mine.AuthenticatorData, theirs.AuthenticatorData) {
		t.Errorf("something else is signed for %s", answer)
	}
	got.Raw, want.Raw = protocol.CredentialAssertionResponse{}, protocol.CredentialAssertionResponse{}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("we read\n%+v, the library\n%+v, of %s", got, want, answer)
	}
}

// sameVerdict reports whether both took the answer.
func sameVerdict(t *testing.T, answer []byte, ours, theirs error) bool {
	t.Helper()
	if len(answer) <= maxResponse && (ours == nil) != (theirs == nil) {
		t.Errorf("we say %v, the library %v, of %s", ours, theirs, answer)
	}
	return ours == nil && theirs == nil
}

// used is an answer without what nobody reads, which may be damaged: other members of its response, and other extensions.
func used(answer []byte, members ...string) []byte {
	var whole map[string]any
	if json.Unmarshal(answer, &whole) != nil {
		return answer
	}
	for name, v := range whole {
		part, _ := v.(map[string]any)
		keep := []string{"credProps"}
		if strings.EqualFold(name, "response") {
			keep = members
		}
		maps.DeleteFunc(part, func(name string, _ any) bool {
			return !slices.ContainsFunc(keep, func(k string) bool { return strings.EqualFold(k, name) })
		})
	}
	answer, _ = json.Marshal(whole)
	return answer
}

func TestWebAuthnReadsAsLibrary(t *testing.T) { // S50
	list, _ := vectors(t)
	for _, v := range list {
		sameRegistration(t, v.registration(t))
		sameAssertion(t, v.assertion(t))
		bare, err := webauthncbor.Marshal(map[string]any{"fmt": "none", "attStmt": map[string]any{}, "authData": []byte(v.Assertion.AuthenticatorData)})
		if err != nil {
			t.Fatal(err)
		}
		v.Registration.AttestationObject = bare // attests no credential
		sameRegistration(t, v.registration(t))
	}
	s, d := onSite(t, WebAuthnConfig{}), newDevice()
	begun, err := s.BeginEnroll(noon, aliceKeys, nil)
	if err != nil {
		t.Fatal(err)
	}
	made, err := d.Create(begun.Public)
	if err != nil {
		t.Fatal(err)
	}
	asked, err := s.Challenge(noon, auth.User{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	given, err := d.Get(asked.Public)
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(m, response map[string]any){
		"nothing":             func(map[string]any, map[string]any) {},
		"an old name":         func(_, r map[string]any) { r["transports"] = []string{"cable", "usb", "new", ""} },
		"transports no texts": func(_, r map[string]any) { r["transports"] = []int{1} },
		"no transports":       func(_, r map[string]any) { delete(r, "transports") },
		"platform":            func(m, _ map[string]any) { m["authenticatorAttachment"] = "platform" },
		"an odd attachment":   func(m, _ map[string]any) { m["authenticatorAttachment"] = "moon" },
		"a property": func(m, _ map[string]any) {
			m["clientExtensionResults"] = map[string]any{"credProps": map[string]any{"rk": true}}
		},
		"odd extensions":     func(m, _ map[string]any) { m["clientExtensionResults"] = map[string]any{"credProps": "yes"} },
		"no ID":              func(m, _ map[string]any) { delete(m, "id") },
		"an empty ID":        func(m, _ map[string]any) { m["id"], m["rawId"] = "", "" },
		"a line for an ID":   func(m, _ map[string]any) { m["id"], m["rawId"] = "\n", "" },
		"another ID":         func(m, _ map[string]any) { m["id"] = "AAAA" },
		"a padded ID":        func(m, _ map[string]any) { m["id"] = m["id"].(string) + "=" },
		"no raw ID":          func(m, _ map[string]any) { delete(m, "rawId") },
		"no type":            func(m, _ map[string]any) { delete(m, "type") },
		"another type":       func(m, _ map[string]any) { m["type"] = "password" },
		"no client data":     func(_, r map[string]any) { delete(r, "clientDataJSON") },
		"null client data":   func(_, r map[string]any) { r["clientDataJSON"] = "bnVsbA" },
		"a text as data":     func(_, r map[string]any) { r["clientDataJSON"] = "e30x" },
		"no object":          func(_, r map[string]any) { delete(r, "attestationObject") },
		"a null object":      func(_, r map[string]any) { r["attestationObject"] = "9g" },
		"an empty object":    func(_, r map[string]any) { r["attestationObject"] = "oA" },
		"two objects":        func(_, r map[string]any) { r["attestationObject"] = fmt.Sprint(r["attestationObject"], "oA") },
		"no data":            func(_, r map[string]any) { delete(r, "authenticatorData") },
		"short data":         func(_, r map[string]any) { r["authenticatorData"] = "AAAA" },
		"no signature":       func(_, r map[string]any) { delete(r, "signature") },
		"no handle":          func(_, r map[string]any) { delete(r, "userHandle") },
		"a null handle":      func(_, r map[string]any) { r["userHandle"] = nil },
		"a number as handle": func(_, r map[string]any) { r["userHandle"] = 1 },
		"no response":        func(m, _ map[string]any) { delete(m, "response") },
	} {
		t.Run(name, func(t *testing.T) {
			for answer, same := range map[string]func(*testing.T, []byte){string(made): sameRegistration, string(given): sameAssertion} {
				var m map[string]any
				if err := json.Unmarshal([]byte(answer), &m); err != nil {
					t.Fatal(err)
				}
				change(m, m["response"].(map[string]any))
				changed, err := json.Marshal(m)
				if err != nil {
					t.Fatal(err)
				}
				same(t, changed)
			}
		})
	}
}
