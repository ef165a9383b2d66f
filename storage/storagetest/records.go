package storagetest

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/caddy-mfa/caddy-mfa/storage"
)

var recordCases = []testCase{
	{"GetReturnsWhatPutStored", testGet},
	{"PutReplaces", testReplace},
	{"DeleteRemoves", testDelete},
	{"AnyBytesAreAKey", testKeys},
	{"PutRefusesKeysThatCannotBe", testBadKeys},
	{"AnyBytesAreAValue", testValues},
	{"PutCopiesTheValue", testPutCopies},
	{"EntriesAreCopies", testEntriesAreCopies},
	{"WritesAreVisibleToTheirTransaction", testReadYourWrites},
	{"ViewRefusesWrites", testViewRefusesWrites},
	{"TheLargestTransactionIsStated", testMaxTx},
	{"NothingOfATooLargeTransactionIsWritten", testTooLarge},
}

func testGet(t *testing.T, e Engine) {
	s := open(t, e)
	s.put("user/alice", "1", never)
	s.put("user/bob", "2", epoch.Add(time.Hour))
	s.view(func(tx storage.Tx) error {
		wantIn(t, tx, "user/alice", "1")
		wantIn(t, tx, "user/bob", "2")
		wantAbsentIn(t, tx, "user/carol")
		if got, _ := tx.Get("user/alice"); !got.Expires.IsZero() {
			t.Errorf("Expires = %v, want zero", got.Expires)
		}
		got, _ := tx.Get("user/bob")
		if !got.Expires.Equal(epoch.Add(time.Hour)) || got.Expires.Location() != time.UTC {
			t.Errorf("Expires = %v, want %v", got.Expires, epoch.Add(time.Hour))
		}
		return nil
	})
}

func testReplace(t *testing.T, e Engine) {
	s := open(t, e)
	s.put("key", "a longer value", epoch.Add(time.Hour))
	s.put("key", "new", never)
	s.want("key", "new")
	s.view(func(tx storage.Tx) error {
		if got, _ := tx.Get("key"); !got.Expires.IsZero() {
			t.Errorf("Expires = %v, want that of the last Put, zero", got.Expires)
		}
		return nil
	})
	s.update(func(tx storage.Tx) error {
		return errors.Join(tx.Put("key", []byte("a"), never), tx.Delete("key"), tx.Put("key", []byte("b"), never))
	})
	s.want("key", "b")
}

func testDelete(t *testing.T, e Engine) {
	s := open(t, e)
	s.put("key", "value", never)
	s.update(func(tx storage.Tx) error { return tx.Delete("key") })
	s.wantAbsent("key")
	s.update(func(tx storage.Tx) error { return errors.Join(tx.Delete("key"), tx.Delete("another"), tx.Delete("")) })
	s.put("key", "again", never)
	s.want("key", "again")
}

func testKeys(t *testing.T, e Engine) {
	s := open(t, e)
	keys := []string{
		"\x00", "\x00\x00", "\xff", "\xff\xff", "a\x00b", "a\xffb", "\xc3\x28 is no UTF-8", "Ünïcödé", "%_'\"\\", "!badger!txn", " ", "a/b/../c",
		strings.Repeat("k", storage.MaxKey), strings.Repeat("\xff", storage.MaxKey),
	}
	s.update(func(tx storage.Tx) error {
		for _, k := range keys {
			if err := tx.Put(k, []byte("value of "+k), never); err != nil {
				t.Errorf("Put(%.40q): %v", k, err)
			}
		}
		return nil
	})
	for _, k := range keys {
		s.want(k, "value of "+k)
	}
	s.wantAbsent("a")
	s.wantAbsent("\x00\x00\x00")
	s.wantAbsent("ünïcödé")
}

func testBadKeys(t *testing.T, e Engine) {
	s := open(t, e)
	for _, key := range []string{"", letters(storage.MaxKey + 1)} {
		err := s.Update(t.Context(), func(tx storage.Tx) error {
			if err := tx.Put("beside", []byte("x"), never); err != nil {
				return err
			}
			return tx.Put(key, []byte("x"), never)
		})
		if !errors.Is(err, storage.ErrKey) {
			t.Errorf("Put with a key of %d bytes: %v, want ErrKey", len(key), err)
		}
		s.view(func(tx storage.Tx) error {
			if _, err := tx.Get(key); !errors.Is(err, storage.ErrNotFound) {
				t.Errorf("Get with a key of %d bytes: %v, want ErrNotFound", len(key), err)
			}
			return nil
		})
	}
	s.wantAbsent("beside")
}

func testValues(t *testing.T, e Engine) {
	s := open(t, e)
	values := map[string]string{"empty": "", "zeros": "\x00\x00", "bytes": "\xff\x00\x80", "long": letters(100_000)}
	for k, v := range values {
		s.put(k, v, never)
	}
	s.update(func(tx storage.Tx) error { return tx.Put("nil", nil, epoch.Add(time.Hour)) })
	values["nil"] = ""
	for k, v := range values {
		s.want(k, v)
	}
}

