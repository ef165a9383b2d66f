package caddymodule

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
	"github.com/caddy-mfa/caddy-mfa/storage"
)

func init() {
	caddy.RegisterModule(adminAPI{})
}

// adminPrefix is where the operations are in Caddy's admin API.
const adminPrefix = "/mfa/"

// maxAdminBody bounds a request of the admin API, in bytes.
const maxAdminBody = 64 << 10

// adminAPI adds the operations to Caddy's admin API, for the commands and for scripts:
//
//	GET  /mfa/user/list
//	GET  /mfa/user/show?name=alice
//	GET  /mfa/user/policy?name=alice
//	POST /mfa/user/add          {"name": "alice", "email": "alice@example.com", "groups": ["ops"]}
//	POST /mfa/user/disable      {"name": "alice"}       (also enable, delete, invite)
//	POST /mfa/user/reset-mfa    {"name": "alice", "delay": "24h"}   (no delay: at once; "cancel": true takes it back)
//	POST /mfa/user/group        {"name": "alice", "add": ["ops"], "remove": ["dev"]}
//	GET  /mfa/session/list?name=alice
//	POST /mfa/session/revoke    {"name": "alice", "id": "..."}   (no id: all)
//	GET  /mfa/token/list?name=alice
//	POST /mfa/token/revoke      {"name": "alice", "id": "..."}   (no id: all)
//	POST /mfa/link/make         {"url": "https://wiki.example.com/page", "for": "24h", "user": "alice", "also": ["/assets/*"]}
//	GET  /mfa/link/list?name=alice   (no name: everybody's)
//	POST /mfa/link/revoke       {"id": "..."}
//	POST /mfa/rules/check       {"requests": [{"url": "https://dash.example.com/admin/", "user": "alice"}]}
//	POST /mfa/mail/test         {"address": "alice@example.com"}
//
// It answers in JSON, errors as Caddy does: {"error": "..."}. Each operation has a path of its own, so that the permissions of a
// remote admin can name those that it may use.
type adminAPI struct{}

// CaddyModule returns the Caddy module information.
func (adminAPI) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "admin.api.mfa", New: func() caddy.Module { return adminAPI{} }}
}

// Routes returns one route an operation, and one that refuses whatever else is below the prefix.
func (adminAPI) Routes() []caddy.AdminRoute {
	routes := []caddy.AdminRoute{{Pattern: adminPrefix, Handler: caddy.AdminHandlerFunc(noOperation)}}
	for _, op := range operations {
		routes = append(routes, caddy.AdminRoute{
			Pattern: adminPrefix + op.name,
			Handler: caddy.AdminHandlerFunc(func(w http.ResponseWriter, r *http.Request) error { return serveOperation(w, r, op) }),
		})
	}
	return routes
}

func noOperation(http.ResponseWriter, *http.Request) error {
	return refuse(http.StatusNotFound, "There is no such operation.")
}

func serveOperation(w http.ResponseWriter, r *http.Request, op operation) error {
	in, err := adminInput(w, r, op.read)
	if err != nil {
		return err
	}
	// The router is older than the config, and outlives it: the app is looked up for each request.
	loaded, err := caddy.ActiveContext().AppIfConfigured("mfa")
	if errors.Is(err, caddy.ErrNotConfigured) {
		return refuse(http.StatusServiceUnavailable, "The running config does not use mfa.")
	}
	if err != nil {
		return adminError(err, "")
	}
	app, ok := loaded.(*App)
	if !ok {
		return adminError(fmt.Errorf("the mfa app is a %T", loaded), "")
	}
	c := call{app: app}
	if !op.storeless {
		if c.realm, err = app.Realm(r.Context()); err != nil {
			return adminError(err, "")
		}
	}
	out, err := op.run(r.Context(), c, in)
	if err != nil {
		return adminError(err, inputName(in))
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store") // it may hold a one-time link
	return json.NewEncoder(w).Encode(out)
}

// adminInput returns the input of an operation as JSON: the query of a GET, the body of a POST. Changes are made by POST alone,
// and by nothing that a form on some page could send.
func adminInput(w http.ResponseWriter, r *http.Request, read bool) ([]byte, error) {
	method := http.MethodPost
	if read {
		method = http.MethodGet
	}
	if r.Method != method {
		w.Header().Set("Allow", method)
		return nil, refuse(http.StatusMethodNotAllowed, "This is done by "+method+".")
	}
	if read {
		return queryInput(r.URL.RawQuery)
	}
	if r.URL.RawQuery != "" {
		return nil, refuse(http.StatusBadRequest, "The input belongs into the body, not into the query.")
	}
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != "application/json" {
		return nil, refuse(http.StatusUnsupportedMediaType, "The Content-Type must be application/json.")
	}
	in, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxAdminBody))
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return nil, refuse(http.StatusRequestEntityTooLarge, "The input is too large: 64 KiB at most.")
	}
	if err != nil {
		return nil, refuse(http.StatusBadRequest, "The input could not be read.")
	}
	return in, nil
}

func queryInput(raw string) ([]byte, error) {
	query, err := url.ParseQuery(raw)
	if err != nil {
		return nil, refuse(http.StatusBadRequest, "The query cannot be read.")
	}
	fields := make(map[string]string, len(query))
	for k, values := range query {
		if len(values) != 1 {
			return nil, refuse(http.StatusBadRequest, fmt.Sprintf("The query gives %q more than once.", k))
		}
		fields[k] = strings.ToValidUTF8(values[0], "\ufffd")
	}
	return json.Marshal(fields)
}

// inputName is the name in an operation's input, for messages.
func inputName(in []byte) string {
	var v nameInput
	_ = json.Unmarshal(in, &v) // it was decoded before: a type that does not fit leaves the name empty
	return v.Name
}

func refuse(status int, text string) caddy.APIError {
	return caddy.APIError{HTTPStatus: status, Message: text}
}

// adminError makes an error of an operation one of the admin API. Only sentences meant for people are passed on; a fault goes to
// Caddy's log, where APIError's Err ends up.
func adminError(err error, name string) caddy.APIError {
	if bad, ok := errors.AsType[*inputError](err); ok {
		return refuse(http.StatusBadRequest, bad.text)
	}
	if invalid, ok := errors.AsType[*auth.Invalid](err); ok {
		return refuse(http.StatusUnprocessableEntity, invalid.Text)
	}
	if mail, ok := errors.AsType[*mailError](err); ok {
		return refuse(http.StatusBadGateway, mail.text)
	}
	switch {
	case errors.Is(err, auth.ErrUnknownUser):
		return refuse(http.StatusNotFound, fmt.Sprintf("There is no user %q.", name))
	case errors.Is(err, auth.ErrBusy):
		return refuse(http.StatusServiceUnavailable, "Too many people are signing in just now. Try again.")
	case errors.Is(err, storage.ErrConflict):
		return refuse(http.StatusConflict, "Somebody else changed this at the same time. Try again.")
	}
	return caddy.APIError{
		HTTPStatus: http.StatusServiceUnavailable, Err: err,
		Message: "The store cannot be used just now. The server's log says why.",
	}
}

// Interface guards
var (
	_ caddy.Module      = adminAPI{}
	_ caddy.AdminRouter = adminAPI{}
)
