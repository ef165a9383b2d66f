package e2e

import (
	"bytes"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-mfa/caddy-mfa/e2e/rig"
	"github.com/caddy-mfa/caddy-mfa/internal/mail/smtptest"
)

// TestMailsSurviveOutages has every trouble that mail servers make, one for each person who is invited, and kills Caddy on top of it.
// Each mail arrives once; one that was handed over when Caddy was killed may come twice, and is the same by its ID.
func TestMailsSurviveOutages(t *testing.T) {
	t.Parallel()
	o := openPost(t)
	o.down() // before Caddy starts
	s := startMailing(t, o)
	if said := o.invite(s, "early"); !strings.Contains(said, "mailed to early@example.com") {
		t.Errorf("the command says %q", said)
	}
	if _, err := s.Log.Wait(t.Context(), regexp.MustCompile(`mail cannot be sent; it is tried again`)); err != nil {
		t.Fatal(err)
	}
	s.Kill()
	rig.CloseIdle()
	if err := s.Again(t.Context()); err != nil {
		t.Fatal(err)
	}
	o.invite(s, "later")
	o.up()
	o.open(address("later"), anInvitation)
	o.open(address("early"), anInvitation)

	// While Caddy hands a mail over, it is killed: the mail is tried again when its lease is over. The rest happens meanwhile.
	o.troubled(trouble{At: smtptest.Data, For: address("killed"), Stall: true})
	o.invite(s, "killed")
	first := o.wait("the mail at which Caddy is killed", func(_, attempts []*letter) *letter { return find(attempts, "killed") })
	s.Kill()
	rig.CloseIdle()
	o.calm()
	o.troubled(trouble{At: smtptest.Recipient, For: address("refused"), Code: 550})
	o.troubled(trouble{At: smtptest.Recipient, For: address("greylisted"), Code: 450, Times: 1})
	o.troubled(trouble{At: smtptest.Data, For: address("dropped"), Times: 1})
	o.troubled(trouble{At: smtptest.Data, For: address("rejected"), Code: 554})
	if err := s.Again(t.Context()); err != nil {
		t.Fatal(err)
	}
	all := []string{"refused", "greylisted", "dropped", "rejected", "fine"}
	for _, name := range all {
		o.invite(s, name)
	}
	for _, name := range []string{"fine", "dropped", "greylisted"} {
		o.open(address(name), anInvitation)
	}
	// During: connections break under what is handed over, and the server comes back by and by.
	o.troubled(trouble{At: smtptest.Data, For: address("stalled"), Stall: true})
	o.invite(s, "stalled")
	o.wait("the mail at which the server stalls", func(_, attempts []*letter) *letter { return find(attempts, "stalled") })
	o.down()
	o.invite(s, "waiting")
	o.calm()
	o.up()
	o.open(address("waiting"), anInvitation)
	o.open(address("stalled"), anInvitation)

	second := o.open(address("killed"), anInvitation)
	if first.ID != second.ID || first.token(t) != second.token(t) {
		t.Errorf("the second try has the ID %s, the first %s", second.ID, first.ID)
	}
	o.settled(s, "last")
	for name, want := range map[string]int{
		"early": 1, "later": 1, "killed": 1, "refused": 0, "greylisted": 1, "dropped": 1, "rejected": 0, "fine": 1, "stalled": 1, "waiting": 1,
	} {
		if n := o.count(address(name), ""); n != want {
			t.Errorf("%s has %d mails, want %d", name, n, want)
		}
	}
	if n := strings.Count(s.Log.String(), "mail refused for good"); n != 2 {
		t.Errorf("the log tells of %d refused mails, want 2", n)
	}

	// Nothing that opens anything lies in the store's files, also not of what was written and deleted (S22); nor does the log hold it,
	// though servers quote mails.
	secret, files := o.secrets(), stored(t, s.Store())
	for _, where := range []struct{ name, text string }{{"the store", files}, {"the log", s.Log.String()}} {
		if !strings.Contains(where.text, "greylisted") {
			t.Errorf("%s does not even hold a name: this finds nothing", where.name)
		}
		for _, token := range secret {
			if strings.Contains(where.text, token) {
				t.Errorf("%s holds the token %s", where.name, token)
			}
		}
	}
}

func find(letters []*letter, name string) *letter {
	if i := slices.IndexFunc(letters, func(l *letter) bool { return l.To == address(name) }); i >= 0 {
		return letters[i]
	}
	return nil
}

// secrets are the tokens of all mails so far.
func (o *post) secrets() (tokens []string) {
	o.t.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, l := range append(o.letters, o.attempts...) {
		for _, link := range l.links {
			_, token := rig.CutLink(link)
			tokens = append(tokens, token)
		}
	}
	if len(tokens) < 5 {
		o.t.Fatal("there are no tokens to look for")
	}
	return tokens
}

