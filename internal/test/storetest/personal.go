package storetest

import (
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/account"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/secret"
	"github.com/jeton-auth/jeton/internal/session"
	"github.com/jeton-auth/jeton/internal/token"
)

// Personal checks how personal tokens are kept: with all their limits and their parents, as
// long as their owners exist and are enabled.
func Personal(t *testing.T, open Open) {
	each(t, open, []test{
		{"a token is returned as it was made", personalComesBack},
		{"the end of a token ends its children, and nothing else", childrenEnd},
		{"a session or token that ended after its check mints no token", endedMeanwhile},
		{"a new secret replaces the old one and ends the children", rotates},
		{"a token of another user, of another kind, or unknown, is not rotated", rotatesItsOwn},
		{"a new password from anywhere ends all tokens, unless the user keeps the personal ones", passwordAndTokens},
		{"a disabled owner's tokens are deleted, and enabling does not restore them", disabledAndTokens},
		{"of simultaneous mints only as many succeed as the user may have", tokensFull},
		{"tokens are selected by all fields that are set", chosenByAll},
		{"tokens that derive from others are counted and listed", derivedTokens},
		{"a leased token is renewed by what made it, and by nothing else", renewsLeases},
	})
}

// personal returns a personal token of a user, for MintToken.
func personal(u account.Account, text string, parent int64) token.Mint {
	return token.Mint{
		Record: token.Record{
			Accessor: "t_" + text,
			Hash:     secret.HashOf(text),
			Format:   policy.Opaque,
			Kind:     token.Personal,
			Name:     "of " + text,
			Parent:   parent,
			Owner:    token.UserOwner(u),
			Audience: []string{"shop"},
			Scopes:   []string{"read"},
			Limits: policy.Limits{
				Allows:   []policy.Rule{{Method: "GET", Path: "/a/*"}, {Method: "*", Path: "/b"}},
				Networks: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8::/32")},
			},
			MaxUses: 3,
			Window:  policy.Window{Opens: noon, Closes: noon.Add(1e12)},
			Created: noon,
			Source:  source,
		},
		Keep: true, Event: event(audit.TokenCreate, "token:t_"+text),
	}
}

// personalComesBack checks both ways to read a token: by its hash, at each request, and in
// a list.
func personalComesBack(t *testing.T, s Store) {
	u := user(t, s, "diane")
	m := personal(u, "one", 0)
	r := minted(t, s, m)
	kept(t, "FindToken", r, m.Record)

	if r.Owner.Kind != jeton.KindUser || r.Owner.ID != u.ID || len(r.Owner.Groups) != 2 {
		t.Errorf("owner = %+v, want the user with two groups", r.Owner)
	}

	list, err := s.ListTokens(t.Context(), token.Which{User: "diane"}, 10)
	if must(t, err); len(list) != 1 {
		t.Fatalf("%d tokens are listed, want 1", len(list))
	}

	kept(t, "ListTokens", list[0], m.Record)
}

// family mints a token, a child, a grandchild, and an unrelated token.
func family(t *testing.T, s Store, u account.Account) (root token.Record) {
	t.Helper()
	root = minted(t, s, personal(u, "root", 0))
	child := minted(t, s, childOf(root, personal(u, "child", root.Number)))
	minted(t, s, childOf(child, personal(u, "grandchild", child.Number)))
	minted(t, s, personal(u, "stranger", 0))

	return root
}

// derivedTokens checks that children and their children are counted, and those of others are not.
func derivedTokens(t *testing.T, s Store) {
	u := user(t, s, "diane")
	parent := minted(t, s, personal(u, "parent", 0))
	child := minted(t, s, childOf(parent, personal(u, "child", parent.Number)))
	minted(t, s, childOf(parent, personal(u, "other", parent.Number)))
	grandchild := minted(t, s, childOf(child, personal(u, "grandchild", child.Number)))
	minted(t, s, personal(u, "alone", 0))

	for _, tc := range []struct {
		name     string
		accessor string
		want     int64
	}{
		{"of a parent", parent.Accessor, 3},
		{"of a child", child.Accessor, 1},
		{"of a token without children", grandchild.Accessor, 0},
		{"of an unknown token", "t_none", 0},
		{"of none", "", 0},
	} {
		n, err := s.CountDerived(t.Context(), tc.accessor)
		must(t, err)
		if n != tc.want {
			t.Errorf("CountDerived %s = %d, want %d", tc.name, n, tc.want)
		}
	}

	for user, want := range map[string]int64{"diane": 5, "": 5, "absent": 0} {
		n, err := s.CountTokens(t.Context(), user, noon)
		must(t, err)
		if n != want {
			t.Errorf("CountTokens(%q) = %d, want %d", user, n, want)
		}
	}

	n, err := s.CountTokens(t.Context(), "diane", noon.Add(time.Hour))
	if n != 0 || err != nil {
		t.Errorf("CountTokens after their expiry = %d, %v, want 0 and no error", n, err)
	}

	list, err := s.ListTokens(t.Context(), token.Which{Parent: parent.Accessor}, 10)
	must(t, err)
	var names []string
	for _, r := range list {
		names = append(names, r.Name)
	}
	same(t, "the children of a token", names, []string{"of other", "of child"})
}

