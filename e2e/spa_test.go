package e2e

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/caddy-mfa/caddy-mfa/e2e/rig"
)

// The dialog of session.js.
const (
	dialog     = `//dialog[@open]`
	sessionEnd = "Your session has ended."
	moreProof  = "One more proof is needed."
)

// refusals are what Chromium logs of an answer of the gate. Nothing else may be complained of, the app's own policy included.
var refusals = regexp.MustCompile(`status of 401 .*/(spa|admin)/(notes|moved)(\?n=\d)?$`)

// TestSinglePage types into an app, whose session ends meanwhile, signs in beside it, and has lost nothing.
func TestSinglePage(t *testing.T) {
	t.Parallel()
	s, alice, b := openSPA(t)
	b.fill("Note", "a long note, typed with care")
	eval[bool](b, `window.heard = [], ["mfa:signedout", "mfa:signedin"].forEach(type => addEventListener(type, () => heard.push(type))), true`)
	revoke(t, s, alice)
	b.tabTo("Save")
	b.do(chromedp.KeyEvent(kb.Enter), chromedp.WaitVisible(dialog))
	b.start("fetch", `fetch("/spa/notes?n=1", {headers: {"X-Note": "fetched"}}).then(r => r.text())`)
	b.start("body", `fetch(new Request("/spa/notes", {method: "PUT", body: new Blob(["blob"])})).then(r => r.text())`)
	b.start("form", `(() => {
		const form = new FormData();
		form.append("a", new File(["in a file"], "a.txt"));
		return fetch("/spa/notes", {method: "POST", body: form}).then(r => r.text());
	})()`)
	b.start("xhr", xhr("/spa/notes"))
	if text := b.text("dialog"); !strings.HasPrefix(text, sessionEnd) {
		t.Errorf("the dialog says %q", text)
	}
	b.start("given up", `Promise.resolve((() => {
		window.x = new XMLHttpRequest();
		x.open("POST", "/spa/notes?n=2");
		x.send("given up");
		return "begun";
	})())`)
	b.refused("/spa/notes?n=2")
	eval[bool](b, `x.abort(), true`)
	b.starts("Sign in")
	b.shoot("session-ended")
	w := b.window(chromedp.KeyEvent(kb.Enter))
	w.sees("Sign in")
	w.do(window(false))
	w.fill("Username or email", alice.Name)
	w.fill("Password", alice.Password)
	w.press("Sign in")
	w.fill("Code", code(t, alice.Phone))
	w.closes("Verify")

	// What waited has its answer: each request reached the app once.
	b.do(chromedp.WaitVisible(`//p[@id="said"][starts-with(., "200 ")]`), chromedp.WaitNotPresent(dialog))
	got := b.text("#said") + "\n" + b.ended("fetch") + "\n" + b.ended("body") + "\n" + b.ended("form") + "\n" + b.ended("xhr")
	for _, want := range []string{
		`200 \d alice POST \[\] a long note, typed with care`, `\d alice GET \[fetched\] `, `\d alice PUT \[\] blob`, `(?s)\d alice POST \[\] ------.*in a file`,
		`4:200 load loadend 200 \d alice POST \[sent\] sent`,
	} {
		if !regexp.MustCompile(want).MatchString(got) {
			t.Errorf("the app answered\n%s\nwant %s", got, want)
		}
	}
	b.start("count", `fetch("/spa/notes").then(r => r.text())`)
	if last := b.ended("count"); !strings.HasPrefix(last, "6 ") {
		t.Errorf("the app counts %s, want 6", last)
	}
	if heard := eval[string](b, `heard.join()`); heard != "mfa:signedout,mfa:signedin" {
		t.Errorf("the app heard %s", heard)
	}
	if text := eval[string](b, `note.value`); text != "a long note, typed with care" {
		t.Errorf("the page says %q", text)
	}
	if on := eval[string](b, `document.activeElement.id`); on != "save" {
		t.Errorf("the focus is on %q", on)
	}
	b.expected = regexp.MustCompile(refusals.String() + "|Scripts may close only the windows that were opened by them")
	b.visit("/.mfa/signed-in") // in a window that was not opened for it
	b.sees("You are signed in")
	b.shoot("signed-in")
}

