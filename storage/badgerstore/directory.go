package badgerstore

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/dgraph-io/badger/v4"
)

const (
	dirMode  = 0o700
	fileMode = 0o600
	pidFile  = "LOCK" // Badger's name for it
)

// makeDir makes dir, or takes it over, for its owner alone.
func makeDir(dir string) error {
	if err := os.MkdirAll(dir, dirMode); err != nil {
		return err
	}
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if info.Mode().Perm() != dirMode {
		if err := os.Chmod(dir, dirMode); err != nil {
			return err
		}
	}
	return syncDir(filepath.Dir(filepath.Clean(dir)))
}

// storeFiles returns the names of the files in dir that Badger made, except for the lock and the list of tables.
func storeFiles(dir string) ([]string, error) {
	files, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, f := range files {
		name := f.Name()
		switch {
		case strings.HasSuffix(name, walSuffix), strings.HasSuffix(name, valueLogSuffix), strings.HasSuffix(name, tableSuffix),
			name == badger.KeyRegistryFileName:
			names = append(names, name)
		}
	}
	return names, nil
}

// restrict takes from the store's files in dir the modes that Badger leaves to the umask.
func restrict(dir string) error {
	names, err := storeFiles(dir)
	if err != nil {
		return err
	}
	for _, name := range append(names, badger.ManifestFilename, discardStats, pidFile) {
		path := filepath.Join(dir, name)
		info, err := os.Stat(path)
		if err == nil && info.Mode().Perm() != fileMode {
			err = os.Chmod(path, fileMode)
		}
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}

// lockedError names the process that has dir open, as far as it can be known.
func lockedError(dir string) error {
	text, _ := os.ReadFile(filepath.Join(dir, pidFile))
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	switch {
	case err != nil:
		return fmt.Errorf("%w: %s", ErrLocked, dir)
	case pid == os.Getpid():
		return fmt.Errorf("%w: %s is open in this process (%d) already", ErrLocked, dir, pid)
	default:
		return fmt.Errorf("%w: %s is open in process %d", ErrLocked, dir, pid)
	}
}
