package badgerstore

import (
	"path/filepath"
	"time"
)

// tablesAtTop is how many tables of level 0, each a full log, are worth a compaction; manyAtTop is how many are too many for
// reads, however small they are.
const (
	tablesAtTop = 5
	manyAtTop   = 32
)

// collect reclaims old versions and expired records until e.stop is closed, whenever a log was full. It merges all tables
// into one level, and does so again when what was written since is a quarter of the rest, so that a byte is rewritten a
// few times and no more. Without room for a second copy it waits for the next time.
func (s *Store) collect(e *engine) {
	defer close(e.stopped)
	for {
		if !e.awaitFlush(s.dir) {
			return
		}
		if !e.failed.Load() && s.worthCompaction(e) {
			if err := e.db.Flatten(1); err != nil {
				s.log.Debug("compacting the store", "dir", s.dir, "error", err)
			}
		}
		if err := restrict(s.dir); err != nil {
			s.log.Warn("restricting the store's files to their owner", "dir", s.dir, "error", err)
		}
		select {
		case <-e.stop:
			return
		case <-e.changed:
		}
	}
}

// awaitFlush waits until Badger has made tables of all full logs. It returns false if e.stop was closed meanwhile.
func (e *engine) awaitFlush(dir string) bool {
	for {
		logs, _ := filepath.Glob(filepath.Join(dir, "*"+walSuffix))
		if len(logs) <= 1 {
			return true
		}
		select {
		case <-e.stop:
			return false
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// worthCompaction tells whether compaction pays and has room.
func (s *Store) worthCompaction(e *engine) bool {
	levels := e.db.Levels()
	top, all := levels[0], int64(0)
	for _, l := range levels {
		all += l.Size
	}
	if top.NumTables < manyAtTop && (top.NumTables < tablesAtTop || top.Size < (all-top.Size)/4) {
		return false
	}
	free, err := s.free(s.dir)
	return err == nil && free > uint64(all)+reserve
}
