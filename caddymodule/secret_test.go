package caddymodule

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
)

func TestSecretFile(t *testing.T) {
	s := newSite(t)
	s.serve(plainGate)
	cookie := sessionCookie(signIn(t, "localhost", "alice"))
	files := besideStore(s.dir)
	secret, err := os.ReadFile(files.secretFile)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(files.secretFile)
	if err != nil || info.Mode() != 0o600 { // S83
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	stop := func() {
		t.Helper()
		if err := caddy.Stop(); err != nil {
			t.Fatal(err)
		}
	}
	refused := func(name string, words ...string) {
		t.Helper()
		err := s.load(plainGate)
		for _, word := range words {
			if err == nil || !strings.Contains(err.Error(), word) {
				t.Fatalf("%s: got %v, want %q in it", name, err, word)
			}
		}
	}
	other := filepath.Join(filepath.Dir(s.dir), "other")
	if err := os.WriteFile(other, []byte("  another secret of more than 32 bytes\n\n"), 0o600); err != nil {
		t.Fatal(err)
	}

	// A running server changes its secret without signing anybody out, and only if the old one is named too.
	if err := s.load(plainGate, "secret {file."+other+"}"); !errors.Is(err, auth.ErrSecret) && (err == nil || !strings.Contains(err.Error(), "the option secret")) {
		t.Errorf("a foreign secret: %v", err)
	}
	arrived(t, s.get("/", cookie))
	s.serve(plainGate, "secret {file."+files.secretFile+"} {file."+other+"}")
	arrived(t, s.get("/", cookie))
	s.serve(plainGate)
	stop()

	if err := os.Rename(files.secretFile, files.secretFile+".away"); err != nil {
		t.Fatal(err)
	}
	refused("missing", files.secretFile, "is missing", "backup")
	if err := os.WriteFile(files.secretFile, secret[:10], 0o600); err != nil {
		t.Fatal(err)
	}
	refused("short", files.secretFile, "is damaged")
	if err := os.WriteFile(files.secretFile, []byte("a secret of another store, long enough\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	refused("wrong", files.secretFile, "another secret")
	if err := os.WriteFile(files.secretFile, secret, 0o600); err != nil {
		t.Fatal(err)
	}
	s.serve(plainGate)
	arrived(t, s.get("/", cookie))
	stop()

	// An emptied store is no new store (S92).
	if err := os.Rename(s.dir, s.dir+".away"); err != nil {
		t.Fatal(err)
	}
	refused("emptied", files.marker, "is empty", "backup")
	if err := os.Remove(files.marker); err != nil {
		t.Fatal(err)
	}
	s.serve(plainGate)
	if !strings.Contains(s.logged(), "open this link to create the first admin account") {
		t.Error("no set-up link")
	}
}

func TestUnfinishedSecretIsMadeAnew(t *testing.T) {
	s := newSite(t)
	if err := os.MkdirAll(filepath.Dir(s.dir), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(besideStore(s.dir).secretFile, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s.serve(plainGate)
}

func TestNoSecretInTheConfig(t *testing.T) { // S78
	const secret = "thirty-two bytes or more that nobody may see"
	t.Setenv("MFA_TEST_SECRET", secret)
	s := newSite(t)
	s.serve(plainGate, "secret {env.MFA_TEST_SECRET}")
	app := running(t)
	b, err := json.Marshal(app)
	if err != nil {
		t.Fatal(err)
	}
	if string(app.settings.secrets[0]) != secret || strings.Contains(string(b), secret) || strings.Contains(s.logged(), secret) {
		t.Errorf("%s", b)
	}
	if _, err := os.Stat(besideStore(s.dir).secretFile); !os.IsNotExist(err) {
		t.Errorf("a secret was made although one is given: %v", err)
	}
}
