package badgerstore

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/dgraph-io/badger/v4"

	"github.com/caddy-mfa/caddy-mfa/storage"
)

// MaxTx is the size of the largest transaction, in bytes: the sum, over its calls of Put and Delete, of the key, the value
// and WriteCost.
const MaxTx = 600 << 10

// WriteCost is what each Put and Delete adds to the size of a transaction beside its key and value, in bytes.
const WriteCost = 96

var (
	errReadOnly = errors.New("badgerstore: View does not write")
	errEnded    = errors.New("badgerstore: transaction has ended")
)

// keyPrefix begins every key, so that none collides with Badger's own.
const keyPrefix = "k"

func diskKey(key string) []byte { return append([]byte(keyPrefix), key...) }

type tx struct {
	ctx    context.Context // of the call that the transaction lives in
	txn    *badger.Txn
	now    time.Time // the store's clock when the transaction began
	write  bool
	size   int
	writes int
	fault  error // of a write: the transaction must not commit, whatever fn makes of it
	ended  bool
}

func (t *tx) usable() error {
	if t.ended {
		return errEnded
	}
	return t.ctx.Err()
}

// contain turns a panic of Badger, over a table that the disk changed for example, into an error.
func contain(err *error) {
	if r := recover(); r != nil {
		*err = fmt.Errorf("badgerstore: fault: %v", r)
	}
}

func (t *tx) Get(key string) (e storage.Entry, err error) {
	if err := t.usable(); err != nil {
		return e, err
	}
	if key == "" || len(key) > storage.MaxKey {
		return e, storage.ErrNotFound
	}
	defer contain(&err)
	item, err := t.txn.Get(diskKey(key))
	if errors.Is(err, badger.ErrKeyNotFound) {
		return e, storage.ErrNotFound
	}
	if err != nil {
		return e, err
	}
	return t.entry(key, item)
}

// entry returns storage.ErrNotFound for what has expired.
func (t *tx) entry(key string, item *badger.Item) (storage.Entry, error) {
	record, err := item.ValueCopy(nil)
	if err != nil {
		return storage.Entry{}, err
	}
	value, expires, err := decode(record)
	if err != nil {
		return storage.Entry{}, err
	}
	if !live(expires, t.now) {
		return storage.Entry{}, storage.ErrNotFound
	}
	return storage.Entry{Key: key, Value: value, Expires: expires}, nil
}

func (t *tx) Put(key string, value []byte, expires time.Time) error {
	if err := t.admit(key, value); err != nil {
		return err
	}
	if !live(expires, t.now) {
		return t.done(t.txn.Delete(diskKey(key)))
	}
	e := badger.NewEntry(diskKey(key), encode(value, expires))
	e.ExpiresAt = collectAt(expires, t.now)
	return t.done(t.txn.SetEntry(e))
}

func (t *tx) Delete(key string) error {
	if key == "" || len(key) > storage.MaxKey {
		return t.usable()
	}
	if err := t.admit(key, nil); err != nil {
		return err
	}
	return t.done(t.txn.Delete(diskKey(key)))
}

// admit counts a write, or refuses it.
func (t *tx) admit(key string, value []byte) error {
	switch {
	case t.usable() != nil:
		return t.usable()
	case !t.write:
		return errReadOnly
	case t.fault != nil:
		return t.fault
	case key == "" || len(key) > storage.MaxKey:
		return t.done(storage.ErrKey)
	}
	t.writes++
	if t.size += len(key) + len(value) + WriteCost; t.size > MaxTx {
		return t.done(storage.ErrTooLarge)
	}
	return nil
}

// done remembers the error of a write.
func (t *tx) done(err error) error {
	if errors.Is(err, badger.ErrTxnTooBig) {
		err = storage.ErrTooLarge
	}
	t.fault = err
	return err
}

