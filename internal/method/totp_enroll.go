package method

import (
	"bytes"
	"encoding/base32"
	"encoding/json"
	"fmt"
	"image/color"
	"io"
	"net/url"
	"strings"
	"time"

	"github.com/pquerna/otp"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
)

// TOTPSetup is Challenge.Public of BeginEnroll, as JSON: what the page shows for setting up an app.
type TOTPSetup struct {
	Account string `json:"account"`
	Issuer  string `json:"issuer"`
	Secret  string `json:"secret"` // base32 in capitals, without padding or grouping: to type
	URI     string `json:"uri"`    // otpauth://totp/...
	QR      []byte `json:"qr"`     // the URI as a PNG, black on white with its quiet zone; base64 in JSON
}

// BeginEnroll makes a seed. The challenge outlives wrong codes, since the app already holds the seed.
func (m *TOTP) BeginEnroll(_ time.Time, u auth.User, _ []auth.Credential) (auth.Challenge, error) {
	seed := make([]byte, totpSeed)
	if _, err := io.ReadFull(m.rand, seed); err != nil {
		return auth.Challenge{}, fmt.Errorf("reading randomness: %w", err)
	}
	s := TOTPSetup{
		Account: appName(u.Name),
		Issuer:  appName(m.issuer),
		Secret:  base32.StdEncoding.EncodeToString(seed),
	}
	s.URI = setupURI(s.Issuer, s.Account, s.Secret)
	var err error
	if s.QR, err = qrPNG(s.URI); err != nil {
		return auth.Challenge{}, fmt.Errorf("drawing the QR code: %w", err)
	}
	public, err := json.Marshal(s) //nolint:gosec // the secret is what the page is for
	if err != nil {
		return auth.Challenge{}, err
	}
	return auth.Challenge{Method: auth.MethodTOTP, Public: public, Private: seed, Reusable: true}, nil
}

// FinishEnroll demands a code, as sign-in does, and burns its step. Of a code that lies within ten minutes a *auth.Hint tells by how
// much the phone's clock is off: nothing is given away to someone who holds the seed. Sign-in gives no such hint.
func (m *TOTP) FinishEnroll(now time.Time, _ auth.User, ch auth.Challenge, answer []byte) (auth.Credential, error) {
	got, ok := sixDigits(answer)
	if !ok {
		return auth.Credential{}, auth.ErrRejected
	}
	current := stepAt(now)
	step, err := matchStep(ch.Private, got, current, totpSkew)
	if err != nil {
		return auth.Credential{}, err
	}
	if step < 0 {
		if step, err = matchStep(ch.Private, got, current, totpHint); err != nil {
			return auth.Credential{}, err
		}
		if step < 0 {
			return auth.Credential{}, auth.ErrRejected
		}
		return auth.Credential{}, clockHint(step - current)
	}
	return burn(auth.Credential{
		Method:  auth.MethodTOTP,
		Label:   TOTPLabel,
		Secret:  bytes.Clone(ch.Private),
		Created: now,
	}, step)
}

// clockHint says what to do about a clock that is so many steps ahead; behind, if negative.
func clockHint(steps int64) error {
	minutes := func(steps int64) int { return max(1, int((steps*totpPeriod+30)/60)) }
	if steps < 0 {
		return auth.NewHint(auth.ErrRejected, "hint.clock.slow",
			"Your phone's clock seems to be about {{.Count}} min slow. Set its date and time to automatic, then enter the newest code.", minutes(-steps))
	}
	return auth.NewHint(auth.ErrRejected, "hint.clock.fast",
		"Your phone's clock seems to be about {{.Count}} min fast. Set its date and time to automatic, then enter the newest code.", minutes(steps))
}

// maxName bounds the issuer and the account, escaped, in bytes. The URI then has at most 650, so that the QR code stays one that a
// phone reads off a screen.
const maxName = 180

// appName makes s fit for an app's list: without colons, which part issuer and account in the URI, and cut to maxName.
func appName(s string) string {
	s = strings.Join(strings.Fields(strings.ReplaceAll(strings.ToValidUTF8(s, ""), ":", " ")), " ")
	size := 0
	for i, r := range s {
		if size += len(escape(string(r))); size > maxName {
			return strings.TrimSpace(s[:i])
		}
	}
	return s
}

// setupURI is the URI that authenticator apps read
// (https://github.com/google/google-authenticator/wiki/Key-Uri-Format). The last three parameters are the defaults, for apps that want
// them said.
func setupURI(issuer, account, secret string) string {
	label, param := escape(account), ""
	if issuer != "" {
		label, param = escape(issuer)+":"+label, "&issuer="+escape(issuer)
	}
	return "otpauth://totp/" + label + "?secret=" + secret + param + "&algorithm=SHA1&digits=6&period=30"
}

// escape escapes all that is not unreserved (RFC 3986, section 2.3): some apps take a plus for a space or stop at a slash.
func escape(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }

// Measures of a QR code in modules, its squares (ISO/IEC 18004).
const (
	qrLargest = 177 // the side of the largest version
	qrFinder  = 7   // the side of the square in the corner
	qrQuiet   = 4   // the white margin that readers need
	qrPixels  = 480 // the image is about so wide, enough for dense screens
)

// qrPNG draws s in two colours. The library centres a code in whatever size it is asked for, with any margin or none, so its modules
// are read off and drawn again.
func qrPNG(s string) ([]byte, error) {
	key, err := otp.NewKeyFromURL(s)
	if err != nil {
		return nil, err
	}
	raw, err := key.Image(qrLargest, qrLargest)
	if err != nil {
		return nil, err
	}
	margin := 0
	for margin < qrLargest && !dark(raw.At(margin, margin)) {
		margin++
	}
	finder := 0
	for margin+finder < qrLargest && dark(raw.At(margin+finder, margin)) {
		finder++
	}
	if finder < qrFinder {
		return nil, fmt.Errorf("no finder pattern: %d pixels", finder)
	}
	size := finder / qrFinder // of a module, in pixels of raw
	modules := (qrLargest - 2*margin) / size

	side := modules + 2*qrQuiet
	scale := max(2, qrPixels/side)
	return blackOnWhite(side, scale, func(x, y int) bool {
		x, y = x-qrQuiet, y-qrQuiet
		return min(x, y) >= 0 && max(x, y) < modules && dark(raw.At(margin+x*size, margin+y*size))
	}), nil
}

func dark(c color.Color) bool { return color.GrayModel.Convert(c) == color.Gray{} }
