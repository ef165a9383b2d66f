package loginui

import (
	"errors"
	"fmt"
	"html"
	"regexp"
	"strings"
)

// anyMarkup is what of a page is not read out.
var anyMarkup = regexp.MustCompile(`(?s)<!--.*?-->|<[/!a-zA-Z]` + attributes + `>`)

// shown is what stands between the tags of a page.
func shown(page string) string { return html.UnescapeString(anyMarkup.ReplaceAllString(page, "")) }

// unlabelled are the types of an <input> that nobody sees, or that is named by itself.
var unlabelled = map[string]bool{"hidden": true, "button": true, "image": true, "reset": true, "submit": true}

// compareAccess says what of a page somebody lacks who does not see it, or who cannot do what it asks and ours shows another way.
func (pg *page) compareAccess(ours, page string) error {
	all := tags(page)
	if err := pg.speaks(all); err != nil {
		return err
	}
	if err := nameless(page, all); err != nil {
		return err
	}
	leads := map[string]bool{}
	for _, t := range all {
		if t.name == "a" {
			leads[t.is["href"]] = true
		}
	}
	for _, t := range tags(ours) {
		to := t.is["href"]
		if t.name == "a" && (strings.HasPrefix(to, pg.prefix+"/verify/") || to == pg.prefix+"/enroll") && !leads[to] {
			return fmt.Errorf(`the link is missing that leads to %s, for those who cannot do what the page asks: {{template "others" .}} has them all`, to)
		}
	}
	return nil
}

// speaks says whether the page names its language, and runs the way that is written in.
func (pg *page) speaks(all []tag) error {
	for _, t := range all {
		if t.name != "html" {
			continue
		}
		if t.is["lang"] != pg.Lang() {
			return errors.New(`<html> lacks lang="{{.Lang}}", by which a page is read out in its own language`)
		}
		if strings.EqualFold(t.is["dir"], "rtl") != pg.RTL() {
			return errors.New(`<html> lacks {{if .RTL}} dir="rtl"{{end}}: languages are written from right to left, too`)
		}
		return nil
	}
	return errors.New("there is no <html>")
}

// nameless says which field or button has no name to be read out: a <label> with words in it, or an attribute.
func nameless(page string, all []tag) error {
	labelled, ids, within := map[string]bool{}, map[string]bool{}, false
	says := func(i int) bool { // by words, or by a picture's, up to the end of the same element
		for _, t := range all[i+1:] {
			if t.name == "/"+all[i].name {
				return strings.TrimSpace(shown(page[all[i].end:t.start])) != ""
			}
			if t.is["alt"] != "" || t.is["aria-label"] != "" {
				return true
			}
		}
		return false
	}
	for i, t := range all {
		ids[t.is["id"]] = true
		if id := t.is["for"]; t.name == "label" && id != "" && says(i) {
			labelled[id] = true
		}
	}
	for i, t := range all {
		switch t.name {
		case "label":
			within = says(i)
		case "/label":
			within = false
		case "input", "select", "textarea", "button":
			kind := strings.ToLower(t.is["type"])
			if _, hidden := t.is["hidden"]; hidden || t.name == "input" && unlabelled[kind] {
				continue
			}
			by := strings.Fields(t.is["aria-labelledby"])
			if within || t.is["aria-label"] != "" || len(by) > 0 && ids[by[0]] || t.is["title"] != "" {
				continue
			}
			if t.name == "button" && !says(i) {
				return errors.New("a <button> has no words in it, and no aria-label")
			}
			if t.name != "button" && !labelled[t.is["id"]] {
				return fmt.Errorf(`the field %q has no <label for="…"> with the field's id and with words in it, and no aria-label`, t.is["name"])
			}
		}
	}
	return nil
}