// TestSinglePageCancelled: who does not want to sign in gets back to the page, and the app gets the answer of the gate.
func TestSinglePageCancelled(t *testing.T) {
	t.Parallel()
	s, alice, b := openSPA(t)
	b.fill("Note", "unsent")
	revoke(t, s, alice)
	for i, leave := range [][]string{{kb.Escape}, {kb.Tab, kb.Enter}} {
		path := fmt.Sprintf("/spa/notes?n=%d", i)
		b.tabTo("Save")
		b.do(chromedp.KeyEvent(kb.Enter), chromedp.WaitVisible(dialog))
		b.start("xhr", xhr(path))
		b.refused(path)
		for _, key := range leave {
			b.do(chromedp.KeyEvent(key))
		}
		b.do(chromedp.WaitNotPresent(dialog), chromedp.WaitVisible(`//p[@id="said"][starts-with(., "401 ")]`))
		if got := b.ended("xhr"); !strings.HasPrefix(got, "4:401 load loadend 401 {\"error\":\"sign_in_required\"") {
			t.Errorf("XMLHttpRequest gives %q", got)
		}
		if on := eval[string](b, `document.activeElement.id + ": " + note.value`); on != "save: unsent" {
			t.Errorf("it is at %q", on)
		}
		eval[bool](b, `said.textContent = "", true`)
	}

	// What cannot be sent again, or what the app may have seen, is not held up.
	for name, script := range map[string]string{
		"a stream":   `fetch("/spa/notes", {method: "POST", body: "x", duplex: "half"})`,
		"a redirect": `fetch("/spa/moved", {method: "POST", body: "x"})`,
	} {
		b.start(name, script+`.then(r => String(r.status))`)
		if got := b.ended(name); got != "401" {
			t.Errorf("%s gives %s", name, got)
		}
	}
	b.start("moved", xhr("/spa/moved"))
	if got := b.ended("moved"); !strings.HasPrefix(got, "4:401 load loadend 401 ") {
		t.Errorf("XMLHttpRequest after a redirect gives %q", got)
	}
	b.start("sync", `new Promise(done => {
		const x = new XMLHttpRequest();
		x.open("GET", "/spa/notes", false);
		x.send();
		done(String(x.status));
	})`)
	if got := b.ended("sync"); got != "401" {
		t.Errorf("a synchronous request gives %s", got)
	}
	b.lacks(dialog)

	// An app that has a dialog of its own.
	b.start("own", `new Promise(done => addEventListener("mfa:signedout", e => {
		e.preventDefault();
		done(e.detail.login);
		e.detail.cancel();
	}, {once: true}))`)
	b.start("refused", `fetch("/spa/notes").then(r => String(r.status))`)
	if got := b.ended("own"); got != "/.mfa/login?to=/.mfa/signed-in" {
		t.Errorf("the app learns of %s", got)
	}
	if got := b.ended("refused"); got != "401" {
		t.Errorf("a cancelled request gives %s", got)
	}
	b.lacks(dialog)
}

// TestSinglePageInArabic: the dialog says which language it is in, since the app around it is in English, and is written from right to left.
func TestSinglePageInArabic(t *testing.T) {
	t.Parallel()
	s, alice, b := openSPA(t)
	b.do(command(network.SetCacheDisabled, network.SetCacheDisabledParams{CacheDisabled: true}), // what it has is in English
		command(network.SetExtraHTTPHeaders, network.SetExtraHTTPHeadersParams{Headers: arabic}))
	b.visit("/spa")
	revoke(t, s, alice)
	b.do(chromedp.Click(button("Save"), chromedp.NodeVisible), chromedp.WaitVisible(dialog))
	got := eval[string](b, `(() => {
		const all = document.querySelectorAll("dialog, dialog *"), looks = [...all].slice(1).map(e => getComputedStyle(e));
		return [document.documentElement.lang, ...[...all].map(e => e.lang + " " + e.dir), document.activeElement === all[1],
			looks[0].fontWeight > looks[1].fontWeight, looks[0].backgroundColor !== looks[1].backgroundColor].join();
	})()`)
	if want := "en," + strings.Repeat("ar rtl,", 3) + "true,true,true"; got != want { // the first button leads on: it has the focus, and looks like it
		t.Errorf("the dialog is %s, want %s", got, want)
	}
	for _, line := range eval[[]string](b, disordered) {
		t.Error(line)
	}
	for _, dark := range []bool{false, true} {
		b.do(scheme(dark))
		for _, line := range append(eval[[]string](b, sound), b.violations(every)...) {
			t.Errorf("dark %t: %s", dark, line)
		}
		b.picture(map[bool]string{false: "session-ended-arabic", true: "session-ended-arabic-dark"}[dark])
	}
}

