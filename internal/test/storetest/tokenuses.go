package storetest

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/client"
	"github.com/jeton-auth/jeton/internal/count"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/secret"
	"github.com/jeton-auth/jeton/internal/session"
	"github.com/jeton-auth/jeton/internal/token"
)

// tokenUses has many callers spend the same token, with one and with two budgets.
func tokenUses(t *testing.T, s Store) {
	job := clientAdded(t, s, "job")
	own, route := tokenBudget(t, s), budget(t, s, "GET /three", 2)
	one := minted(t, s, mint(job, "one"))
	two := minted(t, s, mint(job, "two"))
	three := minted(t, s, mint(job, "three"))

	if won := race(t, s, 64, tokenUse(one, own)); won != 3 {
		t.Errorf("%d spends succeeded, want 3", won)
	}
	if won := race(t, s, 64, tokenUse(two, own, route)); won != 2 {
		t.Errorf("%d spends of two budgets succeeded, want 2", won)
	}

	for _, tc := range []struct {
		name string
		r    token.Record
		want []int64
	}{{"spent", one, []int64{0, 2}}, {"spent at the route", two, []int64{1, 0}}, {"unused", three, []int64{3, 2}}} {
		for range 3 { // Left takes no use
			left, err := s.Left(t.Context(), tokenUse(tc.r, own, route))
			must(t, err)
			same(t, "left of the token that is "+tc.name, left, tc.want)
		}
	}

	isToken(t, s, "one") // a token without uses left is still found
}

// endedTokenHasNone spends tokens that were revoked, with and without a count: a new count
// must not begin for a token that is gone.
func endedTokenHasNone(t *testing.T, s Store) {
	job := clientAdded(t, s, "job")
	b, route := tokenBudget(t, s), budget(t, s, "GET /three", 2)
	fresh, used := minted(t, s, mint(job, "fresh")), minted(t, s, mint(job, "used"))
	must(t, errorOf(s.Spend(t.Context(), tokenUse(used, b, route))))

	for _, text := range []string{"fresh", "used"} {
		err := s.EndTokens(t.Context(), token.Which{Hash: secret.HashOf(text)}, nil, event(audit.TokenRevoke, text))
		must(t, err)
	}

	for name, u := range map[string]count.Use{
		"fresh":              tokenUse(fresh, b),
		"fresh, two budgets": tokenUse(fresh, b, route),
		"used":               tokenUse(used, b),
		"used, two budgets":  tokenUse(used, b, route),
		"never there":        {Holder: -used.Number - 100, Budgets: []policy.Budget{b}},
		"not kept":           {Holder: 0, Budgets: []policy.Budget{b}},
	} {
		wants(t, "Spend of "+name, errorOf(s.Spend(t.Context(), u)), jeton.ErrBadCredential)
		wants(t, "Left of "+name, errorOf(s.Left(t.Context(), u)), jeton.ErrBadCredential)
	}
}

// numbersApart makes a few logins and as many tokens, some of them with the same number.
// Each has one use of the same budget.
func numbersApart(t *testing.T, s Store) {
	diane, job := user(t, s, "diane"), clientAdded(t, s, "job")
	b := budget(t, s, "*", 1)
	var logins []session.Record
	var tokens []token.Record
	for i := range 4 {
		logins = append(logins, started(t, s, newLogin(diane, "shop", fmt.Sprint(i), noon)))
		tokens = append(tokens, minted(t, s, mint(job, fmt.Sprint("token ", i))))
	}

	for i := range logins {
		for what, u := range map[string]count.Use{"login": sessionUse(logins[i], b), "token": tokenUse(tokens[i], b)} {
			must(t, errorOf(s.Spend(t.Context(), u)))
			wants(t, "second Spend of a "+what, errorOf(s.Spend(t.Context(), u)), jeton.ErrSpent)
		}
	}

	_, err := s.EndSessions(t.Context(), session.Which{User: "diane"}, event(audit.LogoutAll, "user:diane"))
	must(t, err)

	for _, r := range tokens {
		wants(
			t, "Spend of a token after the logins have ended",
			errorOf(s.Spend(t.Context(), tokenUse(r, b))), jeton.ErrSpent,
		)
	}

	last := started(t, s, newLogin(diane, "shop", "last", noon))
	must(t, s.ChangeClient(t.Context(), "job", client.Change{End: true}, stepOf(audit.ClientEndTokens, "client:job")))
	must(t, errorOf(s.Spend(t.Context(), sessionUse(last, b))))

	for _, r := range tokens {
		wants(t, "Spend of an ended token", errorOf(s.Spend(t.Context(), tokenUse(r, b))), jeton.ErrBadCredential)
	}
}

