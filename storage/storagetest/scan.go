package storagetest

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/caddy-mfa/caddy-mfa/storage"
)

var scanCases = []testCase{
	{"ScanYieldsBytewiseOrder", testOrder},
	{"ScanBeginsAfterAKey", testAfter},
	{"ScanKeepsToItsPrefix", testPrefix},
	{"ScanYieldsAllOfMany", testMany},
	{"ScanCanBeLeftAndNested", testNested},
	{"ScanLoopsMayWrite", testWritingLoop},
	{"ScanInUpdateShowsItsWrites", testScanInUpdate},
}

// nasty keys are those that collations, terminators and signed bytes get wrong. They are in bytewise order.
var nasty = []string{
	"\x00", "\x00\x00", "\x00\xff", "\x01", "A", "B", "a", "a\x00", "a\x00\x00", "a\x00b", "a\x01", "a b", "a-b", "a/", "a/\x00", "a/b", "a/b/c",
	"a/\xff", "a/\xff\xff", "a0", "aa", "ab", "b", "z", "\x7f", "\x80", "é", "\xff", "\xff\x00", "\xff\xff", "\xff\xff\xff",
}

func nastyStore(t *testing.T, e Engine) store {
	t.Helper()
	if !slices.IsSorted(nasty) {
		t.Fatal("the suite's own keys are out of order")
	}
	s := open(t, e)
	for i := range nasty { // written in another order
		key := nasty[(i*17+5)%len(nasty)]
		s.put(key, "value of "+key, never)
	}
	return s
}

// expected is what Scan should yield of keys.
func expected(keys []string, prefix, after string) []string {
	want := []string{}
	for _, k := range keys {
		if len(k) >= len(prefix) && k[:len(prefix)] == prefix && k > after {
			want = append(want, k)
		}
	}
	return want
}

func testOrder(t *testing.T, e Engine) {
	s := nastyStore(t, e)
	s.wantKeys("", "", nasty...)
	s.view(func(tx storage.Tx) error {
		for got, err := range tx.Scan("", "") {
			if err != nil || string(got.Value) != "value of "+got.Key {
				t.Errorf("%q has %q, %v", got.Key, got.Value, err)
			}
		}
		return nil
	})
}

func testAfter(t *testing.T, e Engine) {
	s := nastyStore(t, e)
	afters := append([]string{"a.", "a/a", "a/\xfe", "\x00\x00\x00", "\xff\xff\xff\xff", letters(2 * storage.MaxKey), "~"}, nasty...)
	for _, prefix := range []string{"", "a", "a/", "\x00", "\xff", "\xff\xff", "none"} {
		for _, after := range afters {
			s.wantKeys(prefix, after, expected(nasty, prefix, after)...)
		}
	}
}

func testPrefix(t *testing.T, e Engine) {
	s := nastyStore(t, e)
	for _, prefix := range append([]string{"a/b/", "none", letters(2 * storage.MaxKey), "\xfe"}, nasty...) {
		s.wantKeys(prefix, "", expected(nasty, prefix, "")...)
	}
}

func testMany(t *testing.T, e Engine) {
	const n = 1500
	c := newClock(epoch)
	s := openAt(t, e, t.TempDir(), c)
	var all, live []string
	s.update(func(tx storage.Tx) error {
		all, live = nil, nil
		for i := range n {
			key, expires := fmt.Sprintf("many/%04d", i), epoch.Add(time.Hour)
			if i%3 == 0 || i > 400 && i < 900 { // single ones, and a stretch
				expires = epoch.Add(time.Minute)
			} else {
				live = append(live, key)
			}
			all = append(all, key)
			if err := tx.Put(key, []byte(letters(i%100)), expires); err != nil {
				return err
			}
		}
		return nil
	})
	s.wantKeys("many/", "", all...)
	c.set(epoch.Add(30 * time.Minute))
	s.wantKeys("many/", "", live...)

	var paged []string // a page at a time, each in a transaction of its own
	for after := ""; ; {
		var page []string
		s.view(func(tx storage.Tx) error {
			for got, err := range tx.Scan("many/", after) {
				if err != nil {
					return err
				}
				if page = append(page, got.Key); len(page) == 100 {
					break
				}
			}
			return nil
		})
		if len(page) == 0 {
			break
		}
		paged, after = append(paged, page...), page[len(page)-1]
	}
	if !slices.Equal(paged, live) {
		t.Errorf("pages yield %d keys, want %d", len(paged), len(live))
	}
}

