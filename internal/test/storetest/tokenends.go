package storetest

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/client"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/secret"
	"github.com/jeton-auth/jeton/internal/token"
)

// checkRevoked checks whether FindSigned reports a jti and a generation as revoked.
func checkRevoked(t *testing.T, s Store, jti, generation string, want bool) {
	t.Helper()
	_, void, err := s.FindSigned(t.Context(), secret.HashOf(jti), secret.HashOf(generation))
	if err != nil || void != want {
		t.Errorf("FindSigned(%s, %s) = void %t, %v, want %t", jti, generation, void, err, want)
	}
}

// ownerEndsTokens does to clients whatever ends their tokens. Stored tokens are gone;
// signed ones are not stored, so their generation is on the revocation list. The new
// generation must not be.
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
			// A client of a similar name keeps its tokens.
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

// signedRevoked revokes signed tokens that are stored, because they are counted, and others
// that are not.
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
	// FindSigned takes two hashes and does not know which is which: a generation on the
	// list revokes every token that carries it.
	checkRevoked(t, s, "another", "a generation", true)
	checkRevoked(t, s, "another", "another generation", false)
	isToken(t, s, "kept")
}

// tokensEnd checks every way to choose tokens, twice each.
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
				same(t, "published tokens", published.tokens(), tokenHashes(want...))
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

// tokenEndsArePublished is userChangesArePublished for tokens. The hash of a generation is
// published, too, for signed tokens in caches.
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