// tokensNeverAgain is loginsNeverAgain for tokens.
func tokensNeverAgain(t *testing.T, s Store) {
	clientAdded(t, s, "job")
	b := tokenBudget(t, s)
	b.Max = 1
	last := int64(0)

	next := func(how string) {
		t.Helper()
		r := minted(t, s, mint(foundClient(t, s, "job"), "again"))
		if r.Number <= last {
			t.Errorf("after %s: number = %d, want more than %d", how, r.Number, last)
		}

		last = r.Number
		left, err := s.Spend(t.Context(), tokenUse(r, b))
		if err != nil || left[0] != 0 {
			t.Errorf("after %s: Spend of the new token = %v, %v", how, left, err)
		}
	}

	next("nothing")
	must(t, errorOf(s.SweepTokens(t.Context(), noon.Add(24*time.Hour), 10)))
	next("a sweep")
	must(t, (s.EndTokens(t.Context(), token.Which{Accessor: "t_again"}, nil, event(audit.TokenRevoke, ""))))
	next("an end")

	must(t, s.ChangeClient(t.Context(), "job", client.Change{End: true}, stepOf(audit.ClientEndTokens, "client:job")))
	next("the end of all of the client's")
	must(t, s.RemoveClient(t.Context(), "job", stepOf(audit.ClientRemove, "client:job")))
	clientAdded(t, s, "job")
	next("a removed client")
}

// revokedListed reads the list as a guard does, page by page from the last line that it
// has. A line keeps its number when it is revoked again.
func revokedListed(t *testing.T, s Store) {
	job := clientAdded(t, s, "job")
	void := func(text string, until time.Time) {
		t.Helper()
		err := s.EndTokens(t.Context(), token.Which{}, &token.Void{
			Hash:  secret.HashOf(text),
			Until: until,
		}, event(audit.TokenRevoke, text))

		must(t, err)
	}

	list := func(after int64, now time.Time, limit int) (lines []token.Voided) {
		t.Helper()
		lines, err := s.ListVoid(t.Context(), after, now, limit)
		must(t, err)
		return lines
	}
	if lines := list(0, noon, 10); len(lines) != 0 {
		t.Errorf("revocations of an empty store = %v, want none", lines)
	}

	void("a", noon.Add(time.Hour))
	void("short", noon.Add(time.Minute))
	void("b", noon.Add(time.Hour))
	void("a", noon.Add(2*time.Hour)) // keeps its place in the list
	must(t, s.ChangeClient(t.Context(), "job", client.Change{End: true}, stepOf(audit.ClientEndTokens, "client:job")))

	void("c", noon.Add(time.Hour))

	for _, tc := range []struct {
		name  string
		now   time.Time
		limit int
		want  []string
	}{
		{"all of it at once", noon, 10, []string{"a", "short", "b", job.Generation(), "c"}},
		{"line by line", noon, 1, []string{"a", "short", "b", job.Generation(), "c"}},
		{"two by two", noon, 2, []string{"a", "short", "b", job.Generation(), "c"}},
		{"none of it", noon, 0, nil},
		{
			"just before the time of one is over",
			noon.Add(time.Minute - time.Millisecond),
			10,
			[]string{"a", "short", "b", job.Generation(), "c"},
		},
		{"without what is forgotten", noon.Add(time.Minute), 2, []string{"a", "b", job.Generation(), "c"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var got []secret.Hash
			for after := int64(0); ; {
				lines := list(after, tc.now, tc.limit)
				if len(lines) > tc.limit {
					t.Fatalf("%d lines, want at most %d", len(lines), tc.limit)
				}
				if len(lines) == 0 {
					break
				}

				for _, v := range lines {
					if v.Seq <= after {
						t.Fatalf("revocation = %d, want more than %d", v.Seq, after)
					}
					after, got = v.Seq, append(got, v.Hash)
				}
			}

			var want []secret.Hash
			for _, text := range tc.want {
				want = append(want, secret.HashOf(text))
			}

			same(t, "the list", got, want)
		})
	}

	lines := list(0, noon, 10)

	for { // the number of a swept line is not used again
		n, err := s.SweepTokens(t.Context(), noon.Add(48*time.Hour), 2)
		must(t, err)
		if n == 0 {
			break
		}
	}

	void("d", noon.Add(72*time.Hour))
	fresh := list(lines[len(lines)-1].Seq, noon, 10)
	if len(fresh) != 1 || fresh[0].Hash != secret.HashOf("d") {
		t.Errorf("revocations after line %d and a sweep = %v, want d alone", lines[len(lines)-1].Seq, fresh)
	}
}

