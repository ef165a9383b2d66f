package badgerstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// templates makes two stores of the same 40 records, one that was closed and one that was killed, in which half of them are
// still in the log.
func templates(t *testing.T) (closed, killed string, want map[string]string) {
	t.Helper()
	dir, want := t.TempDir(), make(map[string]string)
	fill := func(s *Store, from, to int) {
		for i := from; i < to; i++ {
			key := fmt.Sprintf("record/%02d", i)
			want[key] = pad(i, 3000)
			mustPut(t, s, key, want[key])
		}
	}
	s := mustOpen(t, dir)
	fill(s, 0, 20)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = mustOpen(t, dir)
	fill(s, 20, 40)
	killed = copyDir(t, dir)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return dir, killed, want
}

// the returns the newest file with a suffix.
func the(t *testing.T, dir, suffix string) string {
	t.Helper()
	files, _ := filepath.Glob(filepath.Join(dir, "*"+suffix))
	if len(files) == 0 {
		t.Fatalf("no %s", suffix)
	}
	return slices.Max(files)
}

// edit changes a file's bytes.
func edit(suffix string, change func(data []byte) []byte) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		path := the(t, dir, suffix)
		data, err := os.ReadFile(path)
		if err == nil {
			err = os.WriteFile(path, change(data), fileMode)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func remove(suffix string) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		if err := os.Remove(the(t, dir, suffix)); err != nil {
			t.Fatal(err)
		}
	}
}

func add(name, content string) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), fileMode); err != nil {
			t.Fatal(err)
		}
	}
}

func flip(at func(size int) int) func([]byte) []byte {
	return func(data []byte) []byte { data[at(len(data))] ^= 0x55; return data }
}

func cut(to func(size int) int) func([]byte) []byte {
	return func(data []byte) []byte { return data[:to(len(data))] }
}

func empty([]byte) []byte { return nil }

func garbage(data []byte) []byte {
	for i := range data {
		data[i] = byte(i*i>>3 ^ i*7 ^ 0xa5)
	}
	return data
}

func half(size int) int      { return size / 2 }
func last(size int) int      { return size - 1 }
func first(int) int          { return 0 }
func at(n int) func(int) int { return func(int) int { return n } }

// record is where the value of a record begins in a log.
func inRecord(key string, change func(rest []byte)) func([]byte) []byte {
	return func(data []byte) []byte {
		change(data[bytes.Index(data, []byte("k"+key)):])
		return data
	}
}

func TestDamageIsRefused(t *testing.T) { // S92
	closed, killed, want := templates(t)
	rows := []struct {
		name   string
		dir    string
		damage func(*testing.T, string)
	}{
		{"list missing", closed, remove("MANIFEST")},
		{"list missing, killed", killed, remove("MANIFEST")},
		{"list empty", closed, edit("MANIFEST", empty)},
		{"list of another kind", closed, edit("MANIFEST", flip(first))},
		{"list flipped", killed, edit("MANIFEST", flip(last))},
		{"list cut in its first entry", closed, edit("MANIFEST", cut(at(25)))},
		{"list cut in its last entry", closed, edit("MANIFEST", cut(last))},
		{"list garbled", killed, edit("MANIFEST", garbage)},
		{"table missing", closed, remove(".sst")},
		{"table missing, killed", killed, remove(".sst")},
		{"table empty", closed, edit(".sst", empty)},
		{"table of 3 bytes", closed, edit(".sst", cut(at(3)))},
		{"table cut to half", closed, edit(".sst", cut(half))},
		{"table cut by a byte", killed, edit(".sst", cut(last))},
		{"table longer", closed, edit(".sst", func(data []byte) []byte { return append(data, 0) })},
		{"table longer by much", closed, edit(".sst", func(data []byte) []byte { return append(data, bytes.Repeat([]byte{255}, 5000)...) })},
		{"table garbled", closed, edit(".sst", garbage)},
		{"table zeroed", killed, edit(".sst", func(data []byte) []byte { return make([]byte, len(data)) })},
		{"log cut within a record", killed, edit(".mem", func(data []byte) []byte {
			return data[:bytes.Index(data, []byte("record/30"))+100]
		})},
		{"log of 10 bytes", killed, edit(".mem", cut(at(10)))},
		{"log's header garbled", killed, edit(".mem", flip(first))},
		{"log's first record flipped", killed, edit(".mem", inRecord("record/20", func(r []byte) { r[1500]++ }))},
		{"log's record flipped", killed, edit(".mem", inRecord("record/30", func(r []byte) { r[1500]++ }))},
		{"log's lengths garbled", killed, edit(".mem", inRecord("record/30", func(r []byte) { copy(r[20:], strings.Repeat("\xff", 4000)) }))},
		{"a page of the log lost", killed, edit(".mem", inRecord("record/30", func(r []byte) { copy(r, make([]byte, 4096)) }))},
		{"log garbled", killed, edit(".mem", garbage)},
		{"log with a foreign name", killed, add("x.mem", "what is this, with more than twenty bytes?")},
		{"value log garbled", killed, edit(".vlog", garbage)},
		{"value log with something in it", closed, edit(".vlog", func(data []byte) []byte { return append(data, "something"...) })},
		{"registry garbled", closed, edit("KEYREGISTRY", garbage)},
		{"registry empty", killed, edit("KEYREGISTRY", empty)},
	}
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			dir := copyDir(t, r.dir)
			r.damage(t, dir)
			before := files(t, dir)
			s, err := Open(t.Context(), Options{Dir: dir})
			if err == nil {
				wantContents(t, s, want)
				s.Close()
				t.Fatal("it was opened")
			}
			if !errors.Is(err, ErrDamaged) || errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), dir) {
				t.Errorf("Open = %v, want ErrDamaged and the directory", err)
			}
			if after := files(t, dir); !strings.Contains(r.name, "registry") && !maps.Equal(before, after) {
				t.Errorf("Open changed what it refused: %d files, then %d", len(before), len(after))
			}
		})
	}
}

