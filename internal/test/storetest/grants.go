package storetest

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/account"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/client"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/secret"
	"github.com/jeton-auth/jeton/internal/session"
	"github.com/jeton-auth/jeton/internal/ticket"
	"github.com/jeton-auth/jeton/internal/token"
)

// Grants is the contract of token.GrantStore.
func Grants(t *testing.T, open Open) {
	t.Run("what ends a grant ends its tokens", func(t *testing.T) { endingGrants(t, open) })
	each(t, open, []test{
		{"a grant is found as it was added", grantIsKept},
		{"a grant needs its code, its session, its client and its user", grantNeeds},
		{"a grant takes its code in its own step", grantTakes},
		{"of many grants that take a code at once, one is added", grantsRace},
		{"a grant knows its code once that is deleted", usedCodes},
		{"the oldest grants of a user and a client end when they are too many", oldestGrantEnds},
		{"of many refreshes at once, one moves the turn", grantTurns},
		{"a code is deleted before its grant is added, or the grant ends", deletingCodes},
	})
}

// granting is what a grant is made of.
type granting struct {
	user    account.Account
	client  client.Client
	session session.Record
	code    secret.Hash
	grant   token.Grant
}

// newGranting adds a user, a client, a sign-in session and a code that was taken.
func newGranting(t *testing.T, s Store) granting {
	t.Helper()
	g := granting{user: user(t, s, "diane"), client: clientAdded(t, s, "wiki")}
	g.session = signedIn(t, s, g.user, "top")

	in := newTicket(ticket.Code)
	in.Subject, in.Login = g.user.ID, g.session.Login
	g.code = added(t, s, "code", in)
	_, err := s.TakeTicket(t.Context(), ticket.Code, g.code, noon)
	must(t, err)

	g.grant = token.Grant{
		Record:    grantRecord(g.user, token.Granted, "family"),
		Client:    g.client.ID,
		Login:     g.session.Login,
		SessionID: g.session.ID,
		Code:      g.code,
		SignedIn:  noon.Add(-time.Minute),
		Methods:   "pwd otp",
		Level:     "phr",
	}

	return g
}

// addNext adds the grant again, under the name n and for another code. That of a higher n expires later: the store
// keeps the latest codes of a user.
func (g granting) addNext(t *testing.T, s Store, n int) error {
	name := fmt.Sprint(n)
	in := newTicket(ticket.Code)
	in.Subject, in.Login = g.user.ID, g.session.Login
	in.Expires = in.Expires.Add(time.Duration(n) * time.Second)

	g.grant.Code = secret.HashOf("code of " + name)
	if err := s.AddTicket(t.Context(), g.grant.Code, in); err != nil {
		return err
	}
	if _, err := s.TakeTicket(t.Context(), ticket.Code, g.grant.Code, noon); err != nil {
		return err
	}

	g.grant.Accessor, g.grant.Hash = "t_"+name, secret.HashOf(name)
	access := grantRecord(g.user, token.Access, "access of "+name)

	return s.AddGrant(t.Context(), g.grant, access, event(audit.TokenIssue, "token:t_"+name))
}

// addSeveral adds the grants from one number to another at once.
func (g granting) addSeveral(t *testing.T, s Store, from, to int) {
	t.Helper()
	var wg sync.WaitGroup
	for n := from; n <= to; n++ {
		wg.Go(func() {
			if err := g.addNext(t, s, n); err != nil {
				t.Errorf("grant %d: %v", n, err)
			}
		})
	}
	wg.Wait()
}

// grantRecord returns a token of a grant.
func grantRecord(u account.Account, k token.Kind, text string) token.Record {
	return token.Record{
		Accessor: "t_" + text,
		Hash:     secret.HashOf(text),
		Format:   policy.Opaque,
		Kind:     k,
		Name:     "wiki",
		Owner:    token.UserOwner(u),
		Audience: []string{"https://issuer.example"},
		Scopes:   []string{"openid"},
		MaxUses:  policy.Unlimited,
		Window:   policy.Window{Opens: noon, Closes: noon.Add(time.Hour)},
		Created:  noon,
	}
}

// add adds the grant with an access token.
func (g granting) add(t *testing.T, s Store) error {
	t.Helper()
	return s.AddGrant(
		t.Context(), g.grant, grantRecord(g.user, token.Access, "access"), event(audit.TokenIssue, "token:t_family"),
	)
}

