package rig

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/coder/websocket"
)

// App is a protected application: it tells what reaches it, echoes WebSocket messages, streams events and moves big bodies.
type App struct {
	Addr string // host:port
	srv  *http.Server
}

// StartApp serves an App on a free port of the loopback address. Call Close.
func StartApp() (*App, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	a := &App{Addr: l.Addr().String(), srv: &http.Server{Handler: AppHandler(), ReadHeaderTimeout: time.Minute}}
	go a.srv.Serve(l)
	return a, nil
}

// Close ends the App and its connections.
func (a *App) Close() error { return a.srv.Close() }

// AppHandler is the App without a server.
func AppHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/", page)
	mux.HandleFunc("/headers", headers)
	mux.HandleFunc("/ws", echo)
	mux.HandleFunc("GET /events", events)
	mux.HandleFunc("GET /download", download)
	mux.HandleFunc("POST /upload", upload)
	spa(mux)
	mux.HandleFunc("/cookie", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Add("Set-Cookie", "__Host-mfa=planted; Path=/; Secure")
		w.Header().Add("Set-Cookie", "theme=dark; Path=/")
	})
	return mux
}

var appPage = template.Must(template.New("").Parse(`<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Example app</title>
<h1>Example app</h1>
<p>You asked for <code id="uri">{{.RequestURI}}</code>.</p>
<dl>
<dt>Remote-User<dd id="user">{{.Header.Get "Remote-User"}}
<dt>Remote-Groups<dd id="groups">{{.Header.Get "Remote-Groups"}}
<dt>Text<dd id="text">{{.PostFormValue "text"}}
</dl>
<form method="post" action="/admin/save?draft=1"><label for="text-field">Text</label> <input id="text-field" name="text"> <button>Save</button></form>
<form method="post" action="/.mfa/logout"><button>Sign out</button></form>
`))

func page(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_ = appPage.Execute(w, r)
}

// Received is what /headers answers.
type Received struct {
	Method  string      `json:"method"`
	URI     string      `json:"uri"`
	Header  http.Header `json:"header"`
	Trailer http.Header `json:"trailer"`
}

func headers(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body) // trailers come after the body
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(Received{r.Method, r.RequestURI, r.Header, r.Trailer})
}

func echo(w http.ResponseWriter, r *http.Request) {
	c, err := websocket.Accept(w, r, nil)
	if err != nil {
		return // Accept has answered
	}
	defer c.CloseNow()
	for {
		kind, msg, err := c.Read(r.Context())
		if err != nil {
			return
		}
		if err := c.Write(r.Context(), kind, append([]byte("echo "), msg...)); err != nil {
			return
		}
	}
}

// events sends ?n= events, each as soon as the client could have read the one before.
func events(w http.ResponseWriter, r *http.Request) {
	n, _ := strconv.Atoi(r.FormValue("n"))
	w.Header().Set("Content-Type", "text/event-stream")
	flush := http.NewResponseController(w)
	for i := range n {
		fmt.Fprintf(w, "data: %d\n\n", i)
		if flush.Flush() != nil {
			return
		}
	}
	if r.FormValue("stay") != "" {
		<-r.Context().Done()
	}
}

func download(w http.ResponseWriter, r *http.Request) {
	n, _ := strconv.ParseInt(r.FormValue("bytes"), 10, 64)
	w.Header().Set("Content-Type", "application/octet-stream")
	_, _ = io.CopyN(w, Pattern(), n)
}

func upload(w http.ResponseWriter, r *http.Request) {
	h := sha256.New()
	n, err := io.Copy(h, r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	fmt.Fprintf(w, "%d %s", n, hex.EncodeToString(h.Sum(nil)))
}

// pattern reads as an endless repetition of one line. Its value is how much was read.
type pattern int

func (n *pattern) Read(p []byte) (int, error) {
	const line = "The quick brown fox jumps over the lazy dog.\n"
	for i := range p {
		p[i] = line[int(*n)%len(line)]
		*n++
	}
	return len(p), nil
}

// Pattern is an endless body to send, always the same.
func Pattern() io.Reader { return new(pattern) }
