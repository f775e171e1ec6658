package storetest

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/account"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/secret"
	"github.com/jeton-auth/jeton/internal/session"
)

// Identities is the contract of account.IdentityStore.
func Identities(t *testing.T, open Open) {
	each(t, open, []test{
		{"an identity leads to its user, and is of one user alone", identityIsFound},
		{"a condition sees the user and the number of identities, and its error changes nothing", identityCondition},
		{"a user and an identity are added together or not at all", identityOfNewUser},
		{"of many users at once, one gets an identity", identityRace},
		{"an identity ends with its user", identityEndsWithUser},
		{"removing an identity ends the sessions that began with it", identityRemoved},
		{"all that began at a provider end where it is not known which", identityOfUnknownProvider},
		{"and the grants that came of them, also those that outlive a session", identityRemovedEndsGrants},
		{"a session that has ended connects no identity", identityOfSession},
	})
}

const provider = "https://login.example"

// identity returns one of the provider.
func identity(subject string) account.Identity {
	return account.Identity{
		Issuer:  provider,
		Subject: subject,
		Label:   subject + "@example.org",
		Created: noon.UTC(),
	}
}

// anyone is the condition that every account fulfils.
func anyone(account.Account, int) error { return nil }

// connect adds an identity to a user.
func connect(t *testing.T, s Store, u account.Account, i account.Identity) error {
	t.Helper()
	return s.AddIdentity(t.Context(), u.ID, 0, i, anyone, event(audit.IdentityAdd, "user:"+u.Name))
}

// userOf returns the name of the user of an identity, or "".
func userOf(t *testing.T, s Store, issuer, subject string) string {
	t.Helper()
	a, err := s.FindIdentity(t.Context(), issuer, subject)
	if !errors.Is(err, jeton.ErrNotFound) {
		must(t, err)
	}

	return a.Name
}

func identityIsFound(t *testing.T, s Store) {
	diane, ben := user(t, s, "diane"), user(t, s, "ben")
	other := account.Identity{Issuer: "https://other.example", Subject: "1", Created: noon}
	must(t, connect(t, s, diane, identity("1")))
	must(t, connect(t, s, diane, other))

	// Subjects are compared byte by byte, and belong to their issuer.
	must(t, connect(t, s, ben, identity("A")))
	for _, tc := range []struct{ issuer, subject, want string }{
		{provider, "1", "diane"},
		{provider, "A", "ben"},
		{provider, "a", ""},
		{provider, "", ""},
		{provider + "/", "1", ""},
		{"https://other.example", "1", "diane"},
		{"https://other.example", "A", ""},
	} {
		if got := userOf(t, s, tc.issuer, tc.subject); got != tc.want {
			t.Errorf("FindIdentity(%s, %s) = %q, want %q", tc.issuer, tc.subject, got, tc.want)
		}
	}

	list, err := s.ListIdentities(t.Context(), diane.ID)
	must(t, err)
	same(t, "identities", list, []account.Identity{identity("1"), other})

	wants(t, "an identity of another user", connect(t, s, ben, identity("1")), jeton.ErrConflict)
	wants(t, "a second one of an issuer", connect(t, s, ben, identity("2")), jeton.ErrConflict)
	wants(t, "of no user", connect(t, s, account.Account{ID: 4711}, identity("3")), jeton.ErrNotFound)
	same(t, "the end of the audit log", auditLog(t, s)[2:], []string{
		"user.connect user:diane", "user.connect user:diane", "user.connect user:ben",
	})
}

func identityCondition(t *testing.T, s Store) {
	diane := user(t, s, "diane")
	must(t, connect(t, s, diane, account.Identity{Issuer: "https://other.example", Subject: "1", Created: noon}))

	seen := ""
	refusal := jeton.WithDetail(jeton.ErrForbidden, "no")
	err := s.AddIdentity(t.Context(), diane.ID, 0, identity("1"), func(a account.Account, others int) error {
		seen = a.Name
		same(t, "other identities", others, 1)
		return refusal
	}, event(audit.IdentityAdd, "user:diane"))

	wants(t, "AddIdentity", err, jeton.ErrForbidden)
	same(t, "the account that the condition sees", seen, "diane")
	same(t, "the user of the identity", userOf(t, s, provider, "1"), "")
}

func identityOfNewUser(t *testing.T, s Store) {
	add := func(name, subject string) error {
		a := account.Account{
			UUID:    "id of " + name,
			Name:    name,
			Folded:  name,
			Groups:  []string{},
			Version: 1,
			Created: noon,
			Updated: noon,
		}

		return s.AddUserIdentity(t.Context(), a, identity(subject), event(audit.UserAdd, "user:"+name))
	}

	must(t, add("diane", "1"))
	same(t, "the user of the identity", userOf(t, s, provider, "1"), "diane")

	wants(t, "a name that is taken", add("diane", "2"), jeton.ErrConflict)
	wants(t, "an identity that is taken", add("ben", "1"), jeton.ErrConflict)
	_, err := s.FindUser(t.Context(), "ben")
	wants(t, "FindUser(ben)", err, jeton.ErrNotFound)
	same(t, "the user of the other identity", userOf(t, s, provider, "2"), "")
}

