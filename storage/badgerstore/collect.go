package badgerstore

import (
	"path/filepath"
	"time"
)

// topTables is how many tables of level 0, each a full log, are worth a compaction; manyTables is how many are too many for
// reads, however small they are.
const (
	topTables  = 5
	manyTables = 32
)

// spareFiles is how many files the process must be able to open before a compaction begins. Badger (4.9) forgets about a table that
// it could not make, and removes those that it was made of, so it must never want for a descriptor halfway.
const spareFiles = 256

// flushPoll is how often collect looks whether a full log has become a table.
const flushPoll = 50 * time.Millisecond

// collect reclaims old versions and expired records until e.stop is closed. Whenever a log was full, or room is short, it
// considers to merge all tables into one level.
func (s *Store) collect(e *engine) {
	defer close(e.stopped)
	for {
		if !e.failed.Load() && s.worthCompaction(e) {
			if err := e.compact(); err != nil {
				s.log.Warn("compacting the store", "dir", s.dir, "error", err)
			}
			_, e.compacted = e.measure()
		}
		if err := restrict(s.dir); err != nil {
			s.log.Warn("restricting the store's files to their owner", "dir", s.dir, "error", err)
		}
		var flushed <-chan time.Time
		if logs, _ := filepath.Glob(filepath.Join(s.dir, "*"+walSuffix)); len(logs) > 1 {
			flushed = time.After(flushPoll)
		}
		select {
		case <-e.stop:
			return
		case <-e.changed:
		case <-flushed:
		}
	}
}

// compact merges all tables into one level. It reads them first: Badger would leave out what follows a block that it cannot
// read.
func (e *engine) compact() (err error) {
	defer contain(&err)
	if err := e.db.VerifyChecksum(); err != nil {
		return err
	}
	return e.db.Flatten(1)
}

// measure returns the number of tables of level 0 and the size of all tables, which it also keeps in e.tables.
func (e *engine) measure() (top int, all int64) {
	levels := e.db.Levels()
	for _, l := range levels {
		all += l.Size
	}
	e.tables.Store(all)
	return levels[0].NumTables, all
}

// worthCompaction tells whether compaction pays and has room. It pays when what was written since the last is a quarter of
// that, so that a byte is rewritten a few times and no more, or when it may give back the room that commits lack.
func (s *Store) worthCompaction(e *engine) bool {
	top, all := e.measure()
	if !filesToSpare(spareFiles) {
		return false
	}
	d, err := s.disk(s.dir)
	if err != nil || d.free < uint64(all)+minReserve/2 {
		return false
	}
	if short := d.free < uint64(all)+d.reserve(); short {
		return all != e.compacted
	}
	return top >= manyTables || top >= topTables && all-e.compacted >= e.compacted/4
}
