package storetest

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
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
	"github.com/jeton-auth/jeton/internal/token"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// Tokens checks how tokens and the assertions that they are issued for are kept.
func Tokens(t *testing.T, open Open) {
	each(t, open, []test{
		{"a token is found as it was kept, by its hash alone", tokenIsFound},
		{"a token that is not kept leaves its event and its assertion", tokenNotKept},
		{"only an enabled owner of the current version gets a token", tokenOnlyProved},
		{"a token that is not minted writes nothing", tokenLeavesNothing},
		{"an assertion is used once, whatever for", assertionOnce},
		{"one assertion, a hundred callers", assertionRace},
		{"of concurrent tokens for one assertion, one is minted", assertionMintRace},
		{"an assertion is identified by its client and its jti", assertionOfClient},
		{"a change of the owner that ends tokens deletes those that are kept", ownerEndsTokens},
		{"a signed token is revoked by its jti or its generation", signedRevoked},
		{"ending deletes the selected tokens, keeps revocations, and adds an event", tokensEnd},
		{"every end is published before it returns, and when its caller cancels", tokenEndsArePublished},
		{"lists are newest first and respect the limit", tokensListed},
	})
}

// TokenUses checks that uses of tokens are counted exactly, and what is deleted when.
func TokenUses(t *testing.T, open Open) {
	each(t, open, []test{
		{"three uses of a token, sixty-four callers", tokenUses},
		{"an ended token has no uses, spent or not", endedTokenHasNone},
		{"tokens and logins with one number have separate counts", numbersApart},
		{"token numbers are never used again", tokensNeverAgain},
		{"revocations are listed in order, page by page", revokedListed},
		{"a sweep deletes expired tokens with their counts, up to a limit", tokensSwept},
		{"no token outlives the change of its owner", mintAgainstChange},
		{"after an end has returned, no use of the token is granted", tokenEndAgainstUse},
	})
}

// mint returns an opaque token of an hour and three uses for the client, for MintToken.
func mint(c client.Client, text string) token.Mint {
	return token.Mint{
		Record: token.Record{
			Accessor: "t_" + text,
			Hash:     secret.HashOf(text),
			Format:   policy.Opaque,
			Kind:     token.Access,
			Owner:    token.ClientOwner(c),
			Audience: []string{"bank", "shop"},
			Scopes:   []string{"read", "write"},
			MaxUses:  3,
			Window:   policy.Window{Opens: noon.Add(time.Second), Closes: noon.Add(time.Hour)},
			Created:  noon,
			Source:   source,
		},
		Keep:  true,
		Event: event(audit.TokenIssue, "token:t_"+text),
	}
}

// minted mints a token and returns it as it was stored.
func minted(t *testing.T, s Store, m token.Mint) token.Record {
	t.Helper()
	must(t, s.MintToken(t.Context(), m))
	r, err := s.FindToken(t.Context(), m.Hash)
	must(t, err)

	if r.Number == 0 {
		t.Fatal("FindToken = number 0, want a number")
	}

	return r
}

