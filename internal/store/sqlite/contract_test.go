package sqlite

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/jeton-auth/jeton/internal/test/storetest"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestKeepsItsContract(t *testing.T) {
	storetest.Run(t, func(t *testing.T) storetest.Store { return opened(t, filepath.Join(t.TempDir(), "jeton.db")) })
}

// opened opens a store on a file and closes it when the test ends.
func opened(t *testing.T, path string) *DB {
	t.Helper()
	db, err := Open(t.Context(), Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}

	db.writer.patience = time.Minute // a slow machine is no fault of the store
	t.Cleanup(func() { _ = db.Close() })

	return db
}
