package storetest

import (
	"errors"
	"net/netip"
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
		{"which token was revoked, by whom and when, is known as long as the audit log", endedTokenKnown},
		{"what is kept of a token is dropped with the event of its end", endedTokenDropped},
		{"every end is published before it returns, and when its caller cancels", tokenEndsArePublished},
		{"lists are newest first and respect the limit", tokensListed},
		{"the last use of a token moves forward only", tokenTouchForward},
		{"a signed token is stored with what is exchanged for it, and they end together", exchangesAreKept},
		{"no exchanged token outlives the revocation of the signed one", exchangeAgainstRevocation},
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
		want, got, cmpopts.IgnoreFields(token.Owner{}, "Generation", "Groups"), cmpopts.EquateEmpty(),
		cmpopts.EquateComparable(netip.Prefix{}),
	)
	if diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// tokenUse asks for one use of each budget by a token, whose number is negative as a
// holder.
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

// tokenHashes is hashes, nil for none: what a feed returns.
func tokenHashes(list ...string) []secret.Hash {
	var out []secret.Hash
	for _, text := range list {
		out = append(out, secret.HashOf(text))
	}
	return sorted(out)
}

// tokenIsFound compares a token with all fields and one with few.
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

// tokenNotKept mints a signed token that is not counted: nothing of it is stored but its
// event and its assertion.
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

// tokenOnlyProved mints for a client that has changed since it proved itself. The assertion
// stays unused, so that the client can try again.
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
			// The refused mints did not use the assertion.
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

// tokenLeavesNothing lets a mint fail at each of its parts; the others must be undone.
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

// errorOf drops the value of a call.
func errorOf[T any](_ T, err error) error { return err }

// tokenBudget returns the budget of whole tokens, of three uses.
func tokenBudget(t *testing.T, s Store) policy.Budget {
	t.Helper()
	id, err := s.BudgetID(t.Context(), "", "token")
	must(t, err)
	return policy.Budget{ID: id, Name: "token", Max: 3}
}

// tokensListed is listing for tokens.
func tokensListed(t *testing.T, s Store) {
	job, other := clientAdded(t, s, "job"), clientAdded(t, s, "other")
	late := mint(job, "1") // the clock jumped back after this
	late.Created = noon.Add(time.Hour)
	minted(t, s, late)
	minted(t, s, mint(other, "2"))

	approved := mint(job, "3")
	approved.Kind = token.Approved
	minted(t, s, approved)
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
		{"of a kind", token.Which{Kinds: []token.Kind{token.Approved}}, 9, []string{"t_3"}},
		{"of two kinds", token.Which{
			Client: "job",
			Kinds:  []token.Kind{token.Access, token.Approved},
		}, 9, []string{"t_4", "t_3", "t_1"}},
		{"a client's of a kind that it has none of", token.Which{
			Client: "other",
			Kinds:  []token.Kind{token.Approved, token.Leased},
		}, 9, []string{}},
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

// tokenTouchForward checks that a last use never goes back, as two nodes may write theirs in either order, and that one
// which is written after the end of its token is no error and brings nothing back.
func tokenTouchForward(t *testing.T, s Store) {
	job := clientAdded(t, s, "job")
	one, two := minted(t, s, mint(job, "one")), minted(t, s, mint(job, "two"))
	ended := minted(t, s, mint(job, "ended"))
	must(t, s.EndTokens(t.Context(), token.Which{Hash: ended.Hash}, nil, event(audit.TokenRevoke, "token:t_ended")))

	at := func(seconds int) time.Time { return noon.Add(time.Duration(seconds) * time.Second).UTC() }
	for _, tc := range []struct {
		name             string
		at               map[int64]time.Time
		wantOne, wantTwo time.Time
	}{
		{"nothing", nil, time.Time{}, time.Time{}},
		{"the first of both", map[int64]time.Time{one.Number: at(9), two.Number: at(8)}, at(9), at(8)},
		{
			"one back, one forward, one that has ended",
			map[int64]time.Time{one.Number: at(1), two.Number: at(10), ended.Number: at(10)},
			at(9),
			at(10),
		},
	} {
		must(t, s.TouchTokens(t.Context(), tc.at))

		for text, want := range map[string]time.Time{"one": tc.wantOne, "two": tc.wantTwo} {
			r, err := s.FindToken(t.Context(), secret.HashOf(text))
			must(t, err)
			if !r.LastUsed.Equal(want) {
				t.Errorf("after %s: token %s was last used %v, want %v", tc.name, text, r.LastUsed, want)
			}
		}
	}

	noToken(t, s, "ended")
	list, err := s.ListTokens(t.Context(), token.Which{Client: "job"}, 10)
	must(t, err)
	if len(list) != 2 || !list[0].LastUsed.Equal(at(10)) || !list[1].LastUsed.Equal(at(9)) {
		t.Errorf("ListTokens = %v, want two, last used %v and %v", list, at(10), at(9))
	}
}
