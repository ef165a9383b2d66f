package loginui

import (
	"bytes"
	"fmt"
	"html"
	"net/http"
	"reflect"
	"regexp"
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
		x := &exchange{Portal: &Portal{realm: new(auth.State).Realm(c), prefix: DefaultPrefix, now: time.Now}, r: r}
		x.in.Visit.Host = "dash.example.com"
		pg := &page{exchange: x, file: name, Title: "Example", Errors: map[string]string{}, Mail: &auth.CodeMail{Sent: full, To: word}}
		if full {
			pg.Alert, pg.Notice, pg.To, pg.Who, pg.Token = word, word, "/app", "alice", word
			pg.Others, pg.SetUp, pg.Change = []string{auth.MethodTOTP, auth.MethodEmail}, true, word == auth.MethodWebAuthn
			for _, field := range []string{"name", "password", "code", "token", "label"} {
				pg.Errors[field] = word
			}
		}
		if body, ok := bodies[name]; ok {
			v := reflect.New(reflect.TypeOf(body))
			fill(v.Elem(), word, 5)
			pg.Body = v.Elem().Interface()
		}
		all = append(all, pg)
	}
	return all
}

// fill puts a word, or one of whatever it is, everywhere into v; with "" it only makes what must not be nil.
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
			v.Set(reflect.MakeSlice(v.Type(), 1, 1))
			fill(v.Index(0), word, deep-1)
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

// try renders a page with samples, as ours and as it is, and compares the forms: what the server needs must still be sent.
func (p *Pages) try(name string) error {
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
		own := "<style>" + string(pg.sheet().css) + "</style>" // whose hash the policy names
		if m := unsafe.Find(bytes.Replace(got.Bytes(), []byte(own), nil, 1)); m != nil {
			return fmt.Errorf("%s.html: %q would not work: the pages' policy lets no script and no style run that stands in them", name, strings.TrimSpace(string(m)))
		}
		needed, has := forms(want.String()), forms(got.String())
		for _, action := range sorted(needed) {
			fields, ok := has[action]
			if !ok {
				return fmt.Errorf("%s.html: the form is missing that posts to %s", name, action)
			}
			for _, field := range sorted(needed[action]) {
				if !fields[field] {
					return fmt.Errorf("%s.html: the form that posts to %s lacks %q", name, action, field)
				}
			}
		}
	}
	return nil
}

const attributes = `(?:[^>"']|"[^"]*"|'[^']*')*`

var (
	formTag  = regexp.MustCompile(`(?i)<form\b` + attributes + `>|</form\s*>|<(?:input|select|textarea|button)\b` + attributes + `>`)
	nameOf   = regexp.MustCompile(`(?i)\sname\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))`)
	actionOf = regexp.MustCompile(`(?i)\saction\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))`)
	dataOf   = regexp.MustCompile(`(?i)\s(data-(?:key|token|options|source))\b`)
	// What the policy of the pages would not let run.
	unsafe = regexp.MustCompile(`(?i)<style\b|<script(?:\s` + attributes + `)?>[^<\s]|<[a-z]` + attributes + `\s(?:style|on[a-z]+)\s*=`)
)

// forms are the fields of a page's forms, by their action.
func forms(page string) map[string]map[string]bool {
	all := map[string]map[string]bool{}
	var form map[string]bool
	for _, tag := range formTag.FindAllString(page, -1) {
		switch lower := strings.ToLower(tag); {
		case strings.HasPrefix(lower, "<form"):
			action := valueOf(actionOf, tag)
			if all[action] == nil {
				all[action] = map[string]bool{}
			}
			form = all[action]
			for _, m := range dataOf.FindAllStringSubmatch(tag, -1) { // what the scripts read
				form[strings.ToLower(m[1])] = true
			}
		case strings.HasPrefix(lower, "</"):
			form = nil
		default:
			if name := valueOf(nameOf, tag); name != "" && form != nil {
				form[name] = true
			}
		}
	}
	return all
}

func valueOf(attribute *regexp.Regexp, tag string) string {
	m := attribute.FindStringSubmatch(tag)
	if m == nil {
		return ""
	}
	return html.UnescapeString(m[1] + m[2] + m[3])
}

func sorted[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}
