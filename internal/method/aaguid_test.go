package method

import (
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
)

// rawAAGUID reads an AAGUID; "" is zeros.
func rawAAGUID(t testing.TB, s string) (a [16]byte) {
	t.Helper()
	if _, err := hex.Decode(a[:], []byte(strings.ReplaceAll(s, "-", ""))); err != nil {
		t.Fatal(err)
	}
	return a
}

func TestModelNames(t *testing.T) {
	seen := map[string]bool{}
	for line := range strings.Lines(aaguidNames) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		id, name, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		canonical, ok := parseAAGUID(id)
		if !ok || canonical != id || seen[id] || name == "" || strings.TrimSpace(name) != name || len(name) > 40 {
			t.Errorf("line %q", line)
		}
		seen[id] = true
		if modelName(id) != name {
			t.Errorf("%s is %q", id, modelName(id))
		}
	}
	for _, unknown := range []string{"", "00000000-0000-0000-0000-000000000001", "ea9b8d66", " "} {
		if name := modelName(unknown); name != "" {
			t.Errorf("%q is %q", unknown, name)
		}
	}
}

func TestModelPolicy(t *testing.T) { // the zero AAGUID is on no list, so a list of allowed ones refuses it
	const good, bad = "ee882879-721c-4913-9775-3dfcce97072a", "cb69481e-8ff7-4039-93ec-0a2729a154a8"
	for _, row := range []struct {
		name        string
		allow, deny []string
		aaguid      string
		ok          bool
	}{
		{"no list", nil, nil, bad, true},
		{"no list, zero", nil, nil, "", true},
		{"allowed", []string{good}, nil, good, true},
		{"allowed in capitals", []string{strings.ToUpper(good)}, nil, good, true},
		{"not allowed", []string{good}, nil, bad, false},
		{"zero not allowed", []string{good}, nil, "", false},
		{"denied", nil, []string{bad}, bad, false},
		{"not denied", nil, []string{bad}, good, true},
		{"zero not denied", nil, []string{bad}, "", true},
	} {
		s := onSite(t, WebAuthnConfig{AllowAAGUIDs: row.allow, DenyAAGUIDs: row.deny})
		d := newDevice()
		d.AAGUID = rawAAGUID(t, row.aaguid)
		_, err := enrol(t, s, d, aliceKeys)
		var hint *auth.Hint
		if row.ok && err != nil || !row.ok && (!errors.Is(err, auth.ErrRejected) || !errors.As(err, &hint)) {
			t.Errorf("%s: %v", row.name, err)
		}
	}
}
