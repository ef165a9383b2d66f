package rig

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"
)

// Person is somebody with an account, or about to get one.
type Person struct {
	Name, Password string
	Phone          *Authenticator // nil until one was set up
	Recovery       []string       // codes that were shown and not used yet
	// Mailed returns the newest code from the person's mailbox; nil for somebody without one.
	Mailed func(context.Context) (string, error)
}

// Now is the clock that codes are computed by.
var Now = time.Now

var recoveryCode = regexp.MustCompile(`\b[0-9a-z]{5}-[0-9a-z]{5}-[0-9a-z]{5}\b`)

// ErrRefused means that the portal did not take an answer.
var ErrRefused = errors.New("refused")

// SignIn opens path, signs in with password and authenticator, and returns the page that path led to in the end. Whatever the
// portal asks on the way (setting up an app, saving recovery codes) is done.
func (p *Person) SignIn(ctx context.Context, v *Visitor, path string) (*Page, error) {
	page, err := v.Get(ctx, path)
	if err != nil {
		return nil, err
	}
	return p.Finish(ctx, page)
}

// SignUp opens an invitation or set-up link and does everything until the portal asks no more.
func (p *Person) SignUp(ctx context.Context, v *Visitor, link string) (*Page, error) {
	address, token := CutLink(link)
	page, err := v.Get(ctx, address)
	if err != nil {
		return nil, err
	}
	if page, err = Fill(ctx, page, "Continue", map[string]string{"Invitation code": token}); err != nil {
		return nil, err
	}
	return p.Finish(ctx, page)
}

// Fill fills the form that has the button, by the fields' labels, and submits it. Labels that the form lacks are an error.
func Fill(ctx context.Context, page *Page, button string, fields map[string]string) (*Page, error) {
	f, err := page.Form(button)
	if err != nil {
		return nil, err
	}
	for label, value := range fields {
		if err := f.Set(label, value); err != nil {
			return nil, err
		}
	}
	return f.Submit(ctx)
}

// Finish answers page after page of the portal until one is not the portal's, or is one that ends there.
func (p *Person) Finish(ctx context.Context, page *Page) (*Page, error) {
	for range 12 {
		next, err := p.Step(ctx, page)
		if err != nil || next == nil {
			return page, err
		}
		if next.Status >= 400 {
			return next, fmt.Errorf("%s: %w: %d: %s", page.URL.Path, ErrRefused, next.Status, next.Text())
		}
		page = next
	}
	return page, fmt.Errorf("the portal goes in circles at %s", page.URL.Path)
}

// Step answers one page of the portal and returns the next, nil if there is nothing to answer.
func (p *Person) Step(ctx context.Context, page *Page) (*Page, error) {
	switch path := page.URL.Path; {
	case page.Heading() == "Your new access token": // it answers the last of the forms before it
		return nil, nil //nolint:nilnil // nothing to answer, as documented
	case strings.HasSuffix(path, "/.mfa/login"):
		return Fill(ctx, page, "Sign in", map[string]string{"Username or email": p.Name, "Password": p.Password})
	case strings.HasSuffix(path, "/.mfa/invite"):
		return p.accept(ctx, page)
	case strings.HasSuffix(path, "/.mfa/verify/totp"):
		if p.Phone == nil {
			return nil, errors.New("asked for a code without an authenticator")
		}
		code, err := p.Code(ctx)
		if err != nil {
			return nil, err
		}
		return Fill(ctx, page, "Verify", map[string]string{"Code": code})
	case strings.HasSuffix(path, "/.mfa/verify/password"):
		return Fill(ctx, page, "Verify", map[string]string{"Password": p.Password})
	case strings.HasSuffix(path, "/.mfa/verify/email"):
		if p.Mailed == nil {
			return nil, errors.New("asked for a code by mail without a mailbox")
		}
		code, err := p.Mailed(ctx)
		if err != nil {
			return nil, err
		}
		return Fill(ctx, page, "Verify", map[string]string{"Code": code})
	case strings.HasSuffix(path, "/.mfa/enroll"):
		return Fill(ctx, page, "Authenticator app", nil)
	case strings.HasSuffix(path, "/.mfa/enroll/totp"):
		return p.enrol(ctx, page)
	case strings.HasSuffix(path, "/.mfa/recovery-codes"):
		return p.save(ctx, page)
	case strings.HasSuffix(path, "/.mfa/recovery-used"):
		next, err := page.Link("Continue")
		if err != nil {
			return nil, err
		}
		return page.visitor.Get(ctx, next)
	}
	return nil, nil //nolint:nilnil // nothing to answer, as documented
}

// Code is the next code of the phone, waiting for its time if this step's are used up.
func (p *Person) Code(ctx context.Context) (string, error) {
	code, ready, err := p.Phone.Next(Now())
	if err != nil {
		return "", err
	}
	select {
	case <-ctx.Done():
		return "", ctx.Err()
	case <-time.After(ready.Sub(Now())):
		return code, nil
	}
}

func (p *Person) accept(ctx context.Context, page *Page) (*Page, error) {
	f, err := page.Form("Create account")
	if err != nil {
		return nil, err
	}
	if err := errors.Join(f.Set("Username", p.Name), f.Set("Password", p.Password)); err != nil {
		return nil, err
	}
	return f.Submit(ctx)
}

func (p *Person) enrol(ctx context.Context, page *Page) (*Page, error) {
	src, err := page.Image("QR code")
	if err != nil {
		return nil, err
	}
	picture, err := dataURL(src)
	if err != nil {
		return nil, err
	}
	if p.Phone, _, err = ReadQR(picture); err != nil {
		return nil, err
	}
	code, err := p.Code(ctx)
	if err != nil {
		return nil, err
	}
	return Fill(ctx, page, "Verify & enable", map[string]string{"Code": code})
}

func (p *Person) save(ctx context.Context, page *Page) (*Page, error) {
	p.Recovery = recoveryCode.FindAllString(page.Text(), -1)
	if len(p.Recovery) == 0 {
		return Fill(ctx, page, "Show my codes", nil)
	}
	return Fill(ctx, page, "I've saved my codes", nil)
}

// CutLink parts an invitation or set-up link into the address of the page and the token.
func CutLink(link string) (address, token string) {
	address, token, _ = strings.Cut(link, "#")
	token = strings.TrimPrefix(token, "token=")
	return address, token
}
