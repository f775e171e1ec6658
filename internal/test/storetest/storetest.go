// Package storetest is the contract of a store, as tests.
//
// Every store runs all of it; no part is optional. It checks what the comments of the Store
// interfaces promise: those of account, audit, client, count, factor, keys, limit, session, ticket,
// token and openid. It uses a store only through these interfaces. The tests of each store check how it
// behaves when its disk or its database fails.
package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/account"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/client"
	"github.com/jeton-auth/jeton/internal/count"
	"github.com/jeton-auth/jeton/internal/factor"
	"github.com/jeton-auth/jeton/internal/invite"
	"github.com/jeton-auth/jeton/internal/keys"
	"github.com/jeton-auth/jeton/internal/limit"
	"github.com/jeton-auth/jeton/internal/mail"
	"github.com/jeton-auth/jeton/internal/naming"
	"github.com/jeton-auth/jeton/internal/openid"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/secret"
	"github.com/jeton-auth/jeton/internal/session"
	"github.com/jeton-auth/jeton/internal/signin"
	"github.com/jeton-auth/jeton/internal/sweep"
	"github.com/jeton-auth/jeton/internal/ticket"
	"github.com/jeton-auth/jeton/internal/token"

	"github.com/google/go-cmp/cmp"
)

// Store is all that a server keeps.
type Store interface {
	count.Store
	session.Store
	account.Store
	client.Store
	token.Store
	audit.Store
	sweep.Store
	keys.Store
	ticket.Store
	factor.Store
	limit.Store
	invite.Store
	openid.LogoutStore
	mail.Store
	openid.SubjectStore
	signin.MailStore
	signin.ManagerStore
	Close() error
}

// Open returns an empty store, which only the test uses until it ends. Then the opener closes it, or empties it for
// another test.
type Open func(t *testing.T) Store

// Run runs the whole suite.
func Run(t *testing.T, open Open) {
	for _, area := range []struct {
		name string
		run  func(*testing.T, Open)
	}{
		{"starting sessions", Starting},
		{"keeping sessions", Keeping},
		{"sign-in sessions", Families},
		{"tickets", Tickets},
		{"grants", Grants},
		{"identities", Identities},
		{"factors", Factors},
		{"failed attempts", Failures},
		{"invitations", Invitations},
		{"logouts", Logouts},
		{"mails", Mails},
		{"notices", Notices},
		{"subjects", Subjects},
		{"managers", Managers},
		{"connections", Connections},
		{"uses", Uses},
		{"accounts", Accounts},
		{"admins and prefixes", Admins},
		{"declared accounts", Declared},
		{"importing accounts", Importing},
		{"profiles", Profiles},
		{"users of one service", ServiceUsers},
		{"clients", Clients},
		{"declared clients", DeclaredClients},
		{"tokens", Tokens},
		{"uses of tokens", TokenUses},
		{"uses of users", UserUses},
		{"personal tokens", Personal},
		{"sweeping", Sweeping},
		{"audit", Audit},
		{"keys", Keys},
		{"closed", Closed},
		{"races", Races},
		{"linearizable", Linearizable},
	} {
		t.Run(area.name, func(t *testing.T) { area.run(t, open) })
	}
}

// test checks one promise of the contract.
type test struct {
	name string
	run  func(*testing.T, Store)
}

// each runs every test on an empty store of its own.
func each(t *testing.T, open Open, tests []test) {
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) { tc.run(t, open(t)) })
	}
}

// noon is the time of most tests. Stores get the time from their callers and never read a
// clock.
var noon = time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)

// source is an address of TEST-NET-1 (RFC 5737).
const source = "192.0.2.7"

// user adds an account and returns it as it was stored.
func user(t *testing.T, s Store, name string) account.Account {
	t.Helper()
	_, folded, err := naming.User(name)
	must(t, err)

	a := account.Account{
		Name:     name,
		Folded:   folded,
		Groups:   []string{"blue", "green"},
		Password: "hash of " + name,
		Version:  1,
		Created:  noon.Add(-time.Hour),
		Updated:  noon.Add(-time.Hour),
	}

	must(t, s.AddUser(t.Context(), a, event(audit.UserAdd, "user:"+name)))

	return found(t, s, name)
}

// found returns a user that must be there.
func found(t *testing.T, s Store, name string) account.Account {
	t.Helper()
	a, err := s.FindUser(t.Context(), name)
	must(t, err)
	return a
}