func testNested(t *testing.T, e Engine) {
	s := nastyStore(t, e)
	both := func(tx storage.Tx) error {
		var got []string
		for outer, err := range tx.Scan("a/", "") {
			if err != nil {
				return err
			}
			for inner, err := range tx.Scan("\xff", "") {
				if err != nil {
					return err
				}
				got = append(got, outer.Key+inner.Key)
				if inner.Key == "\xff\x00" {
					break
				}
			}
			if len(got) == 4 {
				break
			}
		}
		want := []string{"a/\xff", "a/\xff\x00", "a/\x00\xff", "a/\x00\xff\x00"}
		if !slices.Equal(got, want) {
			t.Errorf("nested scans yield %q, want %q", got, want)
		}
		seq := tx.Scan("a/", "") // runs from its beginning each time
		for range 2 {
			for first, err := range seq {
				if err != nil || first.Key != "a/" {
					t.Errorf("Scan begins with %q, %v", first.Key, err)
				}
				break
			}
		}
		return nil
	}
	s.view(both)
	s.update(func(tx storage.Tx) error { return errors.Join(tx.Put("written", nil, never), both(tx)) })
}

func testWritingLoop(t *testing.T, e Engine) {
	const n = 300
	s := open(t, e)
	var all []string
	s.update(func(tx storage.Tx) error {
		all = nil
		for i := range n {
			all = append(all, fmt.Sprintf("k/%03d", i))
			if err := tx.Put(all[i], []byte("old"), never); err != nil {
				return err
			}
		}
		return nil
	})
	s.update(func(tx storage.Tx) error {
		var seen []string
		for got, err := range tx.Scan("k/", "") {
			if err != nil {
				return err
			}
			seen = append(seen, got.Key)
			if len(seen)%2 == 0 {
				err = tx.Delete(got.Key)
			} else {
				err = tx.Put(got.Key, []byte("new"), never)
			}
			if err != nil {
				return err
			}
		}
		if !slices.Equal(seen, all) {
			t.Errorf("a loop that writes sees %d keys, want %d", len(seen), n)
		}
		return nil
	})
	s.view(func(tx storage.Tx) error {
		if got := len(keysOf(t, tx, "k/", "")); got != n/2 {
			t.Errorf("%d keys are left, want %d", got, n/2)
		}
		wantIn(t, tx, "k/000", "new")
		wantAbsentIn(t, tx, "k/001")
		return nil
	})
}

func testScanInUpdate(t *testing.T, e Engine) {
	s := nastyStore(t, e)
	s.update(func(tx storage.Tx) error {
		want := slices.Clone(nasty)
		for _, k := range []string{"\x00", "a/b", "\xff\xff\xff"} {
			if err := tx.Delete(k); err != nil {
				return err
			}
			want = slices.DeleteFunc(want, func(w string) bool { return w == k })
		}
		for _, k := range []string{"\x00\x00\x00", "a/a", "a/\xff\x00", "\xff\xff\xff\xff"} {
			if err := tx.Put(k, nil, never); err != nil {
				return err
			}
			want = append(want, k)
		}
		if err := tx.Put("a/b/c", nil, epoch.Add(-time.Hour)); err != nil {
			return err
		}
		want = slices.DeleteFunc(want, func(w string) bool { return w == "a/b/c" })
		slices.Sort(want)
		for _, prefix := range []string{"", "a/", "\x00", "\xff\xff"} {
			for _, after := range []string{"", "a/", "a/a", "\x00\x00", "\xff\xff\xff"} {
				wantKeysIn(t, tx, prefix, after, expected(want, prefix, after)...)
			}
		}
		return nil
	})
}
