package auth_test

import (
	"bytes"
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"os"
	"path/filepath"
	"testing"
)

// grepDir returns the first of the texts that a file below dir holds: as it is, or, for a base32 text, as raw or hex bytes, and
// each of these also as base64, which is how JSON carries bytes, once or twice over.
func grepDir(t *testing.T, dir string, texts ...string) string {
	t.Helper()
	needles := map[string]string{} // as it may stand in a file → text
	for _, s := range texts {
		forms := []string{s}
		if raw, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(s); err == nil && len(raw) >= 10 {
			forms = append(forms, string(raw), hex.EncodeToString(raw))
		}
		for range 2 {
			for _, f := range forms {
				forms = append(forms, inBase64(f)...)
			}
		}
		for _, f := range forms {
			needles[f] = s
		}
	}
	found, read := "", 0
	err := filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if err != nil || info.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		read += len(b)
		for n, s := range needles {
			if bytes.Contains(b, []byte(n)) {
				found = s
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if read == 0 {
		t.Fatal("no file was read")
	}
	return found
}

// inBase64 returns what of s is to be seen in the base64 of any text that holds it: that depends on where it begins, modulo three
// bytes. The characters that s shares with its neighbours are left out.
func inBase64(s string) (out []string) {
	for before := range 3 {
		text := base64.StdEncoding.EncodeToString(append(make([]byte, before), s...))
		if first, end := (before*8+5)/6, (before+len(s))*8/6; end-first >= 8 {
			out = append(out, text[first:end])
		}
	}
	return out
}

func TestGrepDirFinds(t *testing.T) {
	const text = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
	raw, err := base32.StdEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	encode := base64.StdEncoding.EncodeToString
	for name, file := range map[string]string{
		"as it is":          "..." + text + "...",
		"raw":               "." + string(raw),
		"hex":               hex.EncodeToString(raw),
		"base64":            encode([]byte(`{"secret":"` + text + `"}`)),
		"base64, later":     encode([]byte(` {"secret":"` + text + `"}`)),
		"base64, later yet": encode([]byte(`  {"secret":"` + text + `"}`)),
		"base64 of raw":     encode(append([]byte("x"), raw...)),
		"base64 twice":      encode([]byte(`{"a":"` + encode([]byte(`{"bc":"`+text+`"}`)) + `"}`)),
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "file"), []byte(file), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := grepDir(t, dir, "something else", text); got != text {
			t.Errorf("%s: found %q", name, got)
		}
		if got := grepDir(t, dir, "something else"); got != "" {
			t.Errorf("%s: found %q, which is not there", name, got)
		}
	}
}
