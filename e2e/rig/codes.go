package rig

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"image"
	_ "image/png" // what pages show QR codes in
	"strings"
	"time"

	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/qrcode"
	"github.com/pquerna/otp"
	"github.com/pquerna/otp/totp"
)

// step is the length of a step of the authenticator app.
const step = 30 * time.Second

// Authenticator is an authenticator app on a phone. A code works once and a server takes the step before and after its own, so
// within any step there are up to three codes to use: the one before, its own, and the one after.
type Authenticator struct {
	Secret string // base32
	last   int64  // the newest step whose code was handed out
}

// ReadQR sets up an authenticator from a picture of the QR code.
func ReadQR(picture []byte) (*Authenticator, *otp.Key, error) {
	img, _, err := image.Decode(bytes.NewReader(picture))
	if err != nil {
		return nil, nil, fmt.Errorf("decoding the picture: %w", err)
	}
	found, err := scan(img)
	if err != nil {
		return nil, nil, fmt.Errorf("finding the QR code: %w", err)
	}
	key, err := otp.NewKeyFromURL(found)
	if err != nil {
		return nil, nil, err
	}
	return &Authenticator{Secret: key.Secret()}, key, nil
}

// scan finds the text of the QR code. Like a person with a phone it looks more than once: the library's detector misses a code
// in twenty or so, its reader of undistorted pictures misses others.
func scan(img image.Image) (text string, err error) {
	source := gozxing.NewLuminanceSourceFromImage(img)
	for _, binarizer := range []gozxing.Binarizer{gozxing.NewHybridBinarizer(source), gozxing.NewGlobalHistgramBinarizer(source)} {
		for _, hint := range []gozxing.DecodeHintType{gozxing.DecodeHintType_PURE_BARCODE, gozxing.DecodeHintType_TRY_HARDER} {
			var bitmap *gozxing.BinaryBitmap
			if bitmap, err = gozxing.NewBinaryBitmap(binarizer); err != nil {
				continue
			}
			var found *gozxing.Result
			if found, err = qrcode.NewQRCodeReader().Decode(bitmap, map[gozxing.DecodeHintType]any{hint: true}); err == nil {
				return found.GetText(), nil
			}
		}
	}
	return "", err
}

// At returns the code of the step that holds t, and marks nothing as used.
func (a *Authenticator) At(t time.Time) (string, error) { return totp.GenerateCode(a.Secret, t) }

// Next returns a code that was not handed out before and that the server takes now; ready is when it does: in the future if this
// step's three codes are used up.
func (a *Authenticator) Next(now time.Time) (code string, ready time.Time, err error) {
	// The step before is left out shortly before its end: the server could look at it too late.
	const margin = 5 * time.Second
	n := max(a.last+1, now.Add(margin-step).Unix()/int64(step.Seconds()))
	a.last = n
	at := time.Unix(n*int64(step.Seconds()), 0)
	code, err = a.At(at)
	return code, at.Add(-step), err
}

// dataURL returns the bytes behind a base64 data: URL.
func dataURL(src string) ([]byte, error) {
	_, data, ok := strings.Cut(src, ";base64,")
	if !ok || !strings.HasPrefix(src, "data:image/") {
		return nil, fmt.Errorf("not a data: URL of an image: %.40s", src)
	}
	return base64.StdEncoding.DecodeString(data)
}