// TestSinglePageStepUp asks for the proof that a rule wants beyond the session, and for both where there is no session.
func TestSinglePageStepUp(t *testing.T) {
	t.Parallel()
	s := start(t, rig.Config{Caddyfile: ruled(appForAdmin)})
	alice, _ := enrolled(t, s, "alice")
	b := open(t, s)
	b.expected = refusals
	recovery := func(w *tab, code string) {
		w.follow("Use a recovery code")
		w.fill("Recovery code", code)
		w.press("Verify")
		w.reads("left")
	}
	b.password(alice, "/spa")
	recovery(b, alice.Recovery[0])
	b.follow("Continue")
	b.sees("Notes")
	prove := func(w *tab) {
		w.sees("Confirm that it is you")
		w.press("Continue")
		w.fill("Code", code(t, alice.Phone))
		w.closes("Verify")
	}
	b.start("fetch", `fetch("/admin/notes", {method: "POST", body: "once"}).then(r => r.text())`)
	b.start("xhr", xhr("/admin/notes"))
	b.do(chromedp.WaitVisible(dialog))
	if text := b.text("dialog"); !strings.HasPrefix(text, moreProof) {
		t.Errorf("the dialog says %q", text)
	}
	b.shoot("session-proof")
	prove(b.window(chromedp.Click(button("Continue"), chromedp.NodeVisible)))
	if got := b.ended("fetch"); !strings.HasSuffix(got, " alice POST [] once") {
		t.Errorf("fetch gives %s", got)
	}
	if got := b.ended("xhr"); !strings.HasSuffix(got, " alice POST [sent] sent") {
		t.Errorf("XMLHttpRequest gives %s", got)
	}
	b.do(chromedp.WaitNotPresent(dialog))

	// First the session, then the proof.
	revoke(t, s, alice)
	b.start("fetch", `fetch("/admin/notes").then(r => r.text())`)
	b.do(chromedp.WaitVisible(dialog))
	w := b.window(chromedp.Click(button("Sign in"), chromedp.NodeVisible))
	w.fill("Username or email", alice.Name)
	w.fill("Password", alice.Password)
	w.press("Sign in")
	recovery(w, alice.Recovery[1])
	w.closed(chromedp.Click(`//a[normalize-space()="Continue"]`, chromedp.NodeVisible))
	b.do(chromedp.WaitVisible(fmt.Sprintf(`//dialog[starts-with(., %q)]`, moreProof)))
	prove(b.window(chromedp.Click(button("Continue"), chromedp.NodeVisible)))
	if got := b.ended("fetch"); got != "3 alice GET [] " {
		t.Errorf("fetch gives %q", got)
	}
}

// openSPA signs somebody in and opens the app.
func openSPA(t *testing.T) (*rig.Server, *rig.Person, *tab) {
	t.Helper()
	s := start(t, rig.Config{Caddyfile: ruled("rule /spa/moved {\n\t\t\tpublic\n\t\t}")})
	alice, _ := enrolled(t, s, "alice")
	b := open(t, s)
	b.expected = refusals
	b.signIn(alice)
	b.visit("/spa")
	b.sees("Notes")
	return s, alice, b
}

func revoke(t *testing.T, s *rig.Server, p *rig.Person) {
	t.Helper()
	if _, err := s.MFA(t.Context(), "", "session", "revoke", p.Name); err != nil {
		t.Fatal(err)
	}
}

