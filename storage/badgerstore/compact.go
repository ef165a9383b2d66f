package badgerstore

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/dgraph-io/badger/v4"
)

// keptList is a copy of the list of tables, made before a compaction and removed when that is known to have lost nothing.
const keptList = badger.ManifestFilename + ".kept"

var errLost = errors.New("compaction lost records")

// compact merges all tables into one level.
//
// Badger (4.9) forgets about a table that it could not make, and removes those that it was made of: compaction loses records
// where a file cannot be opened for a moment. So the old tables and their list stay until the new ones are known to hold the
// same. Otherwise the engine is given up as it is, and the directory opened again with the old list, as it is after a crash.
func (s *Store) compact(e *engine) {
	select {
	case e.rotation <- struct{}{}:
		defer e.unlockRotation()
	case <-e.stop:
		return
	}
	for { // a table that is not in the old list would be forgotten with the new one
		if n, err := countLogs(s.dir); n == 1 && err == nil {
			break
		}
		select {
		case <-time.After(flushPoll):
		case <-e.stop:
			return
		}
	}
	err := e.verify()
	if err == nil {
		err = keepList(s.dir)
	}
	if err != nil {
		s.log.Warn("the store is not compacted", "dir", s.dir, "error", err)
		return
	}

	txn := e.db.NewTransaction(false)
	before := txn.NewIterator(allRecords) // holds the files of the old tables
	err = e.db.Flatten(1)
	if lost := sameRecords(before, txn.NewIterator(allRecords)); lost != nil {
		e.lossy = true // before stays open
		s.fail(e, errors.Join(lost, err))
		return
	}
	if err != nil {
		s.log.Warn("compacting the store", "dir", s.dir, "error", err)
	}
	if err := errors.Join(os.Remove(filepath.Join(s.dir, keptList)), syncDir(s.dir)); err != nil {
		e.lossy = true
		s.fail(e, err)
		return
	}
	before.Close()
	txn.Discard()
}

var allRecords = badger.IteratorOptions{Prefix: []byte(keyPrefix)}

// sameRecords compares what two iterators of one snapshot yield, and closes the second.
func sameRecords(before, after *badger.Iterator) (err error) {
	defer contain(&err)
	defer after.Close()
	var was, is []byte
	after.Rewind()
	for before.Rewind(); before.Valid(); before.Next() {
		old := before.Item()
		if at := old.ExpiresAt(); at > 0 && at <= uint64(time.Now().Unix())+1 {
			if after.Valid() && bytes.Equal(after.Item().Key(), old.Key()) {
				after.Next()
			}
			continue // Badger may drop it at any moment
		}
		if !after.Valid() || !bytes.Equal(after.Item().Key(), old.Key()) {
			return fmt.Errorf("%w: a key", errLost)
		}
		if was, err = old.ValueCopy(was); err != nil {
			return err
		}
		if is, err = after.Item().ValueCopy(is); err != nil {
			return err
		}
		if !bytes.Equal(was, is) {
			return fmt.Errorf("%w: a value", errLost)
		}
		after.Next()
	}
	if after.Valid() {
		return fmt.Errorf("%w: a deletion", errLost)
	}
	return nil
}

// verify reads all tables: compaction would leave out what follows a block that it cannot read.
func (e *engine) verify() (err error) {
	defer contain(&err)
	return e.db.VerifyChecksum()
}

// keepList copies the list of tables.
func keepList(dir string) error {
	list, err := os.ReadFile(filepath.Join(dir, badger.ManifestFilename))
	if err != nil {
		return err
	}
	kept := filepath.Join(dir, keptList)
	f, err := os.OpenFile(kept+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, fileMode)
	if err != nil {
		return err
	}
	_, err = f.Write(list)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return errors.Join(os.Rename(kept+".new", kept), syncDir(dir))
}

// restoreList undoes a compaction that did not come to its end.
func restoreList(dir string) error {
	err := os.Rename(filepath.Join(dir, keptList), filepath.Join(dir, badger.ManifestFilename))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return errors.Join(err, syncDir(dir))
}
