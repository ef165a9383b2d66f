package auth

import (
	"hash/maphash"
	"net/netip"
	"sync/atomic"
	"time"
)

const (
	addressBuckets = 1 << 16
	addressLimit   = 30 // wrong answers a minute
)

// addresses counts wrong answers by client address (an IPv6 /64 counts as one) in a fixed number of keyed buckets. The work that a
// wrong answer costs bounds how many buckets anybody can fill in a minute to a few hundred of 65536, so filling them locks nobody
// else out. It is kept in memory: a restart forgives at most one minute. A visitor without an address, over a Unix socket for
// example, is not counted: everybody would share one bucket.
type addresses struct {
	seed    maphash.Seed
	buckets []atomic.Uint64 // minute << 32 | count
}

func newAddresses() *addresses {
	return &addresses{seed: maphash.MakeSeed(), buckets: make([]atomic.Uint64, addressBuckets)}
}

func (a *addresses) bucket(addr netip.Addr) *atomic.Uint64 {
	addr = addr.Unmap()
	if addr.Is6() {
		if p, err := addr.WithZone("").Prefix(64); err == nil {
			addr = p.Addr()
		}
	}
	return &a.buckets[maphash.Comparable(a.seed, addr)%addressBuckets]
}

// check returns *Throttled if the address has used up its minute. It comes before any waiting, so that whoever is shut out does not
// stand in the queue of the others.
func (a *addresses) check(now time.Time, addr netip.Addr) error {
	if !addr.IsValid() {
		return nil
	}
	if v := a.bucket(addr).Load(); v>>32 == uint64(now.Unix()/60) && v&0xffffffff >= addressLimit {
		return waitMinute(now)
	}
	return nil
}

func waitMinute(now time.Time) error {
	return &Throttled{RetryAfter: time.Duration(60-now.Unix()%60) * time.Second}
}

// take counts one answer as wrong before it is verified, or returns *Throttled. refund takes it back after a right one.
func (a *addresses) take(now time.Time, addr netip.Addr) (refund func(), err error) {
	if !addr.IsValid() {
		return func() {}, nil
	}
	b, minute := a.bucket(addr), uint64(now.Unix()/60)
	for {
		old := b.Load()
		count := old & 0xffffffff
		if old>>32 != minute {
			count = 0
		}
		if count >= addressLimit {
			return nil, waitMinute(now)
		}
		if b.CompareAndSwap(old, minute<<32|count+1) {
			break
		}
	}
	return func() { a.refund(now, addr) }, nil
}

// refund takes back an answer that was counted at the given time.
func (a *addresses) refund(at time.Time, addr netip.Addr) {
	if !addr.IsValid() {
		return
	}
	for b := a.bucket(addr); ; {
		old := b.Load()
		if old>>32 != uint64(at.Unix()/60) || old&0xffffffff == 0 || b.CompareAndSwap(old, old-1) {
			return
		}
	}
}
