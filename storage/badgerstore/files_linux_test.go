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

// TestTheLogHasItsBlocks holds that a commit does not depend on the disk's room: its log is allocated before.
func TestTheLogHasItsBlocks(t *testing.T) {
	s := mustOpen(t, t.TempDir())
	allocated := func() int64 {
		w := s.current.Load().wal
		var st syscall.Stat_t
		if err := syscall.Stat(w.path(w.id), &st); err != nil {
			t.Fatal(err)
		}
		return st.Blocks * 512
	}
	first := s.current.Load().wal.id
	for i := 0; s.current.Load().wal.id == first; i++ {
		mustPut(t, s, "key", pad(i, 300_000))
		if got := allocated(); s.current.Load().wal.id == first && got < walBlocks {
			t.Fatalf("the log has %d bytes, want %d", got, walBlocks)
		}
	}
	mustPut(t, s, "key", "in the next log")
	if got := allocated(); got < walBlocks {
		t.Errorf("the next log has %d bytes, want %d", got, walBlocks)
	}
}
