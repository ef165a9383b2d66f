package e2e

import (
	"net/http"
	"testing"

	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/caddy-mfa/caddy-mfa/e2e/rig"
)

// editing is a key that does what a browser calls an editing command.
func editing(name string) action {
	return command(input.DispatchKeyEvent, input.DispatchKeyEventParams{Type: input.DispatchKeyEventTypeKeyDown, Commands: []string{name}})
}

// clipboard puts text where paste takes it from, by way of a field that is gone afterwards.
func (b *tab) clipboard(text string) {
	b.t.Helper()
	b.do(chromedp.Evaluate[chromedp.Void](`(() => {
		const f = document.body.appendChild(document.createElement("textarea"));
		f.id = "clip";
		f.focus();
	})()`), command(input.InsertText, input.InsertTextParams{Text: text}), editing("selectAll"), editing("copy"),
		chromedp.Evaluate[chromedp.Void](`document.getElementById("clip").remove()`))
}

// TestCodeIsSentWhole: a code that is typed or pasted whole is sent, once; what a person corrects or has filled in is left to them. It runs
// alone, since a browser has one clipboard.
func TestCodeIsSentWhole(t *testing.T) {
	s := start(t, rig.Config{})
	alice, _ := enrolled(t, s, "alice")
	b := open(t, s)
	ask := func() {
		t.Helper()
		b.password(alice, "/")
		b.sees("Enter your code")
		b.do(chromedp.Focus(field("Code")))
		b.ready()
	}
	sent := func() int { return b.asked("/.mfa/verify/totp") }
	value := func() string { return eval[string](b, `document.getElementById("code").value`) }

	ask()
	before := sent()
	b.typed("12345")
	b.typed(kb.Backspace)
	b.typed("67")
	if now := sent(); now != before || value() != "123467" {
		t.Errorf("a code that was corrected: %q, sent %d times", value(), now-before)
	}
	b.do(chromedp.Evaluate[chromedp.Void](`document.activeElement.select()`))
	b.typed("abcde-fghjk-mnpqr")
	b.do(chromedp.Evaluate[chromedp.Void](`document.activeElement.select()`), command(input.InsertText, input.InsertTextParams{Text: "123456"}))
	if now := sent(); now != before || value() != "123456" {
		t.Errorf("a recovery code, and what was filled in: %q, sent %d times", value(), now-before)
	}
	if status := b.press("Verify"); status != http.StatusUnauthorized {
		t.Errorf("a wrong code gives %d", status)
	}
	b.sees("Enter your code")
	b.do(chromedp.Focus(field("Code")))
	b.typedWhole("123456")
	b.reads("That code is not right.")

	b.sees("Enter your code")
	b.do(chromedp.Focus(field("Code")))
	right := code(t, alice.Phone)
	before = sent()
	b.typedWhole(right)
	b.sees("Example app")
	if now := sent(); now != before+1 {
		t.Errorf("a code was sent %d times", now-before)
	}
	for _, between := range []string{" ", "-"} {
		b.press("Sign out")
		ask()
		next := code(t, alice.Phone)
		b.clipboard(next[:3] + between + next[3:] + "\n")
		b.do(chromedp.Focus(field("Code")))
		b.load(editing("paste"))
		b.sees("Example app")
	}
}
