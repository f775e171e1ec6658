package sqlite

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

func TestOnlyTheNewestCopiesAreKept(t *testing.T) {
	path := past(t, 5)
	names := []string{"2", "3", "4", "4.part", "04", "x", "98", "99", "restore-20260101T000000.000Z"}
	for _, name := range names {
		must(t, os.WriteFile(path+".before-"+name, nil, 0o600))
	}

	_, err := Migrate(t.Context(), Config{Path: path}, false)
	must(t, err)

	copies, err := Copies(path)
	must(t, err)
	want := []Copy{
		{path + ".before-99", 98},
		{path + ".before-98", 97},
		{path + ".before-6", 5},
		{path + ".before-4", 3},
	}
	same(t, "copies", copies, want)

	// What an operator has put there, and what a restore or a newer version has set aside, is not ours to remove.
	for _, name := range names[3:] {
		if _, err := os.Stat(path + ".before-" + name); err != nil {
			t.Errorf("%v, want the file left alone", err)
		}
	}
}

func TestSinceNamesTheTablesThatWereWritten(t *testing.T) {
	path := past(t, 6)
	statement(t, path, "INSERT INTO meta VALUES ('mine', 'before'), ('party', 'a')")
	_, err := Migrate(t.Context(), Config{Path: path}, false)
	must(t, err)
	kept := Copy{CopyBefore(path, 7), 6}

	for _, tc := range []struct {
		name, text string
		want       []Difference
	}{
		{"nothing", "SELECT 1", nil},
		{
			"what is written without a change",
			"INSERT INTO meta VALUES ('probe', 'x'), ('sweep', '1 1'), ('managers', '1')",
			nil,
		},
		{"a changed row", "UPDATE meta SET value = 'b' WHERE name = 'party'", []Difference{{"meta", 1}}},
		{"a deleted row", "DELETE FROM meta WHERE name = 'mine'", []Difference{{"meta", 2}}},
		{
			"a row of a table that the step made",
			"INSERT INTO factor_attempts (account, failed, ready) VALUES (1, 1, 1)",
			[]Difference{{"factor_attempts", 1}, {"meta", 2}},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			statement(t, path, tc.text)
			got, err := Since(t.Context(), Config{Path: path}, kept)
			must(t, err)
			same(t, "tables", fmt.Sprint(got), fmt.Sprint(tc.want))
		})
	}

	left, err := filepath.Glob(path + ".trial-*")
	if err != nil || len(left) > 0 {
		t.Errorf("files left = %v, %v, want none", left, err)
	}
}
