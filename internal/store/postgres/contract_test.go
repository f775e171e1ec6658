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
		_, err := Migrate(t.Context(), patient(url, Config{}), false)
		must(t, err)
	}

	return shared.Emptied(t, prepare, "migrations")
}

// patient returns a configuration that waits long: a slow machine is not a fault of the store.
func patient(url string, c Config) Config {
	c.URL = jeton.NewSecret(url)
	c.Where = "the test's"
	c.Upgrade = true
	c.Answer = max(c.Answer, 10*time.Second)
	c.Connect = max(c.Connect, 10*time.Second)

	return c
}

// openNode opens a store on a database, and closes it when the test ends.
func openNode(t testing.TB, url string, c Config) *DB {
	t.Helper()
	db, err := Open(t.Context(), patient(url, c))
	if err != nil {
		t.Fatal(err)
	}

	t.Cleanup(func() { _ = db.Close() })

	return db
}