// newLogin returns a login of an hour by the user, for StartSession.
func newLogin(u account.Account, service, text string, now time.Time) session.Start {
	return session.Start{
		Record: session.Record{
			ID:       "s_" + text,
			Hash:     secret.HashOf(text),
			User:     u.ID,
			Service:  service,
			Created:  now,
			Expires:  now.Add(time.Hour),
			Idle:     10 * time.Minute,
			LastUsed: now,
			Source:   source,
			Name:     u.Name,
			Groups:   u.Groups,
		},
		Version:  u.Version,
		Network:  source,
		Siblings: true,
		Event:    event(audit.Login, "session:s_"+text),
	}
}

// acceptLogin is a decision that accepts every login.
func acceptLogin(policy.History) ([]int64, error) { return nil, nil }

// started starts a session and returns it as it was stored.
func started(t *testing.T, s Store, in session.Start) session.Record {
	t.Helper()
	must(t, s.StartSession(t.Context(), in, acceptLogin))
	r, err := s.FindSession(t.Context(), in.Hash)
	must(t, err)

	if r.Login == 0 {
		t.Fatal("FindSession = login 0, want a number")
	}

	return r
}

// loginHistory returns the history that decides on the user's next login at the service.
func loginHistory(t *testing.T, s Store, u account.Account, service string, remember time.Time) policy.History {
	t.Helper()
	var seen policy.History

	in := newLogin(u, service, "history", noon)
	in.Remember = remember
	refusal := errors.New("only reads the history")

	err := s.StartSession(t.Context(), in, func(h policy.History) ([]int64, error) {
		seen = h
		return nil, jeton.WithDetail(jeton.ErrRelogin, refusal.Error())
	})

	wants(t, "StartSession", err, jeton.ErrRelogin)

	return seen
}

// budget returns a budget that the store knows.
func budget(t *testing.T, s Store, name string, most int64) policy.Budget {
	t.Helper()
	id, err := s.BudgetID(t.Context(), "shop", name)
	must(t, err)
	return policy.Budget{ID: id, Name: name, Max: most}
}

// sessionUse asks for one use of each budget by a session.
func sessionUse(r session.Record, budgets ...policy.Budget) count.Use {
	return count.Use{Holder: r.Login, Budgets: budgets}
}

// event returns an audit event of an operator at noon.
func event(action, target string) jeton.Event {
	return jeton.Event{
		Time:    noon,
		Actor:   "operator",
		Action:  action,
		Target:  target,
		Outcome: audit.OK,
	}
}

// auditLog returns the action and target of every event, oldest first.
func auditLog(t *testing.T, s Store) []string {
	t.Helper()
	events, err := s.Events(t.Context(), audit.Filter{})
	must(t, err)
	lines := []string{}
	for _, e := range events {
		lines = append(lines, e.Action+" "+e.Target)
	}

	return lines
}

// ids returns the ids of the sessions that are listed.
func ids(t *testing.T, s Store, w session.Which, limit int) []string {
	t.Helper()
	list, err := s.ListSessions(t.Context(), w, limit)
	must(t, err)
	names := []string{}
	for _, r := range list {
		names = append(names, r.ID)
	}

	return names
}

// noSessions checks that sessions are not found by their secrets.
func noSessions(t *testing.T, s Store, secrets ...string) {
	t.Helper()
	for _, text := range secrets {
		_, err := s.FindSession(t.Context(), secret.HashOf(text))
		wants(t, fmt.Sprintf("FindSession(%s)", text), err, jeton.ErrNotFound)
	}
}

// hasSessions checks that sessions are found by their secrets.
func hasSessions(t *testing.T, s Store, secrets ...string) {
	t.Helper()
	for _, text := range secrets {
		_, err := s.FindSession(t.Context(), secret.HashOf(text))
		wants(t, fmt.Sprintf("FindSession(%s)", text), err, nil)
	}
}

// hashes returns the hashes of secrets, sorted.
func hashes(secrets ...string) []secret.Hash {
	list := []secret.Hash{}
	for _, text := range secrets {
		list = append(list, secret.HashOf(text))
	}
	return sorted(list)
}

// sorted returns a sorted copy, never nil: the order in which hashes are published means
// nothing.
func sorted(list []secret.Hash) []secret.Hash {
	list = append([]secret.Hash{}, list...)
	slices.SortFunc(list, func(a, b secret.Hash) int { return slices.Compare(a[:], b[:]) })
	return list
}

// must ends the test at an error.
func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// wants checks the outcome of a call, wrapped or not.
func wants(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: %v, want %v", what, err, want)
	}
}

