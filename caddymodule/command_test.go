package caddymodule

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const alicesPassword = "correct horse battery staple"

// commandRow is one command and how it must end. A refused or wrong one must leave everything as it was.
type commandRow struct {
	name, line, stdin string
	code              int
	out               string // regexp that standard output must match, "" for nothing at all
	err               string // regexp that the one line on standard error must match, "" for nothing at all
}

// commandRows run one after another, on one store.
var commandRows = []commandRow{
	{name: "nobody yet", line: "user list", out: `^No users yet\. Add one: caddy mfa user add NAME\n$`},
	{name: "nobody yet, as JSON", line: "user list --json", out: `^\[\]\n$`},
	{name: "unknown user, empty store", line: "user show bob", code: 1, err: `^Error: There is no user "bob"\.\n$`},

	{name: "add with an invitation", line: "user add alice --email alice@example.com --display-name Alice_Example --group ops --group dev",
		out: `(?s)^alice was added\.\nSend this link to alice\. It works once, until 20\S+ \S+ UTC:\n\n  http\S+#\S+\n\nWith it alice chooses a password`},
	{name: "add with a password", line: "user add Bob --password-stdin", stdin: alicesPassword + "\nanother line\n", out: `^bob was added\.\nUntil `},
	{name: "add, as JSON", line: "user add carol --json", out: `(?s)^\{.*"name": "carol".*"link": "http[^"]+#[^"]+".*"link_expires": "20[^"]+Z"`},

	{name: "the same name", line: "user add alice", code: 1, err: `^Error: There is a user alice already\.\n$`},
	{name: "the same name in capitals", line: "user add ALICE", code: 1, err: `already`},
	{name: "the same name in full width", line: "user add ａｌｉｃｅ", code: 1, err: `already`},
	{name: "the same name with spaces around", line: "user add _alice_", code: 1, err: `already`},
	{name: "a name with @", line: "user add dave@example.com", code: 1, err: `^Error: .*@`},
	{name: "a name with a space", line: "user add dave_x", code: 1, err: `^Error: `},
	{name: "an empty name", line: "user add ''", code: 1, err: `^Error: `},
	{name: "a name with an escape sequence", line: "user add dave\x1b[2J", code: 1, err: `^Error: [^\x1b]*\n$`},
	{name: "a name that is too long", line: "user add " + strings.Repeat("d", 1000), code: 1, err: `^Error: .*long`},
	{name: "a bad group", line: "user add dave --group Ops", code: 1, err: `^Error: .*group`},
	{name: "an empty group", line: "user add dave --group ''", code: 1, err: `^Error: .*group`},
	{name: "a bad address", line: "user add dave --email dave", code: 1, err: `^Error: .*email`},
	{name: "an address with a line break", line: "user add dave --email dave@example.com\nBcc:eve@example.com", code: 1, err: `^Error: .*email`},
	{name: "a display name with a line break", line: "user add dave --display-name a\nb", code: 1, err: `^Error: `},
	{name: "no password on standard input", line: "user add dave --password-stdin", code: 1, err: `^Error: There is no password on standard input\.\n$`},
	{name: "an empty password", line: "user add dave --password-stdin", stdin: "\nsecond line\n", code: 1, err: `no password`},
	{name: "a short password", line: "user add dave --password-stdin", stdin: "short\n", code: 1, err: `^Error: .*8`},
	{name: "a common password", line: "user add dave --password-stdin", stdin: "password123\n", code: 1, err: `^Error: `},
	{name: "a password that is too long", line: "user add dave --password-stdin", stdin: strings.Repeat("long ", 1000) + "\n", code: 1, err: `^Error: `},
	{name: "a password that is no text", line: "user add dave --password-stdin", stdin: "long enough \xff\xfe\n", code: 1, err: `^Error: .*UTF-8`},

	{name: "a name that is no text", line: "user add dave\xff", code: 1, err: `UTF-8`},
	{name: "a display name that is no text", line: "user add dave --display-name \xff", code: 1, err: `UTF-8`},
	{name: "a group that is no text", line: "user group alice +\xff", code: 1, err: `UTF-8`},

	{name: "list", line: "user list", out: `(?s)^NAME +STATE +GROUPS .*\nalice +invited +dev,ops +- +alice@example\.com +Alice Example\nbob +incomplete +- +password .*\ncarol `},
	{name: "list, as JSON", line: "user list --json", out: `(?s)^\[\n.*"email_confirmed": false,.*"groups": \[\],\n.*"state": "incomplete"`},
	{name: "show", line: "user show ALICE", out: `(?s)^Name: +alice\nDisplay name: +Alice Example\nEmail: +alice@example\.com \(not confirmed\)\nGroups: +dev, ops\nState: +invited.*\nEnrolment window: +open until 20.*Sessions: +0\nMethods: +none\n$`},
	{name: "show what is set up", line: "user show bob", out: `(?s)\nState: +incomplete.*\nMethods:\n  METHOD +NAME +ADDED +LAST USED\n  password +- +20\d\d-\d\d-\d\d \d\d:\d\d UTC +-\n$`},
	{name: "show, as JSON", line: "user show bob --json", out: `(?s)^\{.*"credentials": \[.*"method": "password".*"recovery_codes_left": 0,\n  "sessions": 0\n\}\n$`},

	{name: "no policy", line: "user policy BOB", out: `(?s)^No policy applies to bob\. .*\n\nBeside any policy, every session takes proofs of two kinds.*\nMethods that are switched on: password, webauthn, totp, recovery\n$`},
	{name: "no policy, as JSON", line: "user policy bob --json", out: `(?s)^\{\n  "name": "bob",\n  "policies": \[\],\n.*"methods_off": \[\]\n\}\n$`},
	{name: "policies of nobody", line: "user policy mallory", code: 1, err: `^Error: There is no user "mallory"\.\n$`},

	{name: "groups", line: "user group alice +admins -dev +ops", out: `^alice is in admins, ops\.\n$`},
	{name: "groups, options among them", line: "user group --json alice -admins --config Caddyfile", out: `(?s)"groups": \[\n    "ops"\n  \]`},
	{name: "a group that looks like an option", line: "user group alice +c -ops", out: `^alice is in c\.\n$`},
	{name: "out of the last group", line: "user group alice -c", out: `^alice is in no group\.\n$`},
	{name: "a bad group to add", line: "user group alice +Ops", code: 1, err: `^Error: .*group`},
	{name: "one good and one bad group", line: "user group alice +good +bad/group", code: 1, err: `^Error: .*group`},
	{name: "groups of nobody", line: "user group mallory +ops", code: 1, err: `^Error: There is no user "mallory"\.\n$`},

	{name: "invite", line: "user invite alice", out: `(?s)^Send this link to alice\. .*http\S+#\S+`},
	{name: "invite nobody", line: "user invite mallory", code: 1, err: `no user "mallory"`},
	{name: "disable", line: "user disable alice", out: `^alice is disabled`},
	{name: "disable twice", line: "user disable alice", out: `^alice is disabled`},
	{name: "invite a disabled user", line: "user invite alice", code: 1, err: `^Error: .*disabled`},
	{name: "a disabled user in the list", line: "user list", out: `\nalice +disabled `},
	{name: "enable", line: "user enable alice", out: `^alice can sign in again\.\n$`},
	{name: "disable nobody", line: "user disable mallory", code: 1, err: `no user "mallory"`},
	{name: "enable nobody", line: "user enable mallory", code: 1, err: `no user "mallory"`},
	{name: "reset", line: "user reset-mfa bob", out: `^bob has no second method any more, and every session has ended\. Until 20`},
	{name: "reset an invited user", line: "user reset-mfa alice", out: `^alice has no second method, and no password either\. .*caddy mfa user invite alice\n$`},
	{name: "reset nobody", line: "user reset-mfa mallory", code: 1, err: `no user "mallory"`},
	{name: "announce a reset without mail", line: "user reset-mfa bob --delay 24h", code: 1,
		err: `^Error: It cannot be announced, for no mail is sent from here\. Reset without --delay, after making sure that it is bob who asks\.\n$`},
	{name: "announce a reset of nobody", line: "user reset-mfa mallory --delay 24h", code: 1, err: `no user "mallory"`},
	{name: "announce a reset too shortly before", line: "user reset-mfa bob --delay 59m", code: 1, err: `^Error: A reset is announced 1 hour to 30 days beforehand\.\n$`},
	{name: "announce a reset too early", line: "user reset-mfa bob --delay 31d", code: 1, err: `1 hour to 30 days`},
	{name: "take back what is not pending", line: "user reset-mfa bob --cancel", code: 1, err: `^Error: No reset of bob is pending\.\n$`},
	{name: "take back a reset of nobody", line: "user reset-mfa mallory --cancel", code: 1, err: `no user "mallory"`},

	{name: "no sessions", line: "session list bob", out: `^bob is not signed in anywhere\.\n$`},
	{name: "no sessions, as JSON", line: "session list bob --json", out: `^\[\]\n$`},
	{name: "sessions of nobody", line: "session list mallory", code: 1, err: `no user "mallory"`},
	{name: "revoke none", line: "session revoke bob", out: `^bob had no session\.\n$`},
	{name: "revoke an unknown session", line: "session revoke bob --id 0123", code: 1, err: `^Error: There is no such session\.\n$`},
	{name: "revoke of nobody", line: "session revoke mallory", code: 1, err: `no user "mallory"`},
	{name: "no tokens", line: "token list bob", out: `^bob has no access token\.\n$`},
	{name: "no tokens, as JSON", line: "token list bob --json", out: `^\[\]\n$`},
	{name: "tokens of nobody", line: "token list mallory", code: 1, err: `no user "mallory"`},
	{name: "revoke no token", line: "token revoke bob", out: `^bob had no access token\.\n$`},
	{name: "revoke an unknown token", line: "token revoke bob --id 0123", code: 1, err: `^Error: There is no such access token\.\n$`},
	{name: "revoke tokens of nobody", line: "token revoke mallory", code: 1, err: `no user "mallory"`},

	{name: "delete", line: "user delete carol", out: `^carol is deleted`},
	{name: "delete twice", line: "user delete carol", code: 1, err: `^Error: There is no user "carol"\.\n$`},
	{name: "a deleted name again", line: "user add carol --json", out: `"name": "carol"`},

	{name: "no command", line: "", code: 2, err: `^Error: .*\(see caddy mfa --help\)\n$`},
	{name: "no user command", line: "user", code: 2, err: `^Error: .*\(see caddy mfa user --help\)\n$`},
	{name: "an unknown command", line: "users", code: 2, err: `^Error: There is no command "users"; did you mean "user"\? \(see caddy mfa --help\)\n$`},
	{name: "an unknown user command", line: "user remove alice", code: 2, err: `no command "remove"`},
	{name: "an unknown session command", line: "session end alice", code: 2, err: `no command "end"`},
	{name: "no name", line: "user show", code: 2, err: `^Error: NAME is missing \(see caddy mfa user show --help\)\n$`},
	{name: "two names", line: "user disable alice bob", code: 2, err: `"bob"`},
	{name: "an unknown option", line: "user list --verbose", code: 2, err: `--verbose`},
	{name: "an unknown option of a group command", line: "user --verbose", code: 2, err: `--verbose`},
	{name: "an option without its value", line: "user add dave --email", code: 2, err: `--email`},
	{name: "an empty address", line: "user add dave --email ''", code: 2, err: `--email`},
	{name: "a password as argument", line: "user add dave --password secret", code: 2, err: `--password`},
	{name: "no groups", line: "user group alice", code: 2, err: `\+GROUP`},
	{name: "a group without a sign", line: "user group alice ops", code: 2, err: `"ops"`},
	{name: "a sign without a group", line: "user group alice +", code: 2, err: `"\+"`},
	{name: "a group both ways", line: "user group alice +ops -ops", code: 2, err: `\+ops`},
	{name: "groups without a name", line: "user group +ops -dev", code: 2, err: `NAME`},
	{name: "an unknown option among groups", line: "user group alice +ops --verbose", code: 2, err: `--verbose`},
	{name: "a delay that is none", line: "user reset-mfa bob --delay tomorrow", code: 2, err: `^Error: --delay "tomorrow" is no duration such as 24h or 2d`},
	{name: "an empty delay", line: "user reset-mfa bob --delay ''", code: 2, err: `--delay`},
	{name: "announce and take back", line: "user reset-mfa bob --delay 24h --cancel", code: 2, err: `--delay and --cancel`},
	{name: "an empty id", line: "session revoke bob --id ''", code: 2, err: `--id`},
	{name: "an empty id of a token", line: "token revoke bob --id ''", code: 2, err: `--id`},
	{name: "an unknown token command", line: "token add alice", code: 2, err: `no command "add"`},
	{name: "an address that is none", line: "user list --address localhost:1-9", code: 2, err: `--address`},
	{name: "an adapter without a config", line: "user list --adapter caddyfile", code: 2, err: `--config`},
	{name: "the password and the config on one input", line: "user add dave --config - --password-stdin", code: 2, err: `Standard input`},
	{name: "a config that is not there", line: "user list --config missing.json", code: 1, err: `missing\.json`},
}