// kept compares a found token with the minted one, without the parts of the owner that are not stored.
func kept(t *testing.T, what string, got, want token.Record) {
	t.Helper()
	want.Number = got.Number

	diff := cmp.Diff(
		want,
		got,
		cmpopts.IgnoreFields(token.Owner{}, "Generation", "Groups"),
		cmpopts.EquateEmpty(),
		cmpopts.EquateComparable(netip.Prefix{}),
	)
	if diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func assertion(c client.Client, jti string) token.Once {
	return token.Once{Issuer: c.Name, JTI: secret.HashOf(jti), Expires: noon.Add(time.Minute)}
}

func tokenUse(r token.Record, budgets ...policy.Budget) count.Use {
	return count.Use{Holder: -r.Number, Budgets: budgets}
}

// noToken checks that tokens are not found by their texts.
func noToken(t *testing.T, s Store, texts ...string) {
	t.Helper()
	for _, text := range texts {
		_, err := s.FindToken(t.Context(), secret.HashOf(text))
		wants(t, "FindToken("+text+")", err, jeton.ErrNotFound)
	}
}

// isToken checks that tokens are found by their texts.
func isToken(t *testing.T, s Store, texts ...string) {
	t.Helper()
	for _, text := range texts {
		_, err := s.FindToken(t.Context(), secret.HashOf(text))
		wants(t, "FindToken("+text+")", err, nil)
	}
}

// checkRevoked checks whether FindSigned reports a jti and a generation as revoked.
func checkRevoked(t *testing.T, s Store, jti, generation string, want bool) {
	t.Helper()
	_, void, err := s.FindSigned(t.Context(), secret.HashOf(jti), secret.HashOf(generation))
	if err != nil || void != want {
		t.Errorf("FindSigned(%s, %s) = void %t, %v, want %t", jti, generation, void, err, want)
	}
}

func tokenHashes(list ...string) []secret.Hash {
	var out []secret.Hash
	for _, text := range list {
		out = append(out, secret.HashOf(text))
	}
	return sorted(out)
}

func tokenIsFound(t *testing.T, s Store) {
	job := clientAdded(t, s, "job")
	in := mint(job, "one")
	in.Created = noon.Add(123 * time.Millisecond)
	kept(t, "FindToken", minted(t, s, in), in.Record)

	bare := mint(job, "bare")
	bare.Scopes = nil

	bare.Audience = []string{"shop"}
	bare.MaxUses = policy.Unlimited
	bare.Format = policy.JWT
	bare.Source = ""
	kept(t, "FindToken of one with little", minted(t, s, bare), bare.Record)

	noToken(t, s, "t_one", "ONE", "never made", "")
	same(t, "the audit log", auditLog(t, s), []string{
		"client.add client:job",
		"token.issue token:t_one",
		"token.issue token:t_bare",
	})
}

func tokenNotKept(t *testing.T, s Store) {
	job := clientAdded(t, s, "job")
	m := mint(job, "signed")
	m.Keep, m.Once = false, assertion(job, "jti")
	m.Event.Request, m.Event.Checks = "r_1", []jeton.Check{{Name: "signature", Result: "pass"}}
	must(t, s.MintToken(t.Context(), m))

	noToken(t, s, "signed")
	number, void, err := s.FindSigned(t.Context(), m.Hash, secret.HashOf(job.Generation()))
	if number != 0 || void || err != nil {
		t.Errorf("FindSigned = %d, void %t, %v, want neither", number, void, err)
	}

	wants(t, "UseOnce of its assertion", s.UseOnce(t.Context(), m.Once), token.ErrUsed)
	events, err := s.Events(t.Context(), audit.Filter{Request: "r_1"})
	must(t, err)

	if len(events) != 1 {
		t.Fatalf("%d events of the request, want 1", len(events))
	}

	m.Event.Seq = events[0].Seq
	same(t, "the event", events[0], m.Event)
}

func tokenOnlyProved(t *testing.T, s Store) {
	job, off := clientAdded(t, s, "job"), clientAdded(t, s, "off")
	yes := true
	must(t, s.ChangeClient(t.Context(), "off", client.Change{Disabled: &yes}, stepOf(audit.ClientChange, "client:off")))
	off = foundClient(t, s, "off")
	before := auditLog(t, s)

	as := func(id, version int64) client.Client { return client.Client{ID: id, Name: "job", Version: version} }
	for _, tc := range []struct {
		name string
		as   client.Client
	}{
		{"an older version", as(job.ID, job.Version-1)},
		{"a newer version", as(job.ID, job.Version+1)},
		{"an unknown client", as(job.ID+off.ID+1, 1)},
		{"no client", client.Client{}},
		{"a disabled client", off},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for _, keep := range []bool{true, false} {
				m := mint(tc.as, "one")
				m.Keep, m.Once = keep, token.Once{
					Issuer:  job.Name,
					JTI:     secret.HashOf(tc.name),
					Expires: noon.Add(time.Minute),
				}

				err := s.MintToken(t.Context(), m)
				wants(t, "MintToken", err, jeton.ErrBadCredential)

				if errors.Is(err, token.ErrUsed) {
					t.Error("MintToken = token.ErrUsed, want another error")
				}
			}

			noToken(t, s, "one")
			same(t, "the audit log", auditLog(t, s), before)
			must(t, s.UseOnce(t.Context(), assertion(job, tc.name)))
		})
	}

	t.Run("an owner of an unknown kind", func(t *testing.T) {
		m := mint(job, "one")
		m.Owner.Kind = ""
		err := s.MintToken(t.Context(), m)
		wants(t, "MintToken", err, jeton.ErrBadCredential)
	})
}

