//go:build !linux

package badgerstore

import "testing"

func smallDisk(*testing.T) string { return "" }