func TestCommands(t *testing.T) {
	outputs := make(map[string][]string)
	for _, way := range []string{"server", "no server"} {
		t.Run(way, func(t *testing.T) {
			m := newMachine(t)
			stop := m.serve()
			people := func() string { return m.must(nil, "mfa", "user", "list", "--json") }
			if way == "no server" {
				stop()
			} else {
				people = func() string {
					_, answer := m.ask("GET", "/mfa/user/list", "", "")
					return answer
				}
			}
			before := people()
			for _, row := range commandRows {
				t.Run(row.name, func(t *testing.T) {
					m.t = t
					r := m.run(row.stdin, append([]string{"mfa"}, words(row.line)...)...)
					check(t, row, r)
					after := people()
					if row.code != 0 && after != before {
						t.Errorf("it was refused, but changed\n%s\nto\n%s", before, after)
					}
					before = after
					outputs[row.name] = append(outputs[row.name], plain(r.stdout+r.stderr))
				})
			}
		})
	}
	for name, o := range outputs {
		if len(o) != 2 || o[0] != o[1] {
			t.Errorf("%s: the answers with and without a server differ:\n%s", name, strings.Join(o, "\n---\n"))
		}
	}
}

func check(t *testing.T, row commandRow, r result) {
	t.Helper()
	if r.code != row.code {
		t.Errorf("exit code %d, want %d", r.code, row.code)
	}
	for _, stream := range []struct{ name, got, want string }{{"standard output", r.stdout, row.out}, {"standard error", r.stderr, row.err}} {
		if stream.want == "" && stream.got != "" || !regexp.MustCompile(stream.want).MatchString(stream.got) {
			t.Errorf("%s: %q does not match %q", stream.name, stream.got, stream.want)
		}
	}
	if strings.Count(r.stderr, "\n") > 1 {
		t.Errorf("more than one line on standard error:\n%s", r.stderr)
	}
}

