package server_test

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"text/tabwriter"

	"github.com/jeton-auth/jeton/internal/config"
	"github.com/jeton-auth/jeton/internal/server"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// TestGoldenRoutes compares the access rule of every route with testdata/routes.golden. A
// difference changes who may call it.
func TestGoldenRoutes(t *testing.T) {
	const golden = "testdata/routes.golden"

	conf, err := config.Load("../../examples/limited-info/jeton.yaml", func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}

	rows, err := server.Table(t.Context(), conf)
	if err != nil {
		t.Fatal(err)
	}

	var out strings.Builder
	w := tabwriter.NewWriter(&out, 0, 8, 2, ' ', 0)
	for _, r := range rows {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", r.Listen, r.Service, r.Pattern, r.Access)
	}

	_ = w.Flush()
	if *update {
		if err := os.WriteFile(golden, []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}

	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if out.String() != string(want) {
		t.Errorf("the route table is\n%s\nwant\n%s\n(rewrite it with -update)", out.String(), want)
	}
}
