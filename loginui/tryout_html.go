package loginui

import (
	"fmt"
	"html"
	"net/url"
	"regexp"
	"strings"
)

const attributes = `(?:[^>"']|"[^"]*"|'[^']*')*`

var (
	anyTag    = regexp.MustCompile(`(?i)</(?:form|label|button|select|textarea)\s*>|<[a-z][a-z0-9-]*\b` + attributes + `>`)
	attribute = regexp.MustCompile(`([^\s"'<>/=]+)(?:\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+)))?`)
	heading   = regexp.MustCompile(`(?is)<h1\b` + attributes + `>.*?</h1\s*>`)
	tabTitle  = regexp.MustCompile(`(?is)<title\b` + attributes + `>.*?</title\s*>`)
	// What the policy of the pages would not let run.
	unsafe = regexp.MustCompile(`(?i)<style\b|<script(?:\s` + attributes + `)?>[^<\s]|<[a-z]` + attributes + `\s(?:style|on[a-z]+)\s*=`)
)

// tag is one that opens, or one that closes what takes part in a form: "/form".
type tag struct {
	name       string
	is         map[string]string // attributes
	start, end int               // where it stands
}

// tags are those of a page, as far as forms and what is loaded take.
func tags(page string) (all []tag) {
	for _, at := range anyTag.FindAllStringIndex(page, -1) {
		text := page[at[0]:at[1]]
		t := tag{is: map[string]string{}, start: at[0], end: at[1]}
		if text[1] == '/' {
			t.name = strings.ToLower(strings.TrimRight(text[1:], " \t\r\n\f>"))
			all = append(all, t)
			continue
		}
		for i, m := range attribute.FindAllStringSubmatch(text, -1) {
			name := strings.ToLower(m[1])
			if i == 0 {
				t.name = name
			} else if _, ok := t.is[name]; !ok { // the first counts (HTML, section 13.2.5.33)
				t.is[name] = html.UnescapeString(m[2] + m[3] + m[4])
			}
		}
		all = append(all, t)
	}
	return all
}

// formShape is what the forms with one action send, and with what.
type formShape struct {
	fields         map[string]bool
	posts          bool // all of them, in the encoding that is read
	submit, button bool // a button that sends; one that a script presses
}

// forms are those of a page, by their action.
func forms(page string) map[string]*formShape {
	all := map[string]*formShape{}
	var form *formShape
	for _, t := range tags(page) {
		switch t.name {
		case "form":
			action := t.is["action"]
			if form = all[action]; form == nil {
				form = &formShape{fields: map[string]bool{}, posts: true}
				all[action] = form
			}
			form.posts = form.posts && sends(t.is["method"], t.is["enctype"])
			for name := range t.is {
				switch name { // what the scripts read
				case "data-key", "data-token", "data-options", "data-source":
					form.fields[name] = true
				}
			}
		case "/form":
			form = nil
		case "input", "select", "textarea", "button":
			if form == nil {
				continue
			}
			if name := t.is["name"]; name != "" {
				form.fields[name] = true
			}
			if method, ok := t.is["formmethod"]; ok {
				form.posts = form.posts && sends(method, t.is["formenctype"])
			}
			if t.name == "button" {
				kind := strings.ToLower(t.is["type"])
				form.button = true
				form.submit = form.submit || kind != "button" && kind != "reset"
			}
		}
	}
	return all
}

// sends reports whether a form is sent as the server reads it.
func sends(method, enctype string) bool {
	return strings.EqualFold(method, "post") && (enctype == "" || strings.EqualFold(enctype, "application/x-www-form-urlencoded"))
}

// compareForms says what the forms of ours have, and those of page lack.
func compareForms(ours, page string) error {
	needed, has := forms(ours), forms(page)
	for _, action := range sorted(needed) {
		want, got := needed[action], has[action]
		switch {
		case got == nil:
			return fmt.Errorf("the form is missing that posts to %s", action)
		case want.posts && !got.posts:
			return fmt.Errorf(`the form for %s lacks method="post": what people type, passwords too, would stand in the address`, action)
		}
		for _, field := range sorted(want.fields) {
			if !got.fields[field] {
				return fmt.Errorf("the form that posts to %s lacks %q", action, field)
			}
		}
		if want.submit && !got.submit || want.button && !got.button {
			return fmt.Errorf("the form that posts to %s lacks its <button>", action)
		}
	}
	return nil
}

// blocked is the first address that a page would load something from and may not, "" if there is none. data says that pictures may stand in it.
func blocked(page, host string, data bool) string {
	for _, t := range tags(page) {
		addresses := []string{t.is["src"], t.is["poster"]}
		for from := range strings.SplitSeq(t.is["srcset"], ",") {
			from, _, _ = strings.Cut(strings.TrimSpace(from), " ")
			addresses = append(addresses, from)
		}
		if t.name == "link" {
			addresses = append(addresses, t.is["href"])
		}
		for _, address := range addresses {
			u, err := url.Parse(strings.ReplaceAll(strings.TrimSpace(address), `\`, "/")) // as browsers do
			if err != nil || u.Host != "" && u.Hostname() != host || u.Opaque != "" && !(data && t.name == "img" && u.Scheme == "data") {
				return address
			}
		}
	}
	return ""
}
