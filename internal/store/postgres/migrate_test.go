package postgres

import (
	"context"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/policy"
)

// withLaterSteps returns the steps of this program, and others after them.
func withLaterSteps(t *testing.T, texts ...string) fs.FS {
	t.Helper()
	files := fstest.MapFS{}
	names, err := fs.Glob(schema, "schema/*.sql")
	must(t, err)

	for _, name := range names {
		text, err := schema.ReadFile(name)
		must(t, err)
		files[name] = &fstest.MapFile{Data: text}
	}

	for i, text := range texts {
		files[fmt.Sprintf("schema/%04d_later.sql", len(names)+i+1)] = &fstest.MapFile{Data: []byte(text)}
	}

	return files
}

// knownSteps returns how many steps this program knows.
func knownSteps(t *testing.T) int {
	t.Helper()
	list, err := loadSteps(schema)
	must(t, err)
	return len(list)
}

// addingStep returns a step that programs with n steps can work with.
func addingStep(n int) string {
	return fmt.Sprintf(`-- needs: %d
ALTER TABLE sessions ADD COLUMN note TEXT NOT NULL DEFAULT '';
ALTER TABLE uses ADD COLUMN noted BIGINT NOT NULL DEFAULT 0;
CREATE TABLE notes (id BIGINT)`, n)
}

// TestVersionsServeSideBySide upgrades and downgrades under load, with nodes of both versions, and
// counts the uses.
func TestVersionsServeSideBySide(t *testing.T) {
	url := shared.Database(t)
	before, after := Config{}, Config{Schema: withLaterSteps(t, addingStep(knownSteps(t)))}
	first := openNode(t, url, before)
	u := addUser(t, first, "diane")
	login := startSession(t, first, u, "one")

	const most = 1 << 40
	budget := policy.Budget{ID: 1, Max: most}
	var granted atomic.Int64
	var wg sync.WaitGroup
	defer wg.Wait()

	load := func(db *DB) (stop func()) {
		var done atomic.Bool
		var callers sync.WaitGroup
		for g := range 4 {
			callers.Go(func() {
				for i := 0; !done.Load(); i++ {
					if _, err := db.Spend(t.Context(), use(login, budget)); err != nil {
						t.Errorf("Spend: %v", err)
						return
					}

					granted.Add(1)
					text := fmt.Sprintf("%p %d %d", db, g, i)
					tryStartSession(t, db, newSession(u, text))

					if err := endSession(t.Context(), db, text); err != nil {
						t.Errorf("endSession = %v", err)
					}
				}
			})
		}

		wg.Go(callers.Wait)

		return func() {
			done.Store(true)
			callers.Wait()
		}
	}

	for range 2 { // upgrade and downgrade, twice
		stop := load(first)
		second := openNode(t, url, after) // applies the step while the first one serves
		stopSecond := load(second)
		from := granted.Load()
		eventually(t, "uses on both", func() bool { return granted.Load() > from+40 })

		stop()
		must(t, first.Close())
		first = openNode(t, url, before) // an older version that starts after the step
		stop = load(first)
		from = granted.Load()
		eventually(t, "uses on both", func() bool { return granted.Load() > from+40 })

		stopSecond()
		must(t, second.Close())
		stop()
	}

	left, err := first.Left(t.Context(), use(login, budget))
	must(t, err)
	used := most - left[0]
	if used != granted.Load() {
		t.Errorf("%d uses are counted, want the %d granted", used, granted.Load())
	}
}

func TestAStepThatNeedsItselfRefusesOlderPrograms(t *testing.T) {
	url := shared.Database(t)
	n := knownSteps(t)
	removing := fmt.Sprintf("-- needs: %d\nALTER TABLE sessions DROP COLUMN note", n+2)
	db := openNode(t, url, Config{Schema: withLaterSteps(t, addingStep(n), removing)})
	must(t, db.Close())
	wantOpenError(t, Config{
		URL: jeton.NewSecret(url),
	}, "newer version", fmt.Sprintf("%04d_later.sql", n+2), fmt.Sprintf("knows %d", n), "run that version")

	wantOpenError(t, Config{URL: jeton.NewSecret(url), Schema: withLaterSteps(t, addingStep(n))}, "newer version")
	wantOpenError(t, Config{
		URL:    jeton.NewSecret(url),
		Schema: withLaterSteps(t, addingStep(n)+"; SELECT 1"),
	}, "another build", fmt.Sprintf("%04d_later.sql", n+1))
	_, err := Migrations(t.Context(), Config{URL: jeton.NewSecret(url), Where: where})
	if err == nil || !strings.Contains(err.Error(), "newer version") || !strings.Contains(err.Error(), where) {
		t.Errorf("Migrations = %v, want a newer version of %s", err, where)
	}
}

