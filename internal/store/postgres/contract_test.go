package postgres

import (
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/test/pgtest"
	"github.com/jeton-auth/jeton/internal/test/storetest"
)

// shared is for tests that leave the server alone. faulty is for those that stop it or change
// its settings; they run one after another. A kill of a process is no crash of the machine, so
// neither needs to sync.
var (
	shared = pgtest.Shared{NoSync: true}
	faulty = pgtest.Shared{NoSync: true}
)

func TestMain(m *testing.M) {
	code := shared.Main(m)
	if err := faulty.Close(); err != nil {
		fmt.Fprintln(os.Stderr, "close the faulty cluster:", err)
		code = 1
	}

	os.Exit(code)
}

func TestKeepsItsContract(t *testing.T) {
	storetest.Run(t, func(t *testing.T) storetest.Store { return openNode(t, emptied(t), Config{}) })
}

// emptied returns the URL of a database with our tables, all empty. The test must leave the
// schema as it is.
func emptied(t *testing.T) string {
	t.Helper()
	prepare := func(url string) {
		c := Config{URL: jeton.NewSecret(url), Answer: 10 * time.Second}
		_, err := Migrate(t.Context(), c, false)
		must(t, err)
	}

	return shared.Emptied(t, prepare, "migrations")
}

// openNode opens a store on a database. It waits long for answers: a slow machine is not a
// fault of the store.
func openNode(t testing.TB, url string, c Config) *DB {
	t.Helper()
	c.URL, c.Where = jeton.NewSecret(url), "the test's"
	c.Answer = max(c.Answer, 10*time.Second)
	db, err := Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}

	t.Cleanup(func() { _ = db.Close() })

	return db
}
