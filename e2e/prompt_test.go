package e2e

import (
	"testing"

	"github.com/caddy-mfa/caddy-mfa/e2e/rig"
)

// paired has a click meet a renewal that is on its way, and returns what was fetched and whether the answer went with its challenge.
const paired = `(async () => {
	const pairs = {}, seen = { fetched: 0 }, real = fetch;
	let release, asked, answer;
	const held = new Promise((done) => (release = done));
	window.fetch = async (...a) => {
		seen.fetched++;
		const r = await real(...a), form = new DOMParser().parseFromString(await r.clone().text(), "text/html").querySelector("form[data-key]");
		pairs[JSON.parse(form.dataset.options).challenge] = form.elements.challenge.value;
		await held;
		return r;
	};
	const prompted = new Promise((done) => {
		navigator.credentials.get = (o) => {
			if (o.mediation) return new Promise(() => {});
			asked = btoa(String.fromCharCode(...new Uint8Array(o.publicKey.challenge))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=/g, "");
			done();
			return new Promise((a) => (answer = a));
		};
	});
	const sent = new Promise((done) => {
		HTMLFormElement.prototype.requestSubmit = function () { done(this.elements.challenge.value); };
	});
	const now = Date.now;
	Date.now = () => now() + 280000;
	document.dispatchEvent(new Event("visibilitychange"));
	document.querySelector("form[data-key] button").click();
	release();
	await prompted;
	answer({ toJSON: () => ({}) });
	seen.paired = (await sent) === pairs[asked];
	return seen;
})()`

// TestRenewedOnce: a challenge that is nearly over is renewed once, whoever needs it, and what is sent is what was asked.
func TestRenewedOnce(t *testing.T) {
	t.Parallel()
	b := open(t, start(t, rig.Config{}))
	b.visit(passkeyLink)
	got := eval[struct {
		Fetched int  `json:"fetched"`
		Paired  bool `json:"paired"`
	}](b, `PublicKeyCredential.isConditionalMediationAvailable().then(() => `+paired+`)`)
	if got.Fetched != 1 || !got.Paired {
		t.Errorf("%+v", got)
	}
}
