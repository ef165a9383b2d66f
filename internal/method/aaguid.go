package method

import (
	_ "embed"
	"encoding/hex"
	"strings"
)

// aaguidNames has the commonest models of authenticators, "AAGUID name" a line: facts from the list of passkey providers that
// https://github.com/passkeydeveloper/passkey-authenticator-aaguids keeps, and from the descriptions in FIDO's Metadata Service. Names
// of profiles and batches of one product are merged. It only proposes names; nothing is decided by it. Being text within the binary,
// it takes no heap and no time at start.
//
//go:embed aaguid.txt
var aaguidNames string

// formatAAGUID writes an AAGUID as people write it, 8-4-4-4-12 hexadecimal digits in lower case. It is "" for zeros, which say nothing:
// most browsers report them where no attestation was asked for.
func formatAAGUID(b []byte) string {
	if len(b) != 16 || [16]byte(b) == ([16]byte{}) {
		return ""
	}
	h := hex.EncodeToString(b)
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

// parseAAGUID reads the usual spelling, in either case, and returns it in lower case. Zeros are no AAGUID.
func parseAAGUID(s string) (string, bool) {
	b, err := hex.DecodeString(strings.ReplaceAll(s, "-", ""))
	if err != nil {
		return "", false
	}
	a := formatAAGUID(b)
	return a, a != "" && strings.EqualFold(a, s)
}

// modelName is what people call the model of that AAGUID, "" for one that is not listed.
func modelName(aaguid string) string {
	_, rest, found := strings.Cut(aaguidNames, "\n"+aaguid+" ")
	if !found || aaguid == "" {
		return ""
	}
	name, _, _ := strings.Cut(rest, "\n")
	return name
}
