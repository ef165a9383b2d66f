package badgerstore_test

import (
	"context"
	"testing"
	"time"

	"github.com/caddy-mfa/caddy-mfa/storage"
	"github.com/caddy-mfa/caddy-mfa/storage/badgerstore"
	"github.com/caddy-mfa/caddy-mfa/storage/storagetest"
)

func TestEngine(t *testing.T) {
	storagetest.RunTests(t, storagetest.Engine{
		Open: func(dir string, now func() time.Time) (storage.Store, error) {
			return badgerstore.Open(context.Background(), badgerstore.Options{Dir: dir, Now: now})
		},
		MaxTx: badgerstore.MaxTx,
	})
}