func identityRace(t *testing.T, s Store) {
	users := []account.Account{user(t, s, "a"), user(t, s, "b"), user(t, s, "c"), user(t, s, "d")}

	var wg sync.WaitGroup
	var added atomic.Int64
	for _, u := range users {
		wg.Go(func() {
			err := connect(t, s, u, identity("1"))
			if err == nil {
				added.Add(1)
			} else if !errors.Is(err, jeton.ErrConflict) {
				t.Error(err)
			}
		})
	}
	wg.Wait()

	if n := added.Load(); n != 1 {
		t.Errorf("%d users got the identity, want 1", n)
	}
}

func identityEndsWithUser(t *testing.T, s Store) {
	diane := user(t, s, "diane")
	must(t, connect(t, s, diane, identity("1")))
	must(t, s.RemoveUser(t.Context(), "diane", false, event(audit.UserRemove, "user:diane")))
	same(t, "the user of the identity", userOf(t, s, provider, "1"), "")

	again := user(t, s, "diane")
	must(t, connect(t, s, again, identity("1")))
}

func identityRemoved(t *testing.T, s Store) {
	diane := user(t, s, "diane")
	must(t, connect(t, s, diane, identity("1")))

	in := newLogin(diane, "issuer", "with", noon)
	in.Methods, in.Issuer = "upstream:company", provider
	began := started(t, s, in)
	in = newLogin(diane, "issuer", "factor", noon)
	in.Methods, in.Issuer = "upstream:company otp mfa", provider
	second := started(t, s, in)
	in = newLogin(diane, "issuer", "other", noon)
	in.Methods = "upstream:company2 otp mfa"
	other := started(t, s, in)
	child := started(t, s, childLogin(began, diane, "shop", "child"))
	stays := signedIn(t, s, diane, "without")

	const method = "upstream:company"
	ev := event(audit.IdentityRemove, "user:diane")
	must(t, s.RemoveIdentity(t.Context(), diane.ID, removal(provider, method), ev))
	wants(t, "a second time", s.RemoveIdentity(t.Context(), diane.ID, removal(provider, method), ev), jeton.ErrNotFound)

	for _, r := range []struct {
		name string
		id   string
		want error
	}{
		{"with", began.ID, jeton.ErrNotFound},
		{"child", child.ID, jeton.ErrNotFound},
		{"factor", second.ID, jeton.ErrNotFound},
		{"other", other.ID, nil},
		{"without", stays.ID, nil},
	} {
		_, err := s.FindSession(t.Context(), secret.HashOf(r.name))
		if !errors.Is(err, r.want) {
			t.Errorf("FindSession(%s) = %v, want %v", r.id, err, r.want)
		}
	}

	in = newLogin(diane, "issuer", "late", noon)
	in.Issuer = provider
	err := s.StartSession(t.Context(), in, acceptLogin)
	wants(t, "a login with an identity that was removed", err, jeton.ErrBadCredential)
}

func identityRemovedEndsGrants(t *testing.T, s Store) {
	g := newGranting(t, s)
	g.grant.Offline, g.grant.Methods = true, "upstream:company"
	must(t, g.add(t, s))
	must(t, connect(t, s, g.user, identity("1")))
	must(t, connect(t, s, g.user, account.Identity{Issuer: "https://other.example", Subject: "1", Created: noon}))

	ev := event(audit.IdentityRemove, "user:diane")
	must(t, s.RemoveIdentity(t.Context(), g.user.ID, removal("https://other.example", "upstream:other"), ev))
	same(t, "after the end of another identity", g.found(t, s), []string{"grant", "access"})
	must(t, s.RemoveIdentity(t.Context(), g.user.ID, removal(provider, "upstream:company"), ev))
	same(t, "after the end of its identity", len(g.found(t, s)), 0)
}

func identityOfUnknownProvider(t *testing.T, s Store) {
	diane := user(t, s, "diane")
	must(t, connect(t, s, diane, identity("1")))
	for _, methods := range []string{"upstream:old", "upstream:company otp mfa", "pwd", ""} {
		in := newLogin(diane, "issuer", "session "+methods, noon)
		in.Methods = methods
		started(t, s, in)
	}

	ev := event(audit.IdentityRemove, "user:diane")
	must(t, s.RemoveIdentity(t.Context(), diane.ID, removal(provider, ""), ev))
	for methods, want := range map[string]error{
		"upstream:old":             jeton.ErrNotFound,
		"upstream:company otp mfa": jeton.ErrNotFound,
		"pwd":                      nil,
		"":                         nil,
	} {
		_, err := s.FindSession(t.Context(), secret.HashOf("session "+methods))
		wants(t, "the session of the methods "+methods, err, want)
	}
}

func identityOfSession(t *testing.T, s Store) {
	diane, ben := user(t, s, "diane"), user(t, s, "ben")
	r := signedIn(t, s, diane, "session")
	add := func(u account.Account) error {
		ev := event(audit.IdentityAdd, "user:"+u.Name)
		return s.AddIdentity(t.Context(), u.ID, r.Login, identity(u.Name), anyone, ev)
	}

	must(t, add(diane))
	wants(t, "with the session of another user", add(ben), jeton.ErrBadCredential)
	_, err := s.EndSessions(t.Context(), session.Which{Login: r.Login}, event(audit.Logout, "user:diane"))
	must(t, err)
	ev := event(audit.IdentityRemove, "user:diane")
	must(t, s.RemoveIdentity(t.Context(), diane.ID, removal(provider, ""), ev))
	wants(t, "with a session that has ended", add(diane), jeton.ErrBadCredential)
}