// found reports which of the two tokens of a grant are found.
func (g granting) found(t *testing.T, s Store) (list []string) {
	t.Helper()
	_, err := s.FindGrant(t.Context(), secret.HashOf("family"))
	if err == nil {
		list = append(list, "grant")
	} else if !errors.Is(err, jeton.ErrNotFound) {
		t.Error(err)
	}

	_, err = s.FindToken(t.Context(), secret.HashOf("access"))
	if err == nil {
		list = append(list, "access")
	} else if !errors.Is(err, jeton.ErrNotFound) {
		t.Error(err)
	}

	return list
}

func grantIsKept(t *testing.T, s Store) {
	g := newGranting(t, s)
	g.grant.Offline = true
	must(t, g.add(t, s))

	got, err := s.FindGrant(t.Context(), secret.HashOf("family"))
	must(t, err)
	if got.Client != g.client.ID || got.Login != g.session.Login || got.SessionID != g.session.ID ||
		got.Code != g.code || !got.Offline || !got.SignedIn.Equal(g.grant.SignedIn) || got.Methods != "pwd otp" ||
		got.Level != "phr" || got.Turn != 0 || !got.Turned.IsZero() || got.Name != "wiki" || got.Kind != token.Granted {
		t.Errorf("got %+v, want %+v", got, g.grant)
	}

	access, err := s.FindToken(t.Context(), secret.HashOf("access"))
	must(t, err)
	if access.Parent != got.Number {
		t.Errorf("parent of the access token = %d, want %d", access.Parent, got.Number)
	}

	turned := grantRecord(g.user, token.Access, "second")
	turned.Created = noon.Add(time.Minute)
	must(t, s.TurnGrant(t.Context(), got, true, turned, event(audit.TokenIssue, "")))

	again, err := s.FindGrant(t.Context(), secret.HashOf("family"))
	must(t, err)
	if again.Turn != 1 || !again.Turned.Equal(turned.Created) {
		t.Errorf("turn %d at %v, want 1 at %v", again.Turn, again.Turned, turned.Created)
	}

	// Without advance, a token is added and nothing else.
	third := grantRecord(g.user, token.Access, "third")
	must(t, s.TurnGrant(t.Context(), again, false, third, event(audit.TokenIssue, "")))
	same, err := s.FindGrant(t.Context(), secret.HashOf("family"))
	must(t, err)
	if same.Turn != 1 || !same.Turned.Equal(turned.Created) {
		t.Errorf("turn %d at %v, want still 1 at %v", same.Turn, same.Turned, turned.Created)
	}
}

func grantNeeds(t *testing.T, s Store) {
	g := newGranting(t, s)

	for _, tc := range []struct {
		name   string
		change func(g *granting)
	}{
		{"another version of the user", func(g *granting) { g.grant.Owner.Version++ }},
		{"another client", func(g *granting) { g.grant.Client += 100 }},
		{"another session", func(g *granting) { g.grant.Login += 100 }},
		{"another code", func(g *granting) { g.grant.Code = secret.HashOf("other") }},
	} {
		changed := g
		tc.change(&changed)
		if err := changed.add(t, s); !errors.Is(err, jeton.ErrBadCredential) {
			t.Errorf("%s: AddGrant = %v, want jeton.ErrBadCredential", tc.name, err)
		}
	}

	if got := g.found(t, s); got != nil {
		t.Errorf("after refusals, found %v, want nothing", got)
	}
	must(t, g.add(t, s))
}

// taking returns a granting whose code was not taken.
func taking(t *testing.T, s Store) granting {
	t.Helper()
	g := newGranting(t, s)
	in := newTicket(ticket.Code)
	in.Subject, in.Login = g.user.ID, g.session.Login
	g.code = added(t, s, "fresh", in)
	g.grant.Code, g.grant.TakeCode = g.code, true

	return g
}