func tokenLeavesNothing(t *testing.T, s Store) {
	job := clientAdded(t, s, "job")
	first := mint(job, "one")
	first.Once = assertion(job, "used")
	minted(t, s, first)
	before := auditLog(t, s)

	t.Run("whose assertion has been used", func(t *testing.T) {
		m := mint(job, "two")
		m.Once = assertion(job, "used")
		err := s.MintToken(t.Context(), m)
		wants(t, "MintToken", err, token.ErrUsed)
		wants(t, "MintToken", err, jeton.ErrBadCredential)

		noToken(t, s, "two")
	})

	for name, change := range map[string]func(*token.Mint){
		"whose accessor is taken": func(m *token.Mint) { m.Accessor = first.Accessor },
		"whose hash is taken":     func(m *token.Mint) { m.Hash = first.Hash },
	} {
		t.Run(name, func(t *testing.T) {
			m := mint(job, "three")
			m.Once = assertion(job, name)
			change(&m)

			if err := s.MintToken(t.Context(), m); err == nil {
				t.Error("MintToken = nil, want an error")
			}

			noToken(t, s, "three")
			must(t, s.UseOnce(t.Context(), m.Once)) // the failed call did not use it
		})
	}

	same(t, "the audit log", auditLog(t, s), before)
	isToken(t, s, "one")
}

func assertionOnce(t *testing.T, s Store) {
	job := clientAdded(t, s, "job")
	o := assertion(job, "jti")
	must(t, s.UseOnce(t.Context(), o))
	o.Expires = noon.Add(24 * time.Hour) // another time is not another assertion
	wants(t, "UseOnce again", s.UseOnce(t.Context(), o), token.ErrUsed)

	m := mint(job, "one")
	m.Once = o
	err := s.MintToken(t.Context(), m)
	wants(t, "MintToken with it", err, token.ErrUsed)
	must(t, s.UseOnce(t.Context(), assertion(job, "JTI")))

	must(t, s.UseOnce(t.Context(), assertion(job, "jti ")))
}

// onlyOne has a hundred callers do the same, of which one may succeed.
func onlyOne(t *testing.T, do func(i int) error) {
	t.Helper()
	var won atomic.Int64
	var wg sync.WaitGroup
	for i := range 100 {
		wg.Go(func() {
			if err := do(i); err == nil {
				won.Add(1)
			} else if !errors.Is(err, token.ErrUsed) {
				t.Errorf("%v, want ErrUsed", err)
			}
		})
	}

	if wg.Wait(); won.Load() != 1 {
		t.Errorf("%d calls succeeded, want 1", won.Load())
	}
}

func assertionRace(t *testing.T, s Store) {
	job := clientAdded(t, s, "job")
	for round := range 5 {
		onlyOne(t, func(int) error { return s.UseOnce(t.Context(), assertion(job, fmt.Sprint(round))) })
	}
}

func assertionMintRace(t *testing.T, s Store) {
	job := clientAdded(t, s, "job")
	for round := range 5 {
		onlyOne(t, func(i int) error {
			m := mint(job, fmt.Sprint(round, " ", i))
			m.Once, m.Keep = assertion(job, fmt.Sprint(round)), i%2 == 0

			if i%10 == 9 {
				return s.UseOnce(t.Context(), m.Once)
			}

			return s.MintToken(t.Context(), m)
		})

		list, err := s.ListTokens(t.Context(), token.Which{Client: "job"}, 1000)
		must(t, err)

		if len(list) > round+1 {
			t.Errorf("%[2]d tokens after %[1]d assertions, want as many", round+1, len(list))
		}
	}
}

