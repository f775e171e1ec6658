package postgres

import (
	"sync"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/test/pgtest"
	"github.com/jeton-auth/jeton/internal/test/storetest"
)

var shared pgtest.Shared

func TestMain(m *testing.M) { shared.Main(m) }

func TestKeepsItsContract(t *testing.T) {
	storetest.Run(t, func(t *testing.T) storetest.Store { return openStore(t, Config{}) })
}

// openStore opens a store on an empty database of its own and closes it when the test ends.
func openStore(t *testing.T, c Config) *DB {
	t.Helper()
	hasten(t)
	return openNode(t, shared.Database(t), c)
}

var hastened sync.Once

// hasten lets the shared server leave syncing to the kernel: most of the time goes into making
// and dropping databases. What a kill does to it stays the same.
func hasten(t *testing.T) {
	t.Helper()
	hastened.Do(func() {
		for _, sql := range []string{"ALTER SYSTEM SET fsync = off", "SELECT pg_reload_conf()"} {
			must(t, shared.Cluster(t).Exec(t.Context(), "postgres", sql))
		}
	})
}

// openNode opens a store on a database.
func openNode(t testing.TB, url string, c Config) *DB {
	t.Helper()
	c.URL, c.Where = jeton.NewSecret(url), "the test's"
	c.Answer = max(c.Answer, 10*time.Second) // a slow machine is no fault of the store
	db, err := Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}

	t.Cleanup(func() { _ = db.Close() })

	return db
}
