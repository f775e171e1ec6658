package server_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/jeton-auth/jeton/jetontest"
)

// TestAStartWaitsForASlowDatabase starts a node while another program holds a table that the start needs.
func TestAStartWaitsForASlowDatabase(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "keys.secret")
	err := os.WriteFile(secret, []byte(strings.Repeat("0f", 32)), 0o600)
	if err != nil {
		t.Fatal(err)
	}

	url := shared.Database(t)
	conf := "keys_secret_file: " + secret + "\ndatabase: {url: '${DATABASE}', statement_timeout: 100ms}\n" +
		easy + shop()
	jetontest.Start(t, conf, jetontest.Env("DATABASE", url)).Stop() // which makes the tables

	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()

	held, err := conn.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_, err = held.Exec(t.Context(), "LOCK TABLE budgets IN ACCESS EXCLUSIVE MODE")
	if err != nil {
		t.Fatal(err)
	}

	var log logged
	started := make(chan error, 1)
	go func() {
		_, err := jetontest.TryStart(t, conf, jetontest.Env("DATABASE", url), jetontest.Log(&log, slog.LevelInfo))
		started <- err
	}()

	until(t, "the line that the start waits", func() bool {
		select {
		case err := <-started:
			t.Fatalf("the start = %v, want it to wait", err)
		default:
		}
		return log.has("the start waits for the database and tries again")
	})
	err = held.Rollback(t.Context())
	if err != nil {
		t.Fatal(err)
	}

	err = <-started
	if err != nil {
		t.Errorf("the start = %v, want nil once the table is free", err)
	}
}
