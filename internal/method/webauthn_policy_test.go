package method

import (
	"reflect"
	"strings"
	"testing"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
)

func TestWebAuthnConfig(t *testing.T) {
	const model = "ee882879-721c-4913-9775-3dfcce97072a"
	of := func(rpID string, origins ...string) WebAuthnConfig {
		return WebAuthnConfig{RPID: rpID, Origins: origins}
	}
	with := func(origin string) WebAuthnConfig { return of("example.com", home, origin) }
	for _, row := range []struct {
		name   string
		config WebAuthnConfig
		want   string // in the error; "" for none
	}{
		{"nothing", WebAuthnConfig{}, ""},
		{"one site", of("example.com", home), ""},
		{"below", of("example.com", "https://dash.example.com", "https://a.b.example.com:8443"), ""},
		{"below a suffix of two labels", of("example.co.uk", "https://example.co.uk"), ""},
		{"localhost", of("localhost", "http://localhost:8080", "https://app.localhost", "http://app.localhost:8080"), ""},
		{"international", of("xn--bcher-kva.example", "https://xn--bcher-kva.example"), ""},
		{"related", of("example.com", home, "https://example.net", "https://dash.example.net"), ""},
		{"five related names", of("example.com", "https://a.net", "https://a.org", "https://b.net", "https://c.net", "https://d.net", "https://e.net"), ""},

		{"RP ID alone", of("example.com"), "rp_id needs origins"},
		{"origins alone", of("", home), "origins need rp_id"},
		{"RP ID with a scheme", of("https://example.com", home), "not a host"},
		{"RP ID with a port", of("example.com:443", home), "not a host"},
		{"RP ID with a path", of("example.com/", home), "not a host"},
		{"RP ID in capitals", of("Example.com", home), "lower case"},
		{"RP ID with a dot", of("example.com.", home), "not a host"},
		{"RP ID with an empty label", of("example..com", home), "not a host"},
		{"RP ID of a wildcard", of("*.example.com", home), "not a host"},
		{"RP ID in Unicode", of("bücher.example", home), "not a host"},
		{"RP ID of an address", of("192.0.2.1", "https://192.0.2.1"), "no address"},
		{"RP ID of a short address", of("192.1", "https://192.1"), "no address"},
		{"RP ID of a hexadecimal address", of("0xc0.0x00.0x02.0x01", home), "no address"},
		{"RP ID of an IPv6 address", of("2001:db8::1", home), "no address"},
		{"RP ID of an IPv6 address in brackets", of("[2001:db8::1]", home), "no address"},
		{"RP ID of a top-level domain", of("com", home), "public suffix"},
		{"RP ID of a suffix", of("co.uk", "https://example.co.uk"), "public suffix"},
		{"RP ID of a private suffix", of("github.io", "https://example.github.io"), "public suffix"},
		{"RP ID of one label", of("intranet", "https://intranet"), "public suffix"},

		{"origin with a slash", with("https://dash.example.com/"), "not an origin"},
		{"origin with a path", with("https://dash.example.com/x"), "not an origin"},
		{"origin with a query", with("https://dash.example.com?x"), "not an origin"},
		{"origin with an empty query", with("https://dash.example.com?"), "not an origin"},
		{"origin with a fragment", with("https://dash.example.com#x"), "not an origin"},
		{"origin with a user", with("https://alice@dash.example.com"), "not an origin"},
		{"origin without a scheme", with("dash.example.com"), "not an origin"},
		{"origin of nothing", with(""), "not an origin"},
		{"origin with a space", with("https://dash.example.com "), "not an origin"},
		{"plain origin", with("http://dash.example.com"), "https://"},
		{"origin of an app", with("android://x"), "https://"},
		{"plain origin of what looks local", with("http://notlocalhost"), "https://"},
		{"origin in capitals", with("https://Dash.example.com"), "lower case"},
		{"scheme in capitals", with("HTTPS://dash.example.com"), "not an origin"},
		{"origin of an address", with("https://192.0.2.1"), "no address"},
		{"origin of an IPv6 address", with("https://[2001:db8::1]"), "no address"},
		{"origin with the usual port", with("https://dash.example.com:443"), "without its port"},
		{"plain origin with the usual port", of("localhost", "http://localhost:80"), "without its port"},
		{"origin with an empty port", with("https://dash.example.com:"), "no usable port"},
		{"origin with port 0", with("https://dash.example.com:0"), "no usable port"},
		{"origin with a port too large", with("https://dash.example.com:65536"), "no usable port"},
		{"origin with a padded port", with("https://dash.example.com:08443"), "no usable port"},
		{"origin named twice", with(home), "named twice"},
		{"related to a suffix", with("https://co.uk"), "public suffix"},
		{"related to localhost", with("http://localhost"), "public suffix"},
		{"six related names", of("example.com", "https://a.net", "https://b.net", "https://c.net", "https://d.net", "https://e.net", "https://f.net"), "6 different names"},

		{"required", WebAuthnConfig{UserVerification: "required"}, ""},
		{"discouraged", WebAuthnConfig{UserVerification: "discouraged"}, ""},
		{"other verification", WebAuthnConfig{UserVerification: "Required"}, "user_verification"},
		{"none", WebAuthnConfig{Attestation: "none"}, ""},
		{"direct with metadata", WebAuthnConfig{Attestation: "direct", Metadata: "/nowhere"}, ""},
		{"direct without metadata", WebAuthnConfig{Attestation: "direct"}, "needs metadata"},
		{"metadata without direct", WebAuthnConfig{Metadata: "/nowhere"}, "only with attestation direct"},
		{"indirect", WebAuthnConfig{Attestation: "indirect"}, "there is no attestation"},
		{"enterprise", WebAuthnConfig{Attestation: "enterprise", Metadata: "/nowhere"}, "there is no attestation"},

		{"one model", WebAuthnConfig{AllowAAGUIDs: []string{model}}, ""},
		{"both lists", WebAuthnConfig{AllowAAGUIDs: []string{model}, DenyAAGUIDs: []string{model}}, "not both"},
		{"twice", WebAuthnConfig{DenyAAGUIDs: []string{model, strings.ToUpper(model)}}, "named twice"},
		{"without dashes", WebAuthnConfig{AllowAAGUIDs: []string{strings.ReplaceAll(model, "-", "")}}, "not an AAGUID"},
		{"in braces", WebAuthnConfig{AllowAAGUIDs: []string{"{" + model + "}"}}, "not an AAGUID"},
		{"dashes elsewhere", WebAuthnConfig{AllowAAGUIDs: []string{"ee88287-9721c-4913-9775-3dfcce97072a"}}, "not an AAGUID"},
		{"short", WebAuthnConfig{DenyAAGUIDs: []string{model[:35]}}, "not an AAGUID"},
		{"a name", WebAuthnConfig{DenyAAGUIDs: []string{"YubiKey"}}, "not an AAGUID"},
		{"zeros", WebAuthnConfig{DenyAAGUIDs: []string{"00000000-0000-0000-0000-000000000000"}}, "not an AAGUID"},
	} {
		t.Run(row.name, func(t *testing.T) {
			err := CheckWebAuthn(row.config)
			if row.want == "" && err != nil || row.want != "" && (err == nil || !strings.Contains(err.Error(), row.want)) {
				t.Errorf("%v, want %q", err, row.want)
			}
			_, full := NewWebAuthn(row.config)
			if row.config.Metadata == "" && (full == nil) != (err == nil) {
				t.Errorf("NewWebAuthn: %v", full)
			}
		})
	}
}

