package badgerstore

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

const walSuffix = ".mem"

// walSize is the size that Badger gives to a new log. It cuts one that it has read to what that holds.
const walSize = 2 * memTableSize

// walBlocks is how much of a log is ever written to, in bytes: Badger makes a new one at memTableSize, which the last
// transaction may exceed.
const walBlocks = memTableSize + 2<<20

// wal is the log that commits go to. Badger numbers its logs and makes the next one within a commit.
type wal struct {
	dir       string
	id        int
	allocated bool // its blocks are
}

func (w *wal) path(id int) string { return filepath.Join(w.dir, fmt.Sprintf("%05d%s", id, walSuffix)) }

// find looks for the newest log in dir.
func (w *wal) find(dir string) error {
	files, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, f := range files {
		if name, ok := strings.CutSuffix(f.Name(), walSuffix); ok {
			if id, err := strconv.Atoi(name); err == nil {
				w.id = max(w.id, id)
			}
		}
	}
	w.dir = dir
	return nil
}

// prepare gives the log its blocks, so that writing to it cannot run out of disk.
func (w *wal) prepare() error {
	if w.allocated {
		return nil
	}
	if err := allocate(w.path(w.id), walBlocks); err != nil {
		return fmt.Errorf("badgerstore: allocating the log: %w", err)
	}
	w.allocated = true
	return nil
}

// follow takes note of a new log, if the last commit made one, and makes its name survive power loss, which must precede the
// acknowledgement of what is in it.
func (w *wal) follow() (rotated bool, err error) {
	for {
		next := w.path(w.id + 1)
		if _, err := os.Stat(next); errors.Is(err, os.ErrNotExist) {
			break
		} else if err != nil {
			return rotated, err
		}
		w.id, w.allocated, rotated = w.id+1, false, true
		if err := os.Chmod(next, fileMode); err != nil {
			return rotated, err
		}
	}
	if rotated {
		err = syncDir(w.dir)
	}
	return rotated, err
}

// Badger's log: a header, then entries of meta, user meta, three varints (lengths of key and value, expiry), key, value and
// CRC-32C over all of it. The entries of a transaction carry walTx; one with walEnd and walEndKey closes it.
const (
	walHeader = 20
	walTx     = 1 << 6
	walEnd    = 1 << 7
	walEndKey = "!badger!txn"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

type walEntry struct {
	meta       byte
	key, value []byte
	size       int
}

// parseWALEntry returns the entry at the start of data, unless there is none or its checksum is wrong.
func parseWALEntry(data []byte) (e walEntry, ok bool) {
	pos := 2
	var lengths [3]uint64
	for i := range lengths {
		if pos >= len(data) {
			return e, false
		}
		v, n := binary.Uvarint(data[pos:])
		if n <= 0 {
			return e, false
		}
		lengths[i], pos = v, pos+n
	}
	room := uint64(len(data) - pos)
	if lengths[0] == 0 || lengths[0] > room || lengths[1] > room || lengths[0]+lengths[1]+crc32.Size > room {
		return e, false
	}
	value := pos + int(lengths[0])
	end := value + int(lengths[1])
	if crc32.Checksum(data[:end], castagnoli) != binary.BigEndian.Uint32(data[end:]) {
		return e, false
	}
	return walEntry{data[0], data[pos:value], data[value:end], end + crc32.Size}, true
}

// scanWAL returns where the whole transactions of a log end. Power loss can tear the transaction that was being written, and
// no other, so a log is damaged if more than one is whole after the end, or if it has lost its size.
func scanWAL(data []byte) (end int, err error) {
	end = walHeader
	var open []byte // the version that the entries of the open transaction carry
	for pos := end; ; {
		e, ok := parseWALEntry(data[pos:])
		if !ok || len(e.key) < 8 {
			break
		}
		pos += e.size
		version := e.key[len(e.key)-8:]
		if e.meta&walTx != 0 {
			if open != nil && !bytes.Equal(open, version) {
				break
			}
			open = version
			continue
		}
		if open != nil && (e.meta&walEnd == 0 || !bytes.Equal(open, version)) {
			break
		}
		open, end = nil, pos
	}
	whole := 0
	for pos := end; ; pos++ {
		i := bytes.Index(data[pos:], []byte(walEndKey))
		if i < 0 {
			break
		}
		pos += i
		// Five bytes precede the key: its length and that of the value take one each, and it never expires.
		if e, ok := parseWALEntry(data[max(pos-5, 0):]); ok && e.meta&walEnd != 0 {
			whole++
		}
	}
	if whole > 1 {
		return 0, fmt.Errorf("%d transactions follow the place, byte %d, where it cannot be read", whole, end)
	}
	if len(data) < walSize && !zeros(data[end:]) {
		return 0, fmt.Errorf("cut off at byte %d, within a transaction", len(data))
	}
	return end, nil
}
