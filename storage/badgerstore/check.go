package badgerstore

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/table"
)

const (
	tableSuffix    = ".sst"
	valueLogSuffix = ".vlog"
	discardStats   = "DISCARD"
)

// tidying is what must be done to a sound directory before Badger opens it.
type tidying struct {
	remove []string         // names
	cut    map[string]int64 // name to the size that it is cut to
}

// do does it.
func (d *tidying) do(dir string) error {
	for _, name := range d.remove {
		if err := os.Remove(filepath.Join(dir, name)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	for name, size := range d.cut {
		if err := os.Truncate(filepath.Join(dir, name), size); err != nil {
			return err
		}
	}
	return nil
}

// check returns an error that wraps ErrDamaged if a file of the directory is missing or not what was written. Badger itself
// would leave out what it cannot read, remove tables that a damaged list of them lacks, or end the process.
func check(ctx context.Context, dir string) (todo tidying, err error) {
	defer func() {
		if r := recover(); r != nil { // Badger's parsers panic
			err = fmt.Errorf("%w: %s: %v", ErrDamaged, dir, r)
		}
	}()
	// Badger ends the process if it cannot read its statistics about the value log, which holds nothing.
	todo = tidying{remove: []string{discardStats}, cut: make(map[string]int64)}
	names, err := storeFiles(dir)
	if err != nil {
		return todo, err
	}
	listed, err := readManifest(dir)
	if errors.Is(err, os.ErrNotExist) {
		if len(names) > 0 { // Badger makes the list first
			return todo, damage(dir, badger.ManifestFilename, errors.New("missing"))
		}
		return todo, nil
	}
	if err != nil {
		return todo, damage(dir, badger.ManifestFilename, err)
	}

	var logs, unlisted int
	present := make(map[uint64]bool)
	for _, name := range names {
		if err := ctx.Err(); err != nil {
			return todo, err
		}
		path := filepath.Join(dir, name)
		switch filepath.Ext(name) {
		case walSuffix:
			logs++
			err = todo.checkLog(path, scanWAL)
		case valueLogSuffix:
			err = todo.checkLog(path, scanValueLog)
		case tableSuffix:
			id, ok := table.ParseFileID(name)
			t, used := listed[id]
			switch {
			case used:
				present[id] = true
				err = checkTable(path, id, t)
			case ok:
				unlisted++
			}
		}
		if err != nil {
			return todo, damage(dir, name, err)
		}
	}
	for id := range listed {
		if !present[id] {
			return todo, damage(dir, table.IDToFilename(id), errors.New("missing"))
		}
	}
	// A table may be unlisted while it is being made or removed, but not after a proper close, which leaves no log.
	if unlisted > 0 && logs == 0 {
		return todo, damage(dir, badger.ManifestFilename, fmt.Errorf("lacks %d tables that exist", unlisted))
	}
	return todo, nil
}

// damage tells a file that is not what was written from one that the system does not let us read.
func damage(dir, name string, err error) error {
	var refused *os.PathError
	if errors.As(err, &refused) && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return fmt.Errorf("%w: %s: %w", ErrDamaged, filepath.Join(dir, name), err)
}

func readManifest(dir string) (map[uint64]badger.TableManifest, error) {
	f, err := os.Open(filepath.Join(dir, badger.ManifestFilename))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	m, _, err := badger.ReplayManifestFile(f, 0, badger.Options{})
	return m.Tables, err
}

// checkLog looks for damage in a log. It has a torn end cut off, the lengths in which Badger would trust, and an empty file
// removed, which Badger refuses: a process that is killed while it makes or removes a log leaves one.
func (d *tidying) checkLog(path string, scan func([]byte) (int, error)) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	name := filepath.Base(path)
	switch {
	case len(data) == 0:
		d.remove = append(d.remove, name)
		return nil
	case len(data) < walHeader:
		return errors.New("too short")
	case binary.BigEndian.Uint64(data) != 0:
		return errors.New("names a key that it is encrypted with, which no log does")
	}
	end, err := scan(data)
	if err == nil && !zeros(data[end:]) {
		d.cut[name] = int64(end)
	}
	return err
}

// scanValueLog holds that nothing was written to the value log.
func scanValueLog(data []byte) (end int, err error) {
	if !zeros(data[walHeader:]) {
		return 0, errors.New("holds values, which are never written there")
	}
	return walHeader, nil
}

func zeros(data []byte) bool { return len(bytes.TrimLeft(data, "\x00")) == 0 }

// checkTable reads a whole table.
func checkTable(path string, id uint64, listed badger.TableManifest) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	// Badger ends the process if the lengths at the end of the file exceed it: data, index, its length, checksum, its length.
	rest := len(data)
	for range 2 {
		if rest < 4 {
			return errors.New("too short")
		}
		n := binary.BigEndian.Uint32(data[rest-4 : rest])
		if uint64(n) > uint64(rest-4) {
			return errors.New("too short for its index")
		}
		rest -= 4 + int(n)
	}
	opts := table.Options{Compression: listed.Compression, BlockSize: 4 << 10}
	t, err := table.OpenInMemoryTable(data, id, &opts)
	if err != nil {
		return err
	}
	return t.VerifyChecksum()
}
