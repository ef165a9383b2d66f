package storagetest

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-mfa/caddy-mfa/storage"
)

var raceCases = []testCase{
	{"ReadModifyWriteLosesNothing", testCounter},          // S91
	{"EveryOneOfManyWritersGetsThrough", testManyWriters}, // S91
	{"TransactionsThatReadEachOthersWritesDoNotBothCommit", testSkew},
	{"AnAbsentKeyThatWasReadIsGuarded", uniqueness("absent")},
	{"AnExpiredKeyThatWasReadIsGuarded", uniqueness("expired")},
	{"ADeletedKeyThatWasReadIsGuarded", uniqueness("deleted")},
	{"ADeletionIsAWrite", testDeletionConflicts},
	{"UpdateGivesUpWithErrConflict", testGivesUp},
	{"ViewIsOneSnapshot", testSnapshot},
	{"WhatUpdateAcknowledgedIsSeenByEveryone", testSeen},
	{"TransactionsAreSeenWholeOrNotAtAll", testWhole},
	{"ConcurrentTransactionsOnOtherKeysAllCommit", testManyOtherWrites},
}

// add adds n to the number that key holds.
func add(tx storage.Tx, key string, n int) error {
	number, err := number(tx, key)
	if err != nil {
		return err
	}
	return tx.Put(key, []byte(strconv.Itoa(number+n)), never)
}

