package layout

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const module = "github.com/caddy-mfa/caddy-mfa/"

// forbidden says what a package must not import, directly, and why.
var forbidden = []struct{ from, to, why string }{
	{"storage", module, "an engine must be replaceable without knowing what it keeps"},
	{"internal/auth", module + "internal/method", "decisions must not know the methods: they come as interfaces"},
	{"internal/auth", module + "loginui", "decisions must not know the pages"},
	{"internal/auth", module + "caddymodule", "decisions must not know the server"},
	{"internal/auth", module + "storage/", "any engine must do"},
	{"internal/auth", "net/http", "decisions must not know the protocol"},
	{"internal/auth", "github.com/caddyserver/caddy", "only caddymodule knows Caddy"},
	{"internal/method", module + "loginui", "a method must not know the pages"},
	{"internal/method", module + "storage", "a method is pure: what is stored is decided in auth"},
	{"internal/method", "net/http", "a method is pure"},
	{"internal/method", "github.com/caddyserver/caddy", "only caddymodule knows Caddy"},
	{"loginui", module + "storage", "the portal shows and asks; it keeps nothing"},
	{"loginui", module + "caddymodule", "the portal must not know the server"},
	{"loginui", "github.com/caddyserver/caddy", "only caddymodule knows Caddy"},
}

// allowed are imports within the same room.
func allowed(from, to string) bool {
	return strings.HasPrefix(from, module+"storage") && strings.HasPrefix(to, module+"storage")
}

type pkg struct {
	ImportPath, Dir, Name, Doc string
	Imports, GoFiles           []string
}

func packages(t *testing.T) (out []pkg) {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Dir,Name,Doc,Imports,GoFiles", module+"...")
	b, err := cmd.Output()
	if err != nil {
		t.Fatalf("listing packages: %v", err)
	}
	for dec := json.NewDecoder(strings.NewReader(string(b))); ; {
		var p pkg
		err := dec.Decode(&p)
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, p)
	}
}

func TestImportsPointDownward(t *testing.T) {
	for _, p := range packages(t) {
		for _, rule := range forbidden {
			if p.ImportPath != module+rule.from && !strings.HasPrefix(p.ImportPath, module+rule.from+"/") {
				continue
			}
			for _, to := range p.Imports {
				if strings.HasPrefix(to, rule.to) && !allowed(p.ImportPath, to) {
					t.Errorf("%s imports %s: %s", p.ImportPath, to, rule.why)
				}
			}
		}
	}
}

// storage may: its engines wait for random times between tries.
func TestRandomnessIsCryptographic(t *testing.T) { // S84
	for _, p := range packages(t) {
		for _, to := range p.Imports {
			if strings.HasPrefix(to, "math/rand") && !strings.HasPrefix(p.ImportPath, module+"storage") {
				t.Errorf("%s imports %s: what can be guessed must not get near a secret", p.ImportPath, to)
			}
		}
	}
}

// TestHashesAreCheapInTestsAlone: nothing but tests may turn argon2id down.
func TestHashesAreCheapInTestsAlone(t *testing.T) { // S7
	defined := 0
	for _, p := range packages(t) {
		for _, name := range p.GoFiles {
			b, err := os.ReadFile(filepath.Join(p.Dir, name))
			if err != nil {
				t.Fatal(err)
			}
			switch n := strings.Count(string(b), "CheapForTests()"); {
			case p.ImportPath == module+"internal/method":
				defined += n
			case n > 0:
				t.Errorf("%s of %s makes hashes that protect nothing", name, p.ImportPath)
			}
		}
	}
	if defined != 2 {
		t.Errorf("CheapForTests stands %d times in the package that defines it, want 2", defined)
	}
}

func TestEveryPackageHasADoc(t *testing.T) {
	for _, p := range packages(t) {
		if p.Doc == "" {
			t.Errorf("%s has no doc comment", p.ImportPath)
		}
	}
}

func TestNoRoomWithoutAPurpose(t *testing.T) {
	for _, p := range packages(t) {
		for _, bad := range []string{"utils", "util", "common", "helpers", "pkg", "lib", "misc"} {
			if p.Name == bad {
				t.Errorf("%s: a package is named after its purpose", p.ImportPath)
			}
		}
	}
}
