package loginui

import (
	"bytes"
	"encoding/json"
	"net/http"
	"sync"
	"time"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
	"github.com/caddy-mfa/caddy-mfa/internal/words"
)

// What the pages of apps use: the state of the session, the script that asks for a sign-in where it has ended, and the page on which
// the window that it opens is done.
const (
	sessionPath  = "/session"
	scriptPath   = "/session.js"
	signedInPath = "/signed-in"

	scriptName = "session.js"
)

// scriptAge is how long a browser may use the script without asking whether there is a newer one.
const scriptAge = "max-age=300"

// getSession answers the scripts of apps, which cannot read the cookie. With the query of a step-up page it also says whether the session
// lacks what that page asks for.
func getSession(x *exchange) error {
	if x.in.Session == nil || x.in.User == nil {
		x.json(http.StatusOK, map[string]bool{"signed_in": false})
		return nil
	}
	s, query := x.in.Session, x.r.URL.Query()
	x.json(http.StatusOK, struct {
		SignedIn bool     `json:"signed_in"`
		User     string   `json:"user"`
		Methods  []string `json:"methods"`
		Ends     string   `json:"ends"`
		IdleEnds string   `json:"idle_ends"`
		StepUp   bool     `json:"step_up_required,omitempty"`
	}{
		true, x.in.User.Name, methodsOf(s), machine(s.End), machine(s.IdleEnd),
		auth.Decide(x.now(), needOf(query.Get("methods"), query.Get("max_age")), x.in.User, s) != auth.Allow,
	})
	return nil
}

// methodsOf names the methods that a session was opened with, in order, each once.
func methodsOf(s *auth.Session) []string {
	methods := []string{}
	seen := map[string]bool{}
	for _, p := range s.Proofs {
		if !seen[p.Method] {
			seen[p.Method] = true
			methods = append(methods, p.Method)
		}
	}
	return methods
}

// scriptTexts are the IDs of what the script says. They stand in it as strings, and beside them the language and its direction: the page
// around the dialog may be in another.
var scriptTexts = [...]string{"script.ended", "script.more", "login.submit", "stepup.go", "change.cancel"}

const scriptLang, scriptDir = "script.lang", "script.dir"

// scripts holds the script in the languages that were asked for, by their tags.
var scripts sync.Map

func scriptIn(lang *words.Language) (*staticFile, error) {
	if s, ok := scripts.Load(lang.Tag); ok {
		return s.(*staticFile), nil
	}
	dir := "ltr"
	if lang.RTL() {
		dir = "rtl"
	}
	says := map[string]string{scriptLang: lang.Tag, scriptDir: dir}
	for _, id := range scriptTexts {
		says[id] = lang.Text(id)
	}
	body := asset(scriptName).body
	for id, text := range says {
		quoted, err := json.Marshal(text)
		if err != nil {
			return nil, err
		}
		body = bytes.ReplaceAll(body, []byte(`"`+id+`"`), quoted)
	}
	s, _ := scripts.LoadOrStore(lang.Tag, newStatic(scriptName, body))
	return s.(*staticFile), nil
}

// getScript serves the script under an address that stays, for everybody, in the language of the pages.
func getScript(x *exchange) error {
	s, err := scriptIn(x.said())
	if err != nil {
		return err
	}
	h := x.w.Header()
	h.Set("Cache-Control", scriptAge)
	h.Set("Vary", "Accept-Encoding, Accept-Language, Cookie")
	h.Set("Content-Type", s.media)
	body, tag := s.body, s.name
	if takesGzip(x.r.Header["Accept-Encoding"]) {
		h.Set("Content-Encoding", "gzip")
		body, tag = s.zipped, s.name+".gz"
	}
	h.Set("Etag", `"`+tag+`"`)
	http.ServeContent(x.w, x.r, "", time.Time{}, bytes.NewReader(body))
	return nil
}

// tight drops comments that have lines of their own, indentation, and blanks that separate no words, outside of strings in double quotes.
// It is for our scripts alone: others may have strings, regular expressions, comments and lines of other kinds.
func tight(js []byte) []byte {
	var out []byte
	for line := range bytes.Lines(js) {
		if line = bytes.TrimSpace(line); len(line) == 0 || bytes.HasPrefix(line, []byte("//")) {
			continue
		}
		if n := len(out); n > 0 && out[n-1] != '{' && out[n-1] != ',' && line[0] != '}' {
			out = append(out, '\n')
		}
		quoted := false
		for i, c := range line {
			if c == '"' {
				quoted = !quoted
			}
			if c != ' ' || quoted || word(line[i-1]) && word(line[i+1]) {
				out = append(out, c)
			}
		}
	}
	return out
}

// word reports whether c may be part of a name or a number in our script.
func word(c byte) bool { return unreserved(c) && c != '-' && c != '.' && c != '~' }

// getSignedIn ends a window that an app opened for a sign-in.
func getSignedIn(x *exchange) error {
	if x.in.Session == nil {
		return x.redirect(x.LoginURL(x.prefix + signedInPath))
	}
	return x.message(http.StatusOK, x.bare("signedin"))
}
