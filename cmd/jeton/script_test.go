package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/jeton-auth/jeton/internal/server"
	"github.com/jeton-auth/jeton/internal/store/sqlite"
	"github.com/jeton-auth/jeton/jetontest"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/spf13/cobra"
)

var update = flag.Bool("update", false, "rewrite golden files and reference pages")

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"jeton":                   main,
		"git-credential-jeton":    main,
		"docker-credential-jeton": main,
		"browse":                  browse,
	})
}

// TestScripts runs the files of testdata/script: what a user types, and the output.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:           filepath.Join("testdata", "script"),
		UpdateScripts: *update,
		Setup: func(e *testscript.Env) error {
			// An empty home, so that no file of the user who runs the tests is read or written.
			e.Setenv("HOME", e.WorkDir)
			e.Setenv("JETON_HOME", filepath.Join(e.WorkDir, "home"))
			e.Setenv("JETON_DATA_DIR", filepath.Join(e.WorkDir, "d"))
			// Servers of several scripts run at the same time.
			e.Setenv("JETON_ADMIN_LISTEN", "127.0.0.1:0")
			// An issuer needs its address before it listens: a port that no connection of a moment takes.
			port, err := jetontest.FreePort()
			e.Setenv("ISSUER_PORT", port)

			return err
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"earlier": makeEarlier,
			"waitup":  waitUp,
			"usage":   refusedAsUsage,
		},
	})
}

// refusedAsUsage runs a program that must exit with exitUsage.
func refusedAsUsage(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: usage PROGRAM [ARGUMENT…]")
	}

	var refused *exec.ExitError
	err := ts.Exec(args[0], args[1:]...)
	if !errors.As(err, &refused) || refused.ExitCode() != exitUsage {
		ts.Fatalf("%v: %v, want exit code %d", args, err, exitUsage)
	}
}

// waitUp waits until a server in the background has started, and sets the variable URL to
// the URL of its first service.
func waitUp(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: waitup FILE")
	}

	url, err := awaitURL(ts.MkAbs(args[0]))
	if err != nil {
		ts.Fatalf("%v", err)
	}

	ts.Setenv("URL", url)
}

// makeEarlier makes a data directory with the database of an earlier version, of which five steps of
// the schema are known.
func makeEarlier(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: earlier DIRECTORY")
	}

	steps := fstest.MapFS{}
	names, err := filepath.Glob(filepath.Join("..", "..", "internal", "store", "sqlite", "schema", "*.sql"))
	ts.Check(err)

	for _, name := range names[:5] {
		text, err := os.ReadFile(name)
		ts.Check(err)
		steps["schema/"+filepath.Base(name)] = &fstest.MapFile{Data: text}
	}

	dir := ts.MkAbs(args[0])
	ts.Check(os.Mkdir(dir, 0o700))
	side, err := sqlite.OpenSide(context.Background(), sqlite.Config{Path: server.DataFile(dir), Schema: steps})
	ts.Check(err)
	ts.Check(side.Close())
}

func TestTheReferencePageIsTheHelpOfTheCommands(t *testing.T) {
	golden(t, filepath.Join("..", "..", "docs", "reference", "commands.md"), reference(newRoot()))
}

// golden compares output with a file, or writes the file with -update.
func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}

	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v; 'make generate' writes it", err)
	}
	if got != string(want) {
		t.Errorf("%s is out of date; run 'make generate' and review the difference", path)
	}
}

// reference prints the help of every command as one page.
func reference(root *cobra.Command) string {
	var b strings.Builder
	b.WriteString("# Commands\n\nWhat `jeton COMMAND --help` prints. Made from the program by `make generate`.\n")
	var visit func(c *cobra.Command)

	visit = func(c *cobra.Command) {
		if c.Hidden || c.Name() == "help" || c.Name() == "completion" {
			return
		}

		var help bytes.Buffer
		c.SetOut(&help)
		c.InitDefaultHelpFlag()
		_ = c.Help()
		fmt.Fprintf(&b, "\n## %s\n\n```text\n%s```\n", c.CommandPath(), help.String())

		for _, sub := range c.Commands() {
			visit(sub)
		}
	}

	visit(root)

	return b.String()
}

func TestEveryCommandShowsAnExample(t *testing.T) {
	var visit func(c *cobra.Command)
	visit = func(c *cobra.Command) {
		if c.Hidden || c.Name() == "help" || c.Name() == "completion" {
			return
		}
		if c.Example == "" || !strings.Contains(c.Example, "jeton ") {
			t.Errorf("%s has no example", c.CommandPath())
		}
		if c.Short == "" || strings.HasSuffix(c.Short, ".") {
			t.Errorf("%s: the short help %q is empty or ends with a stop", c.CommandPath(), c.Short)
		}

		for _, sub := range c.Commands() {
			visit(sub)
		}
	}

	visit(newRoot())
}

// A result may be a secret that is printed only once: too late to refuse the format then.
func TestAnUnknownOutputFormatIsRefusedBeforeACommandRuns(t *testing.T) {
	checked := 0

	var visit func(c *cobra.Command)
	visit = func(c *cobra.Command) {
		flag := c.Flags().Lookup("output")
		if flag != nil && strings.Contains(flag.Usage, "json") {
			checked++
			err := c.ParseFlags([]string{"--output", "xml"})
			if err == nil || !strings.Contains(err.Error(), "want table or json") {
				t.Errorf("%s --output xml = %v, want an error with the formats", c.CommandPath(), err)
			}
		}

		for _, sub := range c.Commands() {
			visit(sub)
		}
	}

	visit(newRoot())

	if checked < 15 {
		t.Errorf("only %d commands have --output: the test looks in the wrong place", checked)
	}
}
