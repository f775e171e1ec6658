package server

import (
	"context"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jeton-auth/jeton/internal/config"
	"github.com/jeton-auth/jeton/internal/store/sqlite"
)

func TestADatabaseThatIsNotReadInTimeIsANote(t *testing.T) {
	dir := t.TempDir()
	file := sqlite.Config{Path: filepath.Join(dir, fileDB), Log: slog.New(slog.DiscardHandler)}
	db, err := sqlite.Open(t.Context(), file)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	side, err := sqlite.OpenSide(t.Context(), file)
	if err != nil {
		t.Fatal(err)
	}
	defer side.Close()

	ended, cancel := context.WithCancel(t.Context())
	cancel()
	i := &installation{Config: Config{DataDir: dir, File: &config.Config{}}}
	if i.damaged(ended, side) || len(i.findings) != 1 {
		t.Fatalf("findings = %+v, want one, and no damage", i.findings)
	}

	f := i.findings[0]
	if !f.Note || f.Name != "database-not-read" || !strings.Contains(f.Fix, "quick_check") {
		t.Errorf("finding = %+v, want a note that names what to run", f)
	}
}
