package storagetest

import (
	"bufio"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/caddy-mfa/caddy-mfa/storage"
)

var durableCases = []testCase{
	{"ReopeningKeepsEverything", testReopen},
	{"KillingTheProcessLosesNothingAcknowledged", testKill}, // S89, S90
}

func testReopen(t *testing.T, e Engine) {
	dir, c := t.TempDir(), newClock(epoch)
	for i := range 4 {
		s := openAt(t, e, dir, c)
		for before := range i {
			s.want(fmt.Sprintf("kept/%d", before), "value")
			s.wantAbsent(fmt.Sprintf("deleted/%d", before))
			s.wantAbsent(fmt.Sprintf("expired/%d", before))
		}
		if i > 0 {
			s.view(func(tx storage.Tx) error {
				if got, err := tx.Get("kept/0"); err != nil || !got.Expires.Equal(epoch.Add(99*time.Hour)) {
					t.Errorf("Expires = %v, %v", got.Expires, err)
				}
				return nil
			})
		}
		s.put(fmt.Sprintf("kept/%d", i), "value", epoch.Add(99*time.Hour))
		s.put(fmt.Sprintf("expired/%d", i), "value", c.Now().Add(time.Minute))
		s.put(fmt.Sprintf("deleted/%d", i), "value", never)
		s.update(func(tx storage.Tx) error { return tx.Delete(fmt.Sprintf("deleted/%d", i)) })
		if err := s.Close(); err != nil {
			t.Fatalf("Close: %v", err)
		}
		c.set(c.Now().Add(time.Hour))
	}
}

const (
	killRounds  = 20
	writers     = 4
	writerDirIn = "STORAGETEST_WRITER" // the environment variable that makes a process a writer
)

func writerDir() string { return os.Getenv(writerDirIn) }

// runWriter commits until it is killed, and writes a line for each acknowledgement: which of its writers, and how many.
func runWriter(e Engine, dir string) {
	s, err := e.Open(dir, newClock(epoch).Now)
	if err != nil {
		fmt.Println("opening:", err)
		os.Exit(1)
	}
	padding := []byte(letters(20_000)) // so that the engine's files change over
	together(writers, func(w int) {
		for {
			var n int
			err := s.Update(background(), func(tx storage.Tx) (err error) {
				if n, err = number(tx, fmt.Sprintf("count/%d", w)); err != nil {
					return err
				}
				n++
				return errors.Join(
					add(tx, fmt.Sprintf("count/%d", w), 1),
					add(tx, "total", 1),
					tx.Delete(fmt.Sprintf("token/%d/%d", w, n-1)),
					tx.Put(fmt.Sprintf("token/%d/%d", w, n), nil, epoch.Add(time.Hour)),
					tx.Put(fmt.Sprintf("done/%d/%d", w, n), nil, never),
					tx.Put(fmt.Sprintf("padding/%d", w), padding, never),
				)
			})
			if err != nil {
				fmt.Println("Update:", err)
				os.Exit(1)
			}
			fmt.Println(w, n) // one write each
		}
	})
}

func testKill(t *testing.T, e Engine) {
	dir, c := t.TempDir(), newClock(epoch)
	name, _, _ := strings.Cut(t.Name(), "/")
	var acked [writers]int
	for round := range killRounds {
		patience := rand.IntN(200) // acknowledgements to wait for
		if round%5 == 4 {
			patience = -1 // kill it while it opens
		}
		killWriter(t, name, dir, patience, &acked)

		s := openAt(t, e, dir, c)
		checkWritten(t, s, &acked)
		if err := s.Close(); err != nil {
			t.Fatalf("Close: %v", err)
		}
		if t.Failed() {
			t.Fatalf("in round %d, killed after %d acknowledgements", round, patience)
		}
	}
	if acked[0] == 0 {
		t.Error("the writer was never given the time to write")
	}
}

// killWriter starts a writer, kills it after some acknowledgements, or at a random moment if that is negative, and adds what
// was acknowledged to acked.
func killWriter(t *testing.T, test, dir string, patience int, acked *[writers]int) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^"+test+"$")
	cmd.Env = append(os.Environ(), writerDirIn+"="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	kill := func() {
		if err := cmd.Process.Kill(); err != nil {
			t.Errorf("the writer ended by itself: %v", err)
		}
	}
	if patience < 0 {
		time.AfterFunc(rand.N(200*time.Millisecond), kill)
	}
	n := 0
	for lines := bufio.NewScanner(out); lines.Scan(); n++ {
		if n == patience {
			kill()
		}
		var w, count int
		if _, err := fmt.Sscan(lines.Text(), &w, &count); err != nil || w < 0 || w >= writers {
			t.Fatalf("the writer says %q", lines.Text())
		}
		acked[w] = max(acked[w], count)
	}
	if err := cmd.Wait(); cmd.ProcessState.ExitCode() != -1 {
		t.Errorf("the writer was not killed: %v", err)
	}
}

// checkWritten holds that what was acknowledged is there, and that every transaction is there whole or not at all.
func checkWritten(t *testing.T, s store, acked *[writers]int) {
	t.Helper()
	s.view(func(tx storage.Tx) error {
		sum := 0
		for w := range writers {
			n, err := number(tx, fmt.Sprintf("count/%d", w))
			if err != nil {
				return err
			}
			// A writer may have been killed after the commit and before its acknowledgement.
			if n < acked[w] || n > acked[w]+1 {
				t.Errorf("writer %d: %d commits are there, %d were acknowledged", w, n, acked[w])
			}
			acked[w] = n
			sum += n
			if done := len(keysOf(t, tx, fmt.Sprintf("done/%d/", w), "")); done != n {
				t.Errorf("writer %d: %d records of %d commits", w, done, n)
			}
			if n == 0 {
				continue
			}
			wantKeysIn(t, tx, fmt.Sprintf("token/%d/", w), "", fmt.Sprintf("token/%d/%d", w, n))
			if e, err := tx.Get(fmt.Sprintf("padding/%d", w)); err != nil || string(e.Value) != letters(20_000) {
				t.Errorf("writer %d: a value of %d bytes, %v", w, len(e.Value), err)
			}
		}
		total, err := number(tx, "total")
		if total != sum {
			t.Errorf("%d commits counted %d in all", sum, total)
		}
		return err
	})
}