func grantTakes(t *testing.T, s Store) {
	g := taking(t, s)

	for _, tc := range []struct {
		name   string
		change func(g *granting)
	}{
		{"another version of the user", func(g *granting) { g.grant.Owner.Version++ }},
		{"another client", func(g *granting) { g.grant.Client += 100 }},
		{"another session", func(g *granting) { g.grant.Login += 100 }},
		{"another code", func(g *granting) { g.grant.Code = secret.HashOf("other") }},
		{"an expired code", func(g *granting) { g.grant.Created = noon.Add(time.Hour) }},
	} {
		changed := g
		tc.change(&changed)
		if err := changed.add(t, s); !errors.Is(err, jeton.ErrBadCredential) {
			t.Errorf("%s: AddGrant = %v, want jeton.ErrBadCredential", tc.name, err)
		}
	}

	if _, err := s.FindTicket(t.Context(), ticket.Code, g.code, noon); err != nil {
		t.Errorf("after refusals, FindTicket = %v, want the code, which no grant has taken", err)
	}
	must(t, g.add(t, s))
	_, err := s.FindTicket(t.Context(), ticket.Code, g.code, noon)
	wants(t, "FindTicket after the grant", err, jeton.ErrSpent)
	wants(t, "AddGrant with the same code", g.add(t, s), jeton.ErrSpent)
}

// grantsRace adds grants of one code at once, while the requests that are refused delete it.
func grantsRace(t *testing.T, s Store) {
	g := taking(t, s)

	var won atomic.Int64
	var wg sync.WaitGroup
	const many = 16
	for i := range many {
		wg.Go(func() {
			own := g.grant
			own.Accessor, own.Hash = fmt.Sprint("t_", i), secret.HashOf(fmt.Sprint("family ", i))
			access := grantRecord(g.user, token.Access, fmt.Sprint("access of ", i))

			err := s.AddGrant(t.Context(), own, access, event(audit.TokenIssue, "token:"+own.Accessor))
			switch {
			case err == nil:
				won.Add(1)
			case errors.Is(err, jeton.ErrSpent):
				if err := s.RevokeByCode(t.Context(), g.code, event(audit.TokenRevoke, "")); err != nil {
					t.Errorf("RevokeByCode = %v", err)
				}
			case !errors.Is(err, jeton.ErrBadCredential):
				t.Errorf("AddGrant = %v, want success, jeton.ErrSpent or jeton.ErrBadCredential", err)
			}
		})
	}
	wg.Wait()

	if won.Load() != 1 {
		t.Errorf("%d of %d grants of one code were added, want 1", won.Load(), many)
	}
	for i := range many {
		_, err := s.FindGrant(t.Context(), secret.HashOf(fmt.Sprint("family ", i)))
		wants(t, "FindGrant of a code that was deleted", err, jeton.ErrNotFound)
	}
}

func usedCodes(t *testing.T, s Store) {
	g := newGranting(t, s)
	check := func(when string, want bool) {
		t.Helper()
		used, err := s.CodeUsed(t.Context(), g.code)
		must(t, err)
		if used != want {
			t.Errorf("CodeUsed %s = %t, want %t", when, used, want)
		}
	}

	check("before the grant", false)
	must(t, g.add(t, s))
	_, err := s.SweepTickets(t.Context(), noon.Add(time.Hour), 10)
	must(t, err)
	check("after the code was deleted", true)
	must(t, s.RevokeByCode(t.Context(), g.code, event(audit.TokenRevoke, "")))
	check("after the grant ended", false)
}

func endingGrants(t *testing.T, open Open) {
	step := stepOf(audit.ClientChange, "client:wiki")
	disabled := true

	for _, tc := range []struct {
		name    string
		offline bool
		end     func(t *testing.T, s Store) error
		want    []string
	}{
		{"the end of the session", false, func(t *testing.T, s Store) error {
			_, err := s.EndSessions(t.Context(), session.Which{ID: "s_top"}, event(audit.Logout, ""))
			return err
		}, nil},
		{"the end of the session, which an offline grant outlives", true, func(t *testing.T, s Store) error {
			_, err := s.EndSessions(t.Context(), session.Which{ID: "s_top"}, event(audit.Logout, ""))
			return err
		}, []string{"grant", "access"}},
		{"the client is disabled", true, func(t *testing.T, s Store) error {
			return s.ChangeClient(t.Context(), "wiki", client.Change{Disabled: &disabled}, step)
		}, nil},
		{"the client is removed", true, func(t *testing.T, s Store) error {
			return s.RemoveClient(t.Context(), "wiki", step)
		}, nil},
		{"the grant is revoked", true, func(t *testing.T, s Store) error {
			return s.EndTokens(t.Context(), token.Which{Accessor: "t_family"}, nil, event(audit.TokenRevoke, ""))
		}, nil},
		{"the code is used again", true, func(t *testing.T, s Store) error {
			return s.RevokeByCode(t.Context(), secret.HashOf("code"), event(audit.TokenRevoke, ""))
		}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := open(t)
			g := newGranting(t, s)
			g.grant.Offline = tc.offline
			must(t, g.add(t, s))
			must(t, tc.end(t, s))

			if got := g.found(t, s); !slices.Equal(got, tc.want) {
				t.Errorf("found %v, want %v", got, tc.want)
			}
			if tc.want != nil {
				return
			}

			late := s.TurnGrant(
				t.Context(), g.grant, true, grantRecord(g.user, token.Access, "late"), event(audit.TokenIssue, ""),
			)
			if !errors.Is(late, jeton.ErrBadCredential) {
				t.Errorf("TurnGrant after it = %v, want jeton.ErrBadCredential", late)
			}
		})
	}
}