func TestAStepThatNeedsItselfWaitsForNoRunningNode(t *testing.T) {
	url := shared.Database(t)
	n := knownSteps(t)
	first := openNode(t, url, Config{heartbeatEvery: time.Millisecond})
	removing := Config{
		URL:     jeton.NewSecret(url),
		Upgrade: true,
		Schema:  withLaterSteps(t, addingStep(n), "ALTER TABLE sessions DROP COLUMN note"),
		BeforeUpgrade: func(context.Context, int) error {
			t.Error("BeforeUpgrade was called beside a running node, want a refusal before it")
			return nil
		},
	}

	step := fmt.Sprintf("%04d_later.sql", n+2)
	wantOpenError(t, removing, "are running (1)", step, "stop all of them", "nothing was changed")
	list, err := Migrations(t.Context(), removing)
	if got := appliedSteps(list); err != nil || got != n {
		t.Errorf("schema after a refusal = %d, %v, want still %d", got, err, n)
	}

	must(t, first.Close())
	removing.BeforeUpgrade = nil
	openNode(t, url, removing)
}

// TestConcurrentMigrationsApplyEachStepOnce starts nodes of a new version at the same time,
// as a deployment does.
func TestConcurrentMigrationsApplyEachStepOnce(t *testing.T) {
	url := shared.Database(t)
	slow := "SELECT pg_sleep(0.2); CREATE TABLE notes (id BIGINT)"
	c := Config{Schema: withLaterSteps(t, slow, "CREATE TABLE more (id BIGINT)")}
	var wg sync.WaitGroup
	for range 6 {
		wg.Go(func() {
			db, err := Open(t.Context(), patient(url, c))
			if err != nil {
				t.Errorf("Open: %v", err)
				return
			}

			_ = db.Close()
		})
	}

	wg.Wait()
	var steps int
	queryRow(t, connect(t, url), &steps, "SELECT count(*) FROM migrations")
	if steps != knownSteps(t)+2 {
		t.Errorf("%d steps are recorded, want %d", steps, knownSteps(t)+2)
	}
}

func TestAStepThatFailsLeavesNothing(t *testing.T) {
	url := shared.Database(t)
	must(t, openNode(t, url, Config{}).Close())
	failing := Config{
		URL:     jeton.NewSecret(url),
		Upgrade: true,
		Schema:  withLaterSteps(t, addingStep(knownSteps(t)), "CREATE TABLE half (id BIGINT); SELECT 1/0"),
	}
	name := fmt.Sprintf("%04d_later.sql", knownSteps(t)+2)
	conn := connect(t, url)

	tables := func() (list string) {
		queryRow(t, conn, &list, tablesSQL)
		return list
	}

	before := tables()
	if _, err := Migrate(
		t.Context(), failing, true,
	); err == nil || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), "division by zero") {
		t.Errorf("a trial of a step that fails = %v, want its name", err)
	}

	after := tables()
	if after != before {
		t.Errorf("tables after a trial = %s, want %s", after, before)
	}

	wantOpenError(t, failing, name, "division by zero")
	list, err := Migrations(t.Context(), failing)
	must(t, err)
	got := appliedMarks(list)
	if !slices.Equal(got[knownSteps(t):], []string{"+", "-"}) {
		t.Errorf("applied steps = %v, want only the one before the fault", got)
	}

	var half bool
	queryRow(t, conn, &half, "SELECT to_regclass('half') IS NOT NULL")
	if half {
		t.Error("half a step was kept, want nothing of it")
	}

	must(t, openNode(t, url, Config{}).Close()) // and the previous version still works
}