// start begins something that goes on in the page while the test does.
func (b *tab) start(name, promise string) {
	b.t.Helper()
	eval[bool](b, fmt.Sprintf(`(window.started ||= {})[%q] = %s, true`, name, promise))
}

// ended waits for it, and is what it gave.
func (b *tab) ended(name string) string {
	b.t.Helper()
	return eval[string](b, fmt.Sprintf(`started[%q]`, name))
}

// refused waits until a request of the page has its answer.
func (b *tab) refused(path string) {
	b.t.Helper()
	b.do(chromedp.Poll[chromedp.Void](fmt.Sprintf(`performance.getEntriesByType("resource").some(e => e.responseEnd && e.name.endsWith(%q))`, path)))
}

// xhr is a promise of what a POST by XMLHttpRequest tells the app, which listens before it opens it.
func xhr(path string) string {
	return fmt.Sprintf(`new Promise(done => {
		const x = new XMLHttpRequest(), heard = [];
		x.onreadystatechange = () => x.readyState === 4 && heard.push("4:" + x.status);
		x.onload = () => heard.push("load");
		x.addEventListener("loadend", () => done([...heard, "loadend", x.status, x.responseText].join(" ")));
		x.open("POST", %q);
		x.setRequestHeader("X-Note", "sent");
		x.send("sent");
	})`, path)
}

// window is the tab of the window that an action opens.
func (b *tab) window(press action) *tab {
	b.t.Helper()
	opened := chromedp.WaitNewTarget(b.ctx, func(i *target.Info) bool {
		return slices.ContainsFunc(append(b.also, b.base), func(base string) bool { return strings.HasPrefix(i.URL, base+"/.mfa/") })
	})
	b.do(press)
	select {
	case id := <-opened:
		return openIn(b.t, b.base, chromedp.WithTargetID(id))
	case <-time.After(patience):
		b.t.Fatalf("no window opened: %s", b.state())
		return nil
	}
}

// closes presses the button that says words, after which the window closes.
func (b *tab) closes(words string) {
	b.t.Helper()
	b.closed(chromedp.Click(button(words), chromedp.NodeVisible))
}

// closed does something after which the window closes by itself.
func (b *tab) closed(press action) {
	b.t.Helper()
	id := chromedp.FromContext(b.ctx).Target.TargetID
	b.do(press)
	late := time.After(patience)
	for {
		open, err := chromedp.Targets(chromium)
		if err != nil {
			b.t.Fatal(err)
		}
		if !slices.ContainsFunc(open, func(i *target.Info) bool { return i.TargetID == id }) {
			return
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-late:
			b.t.Fatalf("the window is still open: %s", b.state())
		}
	}
}

// TestSinglePageOfManyHosts signs in beside an app whose sign-in pages are on another host.
func TestSinglePageOfManyHosts(t *testing.T) {
	t.Parallel()
	s := start(t, rig.Config{Caddyfile: manyHosts})
	auth, one, two := hosts(s)
	alice := addUser(t, s, "alice")
	b := roam(t, s)
	b.base, b.expected = one, regexp.MustCompile(`status of 401 .*/spa/notes$`)
	signsIn := func(w *tab) {
		w.sees("Sign in")
		w.fill("Username or email", alice.Name)
		w.fill("Password", alice.Password)
		w.press("Sign in")
	}
	b.visit("/spa")
	signsIn(b)
	b.setUpApp(alice)
	b.press("I've saved my codes")
	b.sees("Notes")
	b.fill("Note", "a long note, typed with care")
	revoke(t, s, alice)
	b.do(chromedp.Click(button("Save"), chromedp.NodeVisible), chromedp.WaitVisible(dialog))
	w := b.window(chromedp.Click(dialog+button("Sign in"), chromedp.NodeVisible))
	w.also = []string{auth, one, two}
	signsIn(w)
	w.fill("Code", code(t, alice.Phone))
	w.closes("Verify")
	b.do(chromedp.WaitVisible(`//p[@id="said"][starts-with(., "200 ")]`), chromedp.WaitNotPresent(dialog))
	if said := b.text("#said"); !strings.Contains(said, "a long note, typed with care") {
		t.Errorf("the app got %s", said)
	}
}
