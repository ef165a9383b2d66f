package badgerstore

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/table"
)

const (
	tableSuffix    = ".sst"
	valueLogSuffix = ".vlog"
	discardStats   = "DISCARD"
)

// removeLeftovers removes what a process that was killed while it made or removed a file leaves behind, and Badger refuses
// to open: files that hold nothing. The statistics about the value log, of which there are none, go as well: Badger ends
// the process if it cannot read them.
func removeLeftovers(dir string) error {
	files, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, f := range files {
		name := f.Name()
		remove := name == discardStats
		if strings.HasSuffix(name, walSuffix) || strings.HasSuffix(name, valueLogSuffix) {
			info, err := f.Info()
			if err != nil {
				return err
			}
			remove = info.Mode().IsRegular() && info.Size() == 0
		}
		if remove {
			if err := os.Remove(filepath.Join(dir, name)); err != nil {
				return err
			}
		}
	}
	return nil
}

// check returns an error that wraps ErrDamaged if a file of the directory is missing or not what was written. Badger itself
// would leave out what it cannot read, remove tables that a damaged list of them lacks, or end the process.
func check(ctx context.Context, dir string) (err error) {
	defer func() {
		if r := recover(); r != nil { // Badger's parsers panic
			err = fmt.Errorf("%w: %s: %v", ErrDamaged, dir, r)
		}
	}()
	names, err := storeFiles(dir)
	if err != nil {
		return err
	}
	listed, err := readManifest(dir)
	if errors.Is(err, os.ErrNotExist) {
		if len(names) > 0 { // Badger makes the list first
			return damage(dir, badger.ManifestFilename, errors.New("missing"))
		}
		return nil
	}
	if err != nil {
		return damage(dir, badger.ManifestFilename, err)
	}

	var logs, unlisted int
	present := make(map[uint64]bool)
	for _, name := range names {
		if err := ctx.Err(); err != nil {
			return err
		}
		path := filepath.Join(dir, name)
		switch filepath.Ext(name) {
		case walSuffix:
			logs++
			err = checkWAL(path)
		case valueLogSuffix:
			err = checkValueLog(path)
		case tableSuffix:
			id, ok := table.ParseFileID(name)
			t, used := listed[id]
			if !ok || !used {
				unlisted++
				continue
			}
			present[id] = true
			err = checkTable(path, id, t)
		}
		if err != nil {
			return damage(dir, name, err)
		}
	}
	for id := range listed {
		if !present[id] {
			return damage(dir, table.IDToFilename(id), errors.New("missing"))
		}
	}
	// A table may be unlisted while it is being made or removed, but not after a proper close, which leaves no log.
	if unlisted > 0 && logs == 0 {
		return damage(dir, badger.ManifestFilename, fmt.Errorf("lacks %d tables that exist", unlisted))
	}
	return nil
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

// checkWAL looks for damage in a log, and cuts off a torn end, the lengths in which Badger would trust.
func checkWAL(path string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := checkLogHeader(data); err != nil {
		return err
	}
	end, damaged := scanWAL(data)
	switch {
	case damaged:
		return fmt.Errorf("unreadable from byte %d on, with transactions after it", end)
	case len(bytes.TrimLeft(data[end:], "\x00")) > 0:
		return os.Truncate(path, int64(end))
	}
	return nil
}

// checkValueLog holds that nothing was written to the value log.
func checkValueLog(path string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := checkLogHeader(data); err != nil {
		return err
	}
	if len(data) > walHeader && len(bytes.TrimLeft(data[walHeader:], "\x00")) > 0 {
		return errors.New("holds values, which this store never writes there")
	}
	return nil
}

// checkLogHeader holds that a log names no key that it is encrypted with.
func checkLogHeader(data []byte) error {
	if len(data) >= 8 && binary.BigEndian.Uint64(data) != 0 {
		return errors.New("header is not that of a log")
	}
	return nil
}

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