func assertionOfClient(t *testing.T, s Store) {
	one, two := clientAdded(t, s, "one"), clientAdded(t, s, "two")
	must(t, s.UseOnce(t.Context(), assertion(one, "jti")))
	must(t, s.UseOnce(t.Context(), assertion(two, "jti")))

	for _, c := range []client.Client{one, two} {
		wants(t, "UseOnce again by "+c.Name, s.UseOnce(t.Context(), assertion(c, "jti")), token.ErrUsed)
	}

	must(t, s.RemoveClient(t.Context(), "two", stepOf(audit.ClientRemove, "client:two")))
	wants(t, "UseOnce of the other", s.UseOnce(t.Context(), assertion(one, "jti")), token.ErrUsed)
	yes, no := true, false
	for _, disabled := range []*bool{&yes, &no} {
		must(t, s.ChangeClient(t.Context(), "one", client.Change{
			Disabled: disabled,
		}, stepOf(audit.ClientChange, "client:one")))
	}

	wants(t, "UseOnce after disabling and enabling", s.UseOnce(t.Context(), assertion(one, "jti")), token.ErrUsed)
}

func ownerEndsTokens(t *testing.T, s Store) {
	yes, no := true, false
	b := tokenBudget(t, s)
	step := stepOf(audit.ClientChange, "")
	for _, tc := range []struct {
		name string
		do   func(name string) error
	}{
		{
			"disabled",
			func(name string) error { return s.ChangeClient(t.Context(), name, client.Change{Disabled: &yes}, step) },
		},
		{"disabled-and-enabled", func(name string) error {
			return errors.Join(s.ChangeClient(t.Context(), name, client.Change{
				Disabled: &yes,
			}, step), s.ChangeClient(t.Context(), name, client.Change{Disabled: &no}, step))
		}},
		{"ended", func(name string) error { return s.ChangeClient(t.Context(), name, client.Change{End: true}, step) }},
		{"retired", func(name string) error { return s.RetireClientKey(t.Context(), name, "k", true, step) }},
		{"removed", func(name string) error { return s.RemoveClient(t.Context(), name, step) }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, other := clientAdded(t, s, tc.name, "k"), clientAdded(t, s, "not-"+tc.name)
			r, ofOther := minted(t, s, mint(c, tc.name)), minted(t, s, mint(other, "not "+tc.name))
			checkRevoked(t, s, "jti", c.Generation(), false)
			must(t, tc.do(tc.name))
			noToken(t, s, tc.name)

			checkRevoked(t, s, "jti", c.Generation(), true)

			for what, err := range map[string]error{
				"Spend": errorOf(s.Spend(
					t.Context(),
					tokenUse(r, b),
				)), "Left": errorOf(s.Left(t.Context(), tokenUse(r, b))),
			} {
				wants(t, what, err, jeton.ErrBadCredential)
			}

			if list, err := s.ListTokens(t.Context(), token.Which{
				Accessor: r.Accessor,
			}, 9); err != nil || len(list) != 0 {
				t.Errorf("ListTokens = %v, %v, want none", list, err)
			}

			isToken(t, s, "not "+tc.name)
			checkRevoked(t, s, "jti", other.Generation(), false)
			must(t, errorOf(s.Spend(t.Context(), tokenUse(ofOther, b))))

			if now, err := s.FindClient(t.Context(), tc.name); err == nil {
				checkRevoked(t, s, "jti", now.Generation(), false)
			}
		})
	}

	t.Run("a change that ends nothing", func(t *testing.T) {
		c := clientAdded(t, s, "calm", "k")
		minted(t, s, mint(c, "calm"))
		none := []string{}
		must(t, s.ChangeClient(t.Context(), "calm", client.Change{Services: &none, Secret: &client.SetSecret{}}, step))
		must(t, s.RetireClientKey(t.Context(), "calm", "k", false, step))

		isToken(t, s, "calm")
		checkRevoked(t, s, "jti", c.Generation(), false)
	})
}

func errorOf[T any](_ T, err error) error { return err }

func tokenBudget(t *testing.T, s Store) policy.Budget {
	t.Helper()
	id, err := s.BudgetID(t.Context(), "", "token")
	must(t, err)
	return policy.Budget{ID: id, Name: "token", Max: 3}
}

