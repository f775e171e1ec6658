package sqlite

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/jeton-auth/jeton/internal/store/statements"
	"github.com/jeton-auth/jeton/internal/test/storetest"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestKeepsItsContract runs the contract, and then checks the plans and the columns of all its
// statements.
func TestKeepsItsContract(t *testing.T) {
	log := &queryLog{texts: map[string]bool{}}
	storetest.Run(t, func(t *testing.T) storetest.Store {
		db := opened(t, filepath.Join(t.TempDir(), "jeton.db"))
		db.Store = statements.New(loggingEngine{engine{db}, log})
		return db
	})

	t.Run("query plans and columns", func(t *testing.T) {
		db := opened(t, filepath.Join(t.TempDir(), "jeton.db"))
		checkPlans(t, db, log)
		checkColumns(t, db, log)
	})
}

// opened opens a store on a file and closes it when the test ends.
func opened(t testing.TB, path string) *DB {
	t.Helper()
	db, err := Open(t.Context(), Config{Path: path, Patience: time.Minute})
	if err != nil {
		t.Fatal(err)
	}

	t.Cleanup(func() { _ = db.Close() })

	return db
}
