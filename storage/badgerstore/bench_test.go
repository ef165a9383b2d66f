package badgerstore_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/caddy-mfa/caddy-mfa/storage"
	"github.com/caddy-mfa/caddy-mfa/storage/badgerstore"
)

func benchStore(b *testing.B) *badgerstore.Store {
	b.Helper()
	s, err := badgerstore.Open(b.Context(), badgerstore.Options{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := s.Close(); err != nil {
			b.Error(err)
		}
	})
	for i := range 10 {
		err := s.Update(b.Context(), func(tx storage.Tx) error {
			for j := range 1000 {
				if err := tx.Put(fmt.Sprintf("session/%04d", i*1000+j), make([]byte, 300), time.Now().Add(time.Hour)); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	return s
}

func BenchmarkView(b *testing.B) {
	s := benchStore(b)
	b.ReportAllocs()
	for b.Loop() {
		err := s.View(b.Context(), func(tx storage.Tx) error { _, err := tx.Get("session/0500"); return err })
		if err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkViewParallel(b *testing.B) {
	s := benchStore(b)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			err := s.View(b.Context(), func(tx storage.Tx) error { _, err := tx.Get("session/0500"); return err })
			if err != nil {
				b.Error(err)
			}
		}
	})
}

func BenchmarkScan100(b *testing.B) {
	s := benchStore(b)
	for b.Loop() {
		err := s.View(b.Context(), func(tx storage.Tx) error {
			n := 0
			for _, err := range tx.Scan("session/", "session/0500") {
				if n++; err != nil || n == 100 {
					return err
				}
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkUpdate(b *testing.B) {
	s := benchStore(b)
	b.ReportAllocs()
	for b.Loop() {
		if err := s.Update(b.Context(), rewrite("session/0500")); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkUpdateParallel(b *testing.B) {
	s := benchStore(b)
	b.SetParallelism(25)
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			if err := s.Update(b.Context(), rewrite(fmt.Sprintf("session/%04d", i%10000))); err != nil {
				b.Error(err)
			}
		}
	})
}

func rewrite(key string) func(storage.Tx) error {
	return func(tx storage.Tx) error {
		e, err := tx.Get(key)
		if err != nil {
			return err
		}
		return tx.Put(key, e.Value, e.Expires)
	}
}
