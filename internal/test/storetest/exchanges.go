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
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/secret"
	"github.com/jeton-auth/jeton/internal/token"
)

// subjectOf returns a signed token of the client that is not stored.
func subjectOf(c client.Client, jti string) token.Record {
	m := mint(c, jti)
	m.Format = policy.JWT
	m.MaxUses = policy.Unlimited

	return m.Record
}

// exchangedFor returns a token that is exchanged for a signed one.
func exchangedFor(subject token.Record, c client.Client, text string) token.Mint {
	m := mint(c, text)
	m.Kind = token.Exchanged
	m.Subject = &subject
	m.Actors = []token.Actor{{Client: "archive", ID: 8, From: "archive"}, {Client: "reports", ID: 7, From: "reports"}}

	return m
}

// exchangesAreKept checks that a signed token is stored with the first token that is exchanged for it, and ends with
// all of them.
func exchangesAreKept(t *testing.T, s Store) {
	job := clientAdded(t, s, "job")
	subject := subjectOf(job, "signed")

	m := exchangedFor(subject, job, "one")
	m.Shares = []token.Share{{Token: 70, Max: 3}}
	must(t, s.MintToken(t.Context(), m))
	got, err := s.FindToken(t.Context(), m.Hash)
	must(t, err)
	want := m.Record
	want.Parent, want.ParentAccessor = got.Parent, "t_signed"
	kept(t, "FindToken", got, want)

	second := minted(t, s, exchangedFor(subject, job, "two"))
	if got.Parent == 0 || second.Parent != got.Parent {
		t.Errorf("parents are %d and %d, want the same token", got.Parent, second.Parent)
	}

	number, void, err := s.FindSigned(t.Context(), subject.Hash, secret.HashOf("generation"))
	must(t, err)
	if number != got.Parent || void {
		t.Errorf("FindSigned = %d, %v, want %d and not revoked", number, void, got.Parent)
	}

	until := token.Void{Hash: subject.Hash, Until: noon.Add(time.Hour)}
	must(t, s.EndTokens(t.Context(), token.Which{Hash: subject.Hash}, &until, event(audit.TokenRevoke, "x")))
	noToken(t, s, "one", "two")
	wants(
		t, "MintToken for a revoked token", s.MintToken(t.Context(), exchangedFor(subject, job, "three")),
		jeton.ErrBadCredential,
	)

	other := subjectOf(job, "other")
	yes := true
	must(t, s.ChangeClient(t.Context(), "job", client.Change{Disabled: &yes}, stepOf(audit.ClientChange, "")))
	wants(
		t, "MintToken for a token of a disabled client", s.MintToken(t.Context(), exchangedFor(other, job, "four")),
		jeton.ErrBadCredential,
	)
	noToken(t, s, "three", "four")
}

// exchangeAgainstRevocation exchanges a signed token while it is revoked: no token outlives it.
func exchangeAgainstRevocation(t *testing.T, s Store) {
	job := clientAdded(t, s, "job")
	for round := range 15 {
		subject := subjectOf(job, fmt.Sprint("signed", round))
		until := token.Void{Hash: subject.Hash, Until: noon.Add(time.Hour)}

		var wg sync.WaitGroup
		for i := range 4 {
			wg.Go(func() {
				err := s.MintToken(t.Context(), exchangedFor(subject, job, fmt.Sprint(round, "child", i)))
				if err != nil && !errors.Is(err, jeton.ErrBadCredential) {
					t.Errorf("MintToken: %v", err)
				}
			})
		}
		wg.Go(func() {
			err := s.EndTokens(t.Context(), token.Which{Hash: subject.Hash}, &until, event(audit.TokenRevoke, "x"))
			if err != nil {
				t.Errorf("EndTokens: %v", err)
			}
		})
		wg.Wait()

		for i := range 4 {
			noToken(t, s, fmt.Sprint(round, "child", i))
		}
	}
}

// usesAreShared spends the uses of a token by its children and itself at the same time.
func usesAreShared(t *testing.T, s Store) {
	job := clientAdded(t, s, "job")
	of := tokenBudget(t, s)
	of.Max = 20

	parent := minted(t, s, mint(job, "parent"))
	shared := of
	shared.Token = parent.Number

	uses := map[string]func() error{"parent": func() error {
		_, err := s.Spend(t.Context(), tokenUse(parent, of))
		return err
	}}
	for _, name := range []string{"one", "two", "three"} {
		m := mint(job, name)
		m.Kind, m.Parent = token.Exchanged, parent.Number
		child := minted(t, s, childOf(parent, m))
		own := of
		own.Max = 12
		uses[name] = func() error {
			_, err := s.Spend(t.Context(), tokenUse(child, own, shared))
			return err
		}
	}

	taken := map[string]*atomic.Int64{}
	var all atomic.Int64
	var wg sync.WaitGroup
	for name, use := range uses {
		n := &atomic.Int64{}
		taken[name] = n
		for range 15 {
			wg.Go(func() {
				switch err := use(); {
				case err == nil:
					n.Add(1)
					all.Add(1)
				case !errors.Is(err, jeton.ErrSpent):
					t.Errorf("use of %s: %v", name, err)
				}
			})
		}
	}
	wg.Wait()

	if all.Load() != 20 {
		t.Errorf("%d uses were taken, want 20", all.Load())
	}
	for _, name := range []string{"one", "two", "three"} {
		if n := taken[name].Load(); n > 12 {
			t.Errorf("%s took %d uses, want at most 12", name, n)
		}
	}

	must(t, s.EndTokens(t.Context(), token.Which{Accessor: "t_parent"}, nil, event(audit.TokenRevoke, "x")))
	wants(t, "a use of a child whose parent was revoked", uses["one"](), jeton.ErrBadCredential)
}
