package badgerstore

import (
	"errors"
	"os"
	"syscall"
)

// readOnly is the flag of a file system that takes no writes, ST_RDONLY of statfs(2).
const readOnly = 1

// spaceBelow asks the system.
func spaceBelow(dir string) (diskSpace, error) {
	var fs syscall.Statfs_t
	if err := syscall.Statfs(dir, &fs); err != nil {
		return diskSpace{}, err
	}
	if fs.Flags&readOnly != 0 {
		return diskSpace{}, syscall.EROFS
	}
	return diskSpace{fs.Bavail * uint64(fs.Bsize), fs.Blocks * uint64(fs.Bsize)}, nil
}

// allocate gives the first size bytes of a file their blocks. Badger's files are sparse and mapped into memory: where a
// block is missing and the disk full, the kernel can answer a write only with a signal that kills the process.
func allocate(path string, size int64) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	const keepSize = 1 // FALLOC_FL_KEEP_SIZE
	for {
		err = syscall.Fallocate(int(f.Fd()), keepSize, 0, size)
		switch {
		case errors.Is(err, syscall.EINTR):
			continue
		case errors.Is(err, syscall.EOPNOTSUPP), errors.Is(err, syscall.ENOSYS):
			return nil // then room alone must do
		case err != nil:
			return &os.PathError{Op: "fallocate", Path: path, Err: err}
		}
		return nil
	}
}

// filesToSpare reports whether the process may open n more files. It says yes where nobody can tell.
func filesToSpare(n uint64) bool {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) != nil {
		return true
	}
	open, err := os.ReadDir("/proc/self/fd")
	if errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) {
		return false
	}
	return err != nil || limit.Cur >= uint64(len(open))+n
}
