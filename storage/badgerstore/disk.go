package badgerstore

import (
	"fmt"
	"os"
	"syscall"
)

// diskSpace is what a disk has, in bytes.
type diskSpace struct{ free, total uint64 }

// The reserve is a hundredth of the disk within these bounds, in bytes: room for a new log (6 MiB) and for the table that an
// old one becomes (5 MiB), and some for what other processes write meanwhile.
const (
	minReserve = 12 << 20
	maxReserve = 256 << 20
)

func (d diskSpace) reserve() uint64 { return min(max(d.total/100, minReserve), maxReserve) }

// room returns an error that wraps syscall.ENOSPC unless the disk has the reserve and as much again as the tables take, so
// that it stays possible to compact these.
func (s *Store) room(tables int64) error {
	d, err := s.disk(s.dir)
	if err != nil {
		return fmt.Errorf("badgerstore: looking for room on the disk: %w", &os.PathError{Op: "statfs", Path: s.dir, Err: err})
	}
	if need := d.reserve() + uint64(tables); d.free < need {
		return fmt.Errorf("badgerstore: %d KiB of disk are left below %s, %d are needed: %w", d.free>>10, s.dir, need>>10, syscall.ENOSPC)
	}
	return nil
}