func TestWebAuthnAt(t *testing.T) { // S39, S41: which RP ID and origin count where
	own, shared := WebAuthnConfig{}, WebAuthnConfig{RPID: "example.com", Origins: []string{"https://dash.example.com", "https://example.net"}}
	for _, row := range []struct {
		name         string
		config       WebAuthnConfig
		host, origin string
		rpID         string // "" for nil
	}{
		{"its own", own, "dash.example.com", "https://dash.example.com", "dash.example.com"},
		{"with a port", own, "dash.example.com", "https://dash.example.com:8443", "dash.example.com"},
		{"one label", own, "intranet", "https://intranet", "intranet"},
		{"localhost", own, "localhost", "http://localhost:8080", "localhost"},
		{"below localhost", own, "app.localhost", "http://app.localhost", "app.localhost"},
		{"plain", own, "dash.example.com", "http://dash.example.com", ""},
		{"address", own, "192.0.2.1", "https://192.0.2.1", ""},
		{"IPv6 address", own, "2001:db8::1", "https://[2001:db8::1]", ""},
		{"nothing", own, "", "", ""},
		{"no host", own, "", "https://", ""},
		{"host of another", own, "example.com", "https://example.net", ""},
		{"host above", own, "example.com", "https://dash.example.com", ""},
		{"listed", shared, "dash.example.com", "https://dash.example.com", "example.com"},
		{"related", shared, "example.net", "https://example.net", "example.com"},
		{"not listed", shared, "example.com", "https://example.com", ""},
		{"listed with another port", shared, "dash.example.com", "https://dash.example.com:8443", ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			m, err := NewWebAuthn(row.config)
			if err != nil {
				t.Fatal(err)
			}
			got := m.At(auth.Site{Host: row.host, Origin: row.origin})
			if row.rpID == "" {
				if got != nil {
					t.Errorf("works as %+v", got)
				}
				return
			}
			s, ok := got.(*siteWebAuthn)
			if !ok || s.rpID != row.rpID || s.origin != row.origin {
				t.Errorf("works as %+v", got)
			}
		})
	}
}

func TestWebAuthnRelatedOrigins(t *testing.T) {
	for name, row := range map[string]struct{ origins, want []string }{
		"none":      {[]string{home, "https://dash.example.com"}, nil},
		"lookalike": {[]string{"https://notexample.com"}, []string{"https://notexample.com"}},
		"two":       {[]string{home, "https://example.net", "https://dash.example.org"}, []string{"https://example.net", "https://dash.example.org"}},
	} {
		m, err := NewWebAuthn(WebAuthnConfig{RPID: "example.com", Origins: row.origins})
		if err != nil {
			t.Fatal(err)
		}
		if got := m.RelatedOrigins(); !reflect.DeepEqual(got, row.want) {
			t.Errorf("%s: %q", name, got)
		}
	}
}
