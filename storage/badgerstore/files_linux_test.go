package badgerstore

import (
	"errors"
	"syscall"
	"testing"
)

// TestNoCompactionShortOfFiles changes a limit of the whole process, so it does not run beside others.
func TestNoCompactionShortOfFiles(t *testing.T) {
	if !filesToSpare(spareFiles) {
		t.Fatal("the test itself has no files to spare")
	}
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	low := syscall.Rlimit{Cur: spareFiles, Max: limit.Max}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &low); err != nil {
		t.Fatal(err)
	}
	spare := filesToSpare(spareFiles)
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if spare {
		t.Error("compaction would begin with fewer files than it may need")
	}
}

// TestOpenWithoutFilesIsAnError holds that the process survives an opening for which it has no files.
func TestOpenWithoutFilesIsAnError(t *testing.T) {
	dir := t.TempDir()
	mustPut(t, mustOpen(t, t.TempDir()), "key", "value") // whatever the process opens once
	restore := noMoreFiles(t)
	_, err := Open(t.Context(), Options{Dir: dir})
	restore()
	if !errors.Is(err, syscall.EMFILE) || errors.Is(err, ErrDamaged) {
		t.Errorf("Open = %v, want EMFILE", err)
	}
	mustOpen(t, dir)
}
