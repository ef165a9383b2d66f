package caddymodule

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	_ "github.com/caddyserver/caddy/v2/modules/standard"
)

var update = flag.Bool("update", false, "write what the golden files of good Caddyfiles should hold")

func adapt(t testing.TB, input []byte) ([]byte, error) {
	t.Helper()
	out, warnings, err := caddyconfig.GetAdapter("caddyfile").Adapt(input, map[string]any{"filename": "Caddyfile"})
	if err != nil {
		return nil, err
	}
	if len(warnings) > 0 {
		t.Errorf("warnings: %v", warnings)
	}
	return out, nil
}

// Each file holds a Caddyfile, a line of hyphens, and the JSON that it becomes or a part of the error.
func TestCaddyfileGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.caddytest")
	if err != nil || len(files) < 50 {
		t.Fatalf("found %d golden files: %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".caddytest"), func(t *testing.T) {
			content, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			input, want, ok := strings.Cut(string(content), "----------\n")
			if !ok {
				t.Fatal("no line of hyphens")
			}
			if formatted := caddyfile.Format([]byte(input)); string(formatted) != input {
				t.Errorf("not formatted; want:\n%s", formatted)
			}
			got, err := adapt(t, []byte(input))
			if strings.HasPrefix(filepath.Base(file), "bad_") {
				if err == nil || !strings.Contains(err.Error(), strings.TrimSpace(want)) || !strings.Contains(err.Error(), "at Caddyfile:") {
					t.Fatalf("got error %v, want %s", err, want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var indented bytes.Buffer
			if err := json.Indent(&indented, got, "", "\t"); err != nil {
				t.Fatal(err)
			}
			indented.WriteByte('\n')
			if *update {
				if err := os.WriteFile(file, []byte(input+"----------\n"+indented.String()), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if indented.String() != want {
				t.Errorf("got\n%s\nwant\n%s", indented.String(), want)
			}
		})
	}
}

// The example runs as it is, and its configuration passes what `caddy validate` does.
func TestExampleIsValid(t *testing.T) {
	t.Setenv("XDG_DATA_HOME", t.TempDir())
	input, err := os.ReadFile("../Caddyfile.example")
	if err != nil {
		t.Fatal(err)
	}
	if formatted := caddyfile.Format(input); !bytes.Equal(formatted, input) {
		t.Error("Caddyfile.example is not formatted")
	}
	out, err := adapt(t, input)
	if err != nil {
		t.Fatal(err)
	}
	var cfg caddy.Config
	if err := json.Unmarshal(out, &cfg); err != nil {
		t.Fatal(err)
	}
	cfg.Admin = &caddy.AdminConfig{Disabled: true}
	if err := caddy.Validate(&cfg); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(os.Getenv("XDG_DATA_HOME"), "caddy", "mfa")); !os.IsNotExist(err) {
		t.Errorf("validating made the store: %v", err)
	}
}

// Whatever stands in a Caddyfile: an error or a configuration that can be read back, never a panic.
func FuzzCaddyfile(f *testing.F) {
	files, err := filepath.Glob("testdata/*.caddytest")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		input, _, _ := strings.Cut(string(content), "----------\n")
		f.Add(input)
	}
	f.Fuzz(func(t *testing.T, input string) {
		if strings.Contains(input, "import") { // reads files
			return
		}
		out, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(input), map[string]any{"filename": "Caddyfile"})
		if err != nil {
			return
		}
		var cfg struct {
			Apps struct {
				MFA json.RawMessage `json:"mfa"`
			} `json:"apps"`
		}
		if err := json.Unmarshal(out, &cfg); err != nil {
			t.Fatalf("the configuration is no JSON: %v", err)
		}
		if cfg.Apps.MFA == nil {
			return
		}
		app := new(App)
		if err := caddy.StrictUnmarshalJSON(cfg.Apps.MFA, app); err != nil {
			t.Fatalf("the app cannot be read back: %v", err)
		}
		if err := checkSecrets(app.Secret); err != nil {
			t.Fatalf("a secret came through: %v", err) // S78
		}
		if app.SMTP != nil && checkPassword(app.SMTP.Password) != nil { // S78
			t.Fatal("a password came through")
		}
	})
}