// childOf adds the parent, as it was when the child was requested.
func childOf(parent token.Record, m token.Mint) token.Mint {
	m.Shown = parent.Hash
	return m
}

// endedMeanwhile ends what a request for a token was authorised by, between its check and
// the mint: the session, the secret of the parent, the parent itself.
func endedMeanwhile(t *testing.T, s Store) {
	u := user(t, s, "diane")
	parent := minted(t, s, personal(u, "parent", 0))
	login := started(t, s, newLogin(u, "shop", "cookie", noon))
	late := personal(u, "late", 0)
	// The session that a user makes a token with.
	late.Login = login.Login

	_, err := s.EndSessions(t.Context(), session.Which{ID: login.ID}, event(audit.Logout, "x"))
	must(t, err)
	err = s.MintToken(t.Context(), late)
	wants(t, "MintToken by a session that has ended", err, jeton.ErrBadCredential)
	other := childOf(parent, personal(u, "late", parent.Number))
	// The parent was rotated after the request had shown its old secret.
	other.Shown = secret.HashOf("the secret before")

	err = s.MintToken(t.Context(), other)
	wants(t, "MintToken by an old secret of the parent", err, jeton.ErrBadCredential)
	fresh := "another hash"

	err = s.ChangeUser(t.Context(), "diane", account.Change{
		Password:   &fresh,
		KeepTokens: true,
	}, noon, event(audit.UserPassword, "user:diane"))

	must(t, err)

	child := minted(t, s, childOf(parent, personal(u, "child", parent.Number)))
	// A derived token takes the current version of its owner, not that of its parent.
	if child.Owner.Version != u.Version+1 {
		t.Errorf("version of the child = %d, want %d", child.Owner.Version, u.Version+1)
	}

	err = s.EndTokens(t.Context(), token.Which{Accessor: parent.Accessor}, nil, event(audit.TokenRevoke, "x"))
	must(t, err)
	err = s.MintToken(t.Context(), childOf(parent, personal(u, "late", parent.Number)))
	wants(t, "MintToken by a parent that has ended", err, jeton.ErrBadCredential)
	noToken(t, s, "late", "child")
}

// childrenEnd revokes a token, which must end what it was divided into, down to
// grandchildren.
func childrenEnd(t *testing.T, s Store) {
	root := family(t, s, user(t, s, "diane"))
	published := subscribe(s)
	b := budget(t, s, "token", 3)
	grandchild, err := s.FindToken(t.Context(), secret.HashOf("grandchild"))
	must(t, err)

	_, err = s.Spend(t.Context(), tokenUse(grandchild, b))
	must(t, err)

	err = s.EndTokens(t.Context(), token.Which{
		Accessor: root.Accessor,
	}, nil, event(audit.TokenRevoke, "token:"+root.Accessor))

	must(t, err)
	noToken(t, s, "root", "child", "grandchild")

	isToken(t, s, "stranger")

	if n := len(published.tokens()); n != 3 {
		t.Errorf("%d ended tokens published, want 3", n)
	}

	_, err = s.Spend(t.Context(), tokenUse(grandchild, b))
	wants(t, "Spend of a child whose parent has ended", err, jeton.ErrBadCredential)
}

