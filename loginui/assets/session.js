// For the pages of apps: where the gate answers 401, people sign in in a small window, and the request is sent again. It was the gate that
// answered, so the app has not seen the request before. What is served is this file without comments and most spaces: see tight. In it
// stand the texts of the reader's language in place of their IDs.
{
  const real = fetch, X = XMLHttpRequest, d = document, H = "WWW-Authenticate", asked = {}

  // Asks for what the header of a 401 names, once for all who wait for it, and gives whether it was done; nothing where it names nothing.
  // Where it names the portal of many hosts, the same page of this host leads there and back.
  // The session is looked at for ten minutes after the last press of the button. The look is that of the page, whatever its style resets;
  // the first button is what leads on, and looks like it. The page may be in another language.
  const ask = h => {
    const [, page, base, query] = /^MFA login="(?:.+\/\/[^/]+)?((\/[\w.~-].*\/)[^?]+(.*))"/.exec(h) || []
    return page && (asked[page] ||= new Promise(done => {
      let left = 300, ok
      const login = page + (query ? "&to=" : "?to=") + base + "signed-in",
        el = (tag, text, onclick, look) => Object.assign(d.createElement(tag), { innerText: text, ariaLabel: text, onclick, lang: "script.lang", dir: "script.dir", style: "all:revert;font:inherit;display:block;margin:1em auto;padding:.5em 1em;border:1px solid #888;border-radius:8px;" + look }),
        box = el("dialog", query ? "script.more" : "script.ended"),
        t = setInterval(async () => {
          let s = left-- > 0 && await real(base + "session" + query).then(r => r.json()).catch(_ => 0)
          if (s.signed_in && !s.step_up_required) end(ok = dispatchEvent(new Event("mfa:signedin")))
        }, 2e3),
        end = _ => {
          clearInterval(t)
          box.close()
          box.remove()
          asked[page] = 0
          done(ok)
        }
      box.append(el("button", query ? "stepup.go" : "login.submit", () => open(login, left = 300, "width=480,height=720"), "background:#35c;color:#fff;font-weight:700"), el("button", "change.cancel", box.oncancel = end))
      if (dispatchEvent(new CustomEvent("mfa:signedout", { cancelable: 1, detail: { login, cancel: end } }))) {
        d.body.append(box)
        box.showModal()
      }
    }))
  }

  // A second question may be for the proof that a rule asks for beyond the sign-in. A stream cannot be sent twice.
  fetch = async (input, init) => {
    if (init?.duplex) return real(input, init)
    let r, n = 2, req = new Request(input, init)
    do r = await real(req.clone())
    while (n-- && r.type == "basic" && !r.redirected && await ask(r.headers.get(H)))
    return r
  }

  // What was called on a request since open (or abort, which ends that) is called again. Our listeners come before those of the app.
  for (const name of ["open", "setRequestHeader", "send", "abort"]) {
    const f = X.prototype[name]
    X.prototype[name] = function (...a) {
      f.apply(this, a)
      if (name < "s") (this._m = []).url = (a[2] ?? 1) && new URL(a[1], d.baseURI)
      this._m.push(() => f.apply(this, a))
    }
  }
  XMLHttpRequest = class extends X {
    constructor() {
      super()
      for (const type of ["readystatechange", "load", "loadend"]) this.addEventListener(type, e => {
        const log = this._m, wait = log?.url == this.responseURL && !log.over && log.url.origin == origin && ask(this.getResponseHeader(H))
        wait && e.stopImmediatePropagation()
        if (wait && type == "loadend") wait.then(ok => {
          log.over = !ok
          if (log == this._m) log.map(f => f())
        })
      })
    }
  }
}
