package main

import (
	"context"
	"fmt"

	"github.com/caddy-mfa/caddy-mfa/e2e/rig"
	"github.com/caddy-mfa/caddy-mfa/internal/method/authenticator"
)

// passkeys signs one person in again and again, from the sign-in page on, and takes the CPU time of the server alone: the signature
// is made here. Many are measured together, because the clock of a process ticks every ten milliseconds; what counts is the median
// of such batches.
func (b *bench) passkeys(ctx context.Context, s *rig.Server) error {
	p, v, err := enrolled(ctx, s, "passkeys")
	if err != nil {
		return err
	}
	device := rig.Device(s.URL)
	if err := p.AddKey(ctx, v, device, "Laptop"); err != nil {
		return err
	}
	if err := settle(ctx, s.Pid()); err != nil {
		return err
	}
	const batch = 50
	var took []float64
	for range b.rounds {
		one, err := cpuOf(s.Pid(), batch, func(int) error { return passkeySignIn(ctx, s, device) })
		if err != nil {
			return err
		}
		took = append(took, one)
	}
	b.table.row("one passkey sign-in: CPU", "", asMillis(median(took)),
		fmt.Sprintf("%s to %s", asMillis(quantile(took, 0.25)), asMillis(quantile(took, 0.75))), "under 5 ms")
	return nil
}

// passkeySignIn is somebody who types nothing.
func passkeySignIn(ctx context.Context, s *rig.Server, device *authenticator.Device) error {
	v := rig.NewVisitor(s.URL)
	page, err := v.Get(ctx, "/.mfa/login")
	if err != nil {
		return err
	}
	f, err := page.Form(rig.ButtonPasskey)
	if err != nil {
		return err
	}
	if err := f.Sign(device.Get(f.Key)); err != nil {
		return err
	}
	if page, err = v.Post(ctx, f.Action.Path, f.Values); err != nil {
		return err
	}
	if v.Cookie(sessionCookie) == "" {
		return fmt.Errorf("the passkey got %d: %s", page.Status, page.Text())
	}
	return nil
}
