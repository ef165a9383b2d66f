//go:build !linux

package badgerstore

import "math"

// spaceBelow does not know here.
func spaceBelow(string) (diskSpace, error) { return diskSpace{math.MaxInt64, math.MaxInt64}, nil }

// allocate does nothing here.
func allocate(string, int64) error { return nil }

// filesToSpare does not know here.
func filesToSpare(uint64) bool { return true }