func signedRevoked(t *testing.T, s Store) {
	job := clientAdded(t, s, "job")
	m := mint(job, "kept")
	m.Format = policy.JWT
	r := minted(t, s, m)
	number, void, err := s.FindSigned(t.Context(), r.Hash, secret.HashOf(job.Generation()))
	if number != r.Number || void || err != nil {
		t.Errorf("FindSigned of a kept one = %d, void %t, %v, want %d", number, void, err, r.Number)
	}

	end := func(text string) {
		t.Helper()
		err := s.EndTokens(t.Context(), token.Which{}, &token.Void{
			Hash:  secret.HashOf(text),
			Until: noon.Add(time.Hour),
		}, event(audit.TokenRevoke, text))

		must(t, err)
	}

	checkRevoked(t, s, "not kept", job.Generation(), false)
	end("not kept")
	checkRevoked(t, s, "not kept", job.Generation(), true)
	checkRevoked(t, s, "kept", job.Generation(), false)
	checkRevoked(t, s, "another", job.Generation(), false)

	end("a generation")
	checkRevoked(t, s, "another", "a generation", true)
	checkRevoked(t, s, "another", "another generation", false)
	isToken(t, s, "kept")
}

func tokensEnd(t *testing.T, s Store) {
	b := tokenBudget(t, s)
	job, other := clientAdded(t, s, "job"), clientAdded(t, s, "other")
	all := []string{"a", "b", "c", "o"}
	for _, tc := range []struct {
		name  string
		which token.Which
		void  string
		ended []string
	}{
		{"a hash", token.Which{Hash: secret.HashOf("a")}, "", []string{"a"}},
		{"a hash that nothing has", token.Which{Hash: secret.HashOf("x")}, "", nil},
		{"an accessor", token.Which{Accessor: "t_b"}, "", []string{"b"}},
		{"an accessor that nothing has", token.Which{Accessor: "t_x"}, "", nil},
		{"the accessor's secret in place of it", token.Which{Accessor: "b"}, "", nil},
		{"a client", token.Which{Client: "job"}, "", []string{"a", "b", "c"}},
		{"a client that is not there", token.Which{Client: "absent"}, "", nil},
		{"a name that differs in case", token.Which{Client: "Job"}, "", nil},
		{"a token and what becomes void", token.Which{Hash: secret.HashOf("o")}, "void 1", []string{"o"}},
		{"nothing and what becomes void", token.Which{Accessor: "t_x"}, "void 2", nil},
		{"nothing at all", token.Which{}, "", nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			numbers := map[string]token.Record{}
			for _, text := range all {
				c := job
				if text == "o" {
					c = other
				}
				numbers[text] = minted(t, s, mint(c, text))
			}

			before := auditLog(t, s)
			want := tc.ended
			var void *token.Void
			if tc.void != "" {
				void, want = &token.Void{
					Hash:  secret.HashOf(tc.void),
					Until: noon.Add(time.Hour),
				}, append(slices.Clone(want), tc.void)
			}

			published := subscribe(s)
			for range 2 { // ending twice is not an error and changes nothing
				must(t, s.EndTokens(t.Context(), tc.which, void, event(audit.TokenRevoke, "some")))
				same(t, "tokens ended or made void", published.tokens(), tokenHashes(want...))
				want = nil
			}

			for _, text := range all {
				r := numbers[text]
				if slices.Contains(tc.ended, text) {
					noToken(t, s, text)
					wants(t, "Spend", errorOf(s.Spend(t.Context(), tokenUse(r, b))), jeton.ErrBadCredential)
				} else {
					isToken(t, s, text)
				}
			}

			if tc.void != "" {
				checkRevoked(t, s, tc.void, "", true)
			}
			if len(tc.ended) > 0 || void != nil {
				before = append(before, "token.revoke some")
			}

			same(t, "the audit log", auditLog(t, s), before)

			for _, text := range all { // with the remaining tokens
				err := s.EndTokens(t.Context(), token.Which{
					Accessor: "t_" + text,
				}, nil, event(audit.TokenRevoke, "rest"))
				must(t, err)
			}
		})
	}
}