// stored is all that the files below a directory hold.
func stored(t *testing.T, dir string) string {
	t.Helper()
	var all bytes.Buffer
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		all.Write(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all.String()
}

// TestStoreHoldsNoCode signs in by mail, and looks for the codes where they were.
func TestStoreHoldsNoCode(t *testing.T) { // S22
	t.Parallel()
	o := openPost(t)
	s := startMailing(t, o)
	alice, _ := o.member(s, "alice")
	v, mail := asked(t, o, s, alice, "203.0.113.1")
	out := stored(t, s.Store()) + s.Log.String() // while it counts
	submit(t, v, "/.mfa/verify/email", "code", mail.code(t))
	if !signedIn(t, v) {
		t.Fatal("the code does not sign in")
	}
	submit(t, v, "/.mfa/forgot", "name", "alice")
	o.open(address("alice"), aReset)
	o.open(address("alice"), aNewSignIn)
	out += stored(t, s.Store()) + s.Log.String()
	code := regexp.MustCompile(`(^|[^0-9.])` + mail.code(t) + `($|[^0-9])`) // not as a part of a time
	if found := code.FindString(out); found != "" || !strings.Contains(out, "alice") {
		t.Errorf("the files or the log hold the code: %q", found)
	}
	for _, token := range o.secrets()[1:] {
		if strings.Contains(out, token) {
			t.Errorf("the files or the log hold the token %s", token)
		}
	}
}

// TestStalledMailServer has a mail server that accepts connections and says nothing more. Pages do not wait for it.
func TestStalledMailServer(t *testing.T) {
	t.Parallel()
	o := openPost(t)
	s := startMailing(t, o)
	alice, _ := o.member(s, "alice")
	o.troubled(trouble{At: smtptest.Greeting, Stall: true})
	var times []time.Duration
	timed := func(f func()) {
		begun := time.Now()
		f()
		times = append(times, time.Since(begun))
	}
	for range 4 { // one for each delivery at once, and more
		v := rig.NewVisitor(s.URL)
		var page *rig.Page
		timed(func() { page = submit(t, v, "/.mfa/login", "name", alice.Name, "password", alice.Password) })
		if page.Status != http.StatusSeeOther {
			t.Fatalf("the password gives %d", page.Status)
		}
		timed(func() { page = submit(t, v, "/.mfa/forgot", "name", alice.Name) })
		timed(func() { page = submit(t, v, "/.mfa/verify/email/send") })
		timed(func() { o.invite(s, "user"+string(rune('a'+len(times)/4))) })
	}
	slices.Sort(times)
	// Only a machine that is busy with other things takes long, and then not each time.
	if median, longest := times[len(times)/2], times[len(times)-1]; median > time.Second || longest > 10*time.Second {
		t.Errorf("pages took %v, the longest %v, want less than a second", median, longest)
	}
	t.Logf("%v", times)
	if n := o.count(address("alice"), aCode); n != 0 {
		t.Errorf("the mail server was not stalled: %d codes came", n)
	}
}

// TestReloadSwitchesMailServers reloads while mails wait: they go where the new config says, and come once.
func TestReloadSwitchesMailServers(t *testing.T) {
	t.Parallel()
	first, second := openPost(t), openPost(t)
	s := startMailing(t, first)
	first.down()
	waiting := []string{"alice", "bob", "carol"}
	for _, name := range waiting {
		first.invite(s, name)
	}
	reload := func(smtp string) {
		if err := s.Write(mailing(smtp)); err != nil {
			t.Fatal(err)
		}
		if err := s.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	reload(second.option())
	for _, name := range waiting {
		second.open(address(name), anInvitation)
	}
	first.up()
	second.settled(s, "dave")
	// A config without a server: nobody is promised a mail.
	if err := s.Write(rig.Proxied); err != nil {
		t.Fatal(err)
	}
	if err := s.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if said := first.invite(s, "frank"); strings.Contains(said, "mailed") {
		t.Errorf("without a mail server the command says %q", said)
	}
	reload(first.option())
	first.settled(s, "grace")
	for _, name := range waiting {
		if a, b := first.count(address(name), ""), second.count(address(name), ""); a != 0 || b != 1 {
			t.Errorf("%s has %d mails by the old server and %d by the new one, want one by the new one", name, a, b)
		}
	}
}

// TestMailPasswordIsNowhere signs in to a mail server that refuses, and looks for the password in all that admins see.
func TestMailPasswordIsNowhere(t *testing.T) { // S78
	t.Parallel()
	o := openPost(t)
	s := startMailing(t, o)
	o.invite(s, "alice")
	o.open(address("alice"), anInvitation)
	o.troubled(trouble{At: smtptest.SignIn, Code: 535})
	o.invite(s, "bob")
	if _, err := s.Log.Wait(t.Context(), regexp.MustCompile(`mail cannot be sent`)); err != nil {
		t.Fatal(err)
	}
	r, err := s.Command(t.Context(), "", "mfa", "mail", "test", "alice@example.com", "--address", s.Admin)
	if err != nil {
		t.Fatal(err)
	}
	if r.Code != 1 || !strings.Contains(r.Err, "535") {
		t.Errorf("the command says %d %q %q, want what the server answered", r.Code, r.Out, r.Err)
	}
	resp, err := http.Get("http://" + s.Admin + "/config/")
	if err != nil {
		t.Fatal(err)
	}
	config, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if err != nil || !bytes.Contains(config, []byte("{env.SMTP_PASSWORD}")) {
		t.Errorf("the config holds no placeholder: %v", err)
	}
	for name, text := range map[string]string{"config": string(config), "log": s.Log.String(), "command": r.Out + r.Err, "files": stored(t, filepath.Dir(s.Store()))} {
		if strings.Contains(text, mailPassword) {
			t.Errorf("the %s holds the mail server's password", name)
		}
	}
}