// appliedMarks returns + for a step that is applied, - for another.
func appliedMarks(list []Step) (marks []string) {
	for _, s := range list {
		mark := "-"
		if s.Applied {
			mark = "+"
		}
		marks = append(marks, mark)
	}

	return marks
}

func TestATrialNamesTheStepsAndChangesNothing(t *testing.T) {
	url := shared.Database(t)
	c := Config{URL: jeton.NewSecret(url), Schema: withLaterSteps(t, addingStep(knownSteps(t)))}
	all, err := loadSteps(c.Schema)
	must(t, err)
	var names []string
	for _, s := range all {
		names = append(names, s.Name)
	}

	conn := connect(t, url)
	for range 2 {
		got, err := Migrate(t.Context(), c, true)
		must(t, err)
		var tables int
		if queryRow(
			t, conn, &tables, "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace",
		); !slices.Equal(got, names) || tables > 0 {
			t.Errorf("a trial returned %v and left %d tables, want %v and none", got, tables, names)
		}
	}

	got, err := Migrate(t.Context(), c, false)
	must(t, err)
	if !slices.Equal(got, names) {
		t.Errorf("applied %v, want %v", got, names)
	}
	if got, err := Migrate(t.Context(), c, false); err != nil || len(got) > 0 {
		t.Errorf("a second Migrate = %v, %v, want nothing", got, err)
	}

	list, err := Migrations(t.Context(), Config{URL: c.URL})
	must(t, err)
	if len(list) != len(names) || slices.Contains(appliedMarks(list), "-") {
		t.Errorf("Migrations of an older program = %v, want all applied", appliedMarks(list))
	}
}

// TestATrialDoesNotBlockNodes checks that a trial gives up rather than queue for a lock:
// everything behind it would wait, too.
func TestATrialDoesNotBlockNodes(t *testing.T) {
	url := shared.Database(t)
	db := openNode(t, url, Config{})
	u := addUser(t, db, "diane")
	conn := connect(t, url)
	execSQL(t, conn, "BEGIN")

	execSQL(t, conn, "LOCK TABLE sessions IN ACCESS SHARE MODE") // as a long read
	c := Config{URL: jeton.NewSecret(url), Schema: withLaterSteps(t, addingStep(knownSteps(t)))}
	_, err := Migrate(t.Context(), c, true)
	if err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("a trial that waits for a lock = %v, want in use", err)
	}

	startSession(t, db, u, "one")
	// Migrations does not wait for a migration.
	execSQL(t, conn, "SELECT pg_advisory_lock($1)", lockNumber("schema"))
	_, err = Migrations(t.Context(), Config{URL: jeton.NewSecret(url)})
	must(t, err)
}

func TestStepsAreInOrder(t *testing.T) {
	for _, tc := range []struct {
		name  string
		files map[string]string
		says  string // "" for good ones
		needs []int
	}{
		{
			"one after the other",
			map[string]string{
				"0001_a.sql": "SELECT 1",
				"0002_b.sql": "-- needs: 1\nSELECT 1",
				"0003_c.sql": "-- because\nSELECT 1",
			},
			"",
			[]int{1, 1, 3},
		},
		{"one is missing", map[string]string{"0001_a.sql": "", "0003_b.sql": ""}, "out of order", nil},
		{"no number", map[string]string{"first.sql": ""}, "out of order", nil},
		{"two of one number", map[string]string{"0001_a.sql": "", "0001_b.sql": ""}, "out of order", nil},
		{"needs what comes later", map[string]string{"0001_a.sql": "-- needs: 2\n"}, "first line", nil},
		{"needs a word", map[string]string{"0001_a.sql": "-- needs: all\n"}, "first line", nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			files := fstest.MapFS{}
			for name, text := range tc.files {
				files["schema/"+name] = &fstest.MapFile{Data: []byte(text)}
			}

			list, err := loadSteps(files)
			if (err == nil) != (tc.says == "") || err != nil && !strings.Contains(err.Error(), tc.says) {
				t.Fatalf("steps: %v, want %q", err, tc.says)
			}

			var needs []int
			for _, s := range list {
				needs = append(needs, s.Needs)
			}

			if !slices.Equal(needs, tc.needs) {
				t.Errorf("they need %v, want %v", needs, tc.needs)
			}
		})
	}
}
