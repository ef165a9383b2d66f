//go:build ignore

// Command common writes common.txt.gz, the commonest passwords, and common.txt.license. It is run by go generate in the directory above
// and needs npm, which fetches the package that the list is taken from.
package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// The package, and the hash that the registry gives for this version.
const (
	name      = "@zxcvbn-ts/language-common"
	version   = "4.1.3"
	integrity = "sha512-g2bg4skmlJG9aJqC/nWziZzgYpSe/f3rKeGobrkdFiOrfZVFqqzUgC6BUQWuX54Sua9j0Jxxt+1bf4f/Mal1Kg=="

	minLength = 8         // shorter ones are refused for being short
	maxSize   = 160 << 10 // bytes of common.txt.gz: it is part of every binary
)

func main() {
	if err := run(); err != nil {
		log.Fatal(err)
	}
}

func run() error {
	files, err := fetch()
	if err != nil {
		return fmt.Errorf("fetching %s: %w", name, err)
	}
	var words []string
	if err := json.Unmarshal(files["package/src/passwords.json"], &words); err != nil {
		return fmt.Errorf("reading the list: %w", err)
	}
	words = slices.DeleteFunc(words, func(w string) bool {
		return utf8.RuneCountInString(w) < minLength || w != strings.ToLower(w) || strings.ContainsFunc(w, unicode.IsControl)
	})
	slices.Sort(words)
	packed, err := pack(frontCode(slices.Compact(words)))
	if err != nil {
		return fmt.Errorf("packing the list: %w", err)
	}
	if len(packed) > maxSize {
		return fmt.Errorf("the list has %d bytes, more than %d", len(packed), maxSize)
	}
	if err := os.WriteFile("common.txt.gz", packed, 0o644); err != nil {
		return err
	}
	licence := fmt.Appendf(nil, "common.txt.gz is taken from %s %s, which is under this licence:\n\n%s", name, version, files["package/LICENSE.txt"])
	return os.WriteFile("common.txt.license", licence, 0o644)
}

// frontCode writes words, which are sorted, one a line: in place of what a word shares with the one before stands one byte, a space for
// nothing and then upwards. Compressed, this is a fifth smaller than the words themselves.
func frontCode(words []string) string {
	var b strings.Builder
	last := ""
	for _, w := range words {
		n := 0
		for n < min(len(w), len(last), '~'-' ') && w[n] == last[n] {
			n++
		}
		b.WriteString(string(rune(' '+n)) + w[n:] + "\n")
		last = w
	}
	return b.String()
}

// pack is the same for the same text: the head holds neither a name nor a time.
func pack(text string) ([]byte, error) {
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	_, err = io.WriteString(w, text)
	err = errors.Join(err, w.Close())
	return b.Bytes(), err
}

// fetch returns the files of the package.
func fetch() (map[string][]byte, error) {
	dir, err := os.MkdirTemp("", "common")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	cmd := exec.Command("npm", "pack", "--silent", "--pack-destination", dir, name+"@"+version)
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		return nil, err
	}
	found, err := filepath.Glob(filepath.Join(dir, "*.tgz"))
	if err != nil || len(found) != 1 {
		return nil, errors.Join(err, fmt.Errorf("npm pack left %d archives", len(found)))
	}
	archive, err := os.ReadFile(found[0])
	if err != nil {
		return nil, err
	}
	sum := sha512.Sum512(archive)
	if got := "sha512-" + base64.StdEncoding.EncodeToString(sum[:]); got != integrity {
		return nil, fmt.Errorf("the archive's hash is %s, not %s", got, integrity)
	}
	zr, err := gzip.NewReader(bytes.NewReader(archive))
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	for tr := tar.NewReader(zr); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return files, nil
		}
		if err != nil {
			return nil, err
		}
		if files[h.Name], err = io.ReadAll(tr); err != nil {
			return nil, err
		}
	}
}