// Scan reads in batches, so that no iterator of Badger is open while the caller's loop runs: a writing transaction may
// have but one, and ending with one open panics.
func (t *tx) Scan(prefix, after string) iter.Seq2[storage.Entry, error] {
	return func(yield func(storage.Entry, error) bool) {
		from := prefix
		if after != "" && after >= prefix {
			from = after + "\x00" // the next key in bytewise order
		}
		for n := 16; ; n = min(2*n, 256) {
			batch, next, err := t.batch(prefix, from, n)
			for _, e := range batch {
				if err := t.usable(); err != nil {
					yield(storage.Entry{}, err)
					return
				}
				if !yield(e, nil) {
					return
				}
			}
			if err != nil {
				yield(storage.Entry{}, err)
				return
			}
			if next == "" {
				return
			}
			from = next
		}
	}
}

// batchBytes and batchVisits bound a batch beside the number of its entries.
const (
	batchBytes  = 256 << 10
	batchVisits = 4096
)

// batch returns up to n live entries that begin with prefix, from the key from on, and where the next batch begins, if there
// may be more.
func (t *tx) batch(prefix, from string, n int) (batch []storage.Entry, next string, err error) {
	if err := t.usable(); err != nil {
		return nil, "", err
	}
	defer contain(&err)
	opts := badger.IteratorOptions{Prefix: diskKey(prefix)}
	it := t.txn.NewIterator(opts)
	defer it.Close()
	size, visits := 0, 0
	for it.Seek(diskKey(from)); it.Valid(); it.Next() {
		item := it.Item()
		key := string(bytes.TrimPrefix(item.Key(), []byte(keyPrefix)))
		if len(batch) == n || size > batchBytes || visits > batchVisits {
			return batch, key, nil
		}
		visits++
		e, err := t.entry(key, item)
		if errors.Is(err, storage.ErrNotFound) {
			continue
		}
		if err != nil {
			return batch, "", err
		}
		size += len(e.Value)
		batch = append(batch, e)
	}
	return batch, "", nil
}

// live tells whether a record is there at now. A zero time never expires.
func live(expires, now time.Time) bool { return expires.IsZero() || now.Before(expires) }

// A record is one byte for its form, the expiry, if it has one, as seconds since 1970 and nanoseconds, and the value.
const (
	formForever = 0
	formExpires = 1
	expiryLen   = 8 + 4
)

func encode(value []byte, expires time.Time) []byte {
	record := make([]byte, 0, 1+expiryLen+len(value))
	if expires.IsZero() {
		record = append(record, formForever)
	} else {
		record = append(record, formExpires)
		record = binary.BigEndian.AppendUint64(record, uint64(expires.Unix()))
		record = binary.BigEndian.AppendUint32(record, uint32(expires.Nanosecond()))
	}
	return append(record, value...)
}

// decode returns the value in the record's own memory.
func decode(record []byte) (value []byte, expires time.Time, err error) {
	switch {
	case len(record) > 0 && record[0] == formForever:
		return record[1:], time.Time{}, nil
	case len(record) > expiryLen && record[0] == formExpires:
		sec, nsec := binary.BigEndian.Uint64(record[1:]), binary.BigEndian.Uint32(record[9:])
		return record[1+expiryLen:], time.Unix(int64(sec), int64(nsec)).UTC(), nil
	default:
		return nil, time.Time{}, fmt.Errorf("%w: a record has an unknown form", ErrDamaged)
	}
}

const (
	collectSlack = 24 * time.Hour
	collectLimit = 50 * 365 * 24 * time.Hour // beyond it, deletion alone collects
)

// collectAt returns from when Badger may drop a record, in Unix seconds, or 0 for never. Badger judges by the machine's clock,
// which the store's may differ from by any span and run at another pace: only how long the record has left is used, twice,
// and a day.
func collectAt(expires, now time.Time) uint64 {
	left := expires.Sub(now)
	if expires.IsZero() || left > collectLimit {
		return 0
	}
	return uint64(time.Now().Add(2*left + collectSlack).Unix())
}
