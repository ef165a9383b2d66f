package loginui

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"sort"
	"strings"
	"time"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
)

// bodies holds what .Body is on each page; pages that are not named have none. docs/templates.md is made from it.
var bodies = map[string]any{
	"access_token":    issued{},
	"account":         newAccount{},
	"activity":        []eventRow{},
	"confirm_address": false,
	"enroll":          enrollment{},
	"enroll_totp":     totpSetup{},
	"enroll_webauthn": keySetup{},
	"forgot":          "",
	"link":            mailedLink{},
	"guest":           guestPage{},
	"login":           signIn{},
	"message":         Message{},
	"recovery_codes":  codeList{},
	"recovery_used":   codesLeft{},
	"remind":          reminder{},
	"resend":          resend{},
	"security":        overview{},
	"step_up":         stepUp{},
	"upgrade":         keyAsk{},
	"verify_password": "",
	"verify_webauthn": keyAsk{},
}

// samples are a page with all that it may show, twice with other words in it, and with as little as it may.
func samples(name string) (all []*page) {
	for _, word := range []string{auth.MethodTOTP, auth.MethodWebAuthn, ""} {
		full := word != ""
		c := auth.Config{Name: "Example"}
		if full {
			c.Mail = &auth.Mail{}
		}
		r, _ := http.NewRequest(http.MethodGet, "/", http.NoBody) //nolint:noctx // is not sent
		if word == auth.MethodWebAuthn {
			r.Header.Set("Accept-Language", "ar") // from right to left
		}
		x := &exchange{Portal: &Portal{realm: new(auth.State).Realm(c), prefix: DefaultPrefix, login: DefaultPrefix + "/login?to=", now: time.Now}, r: r}
		x.in.Visit.Host = "dash.example.com"
		if word == auth.MethodTOTP {
			x.dress = &Dress{logo: &staticFile{name: "logo.png"}, Width: 1, Height: 1, Footer: word, Links: []Link{{word, "https://example.com"}}}
		}
		pg := &page{exchange: x, file: name, trial: true, Title: "Sample title", Errors: map[string]string{}, Mail: &auth.CodeMail{Sent: full, To: word}}
		if full {
			pg.Alert, pg.Notice, pg.To, pg.Who, pg.Token = "Sample alert", "Sample notice", "/app", "alice", word
			pg.Left, pg.More, pg.along = 1, true, "?to=%2Fapp"
			pg.Others, pg.SetUp, pg.Change = []string{auth.MethodTOTP, auth.MethodEmail}, true, word == auth.MethodWebAuthn
			for _, field := range []string{"name", "password", "code", "token", "label", "confirm", "display_name", "email", "days", "hosts", "paths", "methods"} {
				pg.Errors[field] = "Sample error of " + field + "."
			}
		}
		if body, ok := bodies[name]; ok {
			v := reflect.New(reflect.TypeOf(body))
			fill(v.Elem(), word, 5)
			pg.Body = v.Elem().Interface()
		}
		switch body := pg.Body.(type) {
		case codeList:
			body.Dated = "codes.file.made"
			pg.Body = body
		case Message:
			if full {
				body.Text, body.Todo, body.ErrorID = "Sample text", "Sample todo", "sample-id"
				pg.Body = body
			}
		}
		all = append(all, pg)
	}
	return all
}

// fill puts a word, or two of whatever it is, everywhere into v; with "" it only makes what must not be nil.
func fill(v reflect.Value, word string, deep int) {
	if deep == 0 || !v.CanSet() {
		return
	}
	full := word != ""
	switch v.Kind() { //nolint:exhaustive // the rest stays zero
	case reflect.String:
		v.SetString(word)
	case reflect.Bool:
		v.SetBool(full)
	case reflect.Int, reflect.Int64:
		v.SetInt(int64(len(word)))
	case reflect.Pointer:
		if full {
			v.Set(reflect.New(v.Type().Elem()))
			fill(v.Elem(), word, deep-1)
		}
	case reflect.Slice:
		if full {
			v.Set(reflect.MakeSlice(v.Type(), 2, 2)) // some things are shown where there are several
			fill(v.Index(0), word, deep-1)
			fill(v.Index(1), word, deep-1)
		}
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			if full {
				v.Set(reflect.ValueOf(time.Unix(1e9, 0)))
			}
			return
		}
		for about, f := range v.Fields() {
			if about.Anonymous && f.Kind() == reflect.Pointer && f.CanSet() {
				f.Set(reflect.New(f.Type().Elem()))
				f = f.Elem()
			}
			fill(f, word, deep-1)
		}
	}
}

// try renders a page with samples, as ours and as it is, and compares them: what the server needs must still be sent, and what people have to
// know still be shown. where says which files the page is made of.
func (p *Pages) try(name, where string) error {
	own, err := ours()
	if err != nil {
		return err
	}
	for _, pg := range samples(name) {
		var want, got bytes.Buffer
		if err := own.trees[name].ExecuteTemplate(&want, "layout", pg); err != nil {
			return err
		}
		if err := p.trees[name].ExecuteTemplate(&got, "layout", pg); err != nil {
			return err
		}
		style := "<style>" + string(pg.sheet().css) + "</style>" // whose hash the policy names
		page := strings.Replace(got.String(), style, "", 1)
		if m := unsafe.FindString(page); m != "" {
			return fmt.Errorf("%s: %q would not work: the pages' policy lets no script and no style run that stands in them", where, strings.TrimSpace(m))
		}
		if m := blocked(page, pg.Host(), name == "enroll_totp"); m != "" {
			return fmt.Errorf("%s: %q would not be loaded: the pages' policy lets pictures, scripts and style sheets come from the same host alone", where, m)
		}
		for _, check := range []error{compareForms(want.String(), page), pg.compareText(want.String(), page), pg.compareAccess(want.String(), page)} {
			if check != nil {
				return fmt.Errorf("%s: %w", where, check)
			}
		}
	}
	return nil
}

// compareText says what ours shows of a sample, and the page does not.
func (pg *page) compareText(ours, page string) error {
	if !strings.Contains(strings.Join(heading.FindAllString(page, -1), ""), pg.Title) {
		return errors.New("there is no <h1> that shows .Title")
	}
	ours, page = tabTitle.ReplaceAllString(ours, ""), tabTitle.ReplaceAllString(page, "") // nobody looks for it there alone
	ours, page = shown(ours), shown(page)
	says := map[string]string{".Alert": pg.Alert, ".Notice": pg.Notice}
	for field, text := range pg.Errors {
		says[".Errors."+field] = text
	}
	if m, ok := pg.Body.(Message); ok {
		says[".Body.Text"], says[".Body.Todo"], says[".Body.ErrorID"] = m.Text, m.Todo, m.ErrorID
	}
	if strings.HasPrefix(pg.file, "verify_") {
		says["the text .Lost"] = pg.t(pg.Lost())
	}
	for _, field := range sorted(says) {
		if text := says[field]; strings.Contains(ours, text) && !strings.Contains(page, text) {
			return fmt.Errorf("it does not show %s, which tells people what happened or what to do", field)
		}
	}
	return nil
}

func sorted[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}
