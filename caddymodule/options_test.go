package caddymodule

import (
	"os"
	"reflect"
	"strings"
	"testing"
)

// optionPaths are the JSON paths of all options below a type, such as "session.idle".
func optionPaths(t reflect.Type, prefix string) (paths []string) {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct || t.PkgPath() != reflect.TypeFor[App]().PkgPath() {
		return []string{prefix}
	}
	for f := range t.Fields() {
		if tag, _, _ := strings.Cut(f.Tag.Get("json"), ","); tag != "" {
			paths = append(paths, optionPaths(f.Type, strings.TrimPrefix(prefix+"."+tag, "."))...)
		}
	}
	return paths
}

// TestOptionsAreDocumented: every option of the app stands in the reference, by its path in JSON, and in Caddyfile.example.
func TestOptionsAreDocumented(t *testing.T) {
	read := func(name string) string {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	reference, example := read("../docs/reference.md"), read("../Caddyfile.example")
	words := strings.FieldsFunc(example, func(r rune) bool { return strings.ContainsRune(" \t\n\"{}:,.", r) })
	// What has another name in the Caddyfile than in JSON, or none.
	caddyfile := map[string]string{
		"enforce.name": "enforce", "storage.type": "badger", "storage.dir": "storage", "smtp.address": "smtp", "webauthn.metadata": "attestation",
		"brand.links.label": "label", "brand.links.url": "links",
	}
	paths := optionPaths(reflect.TypeFor[App](), "")
	if len(paths) < 30 {
		t.Errorf("only %d options were found: %q", len(paths), paths)
	}
	for _, path := range paths {
		if !strings.Contains(reference, "`"+path+"`") && path != "enforce.name" {
			t.Errorf("docs/reference.md does not have %s", path)
		}
		word := caddyfile[path]
		if word == "" {
			word = path[strings.LastIndex(path, ".")+1:]
		}
		found := false
		for _, w := range words {
			found = found || w == word
		}
		if !found {
			t.Errorf("Caddyfile.example does not have %s (%s)", word, path)
		}
	}
}
