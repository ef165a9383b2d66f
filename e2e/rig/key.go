package rig

import (
	"context"
	"errors"
	"fmt"

	"github.com/caddy-mfa/caddy-mfa/internal/method/authenticator"
)

// Words on the buttons of forms that ask for a security key.
const (
	ButtonPasskey = "Sign in with a passkey"
	ButtonKey     = "Try again" // of the second step
)

// Device is an authenticator with passkeys, for the visitors of base: http://localhost:PORT.
func Device(base string) *authenticator.Device {
	return &authenticator.Device{Origin: base, Verifies: true, Synced: true, Transports: []string{"internal"}, Attachment: "platform"}
}

// AddKey sets a key up on the Security page under a name, with a code of the phone first where the portal asks for one.
func (p *Person) AddKey(ctx context.Context, v *Visitor, d *authenticator.Device, name string) error {
	page, err := v.Get(ctx, "/.mfa/security")
	if err != nil {
		return err
	}
	if page, err = Fill(ctx, page, "Add a security key or passkey", nil); err != nil {
		return err
	}
	if page.URL.Path == "/.mfa/verify/totp" {
		if page, err = p.Step(ctx, page); err != nil {
			return err
		}
	}
	f, err := page.Form("Register")
	if err != nil {
		return err
	}
	if err := errors.Join(f.Set("Name", name), f.Sign(d.Create(f.Key))); err != nil {
		return err
	}
	if page, err = f.Submit(ctx); err != nil {
		return err
	}
	if page.Heading() != "Security" {
		return fmt.Errorf("%w: the key led to %s: %s", ErrRefused, page.URL, page.Text())
	}
	return nil
}

// Sign puts what a device answered into the form, as the portal's script does: f.Sign(device.Get(f.Key)).
func (f *Form) Sign(answer []byte, err error) error {
	if len(f.Key) == 0 {
		return errors.New("the form asks for no key")
	}
	f.Values.Set("response", string(answer))
	return err
}
