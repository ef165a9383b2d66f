package caddymodule

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
)

func TestAdminAPI(t *testing.T) { // S66
	m := newMachine(t)
	m.serve()
	m.must(nil, "mfa", "user", "add", "alice")
	const text, form = "text/plain", "application/x-www-form-urlencoded"
	for _, row := range []struct {
		name, method, path, media, body string
		status                          int
		want                            string // part of the answer
	}{
		{"list", "GET", "/mfa/user/list", "", "", 200, `"name":"alice"`},
		{"show", "GET", "/mfa/user/show?name=Alice", "", "", 200, `"sessions":0`},
		{"policies", "GET", "/mfa/user/policy?name=Alice", "", "", 200, `"policies":[]`},
		{"policies of nobody", "GET", "/mfa/user/policy?name=mallory", "", "", 404, `no user \"mallory\"`},
		{"policies by POST", "POST", "/mfa/user/policy", "", `{"name": "alice"}`, 405, "GET"},
		{"change", "POST", "/mfa/user/group", "", `{"name": "alice", "add": ["ops"]}`, 200, `"groups":["ops"]`},
		{"media type with parameter", "POST", "/mfa/user/group", "application/json; charset=utf-8", `{"name": "alice", "add": ["ops"]}`, 200, `"ops"`},
		{"change by GET", "GET", "/mfa/user/delete?name=alice", "", "", 405, "POST"},
		{"change by PUT", "PUT", "/mfa/user/delete", "", `{"name": "alice"}`, 405, "POST"},
		{"change by DELETE", "DELETE", "/mfa/user/delete", "", `{"name": "alice"}`, 405, "POST"},
		{"list by POST", "POST", "/mfa/user/list", "", `{}`, 405, "GET"},
		{"nothing there", "POST", "/mfa/user/promote", "", `{"name": "alice"}`, 404, "no such operation"},
		{"nothing there at all", "GET", "/mfa/", "", "", 404, "no such operation"},
		{"unknown user", "POST", "/mfa/user/disable", "", `{"name": "mallory"}`, 404, `no user \"mallory\"`},
		{"unknown user to show", "GET", "/mfa/user/show?name=mallory", "", "", 404, `no user \"mallory\"`},
		{"no user", "GET", "/mfa/user/show", "", "", 404, "no user"},
		{"unknown parameter", "GET", "/mfa/user/show?name=alice&verbose=1", "", "", 400, `\"verbose\"`},
		{"repeated parameter", "GET", "/mfa/user/show?name=alice&name=bob", "", "", 400, "more than once"},
		{"malformed query", "GET", "/mfa/user/show?name=%zz", "", "", 400, "query"},
		{"query of a change", "POST", "/mfa/user/delete?name=alice", "", `{"name": "alice"}`, 400, "query"},
		{"unknown field", "POST", "/mfa/user/add", "", `{"name": "bob", "admin": true}`, 400, `\"admin\"`},
		{"wrong type", "POST", "/mfa/user/add", "", `{"name": 7}`, 400, `\"name\"`},
		{"wrong type inside a list", "POST", "/mfa/user/add", "", `{"name": "bob", "groups": [7]}`, 400, `\"groups\"`},
		{"a list for an object", "POST", "/mfa/user/add", "", `["bob"]`, 400, "object"},
		{"null", "POST", "/mfa/user/add", "", `null`, 400, "object"},
		{"two objects", "POST", "/mfa/user/add", "", `{"name": "bob"} {"name": "carol"}`, 400, "more than one"},
		{"no body", "POST", "/mfa/user/add", "", "", 400, "object"},
		{"cut off", "POST", "/mfa/user/add", "", `{"name": "bob"`, 400, "object"},
		{"not UTF-8", "POST", "/mfa/user/add", "", "{\"name\": \"bob\", \"password\": \"correct horse \xff battery\"}", 400, "UTF-8"},
		{"a form", "POST", "/mfa/user/add", form, `name=bob`, 415, "application/json"},
		{"JSON that a form could send", "POST", "/mfa/user/add", text, `{"name": "bob"}`, 415, "application/json"},
		{"too large", "POST", "/mfa/user/add", "", `{"name": "` + strings.Repeat("b", maxAdminBody) + `"}`, 413, "64 KiB"},
		{"refused by a rule", "POST", "/mfa/user/add", "", `{"name": "bob", "groups": ["Ops"]}`, 422, "group"},
		{"no groups", "POST", "/mfa/user/group", "", `{"name": "alice"}`, 400, "group"},
		{"empty id", "POST", "/mfa/session/revoke", "", `{"name": "alice", "id": ""}`, 400, "id"},
		{"empty delay", "POST", "/mfa/user/reset-mfa", "", `{"name": "alice", "delay": ""}`, 400, "24h or 2d"},
		{"delay without its unit", "POST", "/mfa/user/reset-mfa", "", `{"name": "alice", "delay": 24}`, 400, `\"delay\"`},
		{"delay that cannot be announced", "POST", "/mfa/user/reset-mfa", "", `{"name": "alice", "delay": "2d"}`, 422, "cannot be announced"},
		{"announced and taken back", "POST", "/mfa/user/reset-mfa", "", `{"name": "alice", "delay": "2d", "cancel": true}`, 400, "either"},
		{"nothing to take back", "POST", "/mfa/user/reset-mfa", "", `{"name": "alice", "cancel": true}`, 422, "pending"},
		{"unknown way to reset", "POST", "/mfa/user/reset-mfa", "", `{"name": "alice", "at": "2d"}`, 400, `\"at\"`},
		{"empty id of a token", "POST", "/mfa/token/revoke", "", `{"name": "alice", "id": ""}`, 400, "id"},
		{"unknown id of a token", "POST", "/mfa/token/revoke", "", `{"name": "alice", "id": "0123"}`, 422, "access token"},
		{"revoked by a GET", "GET", "/mfa/token/revoke?name=alice", "", "", 405, "POST"},
		{"unknown id", "POST", "/mfa/session/revoke", "", `{"name": "alice", "id": "0123"}`, 422, "session"},
	} {
		t.Run(row.name, func(t *testing.T) {
			if row.media == "" {
				row.media = "application/json"
			}
			status, answer := m.ask(row.method, row.path, row.media, row.body)
			if status != row.status || !strings.Contains(answer, row.want) {
				t.Errorf("got %d %s", status, answer)
			}
			var refused struct {
				Error string `json:"error"`
			}
			if err := json.Unmarshal([]byte(answer), &refused); status != 200 && (err != nil || refused.Error == "") {
				t.Errorf("no error in JSON: %s", answer)
			}
		})
	}
	var users []userView
	if m.must(&users, "mfa", "user", "list", "--json"); len(users) != 1 || users[0].State != stateInvited {
		t.Errorf("something was changed: %v", users)
	}
}

func TestAdminAPIWithoutApp(t *testing.T) {
	m := newMachine(t)
	m.serve()
	m.must(nil, "mfa", "user", "add", "alice")
	if status, answer := m.ask("POST", "/load", "application/json", `{"admin": {"listen": "`+m.admin+`"}}`); status != 200 {
		t.Fatalf("reloading: %d %s", status, answer)
	}
	if status, answer := m.ask("GET", "/mfa/user/list", "", ""); status != 503 || !strings.Contains(answer, "does not use mfa") {
		t.Errorf("got %d %s", status, answer)
	}
	check(t, commandRow{code: 1, err: `^Error: The running config does not use mfa\.\n$`}, m.run("", "mfa", "user", "list"))
}

// ask sends a request to the admin API.
func (m *machine) ask(method, path, media, body string) (status int, answer string) {
	m.t.Helper()
	req, err := http.NewRequestWithContext(m.t.Context(), method, "http://"+m.admin+path, strings.NewReader(body))
	if err != nil {
		m.t.Fatal(err)
	}
	req.Header.Set("Content-Type", media)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		m.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		m.t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}
