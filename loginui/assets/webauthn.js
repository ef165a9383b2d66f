// Security keys and passkeys (WebAuthn Level 3). Where this file or the browser cannot, pages offer the other ways.
"use strict";
(() => {
  const P = window.PublicKeyCredential;
  const all = (selector) => document.querySelectorAll(selector);
  for (const e of all(P ? "[data-able]" : "[data-unable]")) e.hidden = false;
  if (!P) {
    for (const e of all("[data-able]")) e.remove();
    for (const b of all("[data-needs-key]")) b.disabled = true;
    return;
  }

  // The browser's list of passkeys follows ours (section 5.1.10). It is a courtesy: nobody is told that it failed.
  for (const e of all("[data-signals]")) {
    for (const [call, about] of Object.entries(JSON.parse(e.dataset.signals))) {
      try {
        if (P[call]) P[call](about).catch(() => {});
      } catch {}
    }
  }

  // A browser that can make a passkey by itself is asked to after the sign-in.
  for (const e of all("input[name=upgrade]")) {
    if (P.getClientCapabilities) P.getClientCapabilities().then((can) => can.conditionalCreate && (e.value = "1")).catch(() => {});
  }

  const form = document.querySelector("form[data-key]");
  if (!form) return;
  const page = form.dataset, field = form.elements, button = form.querySelector("button"), said = document.querySelector("[data-said]");
  const creates = page.key === "enroll" || page.key === "upgrade";
  const submit = (f) => (f.requestSubmit ? f.requestSubmit() : f.submit());
  // Browsers fill forms in again after a reload.
  field.response.value = "";

  // What browsers before 2024 lack, and what some password managers break.
  const bytes = (s) => Uint8Array.from(atob(s.replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0));
  const text = (b) => btoa(Array.from(new Uint8Array(b), (n) => String.fromCharCode(n)).join("")).replace(/\+/g, "-").replace(/\//g, "_").replace(/=/g, "");
  const parse = (o) => {
    const native = creates ? P.parseCreationOptionsFromJSON : P.parseRequestOptionsFromJSON;
    if (native) return native.call(P, o);
    o.challenge = bytes(o.challenge);
    if (o.user) o.user.id = bytes(o.user.id);
    for (const c of [].concat(o.allowCredentials || [], o.excludeCredentials || [])) c.id = bytes(c.id);
    return o;
  };
  const encode = (c) => {
    try {
      return JSON.stringify(c.toJSON());
    } catch {}
    const r = c.response, response = {};
    for (const k of ["clientDataJSON", "attestationObject", "authenticatorData", "signature", "userHandle"]) if (r[k]) response[k] = text(r[k]);
    if (r.getTransports) response.transports = r.getTransports();
    return JSON.stringify({
      id: c.id, rawId: text(c.rawId), type: c.type, response,
      authenticatorAttachment: c.authenticatorAttachment || undefined,
      clientExtensionResults: c.getClientExtensionResults(),
    });
  };

  // A challenge lives as long as the prompt may; one that is nearly over is renewed before it is used, once at a time. What is asked
  // and the sealed value that goes with it stay together: an answer may come after the next challenge did.
  const read = (f) => ({
    options: f.dataset.options,
    sealed: f.elements.challenge && f.elements.challenge.defaultValue,
    until: Date.now() + Number(f.dataset.left || JSON.parse(f.dataset.options).timeout),
  });
  let current = read(form), renewing = null;
  const left = () => current.until - Date.now();
  const stale = () => left() < JSON.parse(current.options).timeout * 0.2;
  const fetched = async () => {
    const answer = await fetch(page.source, { redirect: "manual" });
    const next = answer.ok && new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("form[data-key]");
    // Without one the person is signed in elsewhere, or the flow is over.
    if (next) current = read(next);
    return Boolean(next);
  };
  const renew = () => (renewing = renewing || fetched().finally(() => (renewing = null)));

  // ask sends what the authenticator answers. Browsers take one request at a time: the one before is called off, and has a moment
  // to end. A prompt that hangs, as some password managers let it, is over when its time is.
  let stop = new AbortController(), last = Promise.resolve(), timer;
  const ask = async (mediation) => {
    stop.abort();
    const mine = (stop = new AbortController());
    const over = new Promise((_, no) => mine.signal.addEventListener("abort", () => no(new DOMException("", mine.late ? "NotAllowedError" : "AbortError"))));
    over.catch(() => {});
    await Promise.race([last, over, new Promise((done) => setTimeout(done, 500))]);
    const asked = current, options = JSON.parse(asked.options);
    options.timeout = Math.max(1000, left());
    const request = { publicKey: parse(options), signal: mine.signal };
    if (mediation) request.mediation = mediation;
    else {
      setTimeout(() => {
        mine.late = true;
        mine.abort();
      }, options.timeout + 1000);
    }
    const answer = navigator.credentials[creates ? "create" : "get"](request);
    last = answer.catch(() => {});
    field.response.value = encode(await Promise.race([answer, over]));
    if (field.challenge) field.challenge.value = asked.sealed;
    clearTimeout(timer);
    submit(form);
  };

  // wait offers passkeys in the name field, where the browser can; busy is the prompt that is open.
  let wait = () => {}, busy = null;
  const say = (words) => {
    said.textContent = words;
    said.hidden = !words && !said.dataset.keep;
  };
  const failed = (e) => {
    const name = e && e.name;
    if (name === "NotAllowedError") return page.cancelled;
    if (name === "InvalidStateError" && creates) return page.duplicate;
    return page.failed + (name ? " (" + name + ")" : "");
  };
  const idle = () => {
    busy = null;
    form.removeAttribute("aria-busy");
  };
  const prompt = async () => {
    if (busy) return;
    const mine = (busy = {});
    say("");
    form.setAttribute("aria-busy", "true");
    try {
      if (stale() && !page.source) return submit(document.getElementById("again"));
      if (stale() && !(await renew())) return location.assign(page.source + location.hash);
      if (mine === busy) await ask();
    } catch (e) {
      if (mine !== busy) return;
      idle();
      say(failed(e));
      if (page.again) button.textContent = page.again;
      button.hidden = false;
      button.focus();
      wait();
    } finally {
      if (mine === busy) idle();
    }
  };

  if (page.key === "signin") {
    button.addEventListener("click", prompt);
    // While it was hidden it could not be.
    if (button.autofocus) button.focus();
    let next = 0;
    const keep = async () => {
      if (busy || document.hidden || !stale() || Date.now() < next) return;
      // The browser's own window may be open for an answer that still counts.
      if (!document.hasFocus() && left() > 0) return;
      next = Date.now() + 60000;
      if ((await renew().catch(() => false)) && !busy) wait();
    };
    const available = P.isConditionalMediationAvailable ? P.isConditionalMediationAvailable() : Promise.resolve(false);
    available.then((yes) => {
      if (!yes) return;
      wait = () => ask("conditional").catch(() => {});
      if (!busy) wait();
      setInterval(keep, 5000);
      document.addEventListener("visibilitychange", keep);
    }).catch(() => {});
  } else if (page.key === "verify") {
    button.addEventListener("click", prompt);
    if (!("auto" in page)) button.hidden = false;
    else if (document.hidden) document.addEventListener("visibilitychange", prompt, { once: true });
    else prompt();
  } else if (page.key === "enroll") {
    form.addEventListener("submit", (e) => {
      if (field.response.value) return;
      e.preventDefault();
      // As the server will see it.
      const label = field.label.value.trim().normalize();
      if ([...label].length > 64 || /[\0-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ufffd\ud800-\udfff]/u.test(label)) return say(page.bad);
      prompt();
    });
  } else {
    // Nobody is held up: it goes on after success, failure, or five seconds.
    const on = () => location.replace(document.getElementById("continue").href);
    timer = setTimeout(() => {
      stop.abort();
      on();
    }, 5000);
    ask("conditional").catch(on);
  }

  addEventListener("pageshow", (e) => {
    // Back from the browser's cache, with all that was going on.
    if (!e.persisted) return;
    stop.abort();
    idle();
    field.response.value = "";
    if (button) button.hidden = false;
    wait();
  });
})();
