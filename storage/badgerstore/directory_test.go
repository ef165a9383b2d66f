package badgerstore

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestMain lets the test's binary be another process that has a store open.
func TestMain(m *testing.M) {
	if dir := os.Getenv("BADGERSTORE_HOLD"); dir != "" {
		_, err := Open(context.Background(), Options{Dir: dir})
		fmt.Println(os.Getpid(), err)
		_, _ = io.Copy(io.Discard, os.Stdin) // until the test goes
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func TestOneProcessADirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "BADGERSTORE_HOLD="+dir)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	pid, result, _ := strings.Cut(strings.TrimSpace(line), " ")
	if err != nil || result != "<nil>" {
		t.Fatalf("the other process says %q, %v", line, err)
	}

	_, err = Open(t.Context(), Options{Dir: dir})
	if !errors.Is(err, ErrLocked) || errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), "process "+pid) ||
		!strings.Contains(err.Error(), dir) {
		t.Errorf("Open = %v, want ErrLocked, %s and process %s", err, dir, pid)
	}
	in.Close()
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}

	s := mustOpen(t, dir) // LOCK is still there, the process is not
	_, err = Open(t.Context(), Options{Dir: dir})
	if !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), "this process") {
		t.Errorf("Open = %v, want ErrLocked and this process", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	mustOpen(t, dir)
}

func TestOpenRefusesWhatIsNoDirectory(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, fileMode); err != nil {
		t.Fatal(err)
	}
	for name, dir := range map[string]string{"no name": "", "a file": file, "below a file": filepath.Join(file, "store")} {
		if s, err := Open(t.Context(), Options{Dir: dir}); err == nil {
			t.Errorf("%s: opened", name)
			s.Close()
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Open(ctx, Options{Dir: t.TempDir()}); !errors.Is(err, context.Canceled) {
		t.Errorf("Open = %v, want %v", err, context.Canceled)
	}
}

func TestOnlyTheOwnerReads(t *testing.T) { // S83
	old := syscall.Umask(0o022)
	defer syscall.Umask(old)
	for name, prepare := range map[string]func(dir string) error{
		"new":         func(string) error { return nil },
		"open to all": func(dir string) error { return errors.Join(os.Mkdir(dir, 0o755), os.Chmod(dir, 0o777)) },
		"with an old store that is open to all": func(dir string) error {
			s, err := Open(context.Background(), Options{Dir: dir})
			if err != nil {
				return err
			}
			err = errors.Join(put(s, "key", "value"), s.Close(), os.Chmod(dir, 0o755))
			files, _ := filepath.Glob(filepath.Join(dir, "*"))
			for _, f := range files {
				err = errors.Join(err, os.Chmod(f, 0o644))
			}
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "store")
			if err := prepare(dir); err != nil {
				t.Fatal(err)
			}
			s := mustOpen(t, dir)
			if wide := openToOthers(t, dir); len(wide) > 0 {
				t.Errorf("after Open: %v", wide)
			}
			for i := range 60 { // twice what a log takes
				mustPut(t, s, fmt.Sprint(i), pad(i, 150_000))
			}
			if e := s.current.Load(); e.wal.id < 2 {
				t.Errorf("the log is still number %d", e.wal.id)
			}
			eventually(t, "the files that Badger made are the owner's alone", func() bool { return len(openToOthers(t, dir)) == 0 })
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if wide := openToOthers(t, dir); len(wide) > 0 {
				t.Errorf("after Close: %v", wide)
			}
		})
	}
}

// openToOthers returns what in dir has another mode than 0700 and 0600.
func openToOthers(t *testing.T, dir string) []string {
	t.Helper()
	var wide []string
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		info, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil // compaction
		}
		if err != nil {
			return err
		}
		if want := map[bool]fs.FileMode{true: dirMode, false: fileMode}[d.IsDir()]; info.Mode().Perm() != want {
			wide = append(wide, fmt.Sprintf("%s %v", d.Name(), info.Mode()))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return wide
}

func TestCloseEndsEveryGoroutine(t *testing.T) {
	dir := t.TempDir()
	before := runtime.NumGoroutine()
	for i := range 5 {
		s, err := Open(t.Context(), Options{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		mustPut(t, s, "key", fmt.Sprint(i))
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(t.Context(), Options{Dir: filepath.Join(dir, badgerManifest)}); err == nil {
			t.Error("a file was opened as a store")
		}
	}
	eventually(t, "all goroutines have ended", func() bool { return runtime.NumGoroutine() <= before })
}

func TestCloseIsQuick(t *testing.T) {
	s := mustOpen(t, t.TempDir())
	mustPut(t, s, "key", "value")
	began := time.Now()
	if err := s.Close(); err != nil || time.Since(began) > 5*time.Second {
		t.Errorf("Close took %v, %v", time.Since(began), err)
	}
}

const badgerManifest = "MANIFEST"
