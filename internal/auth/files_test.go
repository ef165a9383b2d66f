package auth_test

import (
	"bytes"
	"encoding/base32"
	"encoding/hex"
	"os"
	"path/filepath"
	"testing"
)

// grepDir returns the first of the texts that a file below dir holds: as it is, or, for a base32 text, as raw or hex bytes.
func grepDir(t *testing.T, dir string, texts ...string) string {
	t.Helper()
	var needles [][]byte
	for _, s := range texts {
		needles = append(needles, []byte(s))
		if raw, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(s); err == nil && len(raw) >= 10 {
			needles = append(needles, raw, []byte(hex.EncodeToString(raw)))
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
		for _, n := range needles {
			if bytes.Contains(b, n) {
				found = string(n)
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
