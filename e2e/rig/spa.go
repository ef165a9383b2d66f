package rig

import (
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
)

// spaPolicy is that of an app which allows neither scripts nor styles within its pages.
const spaPolicy = "default-src 'self'"

const spaPage = `<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Notes</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark">
<link rel="stylesheet" href="/spa.css">
<script src="/.mfa/session.js"></script>
<script src="/spa.js" defer></script>
<main>
<h1>Notes</h1>
<p><label for="note">Note</label> <textarea id="note"></textarea></p>
<p><button id="save">Save</button></p>
<p id="said" role="status"></p>
</main>
`

// spaScript sends what was typed, and shows the answer. It knows nothing of sign-ins.
const spaScript = `"use strict";
document.getElementById("save").addEventListener("click", async () => {
	const answer = await fetch("/spa/notes", { method: "POST", body: document.getElementById("note").value });
	document.getElementById("said").textContent = answer.status + " " + await answer.text();
});
`

// spa is a single-page app. Its /notes count the requests that reach them, and tell what came.
func spa(mux *http.ServeMux) {
	var count atomic.Int64
	serve := func(media, text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", media)
			w.Header().Set("Content-Security-Policy", spaPolicy)
			_, _ = io.WriteString(w, text)
		}
	}
	notes := func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // the client left
		}
		fmt.Fprintf(w, "%d %s %s [%s] %s", count.Add(1), r.Header.Get("Remote-User"), r.Method, r.Header.Get("X-Note"), body)
	}
	mux.HandleFunc("/spa", serve("text/html; charset=utf-8", spaPage))
	mux.HandleFunc("/spa.js", serve("text/javascript", spaScript))
	mux.HandleFunc("/spa.css", serve("text/css", "textarea, button { font: inherit; }"))
	mux.HandleFunc("/spa/notes", notes)
	mux.HandleFunc("/admin/notes", notes)
	mux.Handle("/spa/moved", http.RedirectHandler("/spa/notes", http.StatusTemporaryRedirect))
}