// words splits a command line at spaces; ” is an empty word, and _ a space inside one.
func words(line string) []string {
	var out []string
	for _, w := range strings.FieldsFunc(line, func(r rune) bool { return r == ' ' }) {
		out = append(out, strings.ReplaceAll(strings.TrimPrefix(w, "''"), "_", " "))
	}
	return out
}

var varying = regexp.MustCompile(`https?://\S+|20\d\d-\d\d-\d\d[T ]\d\d:\d\d(:\d\dZ)?|[0-9a-f]{32}`)

// plain leaves out of an output what differs from run to run.
func plain(output string) string { return varying.ReplaceAllString(output, "...") }

func TestCommandsFindTheServer(t *testing.T) {
	m := newMachine(t)
	socket := filepath.Join(m.home, "admin.sock")
	for _, row := range []struct{ name, admin string }{
		{"tcp", m.admin},
		{"unix socket", "unix/" + socket},
		{"unix socket with permissions", "unix/" + socket + "|0200"},
	} {
		t.Run(row.name, func(t *testing.T) {
			m.t = t
			m.configure("{\n\tadmin " + row.admin + "\n\tmfa\n}\n")
			defer m.serve()()
			m.must(nil, "mfa", "user", "list")
			m.must(nil, "mfa", "user", "list", "--config", filepath.Join(m.home, "Caddyfile"))
			if err := os.Rename(filepath.Join(m.home, "Caddyfile"), filepath.Join(m.home, "elsewhere")); err != nil {
				t.Fatal(err)
			}
			m.must(nil, "mfa", "user", "list", "--address", row.admin)
			m.must(nil, "mfa", "user", "list", "--config", "elsewhere", "--adapter", "caddyfile")
			m.must(nil, "mfa", "user", "group", "--address", row.admin, "--help")
		})
	}
}

