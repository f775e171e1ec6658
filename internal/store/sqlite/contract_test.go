package sqlite

import (
	"os"
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
	empty := emptied(t)
	storetest.Run(t, func(t *testing.T) storetest.Store {
		path := filepath.Join(t.TempDir(), "jeton.db")
		err := os.WriteFile(path, empty, 0o600)
		if err != nil {
			t.Fatal(err)
		}

		db := opened(t, path)
		db.Store = statements.New(loggingEngine{engine{db}, log})
		return db
	})

	t.Run("query plans and columns", func(t *testing.T) {
		db := opened(t, filepath.Join(t.TempDir(), "jeton.db"))
		checkPlans(t, db, log)
		checkColumns(t, db, log)
	})
}

// emptied returns the content of a new database. To copy it takes a hundredth of the time of the steps of the schema.
func emptied(t *testing.T) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "jeton.db")
	db, err := Open(t.Context(), Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}

	err = db.Close()
	if err != nil {
		t.Fatal(err)
	}

	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}

	return content
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
