package auth_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
	"github.com/caddy-mfa/caddy-mfa/storage"
)

// TestActivityReadsTheNewest: however much there is, a view reads so many records and no more.
func TestActivityReadsTheNewest(t *testing.T) { // S77
	r := newRig(t)
	ctx := t.Context()
	id := r.person("alice").user(r)
	put := func(key, value string) {
		t.Helper()
		err := r.store.Update(ctx, func(tx storage.Tx) error {
			return tx.Put("activity/"+id+"/"+key, []byte(value), r.clock.Now().Add(time.Hour))
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	put("zzzz", "{") // older than all: whoever reads it fails
	for i := range auth.MaxActivity {
		r.clock.Add(time.Second)
		if _, err := r.ChangeGroups(ctx, "alice", []string{fmt.Sprint("g", i%50)}, nil); err != nil {
			t.Fatal(err)
		}
	}
	events, err := r.Activity(ctx, id)
	if err != nil || len(events) != auth.MaxActivity {
		t.Fatalf("%d events: %v", len(events), err)
	}
	for i, e := range events {
		if want := r.clock.Now().Add(-time.Duration(i) * time.Second); e.Name != auth.EventGroups || !e.Time.Equal(want) {
			t.Fatalf("event %d is %q of %v, want %v", i, e.Name, e.Time, want)
		}
	}
	put("01KB5Q4Q9V3J8M2N6R7S8T9VWX", `{"event":"sign_in"}`) // by a key that is no inverted one
	if events, err = r.Activity(ctx, id); err != nil || len(events) != auth.MaxActivity {
		t.Errorf("%d events: %v", len(events), err)
	}
}

// TestEventsNameTheMethod that was added, renamed or removed.
func TestEventsNameTheMethod(t *testing.T) { // S77
	r := newRig(t)
	ctx := t.Context()
	p, b := r.person("alice"), newBrowser()
	r.signIn(p, b)
	first := r.apps("alice")
	last := func(want auth.Event) {
		t.Helper()
		events, err := r.Activity(ctx, p.user(r))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range events {
			if e.Name == want.Name {
				if e.Method != auth.MethodTOTP || e.Label != want.Label || e.Before != want.Before {
					t.Errorf("%+v, want %+v", e, want)
				}
				return
			}
		}
		t.Errorf("no %s", want.Name)
	}
	r.add(b)
	last(auth.Event{Name: auth.EventEnrolled, Label: "tablet"})
	var tablet string
	for _, id := range r.apps("alice") {
		if id != first[0] {
			tablet = id
		}
	}
	r.changes(b, auth.Change{Op: auth.ChangeRename, Credential: tablet, Label: "old tablet"})
	last(auth.Event{Name: auth.EventRenamed, Label: "old tablet", Before: "tablet"})
	r.must(b, auth.StepEnroll)(r.Change(ctx, b.v, auth.Change{Op: auth.ChangeReplace, Method: auth.MethodTOTP, Credential: tablet}, ""))
	next := appOf(r, r.progress(b))
	r.must(b, auth.StepDone)(r.FinishEnroll(ctx, b.v, auth.MethodTOTP, "new tablet", []byte(next.now())))
	last(auth.Event{Name: auth.EventRemoved, Label: "old tablet"})
	last(auth.Event{Name: auth.EventEnrolled, Label: "new tablet"})
	for _, id := range r.apps("alice") {
		if id != first[0] {
			r.changes(b, auth.Change{Op: auth.ChangeRemove, Credential: id})
		}
	}
	last(auth.Event{Name: auth.EventRemoved, Label: "new tablet"})
}