// tokensSwept checks that what is swept is exactly what has expired: tokens with their
// counts, used assertions, revocations.
func tokensSwept(t *testing.T, s Store) {
	job := clientAdded(t, s, "job")
	b := tokenBudget(t, s)
	var old []token.Record
	for i := range 5 {
		m := mint(job, fmt.Sprint(i))
		m.Window.Closes = noon.Add(time.Duration(i) * time.Second)
		m.Once = assertion(job, fmt.Sprint(i))
		r := minted(t, s, m)
		must(t, errorOf(s.Spend(t.Context(), tokenUse(r, b))))

		old = append(old, r)
	}

	for i, until := range []time.Time{noon, noon.Add(time.Hour), noon.Add(2 * time.Hour)} {
		err := s.EndTokens(t.Context(), token.Which{}, &token.Void{
			Hash:  secret.HashOf(fmt.Sprint("void ", i)),
			Until: until,
		}, event(audit.TokenRevoke, ""))
		must(t, err)
	}

	edge, young := mint(job, "edge"), mint(job, "young")
	edge.Window.Closes, young.Window.Closes = noon.Add(time.Hour), noon.Add(2*time.Hour) // the first ends just then
	minted(t, s, edge)
	minted(t, s, young)
	before := auditLog(t, s)
	for _, tc := range []struct {
		before time.Time
		want   int
	}{
		{noon, 0}, // all expire at that time or later
		{noon.Add(time.Millisecond), 1}, {noon.Add(time.Millisecond), 0},
		{noon.Add(time.Hour), 2}, {noon.Add(time.Hour), 2}, {noon.Add(time.Hour), 1}, {noon.Add(time.Hour), 0},
	} {
		n, err := s.SweepTokens(t.Context(), tc.before, 2)
		must(t, err)
		if n != tc.want {
			t.Errorf("SweepTokens(%v) = %d, want %d", tc.before.Sub(noon), n, tc.want)
		}
	}

	isToken(t, s, "edge", "young")
	noToken(t, s, "0", "1", "2", "3", "4")

	for i, r := range old {
		wants(
			t, "Spend of a token that was swept away", errorOf(s.Spend(t.Context(), tokenUse(r, b))),
			jeton.ErrBadCredential,
		)

		must(t, s.UseOnce(t.Context(), assertion(job, fmt.Sprint(i)))) // long after the assertion expired
	}

	checkRevoked(t, s, "void 0", "", false)
	checkRevoked(t, s, "void 1", "", true)
	checkRevoked(t, s, "void 2", "", true)
	same(t, "the audit log", auditLog(t, s), before)
}

// mintAgainstChange mints tokens of one generation while the generation ends.
func mintAgainstChange(t *testing.T, s Store) {
	yes := true
	step := stepOf(audit.ClientChange, "")
	for name, change := range map[string]func(name string) error{
		"disabled": func(name string) error {
			return s.ChangeClient(t.Context(), name, client.Change{
				Disabled: &yes,
			}, step)
		},
		"ended": func(name string) error {
			return s.ChangeClient(t.Context(), name, client.Change{
				End: true,
			}, step)
		},
		"removed": func(name string) error { return s.RemoveClient(t.Context(), name, step) },
	} {
		for round := range 10 {
			c := clientAdded(t, s, fmt.Sprint(name, round))
			var wg sync.WaitGroup
			for i := range 6 {
				wg.Go(func() {
					err := s.MintToken(t.Context(), mint(c, fmt.Sprint(c.Name, i)))
					if err != nil && !errors.Is(err, jeton.ErrBadCredential) {
						t.Errorf("MintToken: %v", err)
					}
				})

				if i == round%6 {
					wg.Go(func() {
						if err := change(c.Name); err != nil {
							t.Errorf("change: %v", err)
						}
					})
				}
			}

			wg.Wait()

			for i := range 6 {
				noToken(t, s, fmt.Sprint(c.Name, i))
			}

			checkRevoked(t, s, "jti", c.Generation(), true)
		}
	}
}

// tokenEndAgainstUse is endAgainstUse for tokens.
func tokenEndAgainstUse(t *testing.T, s Store) {
	job := clientAdded(t, s, "job")
	b := tokenBudget(t, s)
	b.Max = 1 << 40

	for round := range 15 {
		r := minted(t, s, mint(job, fmt.Sprint(round)))
		var ended, refused atomic.Bool
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				for !refused.Load() && !t.Failed() {
					late := ended.Load()
					switch _, err := s.Spend(t.Context(), tokenUse(r, b)); {
					case err == nil && late:
						t.Error("a use was granted after the end had returned")
					case errors.Is(err, jeton.ErrBadCredential):
						refused.Store(true)
					case err != nil:
						t.Errorf("Spend: %v", err)
					}
				}
			})
		}

		err := s.EndTokens(t.Context(), token.Which{Hash: r.Hash}, nil, event(audit.TokenRevoke, r.Accessor))
		ended.Store(true)
		wg.Wait()
		must(t, err)
	}
}