func testPutCopies(t *testing.T, e Engine) {
	s := open(t, e)
	s.update(func(tx storage.Tx) error {
		value := []byte("as put")
		err := tx.Put("key", value, never)
		copy(value, "CHANGE")
		wantIn(t, tx, "key", "as put")
		return err
	})
	s.want("key", "as put")
}

func testEntriesAreCopies(t *testing.T, e Engine) {
	s := open(t, e)
	s.put("key", "as put", never)
	spoil := func(tx storage.Tx) {
		if got, err := tx.Get("key"); err == nil {
			_ = append(got.Value[:0], "CHANGED AND LONGER"...)
		}
		for got, err := range tx.Scan("key", "") {
			if err == nil {
				_ = append(got.Value[:0], "CHANGED AND LONGER"...)
			}
		}
		wantIn(t, tx, "key", "as put")
	}
	s.view(func(tx storage.Tx) error { spoil(tx); return nil })
	s.update(func(tx storage.Tx) error {
		spoil(tx)
		if err := tx.Put("key", []byte("as put"), never); err != nil {
			return err
		}
		spoil(tx) // now it is a write of this transaction
		return nil
	})
	s.want("key", "as put")

	var kept storage.Entry // outlives its transaction, and what is written later
	s.view(func(tx storage.Tx) (err error) { kept, err = tx.Get("key"); return err })
	s.put("key", "CHANGE", never)
	if string(kept.Value) != "as put" {
		t.Errorf("an entry became %q after its transaction", kept.Value)
	}
}

func testReadYourWrites(t *testing.T, e Engine) {
	s := open(t, e)
	for _, k := range []string{"a", "b", "c"} {
		s.put(k, "old", never)
	}
	s.update(func(tx storage.Tx) error {
		err := errors.Join(tx.Put("a", []byte("new"), never), tx.Delete("b"), tx.Put("ab", []byte("added"), epoch.Add(time.Hour)),
			tx.Put("d", []byte("added"), never), tx.Put("e", []byte("gone"), never), tx.Delete("e"))
		wantIn(t, tx, "a", "new")
		wantIn(t, tx, "ab", "added")
		wantAbsentIn(t, tx, "b")
		wantIn(t, tx, "c", "old")
		wantAbsentIn(t, tx, "e")
		wantKeysIn(t, tx, "", "", "a", "ab", "c", "d")
		wantKeysIn(t, tx, "a", "a", "ab")
		return err
	})
	s.wantKeys("", "", "a", "ab", "c", "d")
	s.want("a", "new")
}

func testViewRefusesWrites(t *testing.T, e Engine) {
	s := open(t, e)
	s.put("key", "value", never)
	s.view(func(tx storage.Tx) error {
		if tx.Put("key", []byte("x"), never) == nil || tx.Put("new", []byte("x"), never) == nil || tx.Delete("key") == nil {
			t.Error("View let its Tx write")
		}
		wantIn(t, tx, "key", "value")
		wantAbsentIn(t, tx, "new")
		return nil
	})
	s.want("key", "value")
	s.wantAbsent("new")
}

func testMaxTx(t *testing.T, e Engine) {
	const writes, cost = 100, 512
	s := open(t, e)
	s.put("one", letters(e.MaxTx-len("one")-cost), never)
	s.update(func(tx storage.Tx) error {
		for i := range writes {
			key := "many/" + letters(i+1)
			if err := tx.Put(key, []byte(letters(e.MaxTx/writes-len(key)-cost)), never); err != nil {
				return err
			}
		}
		return nil
	})
	s.view(func(tx storage.Tx) error {
		if n := len(keysOf(t, tx, "many/", "")); n != writes {
			t.Errorf("%d of %d records are there", n, writes)
		}
		if got, err := tx.Get("one"); err != nil || len(got.Value) != e.MaxTx-len("one")-cost {
			t.Errorf("the longest value has %d bytes, %v", len(got.Value), err)
		}
		return nil
	})
}

func testTooLarge(t *testing.T, e Engine) {
	fill := func(value string) func(storage.Tx) error {
		return func(tx storage.Tx) error {
			for i := range e.MaxTx + 1 { // each record has at least one byte
				if err := tx.Put("fill/"+time.Duration(i).String(), []byte(value), never); err != nil {
					return err
				}
			}
			return nil
		}
	}
	rows := []struct {
		name string
		fn   func(storage.Tx) error
	}{
		{"one value", func(tx storage.Tx) error { return tx.Put("fill/", []byte(letters(e.MaxTx+1)), never) }},
		{"large values", fill(letters(50_000))},
		{"small values", fill("")},
		{"an error that fn ignores", func(tx storage.Tx) error {
			_ = tx.Put("fill/", []byte(letters(e.MaxTx+1)), never)
			return nil
		}},
	}
	s := open(t, e)
	s.put("key", "value", never)
	for _, r := range rows {
		err := s.Update(t.Context(), func(tx storage.Tx) error {
			if err := tx.Put("first", []byte("x"), never); err != nil {
				return err
			}
			return r.fn(tx)
		})
		if !errors.Is(err, storage.ErrTooLarge) {
			t.Errorf("%s: %v, want ErrTooLarge", r.name, err)
		}
		s.wantKeys("", "", "key")
	}
	s.put("after", "it works", never)
}
