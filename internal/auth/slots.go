package auth

import "context"

const (
	// hashRuns bounds the runs of argon2id at once, below the number of CPUs, and with it their memory: 19 MiB each.
	hashRuns = 8
	// hashQueue is how many may wait for a run of argon2id. At 25 ms a run on two CPUs the last of them waits less than a second.
	hashQueue = 64
	// lightRuns bounds what is verified at once without argon2id. Together with hashRuns it stays below addressLimit, because an
	// answer counts as wrong until it has been verified: people behind one address do not shut each other out.
	lightRuns  = 16
	lightQueue = 256
)

// slots bounds work: so many runs at once, a short queue, beyond it ErrBusy (S8).
type slots struct {
	running chan struct{}
	waiting chan struct{}
}

func newSlots(runs, queue int) *slots {
	return &slots{running: make(chan struct{}, runs), waiting: make(chan struct{}, runs+queue)}
}

// slotsFor are those of argon2id, one run a CPU, or the light ones.
func (s *State) slotsFor(m Method) *slots {
	if _, ok := m.(Expensive); ok {
		return s.hashing
	}
	return s.light
}

// addressesFor are the counters of wrong answers by address. Those of keys are apart: their answers cost less than argon2id, and must
// not fill the counters of everybody else (CVE-2026-77561).
func (s *State) addressesFor(m Method) *addresses {
	if m.Name() == MethodWebAuthn {
		return s.keyAddresses
	}
	return s.addresses
}

// take waits for a slot. The caller gives it back by calling the returned function once.
func (s *slots) take(ctx context.Context) (release func(), err error) {
	select {
	case s.waiting <- struct{}{}:
	default:
		return nil, ErrBusy
	}
	select {
	case s.running <- struct{}{}:
		return func() { <-s.running; <-s.waiting }, nil
	case <-ctx.Done():
		<-s.waiting
		return nil, ctx.Err()
	}
}
