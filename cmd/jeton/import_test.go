package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// One request to the server takes fewer users than the file has.
func TestAnImportOfManyUsersReportsEachRow(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "users.csv")
	var b strings.Builder
	b.WriteString("name,email,first_name\n")
	const n = 1234
	for i := range n {
		fmt.Fprintf(&b, "user%d,user%d@example.org,%s\n", i, i, strings.Repeat("x", i%200))
	}

	b.WriteString("USER7,,\nnot a name,,\n")
	if err := os.WriteFile(file, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}

	run := func(flags ...string) string {
		t.Helper()
		root := newRoot()
		var out bytes.Buffer
		root.SetOut(&out)
		root.SetArgs(append([]string{"user", "import", file, "--data-dir", filepath.Join(dir, "data")}, flags...))

		err := root.ExecuteContext(t.Context())
		if exitCode(err) != exitFailure || !strings.Contains(err.Error(), "1 of 1236 rows were refused") {
			t.Fatalf("import %v = %v, want 1 of 1236 rows refused", flags, err)
		}

		return out.String()
	}

	for _, tc := range []struct {
		name  string
		flags []string
		want  []string
	}{
		{
			"a dry run",
			[]string{"--dry-run"},
			[]string{
				"would add: 1234\n",
				"exists: 1\n",
				"USER7                    exists: line 9 has the same name\n",
				"refused: 1\n",
			},
		},
		{"an import", nil, []string{"added: 1234\n", "exists: 1\n", "refused: 1\n", "line 1235   user1233 "}},
		{"again", nil, []string{"added: 0\n", "exists: 1235\n"}},
		{"again with a change", []string{"--update", "--group", "moved"}, []string{"changed: 1234\n", "exists: 1\n"}},
	} {
		out := run(tc.flags...)
		for _, want := range tc.want {
			if !strings.Contains(out, want) {
				t.Errorf("%s: %q is missing in the output …%s", tc.name, want, out[max(0, len(out)-300):])
			}
		}

		lines := strings.Count(out, "\nline ") + 1
		if lines != n+2 {
			t.Errorf("%s: %d rows reported, want %d", tc.name, lines, n+2)
		}
	}
}
