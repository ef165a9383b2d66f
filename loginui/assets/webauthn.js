// Security keys and passkeys (WebAuthn Level 3). Where this file or the browser cannot, pages offer the other ways.
"use strict";
(() => {
  const P = window.PublicKeyCredential;
  const all = (selector) => document.querySelectorAll(selector);
  for (const e of all(P ? "[data-able]" : "[data-unable]")) e.hidden = false;
  if (!P) {
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
  const page = form.dataset, field = form.elements, button = form.querySelector("button"), said = form.querySelector("[data-said]");
  const creates = page.key === "enroll" || page.key === "upgrade";
  const submit = (f) => (f.requestSubmit ? f.requestSubmit() : f.submit());
  field.response.value = ""; // browsers fill forms in again after a reload

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

  // Challenges live as long as the prompt may; one that is nearly over is renewed before it is used.
  let loaded = Date.now();
  const life = JSON.parse(page.options).timeout;
  const stale = () => Date.now() - loaded > life * 0.8;
  const renew = async () => {
    const answer = await fetch(page.source, { redirect: "manual" });
    const next = answer.ok && new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("form[data-key]");
    if (!next) return false; // signed in elsewhere, or the flow is over
    page.options = next.dataset.options;
    field.challenge.value = next.elements.challenge.value;
    loaded = Date.now();
    return true;
  };

  // ask sends what the authenticator answers. Browsers take one request at a time: the one before is called off, and has a moment
  // to end.
  let stop = new AbortController(), last = Promise.resolve(), timer;
  const ask = async (mediation) => {
    stop.abort();
    const signal = (stop = new AbortController()).signal;
    await Promise.race([last, new Promise((done) => setTimeout(done, 500))]);
    if (signal.aborted) throw new DOMException("", "AbortError");
    const options = JSON.parse(page.options);
    options.timeout = Math.max(1000, loaded + life - Date.now());
    const request = { publicKey: parse(options), signal };
    if (mediation) request.mediation = mediation;
    const answer = navigator.credentials[creates ? "create" : "get"](request);
    last = answer.catch(() => {});
    field.response.value = encode(await answer);
    clearTimeout(timer);
    submit(form);
  };

  // wait offers passkeys in the name field, where the browser can.
  let wait = () => {}, busy = false;
  const say = (words) => {
    said.textContent = words;
    said.hidden = !words;
  };
  const failed = (e) => {
    const name = e && e.name;
    if (name === "NotAllowedError") return page.cancelled;
    if (name === "InvalidStateError" && creates) return page.duplicate;
    return page.failed + (name ? " (" + name + ")" : "");
  };
  const prompt = async () => {
    if (busy) return;
    busy = true;
    say("");
    form.setAttribute("aria-busy", "true");
    try {
      if (stale() && !page.source) return submit(document.getElementById("again"));
      if (stale() && !(await renew())) return location.assign(page.source);
      await ask();
    } catch (e) {
      say(failed(e));
      if (page.again) button.textContent = page.again;
      button.hidden = false;
      button.focus();
      wait();
    } finally {
      busy = false;
      form.removeAttribute("aria-busy");
    }
  };

  if (page.key === "signin") {
    button.addEventListener("click", prompt);
    let next = 0;
    const keep = async () => {
      if (busy || document.hidden || !stale() || Date.now() < next) return;
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
      if (new TextEncoder().encode(field.label.value.trim()).length > 64) return say(page.long);
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
    if (!e.persisted) return;
    field.response.value = "";
    if (button) button.hidden = false;
    wait();
  });
})();