// rotates replaces a leaked secret. What was derived by the leaked one ends; uses that were
// taken stay taken, or a rotation would be a way to get more.
func rotates(t *testing.T, s Store) {
	u := user(t, s, "diane")
	root := family(t, s, u)
	b := budget(t, s, "token", 3)
	_, err := s.Spend(t.Context(), tokenUse(root, b))
	must(t, err)

	owner := token.UserOwner(u)
	r, err := s.RotateToken(t.Context(), token.Rotation{
		Accessor: root.Accessor,
		Owner:    &owner,
		Shown:    root.Hash,
		Fresh:    secret.HashOf("fresh"),
	}, event(audit.TokenRotate, "token:"+root.Accessor))

	must(t, err)
	noToken(t, s, "root", "child", "grandchild")
	isToken(t, s, "fresh", "stranger")

	if r.Number != root.Number || r.Hash != secret.HashOf("fresh") || r.Accessor != root.Accessor {
		t.Errorf("RotateToken = %+v, want the same token with the fresh hash", r)
	}

	left, err := s.Spend(t.Context(), tokenUse(r, b))
	if must(t, err); left[0] != 1 {
		t.Errorf("%d uses are left, want 1", left[0])
	}
}

// rotatesItsOwn checks who may rotate: the owner, personal tokens only, and no secret that
// was replaced before.
func rotatesItsOwn(t *testing.T, s Store) {
	u, other := user(t, s, "diane"), user(t, s, "eshana")
	minted(t, s, personal(u, "one", 0))
	issued := personal(u, "issued", 0)
	issued.Kind = token.Access
	minted(t, s, issued)

	stranger := token.UserOwner(other)
	for _, tc := range []struct {
		accessor string
		owner    *token.Owner
		shown    secret.Hash
	}{
		{"t_one", &stranger, secret.Hash{}},
		{"t_issued", nil, secret.Hash{}},
		{"t_absent", nil, secret.Hash{}},
		{"t_one", nil, secret.HashOf("the one before")},
	} {
		_, err := s.RotateToken(t.Context(), token.Rotation{
			Accessor: tc.accessor,
			Owner:    tc.owner,
			Shown:    tc.shown,
			Fresh:    secret.HashOf("fresh"),
		}, event(audit.TokenRotate, "x"))

		wants(t, "RotateToken("+tc.accessor+")", err, jeton.ErrNotFound)
	}

	noToken(t, s, "fresh")
	isToken(t, s, "one", "issued")
}

// passwordAndTokens checks what a new password ends, however it is set: all tokens of the
// user, except personal ones where the change keeps them.
func passwordAndTokens(t *testing.T, s Store) {
	pw := "another hash"
	set := func(c account.Change) func(string) {
		return func(name string) {
			must(t, s.ChangeUser(t.Context(), name, c, noon, event(audit.UserPassword, "user:"+name)))
		}
	}
	declared := func(hash func(old string) string) func(string) {
		return func(name string) {
			acct := found(t, s, name)
			acct.Password, acct.Declared = hash(acct.Password), true
			must(t, s.DeclareUsers(t.Context(), []account.Account{acct}, noon, event(audit.UserChange, "")))
		}
	}

	for i, tc := range []struct {
		name   string
		change func(user string)
		keeps  bool
	}{
		{"set", set(account.Change{Password: &pw}), false},
		{"set, tokens kept", set(account.Change{Password: &pw, KeepTokens: true}), true},
		{"all ended", set(account.Change{EndTokens: true}), false},
		{"set and disabled", set(account.Change{Password: &pw, KeepTokens: true, Disabled: new(true)}), false},
		{"imported", func(name string) {
			row := importRow(name, "")
			row.Update = &account.Change{Password: &pw}
			same(t, "the verdict", verdicts(importAll(t, s, false, row)), []account.Verdict{account.Changed})
		}, false},
		{"declared with another", declared(func(string) string { return pw }), false},
		{"declared with the same", declared(func(old string) string { return old }), false},
	} {
		u := user(t, s, fmt.Sprint("user", i))
		text := func(what string) string { return what + " of " + u.Name }
		root := minted(t, s, personal(u, text("made"), 0))
		minted(t, s, childOf(root, personal(u, text("child"), root.Number)))
		approved := personal(u, text("approved"), 0)
		approved.Kind = token.Approved
		minted(t, s, approved)
		issued := personal(u, text("issued"), 0)
		issued.Kind = token.Access
		minted(t, s, issued)

		tc.change(u.Name)
		noToken(t, s, text("issued"))
		checkRevoked(t, s, "jti:x", u.Generation(), true)

		if tc.keeps {
			isToken(t, s, text("made"), text("child"), text("approved"))
		} else {
			noToken(t, s, text("made"), text("child"), text("approved"))
		}

		err := s.MintToken(t.Context(), personal(u, text("late"), 0))
		wants(t, tc.name+": MintToken for the previous password", err, jeton.ErrBadCredential)
	}
}

