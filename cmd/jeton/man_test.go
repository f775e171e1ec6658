package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

func TestAManualPageIsReadByRoff(t *testing.T) {
	root := &cobra.Command{Use: "jeton"}
	c := &cobra.Command{
		Use:     "try NAME",
		Short:   "Try it",
		Long:    "First line,\n.and a second one.\n\n  C:\\table  kept",
		Example: "  jeton try 'x'",
		Run:     func(*cobra.Command, []string) {},
	}
	c.Flags().StringP("out", "o", "", "`FILE` to write")
	root.AddCommand(c)

	const want = `.TH JETON\-TRY 1 "" "jeton VERSION"
.SH NAME
jeton\-try \- Try it
.SH SYNOPSIS
jeton try NAME [flags]
.SH DESCRIPTION
.PP
First line,
\&.and a second one.
.PP
.nf
  C:\etable  kept
.fi
.SH EXAMPLES
.nf
  jeton try 'x'
.fi
.SH OPTIONS
.TP
\-h, \-\-help
help for try
.TP
\-o, \-\-out FILE
FILE to write
.SH SEE ALSO
jeton(1)
`
	if got := manual(c); got != strings.Replace(want, "VERSION", roff(version()), 1) {
		t.Errorf("the page is\n%s\nwant\n%s", got, want)
	}
}

func TestEachCommandHasAManualPage(t *testing.T) {
	run := func(*cobra.Command, []string) {}
	root := &cobra.Command{Use: "jeton"}
	group := &cobra.Command{Use: "user"}
	group.AddCommand(&cobra.Command{Use: "add NAME", Run: run})
	root.AddCommand(group, &cobra.Command{Use: "hasher", Run: run, Hidden: true})

	dir := filepath.Join(t.TempDir(), "man1")
	for _, step := range []string{"the first time", "over earlier ones"} {
		n, err := writeManual(root, dir)
		if err != nil {
			t.Fatalf("pages written %s: %v", step, err)
		}

		files, err := filepath.Glob(filepath.Join(dir, "*.1"))
		if err != nil || len(files) != n {
			t.Errorf("pages written %s: %d files, %v, want %d", step, len(files), err, n)
		}
	}

	for name, want := range map[string]bool{
		"jeton.1":                 true,
		"jeton-user.1":            true,
		"jeton-user-add.1":        true,
		"jeton-completion-bash.1": true,
		"jeton-hasher.1":          false,
	} {
		_, err := os.Stat(filepath.Join(dir, name))
		if (err == nil) != want {
			t.Errorf("%s: %v, want a page: %v", name, err, want)
		}
	}
}
