package main

import (
	"path/filepath"
	"testing"

	"github.com/jeton-auth/jeton/internal/test/pgtest"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestScriptsOfPostgres runs the files of testdata/script_postgres. Each has two empty
// databases, DB1 and DB2.
func TestScriptsOfPostgres(t *testing.T) {
	cluster := pgtest.Start(t)
	testscript.Run(t, testscript.Params{
		Dir:           filepath.Join("testdata", "script_postgres"),
		UpdateScripts: *update,
		Cmds:          map[string]func(ts *testscript.TestScript, neg bool, args []string){"waitup": waitUp},
		Setup: func(e *testscript.Env) error {
			e.Setenv("HOME", e.WorkDir)
			e.Setenv("JETON_DATA_DIR", filepath.Join(e.WorkDir, "d"))

			for _, name := range []string{"DB1", "DB2"} {
				url, drop, err := cluster.Database(t.Context())
				if err != nil {
					return err
				}

				e.Defer(drop)
				e.Setenv(name, url)
			}

			return nil
		},
	})
}