func TestCommandsWithoutServer(t *testing.T) {
	t.Run("looking leaves nothing behind", func(t *testing.T) {
		m := newMachine(t)
		const where = `No Caddy answers, and there is no store in \S+/mfa yet\.\n$`
		check(t, commandRow{out: `^No users yet\. `, err: `^Note: ` + where}, m.run("", "mfa", "user", "list"))
		check(t, commandRow{out: `^\[\]\n$`, err: `^Note: ` + where}, m.run("", "mfa", "user", "list", "--json"))
		check(t, commandRow{code: 1, err: `^Error: There is no user "alice"\. ` + where}, m.run("", "mfa", "user", "disable", "alice"))
		if _, err := os.Stat(m.storeDir()); !os.IsNotExist(err) {
			t.Errorf("there is a store now: %v", err)
		}
	})
	t.Run("a server finds what was added", func(t *testing.T) {
		m := newMachine(t)
		check(t, commandRow{out: `^alice was added`, err: `^Note: No Caddy answers, so a new store was made in \S+/mfa\.\n$`}, m.run("", "mfa", "user", "add", "alice"))
		m.must(nil, "mfa", "user", "add", "bob")
		m.serve()
		var users []userView
		m.must(&users, "mfa", "user", "list", "--json")
		if len(users) != 2 || users[0].Name != "alice" {
			t.Errorf("users are %v", users)
		}
	})
	t.Run("the store is in use, and the admin API is not found", func(t *testing.T) {
		m := newMachine(t)
		m.serve()
		elsewhere := freeAddress(t)
		r := m.run("", "mfa", "user", "list", "--address", elsewhere)
		check(t, commandRow{code: 1, err: `^Error: The store in .* is in use, but no admin API answers at ` + elsewhere + `\. .*--address`}, r)
	})
	t.Run("the store is in use, and the admin API is off", func(t *testing.T) {
		m := newMachine(t)
		m.configure("{\n\tadmin off\n\tmfa\n}\n")
		m.serve()
		check(t, commandRow{code: 1, err: `^Error: The store in .* is in use by .* admin API off`}, m.run("", "mfa", "user", "list"))
	})
	t.Run("the admin API of another machine does not answer", func(t *testing.T) {
		m := newMachine(t)
		check(t, commandRow{code: 1, err: `^Error: .*192\.0\.2\.1`}, result{1, "", "Error: " + noServer("192.0.2.1:2019").Error() + "\n"})
		if _, err := os.Stat(m.storeDir()); !os.IsNotExist(err) {
			t.Errorf("there is a store now: %v", err)
		}
	})
	t.Run("an option that does not exist", func(t *testing.T) {
		m := newMachine(t)
		config := filepath.Join(m.home, "caddy.json")
		if err := os.WriteFile(config, []byte(`{"admin": {"listen": "`+m.admin+`"}, "apps": {"mfa": {"colour": "x"}}}`), 0o600); err != nil {
			t.Fatal(err)
		}
		check(t, commandRow{code: 1, err: `^Error: .*colour`}, m.run("", "mfa", "user", "list", "--config", config))
	})
	t.Run("the store is somebody else's", func(t *testing.T) { // Only root can give a directory away, so only root can see this.
		if os.Geteuid() != 0 {
			return
		}
		m := newMachine(t)
		m.serve()()
		if err := os.Chown(m.storeDir(), 65534, 65534); err != nil {
			t.Fatal(err)
		}
		for _, line := range []string{"user list", "user add bob", "user delete alice"} {
			check(t, commandRow{code: 1, err: `^Error: .*run this as nobody`}, m.run("", append([]string{"mfa"}, words(line)...)...))
		}
	})
}

func TestCommandsPrintNothingRaw(t *testing.T) { // S79
	m := newMachine(t)
	m.serve()()
	m.must(nil, "mfa", "user", "add", "alice", "--display-name", "A\u200flice \u00ad2J") // what turns lines or is a control is refused
	for _, args := range [][]string{{"list"}, {"show", "alice"}, {"list", "--json"}} {
		out := m.must(nil, append([]string{"mfa", "user"}, args...)...)
		if strings.ContainsAny(out, "\u200f\u00ad\x1b") {
			t.Errorf("%v prints %q", args, out)
		}
	}
	var users []userView
	m.must(&users, "mfa", "user", "list", "--json")
	if users[0].DisplayName != "A\u200flice \u00ad2J" {
		t.Errorf("JSON says %q", users[0].DisplayName)
	}
}
