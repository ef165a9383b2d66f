// Conveniences. Every page works without this file.
"use strict";
(() => {
  const all = (selector) => document.querySelectorAll(selector);

  // The token of a link travels in the fragment, so that no server logs it. It leaves the address bar at once. Where it needs no
  // decision it is sent.
  const link = document.querySelector("form[data-token]");
  const open = () => {
    const token = location.hash.slice(1);
    if (!token) return;
    history.replaceState(null, "", location.pathname + location.search);
    // The link is read again in the other language.
    for (const f of all("footer form")) f.setAttribute("action", f.getAttribute("action").split("#")[0] + "#" + token);
    const field = link.elements.token, box = field.closest(".field"), next = link.elements.password;
    field.value = token;
    if (link.dataset.token) return link.requestSubmit ? link.requestSubmit() : link.submit();
    if (box) box.hidden = true;
    if (next) next.focus();
  };

  // Any other fragment is part of a deep link: browsers keep it over redirects, and forms and links must not lose it.
  const carry = () => {
    if (!location.hash) return;
    for (const f of document.forms) f.setAttribute("action", f.getAttribute("action").split("#")[0] + location.hash);
    for (const a of all('a[href^="/"]')) if (!a.hash || a.dataset.carried) {
      a.hash = location.hash;
      a.dataset.carried = "1";
    }
  };

  // One submission a page. Buttons stay enabled: a disabled one would not be sent.
  let sent = null;
  const free = () => {
    if (sent) sent.removeAttribute("aria-busy");
    sent = null;
  };
  addEventListener("submit", (e) => {
    if (e.defaultPrevented || e.submitter && e.submitter.name === "download") return;
    if (sent) return e.preventDefault();
    sent = e.target;
    sent.setAttribute("aria-busy", "true");
    // Password managers look for a password field.
    for (const b of all("[data-peek][aria-pressed=true]")) b.click();
  });
  addEventListener("pageshow", (e) => e.persisted && free());

  for (const b of all("[data-peek]")) {
    const field = document.getElementById(b.dataset.peek);
    b.addEventListener("click", () => {
      const shown = field.type === "password";
      field.type = shown ? "text" : "password";
      b.setAttribute("aria-pressed", shown);
    });
  }

  // A code that is typed or pasted whole goes off by itself, once. Whoever corrects one, or has it put in all at once (dictation, some
  // keyboards and password managers), has the last word with the button. What is no code of six digits is left alone. Types of input that
  // begin with d or h delete, or go back in history (W3C Input Events).
  for (const f of all("input[data-six]")) {
    let corrected = false, gone = false;
    f.addEventListener("input", (e) => {
      const how = e.inputType || "";
      corrected = f.value !== "" && (corrected || /^[dh]/.test(how));
      const digits = f.value.replace(/[\s\u2010-\u2013-]/g, "");
      if (!/^[\d\u0660-\u0669\u06f0-\u06f9\uff10-\uff19]{6}$/.test(digits)) return;
      const pasted = /Paste|Drop/.test(how);
      if (pasted) f.value = digits;
      if (gone || corrected || !e.isTrusted || !pasted && e.data && e.data.length > 1) return;
      gone = true;
      f.form.querySelector("button").click();
    });
  }

  const copy = async (text) => {
    try {
      return await navigator.clipboard.writeText(text);
    } catch {
      const area = document.createElement("textarea");
      area.value = text;
      document.body.append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
    }
  };
  for (const b of all("[data-copy],[data-copy-list]")) {
    const label = b.textContent;
    let timer;
    b.setAttribute("aria-live", "polite");
    b.addEventListener("click", async () => {
      const list = b.dataset.copyList && document.getElementById(b.dataset.copyList);
      await copy(list ? Array.from(list.children, (li) => li.textContent.trim()).join("\n") + "\n" : b.dataset.copy);
      b.textContent = b.dataset.done;
      clearTimeout(timer);
      timer = setTimeout(() => (b.textContent = label), 2000);
    });
  }

  for (const b of all("[data-print]")) b.addEventListener("click", () => print());

  // A step ends. Two minutes before, and when it is over, the page says so; what is typed stays, and in sight.
  for (const place of all("[data-left]")) {
    const end = Date.now() + place.dataset.left * 1000, [soon, over] = place.querySelectorAll("template");
    const at = (time, what) => setTimeout(() => {
      place.firstElementChild.replaceChildren(what.content.cloneNode(true));
      for (const f of all("main :focus")) f.scrollIntoView({ block: "nearest" });
    }, Math.max(0, time - Date.now()));
    at(end - 120000, soon);
    at(end, over);
  }

  // Ready to type, but what is to be read first stays in view.
  for (const f of all("[data-focus]")) f.focus({ preventScroll: true });

  // The page's language, as it is written where the person is.
  const lang = document.documentElement.lang, base = (l) => l.split("-")[0];
  const local = new Intl.DateTimeFormat(navigator.languages.find((l) => base(l) === base(lang)) || lang, { dateStyle: "medium", timeStyle: "short" });
  for (const t of all("time")) t.textContent = local.format(new Date(t.dateTime));

  // Where a link led to a page without its form, its token stays out of everything that follows. A newer link that is opened in
  // such a tab changes nothing but the fragment, so the page is asked for anew.
  const token = /\/(invite|link|guest|reset|not-me|stop-reset)$/.test(location.pathname);
  const drop = () => location.hash && history.replaceState(null, "", location.pathname + location.search);
  const again = () => location.hash && location.replace(location.pathname + "?" + Date.now() + location.hash);

  // The small window in which somebody signed in for a page that waits.
  if (/\/signed-in$/.test(location.pathname)) close();

  addEventListener("hashchange", link ? open : token ? again : carry);
  (link ? open : token ? drop : carry)();
})();