func tokenEndsArePublished(t *testing.T, s Store) {
	published := subscribe(s)

	step := stepOf(audit.ClientChange, "client:job")

	check := func(what string, want []secret.Hash) {
		t.Helper()
		got := published.tokens()
		if !slices.Equal(got, want) {
			t.Errorf("published for %s: %x, want %x", what, got, want)
		}
	}

	job := clientAdded(t, s, "job", "k")
	minted(t, s, mint(job, "one"))
	minted(t, s, mint(job, "two"))
	check("new tokens", tokenHashes())
	err := s.EndTokens(t.Context(), token.Which{Accessor: "t_one"}, nil, event(audit.TokenRevoke, ""))
	must(t, err)

	check("an end", tokenHashes("one"))
	err = s.EndTokens(t.Context(), token.Which{
		Accessor: "t_x",
	}, &token.Void{Hash: secret.HashOf("jti"), Until: noon}, event(audit.TokenRevoke, ""))

	must(t, err)
	check("a revocation", tokenHashes("jti"))
	must(t, s.ChangeClient(t.Context(), "job", client.Change{End: true}, step))

	check("the end of a client's tokens", tokenHashes("two", job.Generation()))
	err = s.EndTokens(t.Context(), token.Which{Client: "absent"}, nil, event(audit.TokenRevoke, ""))
	must(t, err)

	check("an end of nothing", tokenHashes())
	now := foundClient(t, s, "job")
	minted(t, s, mint(now, "three"))

	must(t, s.RetireClientKey(t.Context(), "job", "k", true, step))
	check("a retired key with its tokens", tokenHashes("three", now.Generation()))

	now = foundClient(t, s, "job")
	minted(t, s, mint(now, "four"))
	declared := declaredProgram(t, "job")
	declared.Disabled = true

	declareClients(t, s, declared)

	check("a declaration that disables", tokenHashes("four", now.Generation()))

	again := clientAdded(t, s, "again")
	minted(t, s, mint(again, "five"))
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()

	err = s.EndTokens(cancelled, token.Which{Accessor: "t_five"}, nil, event(audit.TokenRevoke, ""))
	wants(t, "EndTokens for a caller that has cancelled", err, jeton.ErrUnavailable)
	must(t, s.Append(t.Context(), []jeton.Event{event("after", "")})) // the store has done all earlier steps

	if _, err := s.FindToken(t.Context(), secret.HashOf("five")); errors.Is(err, jeton.ErrNotFound) {
		check("an end whose caller cancelled", tokenHashes("five"))
	} else {
		check("an end that did not happen", tokenHashes())
	}
}

func tokensListed(t *testing.T, s Store) {
	job, other := clientAdded(t, s, "job"), clientAdded(t, s, "other")
	late := mint(job, "1") // the clock jumped back after this
	late.Created = noon.Add(time.Hour)
	minted(t, s, late)
	minted(t, s, mint(other, "2"))

	minted(t, s, mint(job, "3"))
	last := minted(t, s, mint(job, "4"))

	for _, tc := range []struct {
		name  string
		which token.Which
		limit int
		want  []string
	}{
		{"all", token.Which{}, 10, []string{"t_4", "t_3", "t_2", "t_1"}},
		{"the newest two", token.Which{}, 2, []string{"t_4", "t_3"}},
		{"none", token.Which{}, 0, []string{}},
		{"a client's", token.Which{Client: "job"}, 2, []string{"t_4", "t_3"}},
		{"the other client's", token.Which{Client: "other"}, 9, []string{"t_2"}},
		{"an unknown client's", token.Which{Client: "absent"}, 9, []string{}},
		{"one by its accessor", token.Which{Accessor: "t_2"}, 9, []string{"t_2"}},
		{"one by its hash", token.Which{Hash: secret.HashOf("3")}, 9, []string{"t_3"}},
		{"one that is not there", token.Which{Accessor: "2"}, 9, []string{}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			list, err := s.ListTokens(t.Context(), tc.which, tc.limit)
			must(t, err)
			got := []string{}
			for _, r := range list {
				got = append(got, r.Accessor)
			}

			same(t, "list", got, tc.want)
		})
	}

	list, err := s.ListTokens(t.Context(), token.Which{Accessor: "t_4"}, 1)
	must(t, err)

	if len(list) != 1 {
		t.Fatalf("%d tokens, want 1", len(list))
	}

	kept(t, "the token that is listed", list[0], last)
}
