package badgerstore

import (
	"os"
	"os/exec"
	"syscall"
	"testing"
)

const inNamespace = "BADGERSTORE_NAMESPACE"

// smallDisk mounts a file system of 48 MiB. It runs the test again as a process that has its mounts to itself, which a
// user namespace permits to anyone, and returns "" where that process has done the work, or the system permits it to nobody.
func smallDisk(t *testing.T) string {
	t.Helper()
	if os.Getenv(inNamespace) != "" {
		dir := t.TempDir()
		if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=48m"); err != nil {
			t.Log("mounting a small disk: ", err)
			return ""
		}
		t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
		return dir
	}
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), inNamespace+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil && cmd.ProcessState != nil {
		t.Errorf("in a process of its own: %v", err)
	} else if err != nil {
		t.Log("no namespace: ", err)
	}
	return ""
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