// oldestGrantEnds adds one grant too many, and then several at once: each counts the others. That of another client
// stays.
func oldestGrantEnds(t *testing.T, s Store) {
	g := newGranting(t, s)
	other := g
	other.grant.Client, other.grant.Name = clientAdded(t, s, "other").ID, "other"
	must(t, other.addNext(t, s, 0))
	must(t, g.add(t, s))

	const last, several = token.MaxGrants, 10 // with the first one, one too many
	g.addSeveral(t, s, 1, several)
	for n := several; n < last-1; n += several {
		g.addSeveral(t, s, n+1, min(n+several, last-1))
	}
	if got := g.found(t, s); len(got) != 2 {
		t.Errorf("with %d grants, found %v of the first, want the grant and its access token", token.MaxGrants, got)
	}

	must(t, g.addNext(t, s, last))
	if got := g.found(t, s); got != nil {
		t.Errorf("with one more, found %v of the first, want nothing", got)
	}
	want := audit.TokenRevoke + " token:t_family"
	if log := auditLog(t, s); !slices.Contains(log, want) {
		t.Errorf("got %d events, want %q among them", len(log), want)
	}

	g.addSeveral(t, s, last+1, last+several)
	for n := range last + several + 1 {
		_, err := s.FindGrant(t.Context(), secret.HashOf(fmt.Sprint(n)))
		if ended := n > 0 && n <= several; errors.Is(err, jeton.ErrNotFound) != ended {
			t.Errorf("after %d more, FindGrant of %d = %v, want that it has ended: %t", several, n, err, ended)
		}
	}
}

func grantTurns(t *testing.T, s Store) {
	g := newGranting(t, s)
	g.grant.Offline = true
	must(t, g.add(t, s))
	found, err := s.FindGrant(t.Context(), secret.HashOf("family"))
	must(t, err)

	var turned, conflicts atomic.Int64
	var wg sync.WaitGroup
	const many = 20
	for i := range many {
		wg.Go(func() {
			access := grantRecord(g.user, token.Access, "access of "+string(rune('a'+i)))
			err := s.TurnGrant(t.Context(), found, true, access, event(audit.TokenIssue, ""))
			switch {
			case err == nil:
				turned.Add(1)
			case errors.Is(err, jeton.ErrConflict):
				conflicts.Add(1)
			default:
				t.Errorf("TurnGrant = %v, want success or jeton.ErrConflict", err)
			}
		})
	}
	wg.Wait()

	if turned.Load() != 1 || conflicts.Load() != many-1 {
		t.Errorf("%d turned and %d conflicts, want 1 and %d", turned.Load(), conflicts.Load(), many-1)
	}
}

// deletingCodes deletes a code while its grant is being added: in either order, no token is left.
func deletingCodes(t *testing.T, s Store) {
	g := newGranting(t, s)

	var wg sync.WaitGroup
	wg.Go(func() {
		if err := g.add(t, s); err != nil && !errors.Is(err, jeton.ErrBadCredential) {
			t.Errorf("AddGrant = %v, want success or jeton.ErrBadCredential", err)
		}
	})
	wg.Go(func() {
		if err := s.RevokeByCode(t.Context(), g.code, event(audit.TokenRevoke, "")); err != nil {
			t.Errorf("RevokeByCode = %v", err)
		}
	})
	wg.Wait()

	if got := g.found(t, s); got != nil {
		t.Errorf("found %v, want nothing", got)
	}
	if err := g.add(t, s); !errors.Is(err, jeton.ErrBadCredential) {
		t.Errorf("AddGrant with a deleted code = %v, want jeton.ErrBadCredential", err)
	}
}
