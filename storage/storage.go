// Package storage is the contract between caddy-mfa and the engines that keep its records.
//
// A Store is a transactional, byte-ordered key-value store with expiry. Every record that must be atomic with another, a used
// code and the session that it opened for example, is written in one Update. The contract is small enough for two very
// different engines, and storagetest holds the suite that each one passes.
package storage

import (
	"context"
	"errors"
	"iter"
	"time"
)

// MaxKey is the length of the longest key, in bytes. A key has at least one byte; every byte value may occur in it.
const MaxKey = 1024

var (
	// ErrNotFound means that a key is absent or has expired.
	ErrNotFound = errors.New("storage: key not found")
	// ErrConflict means that Update kept colliding with other transactions. Nothing was written; the caller may try later.
	ErrConflict = errors.New("storage: too many conflicting transactions")
	// ErrClosed means that the store was closed before or during the call.
	ErrClosed = errors.New("storage: store is closed")
	// ErrTooLarge means that a transaction exceeds the limit that the engine states. Nothing was written.
	ErrTooLarge = errors.New("storage: transaction is too large")
	// ErrKey means that Put was given a key that is empty or longer than MaxKey.
	ErrKey = errors.New("storage: key is empty or too long")
)

// Entry is one record. Its Value is a copy that the caller may keep and change.
type Entry struct {
	Key     string
	Value   []byte
	Expires time.Time // zero: never. Kept to the microsecond at least, in UTC
}

// Store is a transactional, byte-ordered key-value store with expiry. It is safe for concurrent use.
//
// Expiry is data, judged by the clock that the engine was opened with and that a transaction reads once, when it begins: an
// entry is live while that instant is before its Expires. An engine's own collection only reclaims space. A transaction
// conflicts with another that wrote a key which it read with Get, also when that key was absent or expired. No conflict is
// promised for ranges, so uniqueness, limits and invalidation go through a Get of one key. What Update acknowledged survives
// kill -9 and power loss.
//
// Once ctx is done, the methods of Tx and the call itself return its error; a commit that has begun is waited for, so that
// the answer is true. Errors are those of this package, those of fn, those of ctx, or a fault of the engine. After any but a
// fault nothing was written; after a fault of Update that is unknown, as it is after a crash.
//
// fn must not call the store that runs it.
type Store interface {
	// View calls fn with one snapshot. Its Tx refuses to write.
	View(ctx context.Context, fn func(Tx) error) error
	// Update commits if fn returns nil and no write failed. On a conflict fn runs again (a bounded number of times, then
	// ErrConflict), so it must have no effect outside tx. Writes are visible to later reads of the same tx. If fn returns an
	// error or panics, nothing is written.
	Update(ctx context.Context, fn func(Tx) error) error
	// Close waits for running transactions. Later calls return ErrClosed. Closing twice is no error.
	Close() error
}

// Tx is one transaction. It must not be kept, nor used by two goroutines.
type Tx interface {
	// Get returns ErrNotFound if key is absent or expired.
	Get(key string) (Entry, error)
	// Put stores a copy of value; a zero time never expires. A time that is not in the future leaves the key absent.
	Put(key string, value []byte, expires time.Time) error
	// Delete removes key; an absent key is no error.
	Delete(key string) error
	// Scan yields the live entries whose keys begin with prefix, in bytewise order, from the first key greater than after
	// (from the first of all if after is empty). Scans may be nested and left early. Their loops may write; whether a Scan
	// still shows what its own loop wrote ahead of it is open. After an error it yields nothing more.
	Scan(prefix, after string) iter.Seq2[Entry, error]
}
