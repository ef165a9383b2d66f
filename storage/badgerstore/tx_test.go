package badgerstore

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"testing"
	"time"

	"github.com/caddy-mfa/caddy-mfa/storage"
)

func textLogger(to io.Writer) *slog.Logger {
	return slog.New(slog.NewTextHandler(to, &slog.HandlerOptions{Level: slog.LevelInfo}))
}

func TestRecordForm(t *testing.T) {
	now := time.Date(2026, 3, 14, 15, 9, 26, 535897932, time.UTC)
	for name, expires := range map[string]time.Time{
		"never": {}, "soon": now, "1970": time.Unix(0, 0), "before": time.Unix(-5e9, 999_999_999), "9999": time.Date(9999, 12, 31, 0, 0, 0, 1, time.UTC),
	} {
		for _, value := range []string{"", "value", "\x00\x01"} {
			record := encode([]byte(value), expires)
			got, at, err := decode(record)
			if err != nil || string(got) != value || !at.Equal(expires) || at.IsZero() != expires.IsZero() {
				t.Errorf("%s, %q: read as %q, %v, %v", name, value, got, at, err)
			}
		}
	}
	for name, record := range map[string]string{"empty": "", "unknown": "\x02value", "cut": "\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"} {
		if _, _, err := decode([]byte(record)); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v, want ErrDamaged", name, err)
		}
	}
}

// TestCollectionIsLate holds that Badger never drops a record that the store's clock may still find live.
func TestCollectionIsLate(t *testing.T) {
	machine := time.Now()
	rows := []struct {
		name    string
		now     time.Time
		left    time.Duration
		atLeast time.Duration // from the machine's time; 0: never
	}{
		{"the machine's clock", machine, time.Hour, 25 * time.Hour},
		{"a clock of 1970", time.Unix(0, 0), time.Hour, 25 * time.Hour},
		{"a clock of 2500", time.Date(2500, 1, 1, 0, 0, 0, 0, time.UTC), time.Hour, 25 * time.Hour},
		{"years", machine, 10 * 365 * 24 * time.Hour, 20 * 365 * 24 * time.Hour},
		{"as long as can be", machine, 1<<63 - 1, 0},
	}
	for _, r := range rows {
		got := collectAt(r.now.Add(r.left), r.now)
		if r.atLeast == 0 && got != 0 || r.atLeast > 0 && time.Unix(int64(got), 0).Before(machine.Add(r.atLeast-time.Second)) {
			t.Errorf("%s: collected at %v", r.name, time.Unix(int64(got), 0))
		}
	}
	if got := collectAt(time.Time{}, machine); got != 0 {
		t.Errorf("what never expires is collected at %d", got)
	}
}

// TestMaxTxIsWhatBadgerTakes holds that MaxTx and WriteCost keep within Badger's own limits, whatever the writes are.
func TestMaxTxIsWhatBadgerTakes(t *testing.T) {
	s := mustOpen(t, t.TempDir())
	for name, size := range map[string]int{"keys alone": 0, "small": 1, "medium": 1000, "large": 100_000} {
		err := s.Update(t.Context(), func(t storage.Tx) error {
			for i, used := 0, 0; ; i++ {
				key := string(rune('A'+i%26)) + time.Duration(i).String()
				if used += len(key) + size + WriteCost; used > MaxTx {
					return nil
				}
				if err := t.Put(key, make([]byte, size), time.Unix(1<<40, 0)); err != nil {
					return err
				}
			}
		})
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	mustPut(t, s, "k", string(make([]byte, MaxTx-1-WriteCost)))
	if err := put(s, "k", string(make([]byte, MaxTx-WriteCost))); !errors.Is(err, storage.ErrTooLarge) {
		t.Errorf("one byte too many: %v", err)
	}
	if files := the(t, s.dir, valueLogSuffix); !isEmptyLog(t, files) {
		t.Error("a value went to the value log")
	}
}

func isEmptyLog(t *testing.T, path string) bool {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return zeros(data[walHeader:])
}

// TestABrokenTableIsAnError has Badger read what the disk changed beneath it, after the check.
func TestABrokenTableIsAnError(t *testing.T) { // S95
	closed, _, want := templates(t)
	s := mustOpen(t, copyDir(t, closed))
	tables, _ := glob(s.dir, tableSuffix)
	faults := 0
	for _, path := range tables {
		sound, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(sound); i += 101 {
			n := min(1+i%8, len(sound)-i)
			_, err := f.WriteAt(bytes.Repeat([]byte{byte(i % 3 * 127)}, n), int64(i)) // 0, 127 or 254
			for key, value := range want {
				err := s.View(context.Background(), func(tx storage.Tx) error {
					e, err := tx.Get(key)
					if err == nil && string(e.Value) != value {
						t.Errorf("%s has a value that was never put", key)
					}
					return err
				})
				if err != nil {
					faults++
				}
			}
			if _, restored := f.WriteAt(sound[i:i+n], int64(i)); errors.Join(err, restored) != nil {
				t.Fatal(err, restored)
			}
		}
		f.Close()
	}
	if faults == 0 {
		t.Error("nothing is wrong with broken tables")
	}
	wantContents(t, s, want)
}
