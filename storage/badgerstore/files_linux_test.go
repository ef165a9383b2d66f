package badgerstore

import (
	"syscall"
	"testing"
)

// TestNoCompactionShortOfFiles changes a limit of the whole process, so it does not run beside others.
func TestNoCompactionShortOfFiles(t *testing.T) {
	if !filesToSpare() {
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
	spare := filesToSpare()
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if spare {
		t.Error("compaction would begin with fewer files than it may need")
	}
}
