package loginui

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
)

var update = flag.Bool("update", false, "write the table of docs/templates.md anew")

// own is the text of a page as it comes.
func own(t *testing.T, name string) string {
	t.Helper()
	text, err := pageFiles.ReadFile("pages/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Every page as it comes, put in place of itself, passes; so it can be what somebody begins with.
func TestOwnPagesPass(t *testing.T) {
	dir := fstest.MapFS{".DS_Store": {}}
	files, err := pageFiles.ReadDir("pages")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		dir[f.Name()] = &fstest.MapFile{Data: []byte(own(t, f.Name()) + "\n")} // as it is, it would not be tried
	}
	p, err := LoadPages(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(p.trees) != len(files)-1 {
		t.Errorf("%d pages of %d files", len(p.trees), len(files))
	}
}

func TestBadPages(t *testing.T) {
	change := func(file, from, to string) fstest.MapFS {
		text := own(t, file)
		if !strings.Contains(text, from) {
			t.Fatalf("%s does not have %s", file, from)
		}
		return fstest.MapFS{file: {Data: []byte(strings.ReplaceAll(text, from, to))}}
	}
	for name, tc := range map[string]struct {
		dir  fstest.MapFS
		want string
	}{
		"unknown name":     {fstest.MapFS{"signin.html": {}}, "signin.html: there is no page of that name"},
		"not a page":       {fstest.MapFS{"login.txt": {}}, "login.txt: there is no page"},
		"a directory":      {fstest.MapFS{"login/x.html": {}}, "login: there is no page"},
		"syntax":           {change("login.html", "<h1>{{.Title}}", "<h1>{{.Title"), "login.html:3"},
		"unknown field":    {change("login.html", "{{.Body.Name}}", "{{.Body.Called}}"), "Called"},
		"field's line":     {change("login.html", ".Goal)", ".Aim)"), "login.html:4:"},
		"unknown function": {change("login.html", "{{.Title}}", "{{shout .Title}}"), `login.html:3: function "shout" not defined`},
		"hidden field":     {change("login.html", `{{template "to" .}}`, ""), `login.html: the form that posts to /.mfa/login lacks "to"`},
		"field":            {change("verify_totp.html", `name="code"`, `name="kode"`), `verify_totp.html: the form that posts to /.mfa/verify/totp lacks "code"`},
		"action":           {change("verify_totp.html", `/verify/totp`, `/verify/tpto`), "verify_totp.html: the form is missing that posts to /.mfa/verify/totp"},
		"for the script":   {change("verify_webauthn.html", `data-key="verify"`, ""), `verify_webauthn.html: the form that posts to /.mfa/verify/webauthn lacks "data-key"`},
		"layout":           {change("layout.html", `{{block "content" .}}{{end}}`, ""), "layout.html around access_token.html: there is no <h1> that shows .Title"},
		"outside":          {fstest.MapFS{"message.html": {Data: []byte("<h1>Hello</h1>")}}, "message.html: something stands outside"},
		"inline style":     {change("message.html", "<h1>", `<h1 style="color: red">`), "lets no script and no style run"},
		"inline script":    {change("message.html", "<h1>", `<script>alert(1)</script><h1>`), "lets no script and no style run"},
		"event handler":    {change("message.html", "<h1>", `<h1 onclick="alert(1)">`), "lets no script and no style run"},
		"logo's field":     {change("layout.html", ".Brand.Width", ".Brand.Widht"), "Widht"},
		"no more time":     {change("layout.html", `{{template "limit" .}}`, ""), "layout.html around access_token.html: the form is missing that posts to /.mfa/more-time"},
		"no method":        {change("login.html", ` method="post"`, ""), `login.html: the form for /.mfa/login lacks method="post"`},
		"get":              {change("login.html", `method="post"`, `method="get" data-x='method="post"'`), `login.html: the form for /.mfa/login lacks method="post"`},
		"get comes first":  {change("login.html", `method="post"`, `method=get method="post"`), `login.html: the form for /.mfa/login lacks method="post"`},
		"get by a button":  {change("login.html", `<button class="main"`, `<button class="main" formmethod="get"`), `login.html: the form for /.mfa/login lacks method="post"`},
		"one more form":    {change("login.html", `{{with .Body.Key}}`, `<form action="{{.URL "/login"}}"><input name="password"></form>{{with .Body.Key}}`), `login.html: the form for /.mfa/login lacks method="post"`},
		"encoding":         {change("login.html", `method="post"`, `method="post" enctype="multipart/form-data"`), `login.html: the form for /.mfa/login lacks method="post"`},
		"no content":       {change("message.html", `{{define "content"}}`, `{{define "contents"}}`), `message.html: {{define "content"}} is missing or empty`},
		"empty content":    {fstest.MapFS{"message.html": {Data: []byte("{{define \"content\"}}\n{{end}}")}}, `message.html: {{define "content"}} is missing or empty`},
		"empty file":       {fstest.MapFS{"message.html": {}}, `message.html: {{define "content"}} is missing or empty`},
		"no heading":       {change("message.html", "<h1>{{.Title}}</h1>", "<h2>{{.Title}}</h2>"), "message.html: there is no <h1> that shows .Title"},
		"unknown text":     {change("message.html", "<h1>", `{{.T (print "no.such.id")}}<h1>`), `message.html:2:2: executing "content" at <.T>: error calling T: there is no text "no.such.id"`},
		"unknown count":    {change("message.html", "<h1>", `{{.Count (print "no.such.id") 2}}<h1>`), `there is no text "no.such.id"`},
		"unknown markup":   {change("message.html", "<h1>", `{{.H (print "no.such.id") (.Strong "x")}}<h1>`), `there is no text "no.such.id"`},
		"no button":        {change("verify_totp.html", `<button class="main">{{.T "totp.submit"}}</button>`, ""), "verify_totp.html: the form that posts to /.mfa/verify/totp lacks its <button>"},
		"a button idles":   {change("verify_totp.html", `<button class="main">`, `<button type="button">`), "verify_totp.html: the form that posts to /.mfa/verify/totp lacks its <button>"},
		"script's button":  {change("verify_webauthn.html", `<button type="button" class="main" hidden>{{.T "webauthn.again"}}</button>`, ""), "verify_webauthn.html: the form that posts to /.mfa/verify/webauthn lacks its <button>"},
		"no field error":   {change("login.html", `<p class="error" id="password-error" role="alert">{{.}}</p>`, ""), "login.html: it does not show .Errors.password"},
		"no alert":         {change("login.html", `{{template "notices" .}}`, "{{.Notice}}"), "login.html: it does not show .Alert"},
		"no notice":        {change("login.html", `{{template "notices" .}}`, "{{.Alert}}"), "login.html: it does not show .Notice"},
		"no text":          {change("message.html", "{{with .Body.Text}}<p>{{.}}</p>\n{{end}}", ""), "message.html: it does not show .Body.Text"},
		"no todo":          {change("message.html", `{{with .Body.Todo}}<p class="lead">{{.}}</p>`, `{{if .Body.Todo}}`), "message.html: it does not show .Body.Todo"},
		"no error's id":    {change("message.html", `{{with .Body.ErrorID}}<p class="hint">{{$.T "error.id"}} <code>{{.}}</code></p>`, "{{if .Body.ErrorID}}"), "message.html: it does not show .Body.ErrorID"},
		"no language":      {change("layout.html", ` lang="{{.Lang}}"`, ""), "layout.html around access_token.html: <html> lacks lang=\"{{.Lang}}\""},
		"one language":     {change("layout.html", `lang="{{.Lang}}"`, `lang="en"`), "layout.html around access_token.html: <html> lacks lang=\"{{.Lang}}\""},
		"one direction":    {change("layout.html", `{{if .RTL}} dir="rtl"{{end}}`, ""), `layout.html around access_token.html: <html> lacks {{if .RTL}} dir="rtl"{{end}}`},
		"wrong direction":  {change("layout.html", `{{if .RTL}} dir="rtl"{{end}}`, ` dir="rtl"`), `layout.html around access_token.html: <html> lacks {{if .RTL}} dir="rtl"{{end}}`},
		"no <html>":        {change("layout.html", `<html lang="{{.Lang}}"{{if .RTL}} dir="rtl"{{end}}>`, ""), "layout.html around access_token.html: there is no <html>"},
		"no label":         {change("login.html", `<label for="password">{{.T "login.password"}}</label>`, ""), `login.html: the field "password" has no <label`},
		"another's label":  {change("login.html", `<label for="password">`, `<label for="passwort">`), `login.html: the field "password" has no <label`},
		"an empty label":   {change("login.html", `<label for="password">{{.T "login.password"}}</label>`, `<label for="password"><b> </b><!-- Password --></label>`), `login.html: the field "password" has no <label`},
		"a label far off":  {change("login.html", `<label for="password">{{.T "login.password"}}</label>`, `<label>{{.T "login.password"}}</label>`), `login.html: the field "password" has no <label`},
		"a choice's label": {change("security.html", `<label for="first">{{$.T "security.first.label"}}</label>`, ""), `security.html: the field "method" has no <label`},
		"an icon alone":    {change("logout.html", `{{.T "logout.submit"}}`, `<svg viewBox="0 0 1 1"></svg>`), "logout.html: a <button> has no words in it"},
		"no other ways":    {change("verify_totp.html", `{{template "others" .}}`, ""), "verify_totp.html: the link is missing that leads to /.mfa/verify/totp?to=%2Fapp, for those who cannot"},
		"the target goes":  {change("layout.html", `$.Along (print "/verify/" .)`, `$.URL (print "/verify/" .)`), "the link is missing that leads to /.mfa/verify/totp?to="},
		"an id unseen":     {change("message.html", `<code>{{.}}</code>`, `<a title="{{.}}" href="/x">?</a>`), "message.html: it does not show .Body.ErrorID"},
		"a blank button":   {change("logout.html", `{{.T "logout.submit"}}`, `&nbsp;`), "logout.html: a <button> has no words in it"},
		"named by nothing": {change("login.html", `<label for="password">{{.T "login.password"}}</label>`, `<i aria-labelledby="nothing"></i>`), `login.html: the field "password" has no <label`},
		"no way to set up": {change("layout.html", `<li><a href="{{.URL "/enroll"}}">{{.T "others.setup"}}</a></li>`, ""), "the link is missing that leads to /.mfa/enroll"},
		"no way out":       {change("verify_totp.html", `{{template "lost" .}}`, ""), "verify_totp.html: it does not show the text .Lost"},
		"picture":          {change("message.html", "<h1>", `<img src="https://cdn.example.com/a.png"><h1>`), `message.html: "https://cdn.example.com/a.png" would not be loaded`},
		"any scheme":       {change("message.html", "<h1>", `<IMG alt='>' SRC = //cdn.example.com/a.png><h1>`), `message.html: "//cdn.example.com/a.png" would not be loaded`},
		"larger picture":   {change("message.html", "<h1>", `<img src="/a.png" srcset="/a.png 1x, https://cdn.example.com/b.png 2x"><h1>`), `message.html: "https://cdn.example.com/b.png" would not be loaded`},
		"picture in place": {change("message.html", "<h1>", `<img src="data:image/gif;base64,R0lGODlhAQABAAAAACw="><h1>`), "would not be loaded"},
		"style sheet":      {change("message.html", "<h1>", `<link rel="stylesheet" href="https://cdn.example.com/a.css"><h1>`), `message.html: "https://cdn.example.com/a.css" would not be loaded`},
		"script":           {change("message.html", `{{define "content"}}`, `{{define "scripts"}}<script src="https://cdn.example.com/a.js"></script>{{end}}{{define "content"}}`), `message.html: "https://cdn.example.com/a.js" would not be loaded`},
		"too large":        {fstest.MapFS{"login.html": {Data: make([]byte, maxPage+1)}}, "at most 256 KiB"},
		"not UTF-8":        {fstest.MapFS{"login.html": {Data: []byte("\xff")}}, "a page is UTF-8"},
	} {
		if _, err := LoadPages(tc.dir); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: got %v, want %s", name, err, tc.want)
		}
	}
}

// What a page of the admin's may do that ours do not.
func TestGoodPages(t *testing.T) {
	for name, text := range map[string]string{
		"pictures and styles of the host": `{{define "content"}}<link rel="stylesheet" href="/brand.css"><img src="/a.png?x=1" srcset="/b.png 2x"><img src="https://{{.Host}}/c.png">` +
			`<h1 class="big"><span>{{.Title}}</span></h1>{{.Body.Text}}{{.Body.Todo}}{{.Body.ErrorID}}{{end}}`,
		"names of pictures": `{{define "content"}}<h1>{{.Title}}</h1>{{.Body.Text}}{{.Body.Todo}}{{.Body.ErrorID}}<form action="/search"><label for="q"><img src="/q.png" alt="Search"></label><input id="q" name="q">` +
			`<b id="by">By</b><input name="by" aria-labelledby="by"><input hidden name="x"><button><svg role="img" aria-label="Print" viewBox="0 0 1 1"></svg></button></form>{{end}}`,
		"a link elsewhere": `{{define "content"}}<h1>{{.Title}}</h1>{{.Body.Text}}{{.Body.Todo}}{{.Body.ErrorID}} <a href="https://help.example.com/">Help</a>{{end}}`,
		"a form elsewhere": `{{define "content"}}<h1>{{.Title}}</h1>{{.Body.Text}}{{.Body.Todo}}{{.Body.ErrorID}}<form action="/search"><input name="q" aria-label="Search"><label>All <input type="checkbox" name="a"></label><input type="submit"></form>{{end}}`,
	} {
		if _, err := LoadPages(fstest.MapFS{"message.html": {Data: []byte(text)}}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A page of the admin's is shown, escapes as ours do, and the others stay ours.
func TestOverride(t *testing.T) {
	r := newRig(t)
	pages, err := LoadPages(fstest.MapFS{"message.html": {Data: []byte(`{{define "content"}}<h1>{{.Title}}!</h1><p>{{.Host}} {{.Product}}</p>{{.Body.Text}} {{.Body.Todo}} {{.Body.ErrorID}}{{end}}`)}})
	if err != nil {
		t.Fatal(err)
	}
	if r.Portal, err = New(r.realm, Options{Now: r.time, Pages: pages}); err != nil {
		t.Fatal(err)
	}
	b := r.browser()
	b.want(b.get("/.mfa/nope"), 404, "<h1>Page not found!</h1><p>dash.example.com Example Corp</p>")
	b.want(b.get("/.mfa/login"), 200, `<label for="name">Username or email</label>`)
	b.want(b.post("/.mfa/login", "name", `"><script>alert(1)</script>`, "password", "wrong"), 401, `value="&#34;&gt;&lt;script&gt;alert(1)&lt;/script&gt;"`)
}

// fieldsOf lists the exported fields and methods of a type, for docs/templates.md.
func fieldsOf(v reflect.Type, prefix string, deep int) (all []string) {
	for v.Kind() == reflect.Pointer || v.Kind() == reflect.Slice && v.Elem().Kind() != reflect.Uint8 {
		if v.Kind() == reflect.Slice {
			prefix += "[]"
		}
		v = v.Elem()
	}
	if v.Kind() != reflect.Struct || v == reflect.TypeFor[time.Time]() || deep == 0 {
		return []string{"`" + prefix + "` " + v.String()}
	}
	for f := range v.Fields() {
		if !f.IsExported() {
			continue
		}
		if f.Anonymous {
			all = append(all, fieldsOf(f.Type, prefix, deep)...)
			continue
		}
		all = append(all, fieldsOf(f.Type, prefix+"."+f.Name, deep-1)...)
	}
	return all
}

// TestTemplateDocs: docs/templates.md says of each page what it can show, as the code has it.
func TestTemplateDocs(t *testing.T) {
	files, err := filepath.Glob("pages/*.html")
	if err != nil {
		t.Fatal(err)
	}
	var table strings.Builder
	table.WriteString("| page | `.Body` |\n|---|---|\n")
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".html")
		if name == "layout" {
			continue
		}
		what := "none"
		if body, ok := bodies[name]; ok {
			what = strings.Join(fieldsOf(reflect.TypeOf(body), ".Body", 2), "<br>")
		}
		fmt.Fprintf(&table, "| `%s.html` | %s |\n", name, what)
	}
	const path, begin, end = "../docs/templates.md", "<!-- pages: begin -->\n", "<!-- pages: end -->"
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok := strings.Cut(string(text), begin)
	is, tail, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatal("the table's place is gone")
	}
	if *update {
		if err := os.WriteFile(path, []byte(head+begin+table.String()+end+tail), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if is != table.String() {
		t.Error("docs/templates.md is not what the code says; go test ./loginui -run TestTemplateDocs -update")
	}
	// What every page has: methods that take nothing but words, and fields.
	var common []string
	for f := range reflect.TypeFor[page]().Fields() {
		if f.IsExported() {
			common = append(common, f.Name)
		}
	}
	for m := range reflect.TypeFor[*page]().Methods() {
		common = append(common, m.Name)
	}
	for _, name := range common {
		if !strings.Contains(string(text), "`."+name) && !slices.Contains(internals, name) {
			t.Errorf("docs/templates.md does not have .%s", name)
		}
	}
}

// TestPagesShowNoSecrets: a template of the admin's can reach what its page is for, and nothing that is kept: no record of auth, no storage's, no
// bytes but those of a picture, and no field that is called like a secret, a hash or what records are found by.
func TestPagesShowNoSecrets(t *testing.T) {
	shown := map[string]string{ // what a page is there to show, or its forms have to send
		"access_token.Token":     "the only page that it is ever on",
		"enroll_totp.Secret":     "typed into the app",
		"enroll_totp.QR":         "the same as a picture",
		"link.Code":              "typed in the other browser",
		"login.Key":              "what the script asks the browser for",
		"message.Code":           "for programs",
		"recovery_codes.Codes":   "shown to be kept",
		"security.Address.Codes": "whether they go there",
		"security.Codes":         "how many are left",
		"security.Keys":          "whether there is one",
		"security.NoToken":       "why there can be no new one",
		"security.Password":      "when it was set",
		"security.Token":         "the form for a new one",
		"security.Tokens":        "their names, limits and times",
		".Token":                 "of a link, as it was sent",
	}
	named := regexp.MustCompile(`(?i)secret|hash|token|key|code|password|epoch|rev$|handle|data|private|proof|parent|handed|noticed|user_?id`)
	var walk func(v reflect.Type, at string)
	walk = func(v reflect.Type, at string) {
		for v.Kind() == reflect.Pointer || v.Kind() == reflect.Slice {
			if v.Elem().Kind() == reflect.Uint8 && shown[at] == "" {
				t.Errorf("%s are bytes", at)
			}
			v = v.Elem()
		}
		if from := v.PkgPath(); strings.Contains(from, "/internal/auth") && v != reflect.TypeFor[auth.CodeMail]() || strings.Contains(from, "/storage") {
			t.Errorf("%s is %v", at, v)
		}
		if v.Kind() == reflect.Map && (v.Key().Kind() != reflect.String || v.Elem().Kind() != reflect.String) {
			t.Errorf("%s is %v", at, v)
		}
		if v.Kind() != reflect.Struct || v == reflect.TypeFor[time.Time]() {
			return
		}
		for f := range v.Fields() {
			if !f.IsExported() && !f.Anonymous || v == reflect.TypeFor[page]() && (f.Anonymous || f.Name == "Body") {
				continue
			}
			below := at
			if !f.Anonymous {
				if below += "." + f.Name; named.MatchString(f.Name) && shown[below] == "" {
					t.Errorf("%s is called like something that is kept", below)
				}
			}
			walk(f.Type, below)
		}
	}
	walk(reflect.TypeFor[page](), "")
	for name, body := range bodies {
		walk(reflect.TypeOf(body), name)
	}
}

// internals are exported for Go, not for templates.
var internals = []string{"Passive", "ServeHTTP", "Message", "LogError", "LoginURL", "StepUpURL", "SignInURL", "ResendURL", "Sendable"}
