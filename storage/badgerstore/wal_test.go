package badgerstore

import (
	"os"
	"path/filepath"
	"testing"
)

func glob(dir, suffix string) ([]string, error) { return filepath.Glob(filepath.Join(dir, "*"+suffix)) }

// FuzzScanWAL holds that no log makes the scan panic or point outside, and that what it lets through reads the same once it
// is cut.
func FuzzScanWAL(f *testing.F) {
	dir := f.TempDir()
	s, err := Open(f.Context(), Options{Dir: dir})
	if err != nil {
		f.Fatal(err)
	}
	for _, key := range []string{"a", "b", "c"} {
		if err := put(s, key, "value of "+key); err != nil {
			f.Fatal(err)
		}
	}
	logs, err := glob(dir, walSuffix)
	if err != nil || len(logs) != 1 {
		f.Fatal(logs, err)
	}
	data, err := os.ReadFile(logs[0])
	if err != nil {
		f.Fatal(err)
	}
	if err := s.Close(); err != nil {
		f.Fatal(err)
	}
	end, err := scanWAL(data)
	if err != nil || end == walHeader {
		f.Fatal(end, err)
	}
	f.Add(data[:end])
	f.Add(data[:end+100])
	f.Add(data[:end-1])
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) < walHeader {
			return
		}
		end, err := scanWAL(data)
		if err != nil {
			return
		}
		if end < walHeader || end > len(data) {
			t.Fatalf("ends at %d of %d", end, len(data))
		}
		if again, err := scanWAL(data[:end]); again != end || err != nil {
			t.Errorf("cut to %d, it ends at %d, %v", end, again, err)
		}
	})
}