// files returns the contents of the files in dir.
func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	contents := make(map[string]string)
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		contents[e.Name()] = string(data)
	}
	return contents
}

func TestWhatACrashLeavesIsNoDamage(t *testing.T) { // S90
	closed, killed, want := templates(t)
	allButLast := maps.Clone(want)
	delete(allButLast, "record/39")
	rows := []struct {
		name   string
		dir    string
		damage func(*testing.T, string)
		want   map[string]string
	}{
		{"closed", closed, func(*testing.T, string) {}, want},
		{"killed", killed, func(*testing.T, string) {}, want},
		{"an empty log", killed, add("00099.mem", ""), want},
		{"an empty value log", killed, add("000099.vlog", ""), want},
		{"an empty table that is not listed", killed, add("000099.sst", ""), want},
		{"half a table that is not listed", killed, add("000099.sst", "half a table"), want},
		{"the last entry of the list torn", killed, edit("MANIFEST", func(data []byte) []byte { return append(data, 0, 0, 0, 20, 1) }), want},
		{"the last transaction torn", killed, edit(".mem", inRecord("record/39", func(r []byte) { copy(r[1000:], make([]byte, 8000)) })), allButLast},
		{"a hole in the last transaction", killed, edit(".mem", inRecord("record/39", func(r []byte) { copy(r[500:600], make([]byte, 100)) })), allButLast},
		{"no value log", killed, remove(".vlog"), want},
		{"no registry", closed, remove("KEYREGISTRY"), want},
		{"no statistics", killed, remove("DISCARD"), want},
		{"statistics garbled", killed, edit("DISCARD", garbage), want},
		{"statistics short", closed, edit("DISCARD", cut(at(5))), want},
		{"files of others", closed, add("lost+found", "?"), want},
		{"a table of others", closed, add("others.sst", "?"), want},
	}
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			dir := copyDir(t, r.dir)
			r.damage(t, dir)
			for range 2 { // and again after a proper close
				s := mustOpen(t, dir)
				wantContents(t, s, r.want)
				mustPut(t, s, "record/00", r.want["record/00"])
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// TestNoByteOfATableIsTrusted flips bytes all over a table.
func TestNoByteOfATableIsTrusted(t *testing.T) { // S92
	closed, _, _ := templates(t)
	dir := copyDir(t, closed)
	path := the(t, dir, ".sst")
	sound, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(sound); i += 1 + len(sound)/400 {
		damaged := bytes.Clone(sound)
		damaged[i] ^= 0xff
		if err := os.WriteFile(path, damaged, fileMode); err != nil {
			t.Fatal(err)
		}
		if _, err := check(context.Background(), dir); !errors.Is(err, ErrDamaged) {
			t.Errorf("byte %d of %d flipped: %v", i, len(sound), err)
		}
	}
}
