package caddymodule

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
)

// Every command teaches what it does, with examples that can be typed as they are.
func TestCommandHelp(t *testing.T) {
	m := newMachine(t)
	m.serve()
	m.must(nil, "mfa", "user", "add", "carol")
	var walk func(path string, cmd *cobra.Command)
	walk = func(path string, cmd *cobra.Command) {
		path += " " + cmd.Name()
		if cmd.Short == "" || cmd.Long == "" || cmd.Example == "" || cmd.RunE == nil {
			t.Errorf("%s lacks its short or long text, its example or its function", path)
		}
		for line := range strings.Lines(cmd.Long) {
			if len(line) > 81 {
				t.Errorf("%s: a line of its help is too long for a terminal: %s", path, line)
			}
		}
		r := m.run("", append(strings.Fields(path), "--help")...)
		if r.code != 0 || r.stderr != "" || !strings.Contains(r.stdout, cmd.Example) {
			t.Errorf("%s --help: exit code %d\n%s%s", path, r.code, r.stdout, r.stderr)
		}
		for example := range strings.Lines(cmd.Example) {
			line, ok := strings.CutPrefix(strings.TrimSpace(example), "$ caddy ")
			if !ok {
				t.Errorf("%s: %q is no example", path, example)
			}
			line, _, _ = strings.Cut(line, " <")
			if r := m.run(alicesPassword+"\n", strings.Fields(line)...); r.code == exitUsage {
				t.Errorf("%s: the example is wrong: %s", path, r.stderr)
			}
		}
		for _, sub := range cmd.Commands() {
			walk(path, sub)
		}
	}
	walk("mfa", userCommand())
	walk("mfa", sessionCommand())
	walk("mfa", tokenCommand())
	walk("mfa", rulesCommand())
	walk("mfa", mailCommand())
	walk("mfa", templatesCommand())
}

func TestPrintInvitation(t *testing.T) {
	expires := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, row := range []struct {
		name, link, state string
		mailed            string
		offline           bool
		want              []string
	}{
		{"new", "https://dash.example.com/.mfa/invite#abc", stateInvited, "", false, []string{"Send this link to alice. It works once, until ", "\n\n  https://dash.example.com/.mfa/invite#abc\n\n", "sets up a second method"}},
		{"address unknown", "/.mfa/invite#abc", stateInvited, "", false, []string{"with the address of your site before it", "\n\n  /.mfa/invite#abc\n\n"}},
		{"everything set up", "https://dash.example.com/.mfa/invite#abc", stateActive, "", false, []string{"proves the second method"}},
		{"mailed", "https://dash.example.com/.mfa/invite#abc", stateInvited, "alice@example.com", false, []string{"Send this link", "\nThe link was also mailed to alice@example.com.\n"}},
		{"to be mailed", "https://dash.example.com/.mfa/invite#abc", stateInvited, "alice@example.com", true, []string{"\nA link is also mailed to alice@example.com, as soon as Caddy runs.\n"}},
	} {
		var buf bytes.Buffer
		(&client{offline: row.offline}).printInvitation(&buf, invitationView{userView: userView{Name: "alice", State: row.state}, Link: row.link, LinkExpires: expires, MailedTo: row.mailed})
		for _, want := range row.want {
			if !strings.Contains(buf.String(), want) {
				t.Errorf("%s: %q is missing in\n%s", row.name, want, &buf)
			}
		}
	}
}
