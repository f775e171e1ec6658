package server_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/jeton-auth/jeton/internal/config"
	"github.com/jeton-auth/jeton/internal/server"
)

// declaredHash is a hash of no password, with the letter c in it.
func declaredHash(c rune) string {
	return "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0c2FsdA$" + strings.Repeat(string(c), 42) + "A"
}

// generated is a file with users and clients, made from a list of their variants: -1 is left out.
type generated struct{ users, clients []int }

// yaml returns the file. Two variants of an object differ in one key at least.
func (g generated) yaml() string {
	var b strings.Builder
	b.WriteString("users:\n")
	for i, v := range g.users {
		if v < 0 {
			continue
		}
		fmt.Fprintf(&b, "  - name: user%d\n    password_hash: %s\n", i, declaredHash([]rune("AB")[v%2]))
		fmt.Fprintf(&b, "    groups: [%s]\n", []string{"ops", "ops, staff"}[v/2%2])
		fmt.Fprintf(&b, "    disabled: %t\n", v/4%2 == 1)
		fmt.Fprintf(&b, "    first_name: %s\n", []string{"Ada", "'a: \"b\" #'"}[v/8%2])
		fmt.Fprintf(&b, "    email: u%d.%d@example.org\n", i, v)
	}

	b.WriteString("clients:\n")
	for i, v := range g.clients {
		if v < 0 {
			continue
		}
		fmt.Fprintf(&b, "  - name: client%d\n    secret_hash: '%064x'\n", i, v)
		fmt.Fprintf(&b, "    services: [shop]\n    scopes: [%s]\n", []string{"read", "read, write"}[v/2%2])
		fmt.Fprintf(&b, "    disabled: %t\n", v/4%2 == 1)
		if v/8%2 == 1 {
			fmt.Fprintf(&b, "    openid:\n      redirect_uris: ['https://app%d.example.org/cb']\n", i)
			b.WriteString("      require_pkce: false\n      allow: {groups: [ops]}\n")
			fmt.Fprintf(&b, "      refresh_lifetime: %dm\n", v+1)
		}
	}

	return b.String()
}

// protected is the rest of such a file.
const protected = `services: [{name: shop, listen: 'localhost:0', tokens: {}, accept: [token]}]
issuer: {url: 'https://localhost:8443', listen: 'localhost:0'}
`

// load reads a file that a test has made.
func load(t *testing.T, dir, text string) server.Config {
	t.Helper()
	path := filepath.Join(t.TempDir(), "jeton.yaml")
	if err := os.WriteFile(path, []byte(text+protected), 0o600); err != nil {
		t.Fatal(err)
	}

	conf, err := config.Load(path, func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}

	return server.Config{File: conf, DataDir: dir, Create: true}
}

// mustPlan returns the differences of a file.
func mustPlan(t *testing.T, c server.Config) server.Plan {
	t.Helper()
	plan, err := server.PlanConfig(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}

	return plan
}

// variants returns random variants of n objects, and how many differ from those before.
func variants(random *rand.Rand, n int, before []int) (list []int, differ int) {
	for i := range n {
		v := random.IntN(17) - 1
		list = append(list, v)

		old := -1
		if i < len(before) {
			old = before[i]
		}
		if v != old {
			differ++
		}
	}

	return list, differ
}

func TestAPlanAfterAThousandAppliedDifferencesIsEmpty(t *testing.T) {
	const seed, users, clients = 18, 600, 550
	random := rand.New(rand.NewPCG(seed, seed))

	var first, second generated
	first.users, _ = variants(random, users, nil)
	first.clients, _ = variants(random, clients, nil)
	changedUsers, changedClients := 0, 0
	second.users, changedUsers = variants(random, users, first.users)
	second.clients, changedClients = variants(random, clients, first.clients)

	o := newOlder(t, "", previous(t, "sqlite"))
	if _, err := server.Migrate(t.Context(), o.conf, false); err != nil {
		t.Fatal(err)
	}

	before := load(t, o.conf.DataDir, first.yaml())
	if _, err := server.ApplyConfig(t.Context(), before); err != nil {
		t.Fatal(err)
	}

	after := load(t, o.conf.DataDir, second.yaml())
	plan := mustPlan(t, after)
	if len(plan.Changes) != changedUsers+changedClients || len(plan.Changes) < 1000 {
		t.Fatalf("%d changes, want %d users and %d clients: 1,000 and more",
			len(plan.Changes), changedUsers, changedClients)
	}
	if !slices.Equal(plan.Users, []string{"diane"}) || len(plan.Clients) > 0 {
		t.Errorf("undeclared = %v, %v, want diane alone", plan.Users, plan.Clients)
	}

	applied, err := server.ApplyConfig(t.Context(), after)
	if err != nil || len(applied.Changes) != len(plan.Changes) {
		t.Fatalf("ApplyConfig = %d changes, %v, want the %d planned", len(applied.Changes), err, len(plan.Changes))
	}
	if left := mustPlan(t, after); len(left.Changes) > 0 {
		t.Errorf("plan after apply = %d changes, the first %+v, want none", len(left.Changes), left.Changes[0])
	}

	adoptAll(t, o, after)
}

// adoptAll makes everything undeclared, as if by commands, and expects that what Adopt writes declares it as it was.
func adoptAll(t *testing.T, o *older, declared server.Config) {
	t.Helper()
	o.write(t, "UPDATE users SET declared = FALSE")
	o.write(t, "UPDATE clients SET declared = FALSE")
	o.write(t, "UPDATE users SET password = '' WHERE name = 'user1'")

	found, err := server.Adopt(t.Context(), declared, func(string, string) bool { return true })
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"user diane: has no password; a declared user has one"}
	if got := found.Skipped; len(got) < 1 || got[0] != want[0] {
		t.Errorf("skipped = %v, want %v at first", got, want)
	}

	plan := mustPlan(t, load(t, o.conf.DataDir, string(found.YAML)))
	if len(plan.Changes) < 1000 || len(plan.Clients) > 0 {
		t.Errorf("%d changes and undeclared clients %v, want 1,000 and more, and none",
			len(plan.Changes), plan.Clients)
	}
	for _, c := range plan.Changes {
		if c.Action != "adopt" || len(c.Fields) > 0 {
			t.Fatalf("plan of the adopted file has %+v, want nothing but adoptions without a change", c)
		}
	}
}