// same compares with go-cmp, which shows the difference.
func same(t *testing.T, what string, got, want any) {
	t.Helper()
	diff := cmp.Diff(want, got)
	if diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// Closed checks that every method of a closed store returns jeton.ErrUnavailable.
func Closed(t *testing.T, open Open) {
	s := open(t)
	u := user(t, s, "diane")
	r := started(t, s, newLogin(u, "shop", "one", noon))
	b := budget(t, s, "*", 3)
	must(t, s.Close())

	for _, tc := range []struct {
		name string
		call func(context.Context) error
	}{
		{"StartSession", func(ctx context.Context) error {
			err := s.StartSession(ctx, newLogin(u, "shop", "two", noon), acceptLogin)
			return err
		}},
		{"FindSession", func(ctx context.Context) error { _, err := s.FindSession(ctx, r.Hash); return err }},
		{"Spend", func(ctx context.Context) error { _, err := s.Spend(ctx, sessionUse(r, b)); return err }},
		{"Left", func(ctx context.Context) error { _, err := s.Left(ctx, sessionUse(r, b)); return err }},
		{"EndSessions", func(ctx context.Context) error {
			_, err := s.EndSessions(ctx, session.Which{ID: r.ID}, event(audit.Logout, ""))
			return err
		}},
		{"ProveSession", func(ctx context.Context) error {
			return s.ProveSession(ctx, session.Renewal{
				ID:    r.ID,
				Shown: r.Hash,
				Fresh: r.Hash,
				At:    noon,
			}, event("", ""))
		}},
		{"AddTicket", func(ctx context.Context) error {
			return s.AddTicket(ctx, r.Hash, newTicket(ticket.Code))
		}},
		{"FindTicket", func(ctx context.Context) error {
			_, err := s.FindTicket(ctx, ticket.Code, r.Hash, noon)
			return err
		}},
		{"TakeTicket", func(ctx context.Context) error {
			_, err := s.TakeTicket(ctx, ticket.Code, r.Hash, noon)
			return err
		}},
		{"ListTickets", func(ctx context.Context) error {
			_, err := s.ListTickets(ctx, ticket.Request, u.ID, noon)
			return err
		}},
		{"EndTickets", func(ctx context.Context) error { return s.EndTickets(ctx, ticket.Code, 0) }},
		{"RevokeTicket", func(ctx context.Context) error { return s.RevokeTicket(ctx, ticket.Code, r.Hash) }},
		{"SweepTickets", func(ctx context.Context) error { _, err := s.SweepTickets(ctx, noon, 9); return err }},
		{"ClaimParty", func(ctx context.Context) error { _, _, err := s.ClaimParty(ctx, "x"); return err }},
		{"AddFactor", func(ctx context.Context) error {
			return s.AddFactor(ctx, newFactor(u, factor.TOTP, "f_1"), "", nil)
		}},
		{"AddByCode", func(ctx context.Context) error {
			return s.AddByCode(ctx, factor.Use{}, newFactor(u, factor.TOTP, "f_1"), nil)
		}},
		{"ReplaceFactors", func(ctx context.Context) error {
			return s.ReplaceFactors(ctx, factor.Owner{ID: u.ID}, factor.Recovery, nil, nil)
		}},
		{"ConfirmFactor", func(ctx context.Context) error { return s.ConfirmFactor(ctx, factor.Use{}, noon, nil) }},
		{"ListFactors", func(ctx context.Context) error { _, err := s.ListFactors(ctx, u.ID); return err }},
		{"FindFactor", func(ctx context.Context) error {
			_, err := s.FindFactor(ctx, factor.Passkey, []byte("x"))
			return err
		}},
		{"UseFactor", func(ctx context.Context) error { return s.UseFactor(ctx, factor.Use{}, nil) }},
		{"RenameFactor", func(ctx context.Context) error { return s.RenameFactor(ctx, u.ID, "f_1", "", nil) }},
		{"RemoveFactors", func(ctx context.Context) error {
			_, err := s.RemoveFactors(ctx, u.ID, factor.Which{All: true}, nil)
			return err
		}},
		{"TakeAttempt", func(ctx context.Context) error {
			return s.TakeAttempt(ctx, u.ID, func(a factor.Attempts) (factor.Attempts, error) { return a, nil })
		}},
		{"ForgetAttempts", func(ctx context.Context) error { return s.ForgetAttempts(ctx, u.ID) }},
		{"FindFailures", func(ctx context.Context) error {
			_, err := s.FindFailures(ctx, secret.HashOf("x"))
			return err
		}},
		{"AddFailure", func(ctx context.Context) error {
			return s.AddFailure(ctx, secret.HashOf("x"), limit.Failure{At: noon, Every: time.Minute, Most: time.Hour})
		}},
		{"ForgiveFailures", func(ctx context.Context) error {
			return s.ForgiveFailures(ctx, secret.HashOf("x"), noon)
		}},
		{"SweepFailures", func(ctx context.Context) error { _, err := s.SweepFailures(ctx, noon, 9); return err }},
		{"SweepFactors", func(ctx context.Context) error { _, err := s.SweepFactors(ctx, noon, 9); return err }},
		{"AddInvitation", func(ctx context.Context) error {
			return s.AddInvitation(ctx, newInvitation("one", 1), nil, event("", ""))
		}},
		{"FindInvitation", func(ctx context.Context) error {
			_, err := s.FindInvitation(ctx, secret.HashOf("one"), noon)
			return err
		}},
		{"ListInvitations", func(ctx context.Context) error { _, err := s.ListInvitations(ctx); return err }},
		{"EndInvitation", func(ctx context.Context) error { return s.EndInvitation(ctx, "i_one", event("", "")) }},
		{"AcceptInvitation", func(ctx context.Context) error {
			return s.AcceptInvitation(ctx, secret.HashOf("one"), account.Account{Name: "new"}, noon, event("", ""))
		}},
		{"SweepInvitations", func(ctx context.Context) error {
			_, err := s.SweepInvitations(ctx, noon, 9)
			return err
		}},
		{"TouchSessions", func(ctx context.Context) error {
			return s.TouchSessions(ctx, map[int64]time.Time{r.Login: noon})
		}},
		{"TouchTokens", func(ctx context.Context) error { return s.TouchTokens(ctx, map[int64]time.Time{1: noon}) }},
		{
			"ListSessions",
			func(ctx context.Context) error { _, err := s.ListSessions(ctx, session.Which{}, 9); return err },
		},
		{"AllowLogin", func(ctx context.Context) error {
			return s.AllowLogin(ctx, "diane", "shop", event(audit.LoginAllowed, ""))
		}},
		{"SweepSessions", func(ctx context.Context) error { _, err := s.SweepSessions(ctx, noon, 9); return err }},
		{"ManagersSince", func(ctx context.Context) error { _, err := s.ManagersSince(ctx, noon); return err }},
		{"SubjectSecret", func(ctx context.Context) error { _, err := s.SubjectSecret(ctx, "x"); return err }},
		{"BudgetID", func(ctx context.Context) error { _, err := s.BudgetID(ctx, "shop", "new"); return err }},
		{"FindUser", func(ctx context.Context) error { _, err := s.FindUser(ctx, "diane"); return err }},
		{
			"FindUserEmail",
			func(ctx context.Context) error { _, err := s.FindUserEmail(ctx, "diane@example.org"); return err },
		},
		{"FindUserNumber", func(ctx context.Context) error { _, err := s.FindUserNumber(ctx, 1); return err }},
		{"FindUserID", func(ctx context.Context) error { _, err := s.FindUserID(ctx, "x"); return err }},
		{
			"PageUsers",
			func(ctx context.Context) error { _, err := s.PageUsers(ctx, account.Page{Limit: 9}); return err },
		},
		{"CountUsers", func(ctx context.Context) error { _, err := s.CountUsers(ctx, ""); return err }},
		{
			"KnownSource",
			func(ctx context.Context) error { _, err := s.KnownSource(ctx, u.ID, source, time.Time{}); return err },
		},
		{
			"KnownDevice",
			func(ctx context.Context) error {
				_, err := s.KnownDevice(ctx, u.ID, secret.HashOf("x"), time.Time{})
				return err
			},
		},
		{
			"AddSource",
			func(ctx context.Context) error { return s.AddSource(ctx, u.ID, u.Version, "n9", event("", "")) },
		},
		{
			"AddUser",
			func(ctx context.Context) error { return s.AddUser(ctx, account.Account{Name: "new"}, event("", "")) },
		},
		{"ChangeUser", func(ctx context.Context) error {
			err := s.ChangeUser(ctx, "diane", account.Change{}, noon, event("", ""))
			return err
		}},
		{"RehashUser", func(ctx context.Context) error { return s.RehashUser(ctx, u.ID, u.Version, "x") }},
		{
			"RemoveUser",
			func(ctx context.Context) error { return s.RemoveUser(ctx, "diane", false, event("", "")) },
		},
		{"ListUsers", func(ctx context.Context) error { _, err := s.ListUsers(ctx); return err }},
		{
			"DeclareUsers",
			func(ctx context.Context) error { return s.DeclareUsers(ctx, nil, noon, event("", "")) },
		},
		{"ListKeys", func(ctx context.Context) error { _, err := s.ListKeys(ctx); return err }},
		{"ChangeKeys", func(ctx context.Context) error {
			return s.ChangeKeys(ctx, func([]keys.Record) ([]keys.Record, []string, []jeton.Event, error) {
				return nil, nil, nil, nil
			})
		}},
		{"FindClient", func(ctx context.Context) error { _, err := s.FindClient(ctx, "job"); return err }},
		{
			"AddClient",
			func(ctx context.Context) error { return s.AddClient(ctx, client.Client{Name: "new"}, event("", "")) },
		},
		{"AddDescribedClient", func(ctx context.Context) error {
			c := client.Client{Name: "https://app.example/new"}
			return s.AddDescribedClient(ctx, c, func(int) error { return nil }, event("", ""))
		}},
		{"ChangeClient", func(ctx context.Context) error {
			return s.ChangeClient(ctx, "job", client.Change{End: true}, client.Step{Now: noon})
		}},
		{"RemoveClient", func(ctx context.Context) error { return s.RemoveClient(ctx, "job", client.Step{Now: noon}) }},
		{"ListClients", func(ctx context.Context) error {
			_, err := s.ListClients(ctx, client.Page{Limit: 1})
			return err
		}},
		{
			"DeclareClients",
			func(ctx context.Context) error { return s.DeclareClients(ctx, nil, client.Step{Now: noon}) },
		},
		{"AddClientKey", func(ctx context.Context) error {
			return s.AddClientKey(ctx, "job", client.Key{}, func(client.Client) error { return nil }, client.Step{
				Now: noon,
			})
		}},
		{"RetireClientKey", func(ctx context.Context) error {
			return s.RetireClientKey(ctx, "job", "a", true, client.Step{Now: noon})
		}},
		{"MintToken", func(ctx context.Context) error {
			err := s.MintToken(ctx, token.Mint{Once: token.Once{Issuer: "job"}})
			return err
		}},
		{"UseOnce", func(ctx context.Context) error { return s.UseOnce(ctx, token.Once{Issuer: "job"}) }},
		{"FindToken", func(ctx context.Context) error { _, err := s.FindToken(ctx, secret.HashOf("one")); return err }},
		{"FindSigned", func(ctx context.Context) error {
			_, _, err := s.FindSigned(ctx, secret.HashOf("jti"), secret.HashOf("generation"))
			return err
		}},
		{"EndTokens", func(ctx context.Context) error {
			err := s.EndTokens(ctx, token.Which{
				Accessor: "t_one",
			}, &token.Void{Until: noon}, event(audit.TokenRevoke, ""))
			return err
		}},
		{"ListTokens", func(ctx context.Context) error { _, err := s.ListTokens(ctx, token.Which{}, 9); return err }},
		{"CountDerived", func(ctx context.Context) error { _, err := s.CountDerived(ctx, "t_one"); return err }},
		{"PrefixUsers", func(ctx context.Context) error {
			_, err := s.PrefixUsers(ctx, account.PrefixPage{Prefix: "x", Limit: 9})
			return err
		}},
		{"CountTokens", func(ctx context.Context) error { _, err := s.CountTokens(ctx, "", noon); return err }},
		{"CountSessions", func(ctx context.Context) error { _, err := s.CountSessions(ctx, "", noon); return err }},
		{"ListVoid", func(ctx context.Context) error { _, err := s.ListVoid(ctx, 0, noon, 9); return err }},
		{"SweepTokens", func(ctx context.Context) error { _, err := s.SweepTokens(ctx, noon, 9); return err }},
		{"Append", func(ctx context.Context) error { return s.Append(ctx, []jeton.Event{event("", "")}) }},
		{"Events", func(ctx context.Context) error { _, err := s.Events(ctx, audit.Filter{}); return err }},
		{"FindEnded", func(ctx context.Context) error { _, err := s.FindEnded(ctx, secret.Hash{}); return err }},
		{"Forget", func(ctx context.Context) error { _, err := s.Forget(ctx, noon, 9); return err }},
		{"Measure", func(ctx context.Context) error { _, err := s.Measure(ctx, 0, 9); return err }},
		{"Drop", func(ctx context.Context) error { _, err := s.Drop(ctx, audit.Excess{Limit: 9}); return err }},
	} {
		t.Run(tc.name, func(t *testing.T) { wants(t, tc.name, tc.call(t.Context()), jeton.ErrUnavailable) })
	}
}
