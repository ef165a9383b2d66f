package method

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/go-webauthn/webauthn/protocol"
)

// readAsLibrary demands that parseRegistration takes what the library's own parser takes, and reads the same. Members of the response
// that nobody uses may be damaged.
func readAsLibrary(t *testing.T, answer []byte) {
	t.Helper()
	var whole map[string]any
	if json.Unmarshal(answer, &whole) == nil {
		for _, v := range whole {
			response, _ := v.(map[string]any)
			for name := range response {
				if n := strings.ToLower(name); n == "authenticatordata" || strings.HasPrefix(n, "publickey") {
					delete(response, name)
				}
			}
		}
		answer, _ = json.Marshal(whole)
	}
	got, err := parseRegistration(answer)
	want, wrong := protocol.ParseCredentialCreationResponseBytes(answer)
	if len(answer) > maxResponse {
		return
	}
	if (err == nil) != (wrong == nil) {
		t.Fatalf("we say %v, the library %v, of %s", err, wrong, answer)
	}
	if err != nil {
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

func TestWebAuthnReadsAsLibrary(t *testing.T) { // S50
	list, _ := vectors(t)
	for _, v := range list {
		readAsLibrary(t, v.registration(t))
	}
	begun, err := onSite(t, WebAuthnConfig{}).BeginEnroll(noon, aliceKeys, nil)
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
		"odd extensions":   func(m, _ map[string]any) { m["clientExtensionResults"] = map[string]any{"credProps": "yes"} },
		"no ID":            func(m, _ map[string]any) { delete(m, "id") },
		"an empty ID":      func(m, _ map[string]any) { m["id"], m["rawId"] = "", "" },
		"another ID":       func(m, _ map[string]any) { m["id"] = "AAAA" },
		"a padded ID":      func(m, _ map[string]any) { m["id"] = m["id"].(string) + "=" },
		"no raw ID":        func(m, _ map[string]any) { delete(m, "rawId") },
		"no type":          func(m, _ map[string]any) { delete(m, "type") },
		"another type":     func(m, _ map[string]any) { m["type"] = "password" },
		"no client data":   func(_, r map[string]any) { delete(r, "clientDataJSON") },
		"null client data": func(_, r map[string]any) { r["clientDataJSON"] = "bnVsbA" },
		"no object":        func(_, r map[string]any) { delete(r, "attestationObject") },
		"a null object":    func(_, r map[string]any) { r["attestationObject"] = "9g" },
		"an empty object":  func(_, r map[string]any) { r["attestationObject"] = "oA" },
		"two objects":      func(_, r map[string]any) { r["attestationObject"] = r["attestationObject"].(string) + "oA" },
		"no response":      func(m, _ map[string]any) { delete(m, "response") },
	} {
		t.Run(name, func(t *testing.T) {
			made, err := newDevice().Create(begun.Public)
			if err != nil {
				t.Fatal(err)
			}
			var m map[string]any
			if err := json.Unmarshal(made, &m); err != nil {
				t.Fatal(err)
			}
			change(m, m["response"].(map[string]any))
			if made, err = json.Marshal(m); err != nil {
				t.Fatal(err)
			}
			readAsLibrary(t, made)
		})
	}
}
