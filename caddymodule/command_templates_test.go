package caddymodule

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// What the command writes is what somebody begins with: it is taken as it is, and after a change.
func TestTemplatesCommand(t *testing.T) {
	m := newMachine(t)
	dir := filepath.Join(m.home, "new", "pages")
	r := m.run("", "mfa", "templates", filepath.Join("new", "pages"))
	if r.code != 0 || r.stderr != "" || !strings.Contains(r.stdout, "\n"+filepath.Join(dir, "login.html")+"\n") || !strings.HasSuffix(r.stdout, "\n\n  templates "+dir+"\n") {
		t.Fatalf("exit code %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	ours, err := filepath.Glob("../loginui/pages/*.html")
	if err != nil || len(ours) < 20 {
		t.Fatal(ours, err)
	}
	for _, file := range ours {
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(filepath.Join(dir, filepath.Base(file))); err != nil || string(got) != string(want) {
			t.Errorf("%s is another: %v", filepath.Base(file), err)
		}
	}
	m.configure("{\n\tmfa {\n\t\ttemplates " + dir + "\n\t}\n}\n\nhttp://localhost {\n\tmfa\n}\n")
	if r := m.run("", "validate", "--config", "Caddyfile"); r.code != 0 {
		t.Errorf("they are not taken: %s", r.stderr)
	}
	login := filepath.Join(dir, "login.html")
	text, err := os.ReadFile(login)
	if err != nil {
		t.Fatal(err)
	}
	leak := []byte(strings.ReplaceAll(string(text), ` method="post"`, ""))
	if err := os.WriteFile(login, leak, 0o600); err != nil {
		t.Fatal(err)
	}
	want := "option templates: " + dir + `: login.html: the form for /.mfa/login lacks method=`
	if r := m.run("", "validate", "--config", "Caddyfile"); r.code == 0 || !strings.Contains(r.stdout+r.stderr, want) {
		t.Errorf("a leak is taken: %s%s", r.stdout, r.stderr)
	}

	// Nothing is overwritten, and where one file is in the way, none is written.
	if err := os.Remove(filepath.Join(dir, "access_token.html")); err != nil {
		t.Fatal(err)
	}
	busy := filepath.Join(m.home, "file")
	if err := os.WriteFile(busy, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		name string
		args []string
		code int
		err  string
	}{
		{"again", []string{dir}, 1, `^Error: \S+account\.html is there already\. Nothing was written\.\n$`},
		{"a file", []string{busy}, 1, `^Error: .*file.*\n$`},
		{"below a file", []string{filepath.Join(busy, "pages")}, 1, `^Error: .*file.*\n$`},
		{"nowhere", nil, 2, `^Error: DIR is missing \(see caddy mfa templates --help\)\n$`},
		{"two", []string{"a", "b"}, 2, `^Error: "b" is too much`},
		{"empty", []string{""}, 2, `^Error: DIR is missing`},
	} {
		r := m.run("", append([]string{"mfa", "templates"}, row.args...)...)
		if r.code != row.code || r.stdout != "" || !regexp.MustCompile(row.err).MatchString(r.stderr) {
			t.Errorf("%s: exit code %d\n%s%s", row.name, r.code, r.stdout, r.stderr)
		}
	}
	if got, err := os.ReadFile(login); err != nil || string(got) != string(leak) {
		t.Errorf("a file was overwritten: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "access_token.html")); err == nil {
		t.Error("a file was written beside one that was in the way")
	}

	r = m.run("", "mfa", "templates", "other", "--json")
	var out templatesView
	if err := json.Unmarshal([]byte(r.stdout), &out); err != nil || r.code != 0 || out.Dir != filepath.Join(m.home, "other") || len(out.Files) != len(ours) {
		t.Errorf("as JSON: %v\n%s%s", err, r.stdout, r.stderr)
	}
}