// number returns the number that key holds, 0 if it is absent.
func number(tx storage.Tx, key string) (int, error) {
	e, err := tx.Get(key)
	if errors.Is(err, storage.ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(string(e.Value))
}

// together runs f in n goroutines that begin at once.
func together(n int, f func(i int)) {
	var wg sync.WaitGroup
	begin := make(chan struct{})
	for i := range n {
		wg.Go(func() { <-begin; f(i) })
	}
	close(begin)
	wg.Wait()
}

func testCounter(t *testing.T, e Engine) {
	s := open(t, e)
	together(8, func(int) {
		for range 25 {
			if err := s.Update(background(), func(tx storage.Tx) error { return add(tx, "counter", 1) }); err != nil {
				t.Errorf("Update: %v", err)
			}
		}
	})
	s.want("counter", "200")
}

func testManyWriters(t *testing.T, e Engine) {
	s := open(t, e)
	within(t, 20*time.Second, "200 read-modify-writes of one key", func() {
		together(200, func(int) {
			if err := s.Update(background(), func(tx storage.Tx) error { return add(tx, "counter", 1) }); err != nil {
				t.Errorf("Update: %v", err)
			}
		})
	})
	s.want("counter", "200")
}

// meet makes the first run of two transactions wait for one another, unless the engine lets only one of them run.
func meet() func(i int) {
	var arrived [2]chan struct{}
	var once [2]sync.Once
	for i := range arrived {
		arrived[i] = make(chan struct{})
	}
	return func(i int) {
		once[i].Do(func() {
			close(arrived[i])
			select {
			case <-arrived[1-i]:
			case <-time.After(200 * time.Millisecond):
			}
		})
	}
}

// testSkew is on call: of two people who are, each may leave while the other stays.
func testSkew(t *testing.T, e Engine) {
	s := open(t, e)
	for round := range 10 {
		names := []string{fmt.Sprintf("%d/alice", round), fmt.Sprintf("%d/bob", round)}
		for _, name := range names {
			s.put(name, "1", never)
		}
		wait := meet()
		var left atomic.Int32
		together(2, func(i int) {
			leaves := false
			err := s.Update(background(), func(tx storage.Tx) error {
				a, err := number(tx, names[0])
				if err != nil {
					return err
				}
				b, err := number(tx, names[1])
				if err != nil {
					return err
				}
				wait(i)
				if leaves = a+b == 2; !leaves {
					return nil
				}
				return tx.Put(names[i], []byte("0"), never)
			})
			if err != nil {
				t.Errorf("Update: %v", err)
			}
			if leaves {
				left.Add(1)
			}
		})
		if n := left.Load(); n != 1 {
			t.Fatalf("%d of two left", n)
		}
	}
}

// uniqueness is a race for a key that is not there, of 50: one wins.
func uniqueness(before string) func(*testing.T, Engine) {
	return func(t *testing.T, e Engine) {
		c := newClock(epoch)
		s := openAt(t, e, t.TempDir(), c)
		for round := range 4 {
			key := fmt.Sprintf("name/%d", round)
			switch before {
			case "expired":
				s.put(key, "old", c.Now().Add(time.Minute))
				c.set(c.Now().Add(time.Hour))
			case "deleted":
				s.put(key, "old", never)
				s.update(func(tx storage.Tx) error { return tx.Delete(key) })
			}
			var winners atomic.Int32
			together(50, func(i int) {
				err := s.Update(background(), func(tx storage.Tx) error {
					_, err := tx.Get(key)
					if err == nil {
						return errTest
					}
					if !errors.Is(err, storage.ErrNotFound) {
						return err
					}
					return tx.Put(key, []byte(strconv.Itoa(i)), never)
				})
				switch {
				case err == nil:
					winners.Add(1)
				case !errors.Is(err, errTest):
					t.Errorf("Update: %v", err)
				}
			})
			if n := winners.Load(); n != 1 {
				t.Fatalf("%d of 50 got a name that was %s", n, before)
			}
		}
	}
}

func testDeletionConflicts(t *testing.T, e Engine) {
	s := open(t, e)
	for round := range 4 {
		key := fmt.Sprintf("code/%d", round)
		s.put(key, "unused", never)
		var used atomic.Int32
		together(20, func(i int) {
			err := s.Update(background(), func(tx storage.Tx) error {
				if _, err := tx.Get(key); err != nil {
					return err
				}
				return errors.Join(tx.Delete(key), tx.Put(fmt.Sprintf("session/%d/%d", round, i), nil, never))
			})
			switch {
			case err == nil:
				used.Add(1)
			case !errors.Is(err, storage.ErrNotFound):
				t.Errorf("Update: %v", err)
			}
		})
		if n := used.Load(); n != 1 {
			t.Fatalf("a code was used %d times", n)
		}
		s.view(func(tx storage.Tx) error {
			if n := len(keysOf(t, tx, fmt.Sprintf("session/%d/", round), "")); n != 1 {
				t.Errorf("a code opened %d sessions", n)
			}
			return nil
		})
	}
}

// interfere commits a write of key from outside a transaction that runs.
func (s store) interfere(key string) {
	done := make(chan error)
	go func() {
		done <- s.Update(background(), func(tx storage.Tx) error { return tx.Put(key, []byte("theirs"), never) })
	}()
	if err := <-done; err != nil {
		s.t.Errorf("the other transaction: %v", err)
	}
}

func testGivesUp(t *testing.T, e Engine) {
	s := open(t, e)
	runs := 0
	within(t, 20*time.Second, "Update of what always conflicts", func() {
		err := s.Update(background(), func(tx storage.Tx) error {
			runs++
			_, err := tx.Get("key")
			if err != nil && !errors.Is(err, storage.ErrNotFound) {
				return err
			}
			s.interfere("key")
			return errors.Join(tx.Put("key", []byte("mine"), never), tx.Put("beside", nil, never))
		})
		if !errors.Is(err, storage.ErrConflict) {
			t.Errorf("Update = %v after %d runs, want ErrConflict", err, runs)
		}
	})
	if runs < 3 {
		t.Errorf("fn ran %d times only", runs)
	}
	s.want("key", "theirs")
	s.wantAbsent("beside")
}

func testSnapshot(t *testing.T, e Engine) {
	s := open(t, e)
	for _, k := range []string{"a", "b", "c"} {
		s.put(k, "old", never)
	}
	s.view(func(tx storage.Tx) error {
		wantIn(t, tx, "a", "old")
		done := make(chan error)
		go func() {
			done <- s.Update(background(), func(tx storage.Tx) error {
				return errors.Join(tx.Put("a", []byte("new"), never), tx.Put("b", []byte("new"), never), tx.Delete("c"),
					tx.Put("d", []byte("new"), never))
			})
		}()
		if err := <-done; err != nil {
			t.Errorf("Update: %v", err)
		}
		wantIn(t, tx, "a", "old")
		wantIn(t, tx, "b", "old")
		wantIn(t, tx, "c", "old")
		wantAbsentIn(t, tx, "d")
		wantKeysIn(t, tx, "", "", "a", "b", "c")
		return nil
	})
	s.wantKeys("", "", "a", "b", "d")
	s.want("b", "new")
}

func testSeen(t *testing.T, e Engine) {
	s := open(t, e)
	together(4, func(i int) {
		for n := range 25 {
			key := fmt.Sprintf("%d/%d", i, n)
			if err := s.Update(background(), func(tx storage.Tx) error { return tx.Put(key, nil, never) }); err != nil {
				t.Errorf("Update: %v", err)
			}
			seen := make(chan error)
			go func() {
				seen <- s.View(background(), func(tx storage.Tx) error { _, err := tx.Get(key); return err })
			}()
			if err := <-seen; err != nil {
				t.Errorf("Get of what was acknowledged: %v", err)
			}
		}
	})
}

func testWhole(t *testing.T, e Engine) {
	s := open(t, e)
	keys := []string{"a", "m", "z"}
	ctx, cancel := context.WithCancel(background())
	var readers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			for ctx.Err() == nil {
				err := s.View(background(), func(tx storage.Tx) error {
					first, err := number(tx, keys[0])
					for _, k := range keys {
						if n, _ := number(tx, k); n != first {
							t.Errorf("one snapshot holds %d and %d of one transaction's", first, n)
						}
					}
					return err
				})
				if err != nil {
					t.Errorf("View: %v", err)
				}
			}
		})
	}
	for range 50 {
		s.update(func(tx storage.Tx) error {
			return errors.Join(add(tx, keys[0], 1), add(tx, keys[1], 1), add(tx, keys[2], 1))
		})
	}
	cancel()
	readers.Wait()
	s.want("m", "50")
}

func testManyOtherWrites(t *testing.T, e Engine) {
	const n = 50
	s := open(t, e)
	together(n, func(i int) {
		err := s.Update(background(), func(tx storage.Tx) error { return add(tx, fmt.Sprintf("own/%02d", i), i) })
		if err != nil {
			t.Errorf("Update: %v", err)
		}
	})
	s.view(func(tx storage.Tx) error {
		if got := len(keysOf(t, tx, "own/", "")); got != n {
			t.Errorf("%d of %d committed", got, n)
		}
		return nil
	})
}