// disabledAndTokens checks that personal tokens end with their owner, and that enabling the
// user brings none back.
func disabledAndTokens(t *testing.T, s Store) {
	u := user(t, s, "diane")
	minted(t, s, personal(u, "made", 0))

	for _, disabled := range []bool{true, false} {
		err := s.ChangeUser(t.Context(), "diane", account.Change{
			Disabled: &disabled,
		}, noon, event(audit.UserChange, "user:diane"))
		must(t, err)
		noToken(t, s, "made")
	}

	u = found(t, s, "diane")
	minted(t, s, personal(u, "again", 0))
	err := s.RemoveUser(t.Context(), "diane", false, event(audit.UserRemove, "user:diane"))
	must(t, err)
	noToken(t, s, "again")
}

// tokensFull mints more tokens at once than the user may have. Expired ones and those of other kinds do
// not count.
func tokensFull(t *testing.T, s Store) {
	u, other := token.UserOwner(user(t, s, "diane")), token.UserOwner(user(t, s, "eshana"))
	// A token that the user has approved counts as one that it has made.
	onlySoMany(t, s, u, other, token.Personal, token.Approved)
	onlySoMany(t, s, u, other, token.Leased)

	first, second := clientAdded(t, s, "job", "k"), clientAdded(t, s, "other job", "l")
	onlySoMany(t, s, token.ClientOwner(first), token.ClientOwner(second), token.Leased)
}

// onlySoMany is tokensFull for tokens of kinds that are counted together.
func onlySoMany(t *testing.T, s Store, owner, other token.Owner, kinds ...token.Kind) {
	const most = 3
	next := 0
	limited := func(of token.Owner, text string) token.Mint {
		m := personal(account.Account{}, fmt.Sprintf("%s %s of %s", kinds[0], text, of.Name), 0)
		m.Owner = of
		m.Kind = kinds[next%len(kinds)]
		next++
		m.Most = most
		return m
	}

	expired := limited(owner, "expired")
	expired.Window.Closes = noon
	minted(t, s, expired)
	issued := limited(owner, "issued")
	issued.Kind = token.Access
	minted(t, s, issued)

	var made atomic.Int64
	var wg sync.WaitGroup
	for i := range 3 * most {
		m := limited(owner, fmt.Sprint("token ", i))
		wg.Go(func() {
			err := s.MintToken(t.Context(), m)
			if err == nil {
				made.Add(1)
			} else if !errors.Is(err, jeton.ErrTokensFull) {
				t.Errorf("MintToken: %v, want %v", err, jeton.ErrTokensFull)
			}
		})
	}

	wg.Wait()
	if made.Load() != most {
		t.Errorf("%d %v tokens were made, want %d", made.Load(), kinds, most)
	}

	minted(t, s, limited(other, "token"))
	late := limited(owner, "late")
	late.Kind = token.Access
	minted(t, s, late)
}

// chosenByAll checks that all set fields of a Which hold together. One that names nothing
// ends nothing: a forgotten field must not revoke every token.
func chosenByAll(t *testing.T, s Store) {
	u := user(t, s, "diane")
	user(t, s, "eshana")
	minted(t, s, personal(u, "one", 0))

	err := s.EndTokens(t.Context(), token.Which{
		Accessor: "t_one",
		User:     "eshana",
	}, nil, event(audit.TokenRevoke, "x"))
	if err != nil && !errors.Is(err, jeton.ErrNotFound) {
		t.Fatal(err)
	}

	isToken(t, s, "one")
	// Nothing is named: nothing may end.
	err = s.EndTokens(t.Context(), token.Which{}, nil, event(audit.TokenRevoke, "x"))
	must(t, err)
	isToken(t, s, "one")
	err = s.EndTokens(t.Context(), token.Which{Accessor: "t_one", User: "diane"}, nil, event(audit.TokenRevoke, "x"))
	must(t, err)

	noToken(t, s, "one")
}
