package teaching_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"

	"github.com/jeton-auth/jeton/internal/config"
	"github.com/jeton-auth/jeton/internal/server"
	"github.com/jeton-auth/jeton/jetontest"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var update = flag.Bool("update", false, "rewrite the golden file")

const prefix = "/api/v1"

func decode[T any](t *testing.T, a jetontest.Answer) (out T) {
	t.Helper()
	if err := json.Unmarshal([]byte(a.Body), &out); err != nil {
		t.Fatalf("decode %d %s: %v", a.Status, a.Body, err)
	}
	return out
}

// routes returns the route table of the classic API, without the routes that have a slash at their end.
func routes(t *testing.T, authType string) []server.Row {
	t.Helper()
	c, err := config.Parse("jeton.yaml", []byte(classic(t)), func(name string) (string, bool) {
		if name != "AUTH_TYPE" || authType == "" {
			return "", false
		}
		return authType, true
	})
	if err != nil {
		t.Fatal(err)
	}

	all, err := server.Table(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}

	return slices.DeleteFunc(all, func(r server.Row) bool {
		return r.Service != "users-api" || !strings.Contains(r.Pattern, " "+prefix) ||
			strings.HasSuffix(r.Pattern, "{$}")
	})
}

// TestGoldenRoutes shows who may use which route in each mode. A difference is a change of what is exposed.
func TestGoldenRoutes(t *testing.T) {
	const golden = "testdata/routes.golden"
	var out strings.Builder
	for _, authType := range []string{"", "auth", "basic_auth", "session_db_auth"} {
		fmt.Fprintf(&out, "AUTH_TYPE=%s\n", authType)
		w := tabwriter.NewWriter(&out, 0, 8, 2, ' ', 0)
		for _, r := range routes(t, authType) {
			fmt.Fprintf(w, "  %s\t%s\n", r.Pattern, r.Access)
		}

		_ = w.Flush()
	}

	if *update {
		if err := os.WriteFile(golden, []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}

	text, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if out.String() != string(text) {
		t.Errorf("the routes are\n%s\nwant\n%s\n(rewrite it with -update)", out.String(), text)
	}
}

// TestDocumentHasEveryRoute checks that the document has the routes of the classic API and no other.
func TestDocumentHasEveryRoute(t *testing.T) {
	s := startClassic(t)
	d := decode[struct {
		Paths map[string]map[string]struct {
			Summary   string
			Responses map[string]any
			Security  []any
		}
	}](t, s.Send(s.Client(), "GET", s.URL("users-api")+prefix+"/openapi.json", ""))

	var documented, want []string
	for path, methods := range d.Paths {
		for method, op := range methods {
			documented = append(documented, strings.ToUpper(method)+" "+prefix+path)
			if op.Summary == "" || op.Security == nil || len(op.Responses) < 2 {
				t.Errorf("%s %s has no summary, no security or too few responses", method, path)
			}
		}
	}

	for _, r := range routes(t, "") {
		if !strings.HasSuffix(r.Pattern, "/{rest...}") {
			want = append(want, r.Pattern)
		}
	}

	slices.Sort(documented)
	slices.Sort(want)

	if !slices.Equal(documented, want) || len(want) < 15 {
		t.Errorf("the document has\n%v\nwant\n%v", documented, want)
	}
}
