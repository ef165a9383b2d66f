package badgerstore

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
)

const inNamespace = "BADGERSTORE_NAMESPACE"

// smallDisk mounts a file system of 48 MiB. It runs the test again as a process that has its mounts to itself, which a user
// namespace permits to root always and to others on most systems; elsewhere tells that this was done, and that the test passed
// there. Where it is not permitted the test fails: nothing else shows what a full disk does.
func smallDisk(t *testing.T) (dir string, elsewhere bool) {
	t.Helper()
	const remedy = "run the tests as root, or let users make namespaces (see CONTRIBUTING.md)"
	if os.Getenv(inNamespace) != "" {
		dir := t.TempDir()
		if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=48m"); err != nil {
			t.Fatalf("mounting a small disk: %v: %s", err, remedy)
		}
		t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
		return dir, false
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
	switch {
	case cmd.ProcessState == nil:
		t.Errorf("making a namespace: %v: %s", err, remedy)
	case err != nil:
		t.Errorf("in a process of its own: %v", err)
	case !strings.Contains(string(out), "--- PASS: "+t.Name()):
		t.Error("the process of its own did not run the test")
	}
	return "", true
}

// TestFullDisk fills a real file system while transactions run.
func TestFullDisk(t *testing.T) {
	mount, elsewhere := smallDisk(t)
	if elsewhere {
		return
	}
	dir, ballast := filepath.Join(mount, "store"), filepath.Join(mount, "ballast")
	s := mustOpen(t, dir)
	want := map[string]string{}
	for round := range 3 {
		var mu sync.Mutex
		var writers sync.WaitGroup
		for w := range 4 {
			writers.Go(func() {
				for i := range 500 { // less than fills a log
					key, value := fmt.Sprintf("%d/%d/%d", round, w, i), pad(i, 200)
					err := put(s, key, value)
					if errors.Is(err, syscall.ENOSPC) {
						return
					}
					if err != nil {
						t.Errorf("Update = %v, want ENOSPC", err)
						return
					}
					mu.Lock()
					want[key] = value
					mu.Unlock()
				}
			})
		}
		fill(t, ballast)
		writers.Wait()
		if err := put(s, "full", ""); !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("Update on a full disk = %v, want ENOSPC", err)
		}
		wantContents(t, s, want)
		if _, err := open(t.Context(), Options{Dir: filepath.Join(mount, "another")}, spaceBelow); !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("Open on a full disk = %v, want ENOSPC", err)
		}
		if round == 1 {
			if err := s.Close(); !errors.Is(err, syscall.ENOSPC) {
				t.Errorf("Close on a full disk = %v, want ENOSPC", err)
			}
		}
		if err := os.Remove(ballast); err != nil {
			t.Fatal(err)
		}
		if round == 1 {
			eventually(t, "the directory is released", func() bool {
				var err error
				s, err = Open(context.Background(), Options{Dir: dir})
				return err == nil
			})
		}
		mustPut(t, s, "after", fmt.Sprint(round))
		want["after"] = fmt.Sprint(round)
		wantContents(t, s, want)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	s = mustOpen(t, dir)
	wantContents(t, s, want)
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// fill writes a file until the disk is full.
func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for chunk := make([]byte, 1<<20); len(chunk) > 0; {
		n, err := f.Write(chunk)
		if err != nil && !errors.Is(err, syscall.ENOSPC) {
			t.Fatal(err)
		}
		if err != nil {
			chunk = chunk[:n/2]
		}
	}
}
