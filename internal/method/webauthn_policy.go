package method

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/publicsuffix"

	"github.com/go-webauthn/webauthn/protocol"
)

// WebAuthnConfig is what an admin decides about security keys and passkeys.
type WebAuthnConfig struct {
	Name             string   // of the relying party, shown by authenticators; "" = the RP ID
	RPID             string   // "" = host of the site
	Origins          []string // with RPID: where it may be used, as browsers write origins
	UserVerification string   // "required", "preferred" (default), "discouraged"
	Attestation      string   // "none" (default) or "direct"
	Metadata         string   // file: blob of FIDO's Metadata Service, signed; exactly with Attestation "direct"

	// Models that may be set up, or that may not; AAGUIDs, and one of the lists at most. Without Attestation "direct" they are what the
	// browser says, which many keep to themselves.
	AllowAAGUIDs, DenyAAGUIDs []string
}

// maxRelatedLabels is how many names browsers count among related origins (WebAuthn Level 3, section 5.11.1).
const maxRelatedLabels = 5

// CheckWebAuthn says in a sentence what of c cannot work together. It touches no file.
func CheckWebAuthn(c WebAuthnConfig) error {
	switch {
	case c.RPID == "" && len(c.Origins) > 0:
		return errors.New("origins need rp_id: without it, each site has passkeys of its own")
	case c.RPID != "" && len(c.Origins) == 0:
		return errors.New("rp_id needs origins: the sites that share its passkeys, such as https://dash.example.com")
	}
	if c.RPID != "" {
		if err := checkRPID(c.RPID); err != nil {
			return err
		}
		if err := checkOrigins(c.RPID, c.Origins); err != nil {
			return err
		}
	}
	return checkPolicy(c)
}

func checkPolicy(c WebAuthnConfig) error {
	switch protocol.UserVerificationRequirement(c.UserVerification) {
	case "", protocol.VerificationRequired, protocol.VerificationPreferred, protocol.VerificationDiscouraged:
	default:
		return fmt.Errorf("there is no user_verification %q; it is required, preferred or discouraged", c.UserVerification)
	}
	switch protocol.ConveyancePreference(c.Attestation) {
	case "", protocol.PreferNoAttestation:
		if c.Metadata != "" {
			return errors.New("metadata is of use only with attestation direct")
		}
	case protocol.PreferDirectAttestation:
		if c.Metadata == "" {
			return errors.New("attestation direct needs metadata: the file that FIDO offers at https://mds.fidoalliance.org")
		}
	default:
		return fmt.Errorf("there is no attestation %q; it is none or direct", c.Attestation)
	}
	if len(c.AllowAAGUIDs) > 0 && len(c.DenyAAGUIDs) > 0 {
		return errors.New("aaguids are allowed or denied, not both")
	}
	if _, err := parseAAGUIDs(c.AllowAAGUIDs); err != nil {
		return err
	}
	_, err := parseAAGUIDs(c.DenyAAGUIDs)
	return err
}

func parseAAGUIDs(list []string) ([]string, error) {
	var out []string
	for _, s := range list {
		a, ok := parseAAGUID(s)
		switch {
		case !ok:
			return nil, fmt.Errorf("%q is not an AAGUID such as ee882879-721c-4913-9775-3dfcce97072a", s)
		case slices.Contains(out, a):
			return nil, fmt.Errorf("the AAGUID %s is named twice", s)
		}
		out = append(out, a)
	}
	return out, nil
}

// checkRPID demands a host that browsers take for an RP ID (section 5.1.2; "registrable domain suffix" in HTML).
func checkRPID(id string) error {
	if !hostName(id) {
		return fmt.Errorf("rp_id %q is not a host such as example.com, in lower case, without scheme, port and path, and no address", id)
	}
	if suffix, _ := publicsuffix.PublicSuffix(id); suffix == id && id != "localhost" {
		return fmt.Errorf("rp_id %q is a public suffix, which browsers do not take", id)
	}
	return nil
}

func checkOrigins(rpID string, origins []string) error {
	var labels []string
	for i, o := range origins {
		host, err := originHost(o)
		if err != nil {
			return err
		}
		if slices.Contains(origins[:i], o) {
			return fmt.Errorf("the origin %s is named twice", o)
		}
		if below(host, rpID) {
			continue
		}
		domain, err := publicsuffix.EffectiveTLDPlusOne(host)
		if err != nil {
			return fmt.Errorf("the origin %s is neither %s nor below it, and browsers take no public suffix for a related one", o, rpID)
		}
		label, _, _ := strings.Cut(domain, ".")
		if !slices.Contains(labels, label) {
			labels = append(labels, label)
		}
	}
	if len(labels) > maxRelatedLabels {
		return fmt.Errorf("the origins that are not below %s have %d different names (%s); browsers take %d",
			rpID, len(labels), strings.Join(labels, ", "), maxRelatedLabels)
	}
	return nil
}

// below reports whether host is domain or lies below it.
func below(host, domain string) bool { return host == domain || strings.HasSuffix(host, "."+domain) }

// originHost is the host of an origin on which browsers offer WebAuthn, written as they write it: https, or http on localhost; a name;
// no default port; nothing after it.
func originHost(origin string) (string, error) {
	u, err := url.Parse(origin)
	if err != nil || u.Host == "" || origin != u.Scheme+"://"+u.Host {
		return "", fmt.Errorf("%q is not an origin such as https://dash.example.com or https://dash.example.com:8443", origin)
	}
	host, port := u.Hostname(), u.Port()
	local := below(host, "localhost")
	switch {
	case u.Scheme != "https" && (u.Scheme != "http" || !local):
		return "", fmt.Errorf("the origin %s must begin with https://; browsers offer passkeys nowhere else but on localhost", origin)
	case !hostName(host):
		return "", fmt.Errorf("the origin %s must name a host in lower case, and no address", origin)
	}
	if u.Host == host {
		return host, nil
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 || u.Host != host+":"+strconv.FormatUint(n, 10) {
		return "", fmt.Errorf("the origin %s has no usable port", origin)
	}
	if u.Scheme == "https" && n == 443 || u.Scheme == "http" && n == 80 {
		return "", fmt.Errorf("the origin %s must be written without its port, which is the usual one", origin)
	}
	return host, nil
}

// hostName reports whether s is a host name in lower case, as browsers write it; international ones in punycode. What they would take
// for an IPv4 address, a name whose last label is a number, is none (URL Standard, "ends in a number").
func hostName(s string) bool {
	if _, err := netip.ParseAddr(s); err == nil || len(s) > 253 {
		return false
	}
	labels := strings.Split(s, ".")
	for _, l := range labels {
		if l == "" || len(l) > 63 || strings.Trim(l, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" || l[0] == '-' || l[len(l)-1] == '-' {
			return false
		}
	}
	last := labels[len(labels)-1]
	return strings.Trim(last, "0123456789") != "" && !strings.HasPrefix(last, "0x")
}
