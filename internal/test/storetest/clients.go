package storetest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/account"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/client"
	"github.com/jeton-auth/jeton/internal/jose"
	"github.com/jeton-auth/jeton/internal/secret"
)

// Clients checks how clients are kept. Tokens checks that tokens end with the generation
// of their client.
func Clients(t *testing.T, open Open) {
	each(t, open, []test{
		{"a client is found as it was added, by its exact name", clientIsFound},
		{"a name is either a user's or a client's", sharedNames},
		{"the check of a client that a document describes gets how many there are", describedAreCounted},
		{"clients are listed by name, each with its own keys", clientsListed},
		{"a change changes what it names, and the version grows with what ends tokens", clientChanges},
		{"a kid is one client's alone", kidsApart},
		{"a retired key stays, and its kid cannot be used again", keyRetires},
		{"the check of a new key gets the current client, and its error is returned", keyCheckDecides},
		{"of concurrent keys with one kid, one is accepted", keysAtOnce},
		{"unknown and declared clients are not changed or removed, except for their tokens", clientNotChanged},
		{"removing a client removes its keys, and a new one starts without keys", clientRemoved},
		{"every change is published before it returns, and when its caller cancels", clientChangesArePublished},
	})
}

// clientView is the part of a client that can be compared.
type clientView struct {
	ID, Version int64
	Folded      string
	Secret      *secret.Hash
	Source      *client.Source
	Public      jeton.Client
}

// view leaves out what go-cmp cannot compare: keys with unexported fields.
func view(c client.Client) clientView {
	return clientView{c.ID, c.Version, c.Folded, c.Secret, c.Source, c.Public()}
}

// publicKey makes a new key with a kid.
func publicKey(t *testing.T, kid string) client.Key {
	t.Helper()
	s, err := jose.Generate(jose.EdDSA)
	must(t, err)
	private, err := s.MarshalPKCS8()
	must(t, err)

	s, err = jose.ParsePKCS8(private, jose.EdDSA, kid)
	must(t, err)

	return client.Key{Key: s.Key(), Created: noon}
}

// newClient returns a client that has something in every field. Its keys are a second
// apart, so that their order is fixed.
func newClient(t *testing.T, name string, kids ...string) client.Client {
	t.Helper()
	h := secret.HashOf("secret of " + name)

	c := client.Client{
		Name:        name,
		Folded:      strings.ToLower(name),
		Version:     1,
		Secret:      &h,
		Services:    []string{"bank", "shop"},
		Scopes:      []string{"read"},
		Introspects: []string{"shop"},
		Created:     noon,
		Updated:     noon,
	}

	for i, kid := range kids {
		k := publicKey(t, kid)
		k.Created = noon.Add(time.Duration(i) * time.Second)
		c.Keys = append(c.Keys, k)
	}

	return c
}

// relyingParty returns a relying party with something in every field.
func relyingParty(uri string) *jeton.RelyingParty {
	return &jeton.RelyingParty{
		RedirectURIs:           []string{uri},
		PostLogoutRedirectURIs: []string{uri + "?out"},
		Public:                 true,
		PKCEOptional:           true,
		Algorithm:              "ES256",
		IDTokenClaims:          true,
		Allow:                  &jeton.AllowedUsers{Users: []string{"alice"}, Groups: []string{"staff"}},
		RefreshLifetime:        3600,
	}
}

// clientAdded adds a client and returns it as it was stored.
func clientAdded(t *testing.T, s Store, name string, kids ...string) client.Client {
	t.Helper()
	must(t, s.AddClient(t.Context(), newClient(t, name, kids...), event(audit.ClientAdd, "client:"+name)))
	return foundClient(t, s, name)
}

// foundClient returns a client that must be there.
func foundClient(t *testing.T, s Store, name string) client.Client {
	t.Helper()
	c, err := s.FindClient(t.Context(), name)
	must(t, err)
	return c
}

// stepOf returns a step a minute after noon, which differs from when the client was added.
func stepOf(action, target string) client.Step {
	return client.Step{Now: noon.Add(time.Minute), KeepRevoked: time.Hour, Event: event(action, target)}
}

// anyKey is a check that accepts every key.
func anyKey(client.Client) error { return nil }

// clientIsFound compares a client with all fields and one with none: nil and empty lists,
// zero times and absent sources must come back as they are meant.
func clientIsFound(t *testing.T, s Store) {
	in := newClient(t, "Job", "old", "new")
	in.Source = &client.Source{
		URL:     "https://keys.example/set",
		Format:  client.FormatJWKS,
		CA:      "/ca.pem",
		Private: true,
	}

	in.OpenID = relyingParty("https://app.example/done")
	in.Keys[0].Opens = noon.Add(time.Hour)
	in.Keys[1].Closes = noon.Add(2 * time.Hour)
	in.Keys[1].Retired = true

	must(t, s.AddClient(t.Context(), in, event(audit.ClientAdd, "client:Job")))
	got := foundClient(t, s, "Job")
	in.ID = got.ID
	if got.ID == 0 {
		t.Error("client number = 0, want a number")
	}

	same(t, "the client", view(got), view(in))
	bare := client.Client{
		Name:    "bare",
		Folded:  "bare",
		Created: noon,
		Updated: noon,
	}

	must(t, s.AddClient(t.Context(), bare, event(audit.ClientAdd, "client:bare")))
	got = foundClient(t, s, "bare")
	bare.ID, bare.Version = got.ID, 1

	same(t, "a client that has nothing", view(got), view(bare))

	for _, name := range []string{"job", "JOB", "Jo", "Job ", "", "%", "Jo_"} {
		_, err := s.FindClient(t.Context(), name)
		wants(t, "FindClient("+name+")", err, jeton.ErrNotFound)
	}

	same(t, "the audit log", auditLog(t, s), []string{"client.add client:Job", "client.add client:bare"})
}

// sharedNames checks that a user and a client never have the same name. The subject of a
// token would otherwise stand for either (RFC 9700, section 4.15).
func sharedNames(t *testing.T, s Store) {
	clientAdded(t, s, "job")
	user(t, s, "diane")
	before := auditLog(t, s)

	// Each name is tried as both, since each table alone would accept one of the two.
	for _, name := range []string{"job", "Job", "diane", "DIANE"} {
		wants(
			t, "AddClient("+name+")",
			s.AddClient(t.Context(), newClient(t, name), event(audit.ClientAdd, "client:"+name)),
			jeton.ErrConflict,
		)

		a := account.Account{Name: name, Folded: strings.ToLower(name), Password: "x"}
		wants(t, "AddUser("+name+")", s.AddUser(t.Context(), a, event(audit.UserAdd, "user:"+name)), jeton.ErrConflict)
	}

	err := s.DeclareUsers(t.Context(), []account.Account{declaredUser("job")}, noon, event(audit.UserChange, ""))
	wants(t, "DeclareUsers with the name of a client", err, jeton.ErrConflict)
	err = s.DeclareClients(t.Context(), []client.Client{newClient(t, "diane")}, stepOf(audit.ClientChange, ""))
	wants(t, "DeclareClients with the name of a user", err, jeton.ErrConflict)
	same(t, "the audit log", auditLog(t, s), before)

	// A name is free again once its owner is removed.
	err = s.RemoveUser(t.Context(), "diane", false, event(audit.UserRemove, "user:diane"))
	must(t, err)
	clientAdded(t, s, "diane")
	must(t, s.RemoveClient(t.Context(), "job", stepOf(audit.ClientRemove, "client:job")))
	user(t, s, "job")
}

// clientsListed adds in another order than that of the names, and gives clients different
// numbers of keys, which are rows of one query.
func clientsListed(t *testing.T, s Store) {
	list, err := s.ListClients(t.Context(), client.Page{Limit: 10})
	must(t, err)

	if len(list) != 0 {
		t.Errorf("list of an empty store = %v, want none", list)
	}

	views := map[string]clientView{}
	for name, keys := range map[string][]string{
		"job-c": {"one", "two"},
		"job-a": nil,
		"Job-b": {"one"},
		"jobs":  nil,
		"z":     nil,
	} {
		views[name] = view(clientAdded(t, s, name, keys...))
	}

	for _, tc := range []struct {
		name string
		page client.Page
		want []string
	}{
		{"all of them", client.Page{Limit: 10}, []string{"job-a", "Job-b", "job-c", "jobs", "z"}},
		{"the first page", client.Page{Limit: 2}, []string{"job-a", "Job-b"}},
		{"the next page", client.Page{After: "job-b", Limit: 2}, []string{"job-c", "jobs"}},
		{"by the beginning of the name", client.Page{Prefix: "job-", Limit: 10}, []string{"job-a", "Job-b", "job-c"}},
		{
			"the next page by the beginning",
			client.Page{Prefix: "job-", After: "job-a", Limit: 1},
			[]string{"Job-b"},
		},
		{"no name begins so", client.Page{Prefix: "y", Limit: 10}, nil},
	} {
		list, err := s.ListClients(t.Context(), tc.page)
		must(t, err)

		var got, want []clientView
		for _, c := range list {
			got = append(got, view(c))
		}
		for _, name := range tc.want {
			want = append(want, views[name])
		}

		same(t, tc.name, got, want)
	}
}

// clientChanges changes one field at a time. Only what ends tokens makes the version grow.
func clientChanges(t *testing.T, s Store) {
	other := clientAdded(t, s, "other", "k")
	want := clientAdded(t, s, "job", "k")
	h := secret.HashOf("another")
	lists, none := []string{"blue", "red"}, []string{}
	yes, no := true, false
	for i, tc := range []struct {
		name   string
		change client.Change
		then   func(*client.Client)
		grows  bool
	}{
		{
			"a new secret",
			client.Change{Secret: &client.SetSecret{Hash: &h}},
			func(c *client.Client) { c.Secret = &h },
			false,
		},
		{
			"no secret, and the end of its tokens",
			client.Change{Secret: &client.SetSecret{}, End: true},
			func(c *client.Client) { c.Secret = nil },
			true,
		},
		{"services", client.Change{Services: &lists}, func(c *client.Client) { c.Services = lists }, false},
		{"scopes", client.Change{Scopes: &lists}, func(c *client.Client) { c.Scopes = lists }, false},
		{"introspects", client.Change{Introspects: &lists}, func(c *client.Client) { c.Introspects = lists }, false},
		{"no scopes", client.Change{Scopes: &none}, func(c *client.Client) { c.Scopes = none }, false},
		{"disabled", client.Change{Disabled: &yes}, func(c *client.Client) { c.Disabled = true }, true},
		{"enabled", client.Change{Disabled: &no}, func(c *client.Client) { c.Disabled = false }, true},
		{"the end of its tokens", client.Change{End: true}, func(*client.Client) {}, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			step := stepOf(audit.ClientChange, "client:job")
			step.Now = noon.Add(time.Duration(i) * time.Minute)
			before := foundClient(t, s, "job")
			must(t, s.ChangeClient(t.Context(), "job", tc.change, step))
			got := foundClient(t, s, "job")
			grew := got.Version > before.Version
			if grew != tc.grows {
				t.Errorf("version = %d after %d, want it to grow: %t", got.Version, before.Version, tc.grows)
			}

			want.Updated, want.Version = step.Now, got.Version
			tc.then(&want)
			same(t, "the client", view(got), view(want))
			lines := auditLog(t, s)
			if lines[len(lines)-1] != "client.change client:job" || len(lines) != 3+i {
				t.Errorf("audit log = %v, want one change more", lines)
			}
		})
	}

	same(t, "another client", view(foundClient(t, s, "other")), view(other))
}

// kidsApart gives two clients a key of the same kid, as clients choose their kids.
func kidsApart(t *testing.T, s Store) {
	one, two := clientAdded(t, s, "one", "main"), clientAdded(t, s, "two", "main")
	k := publicKey(t, "second")
	must(t, s.AddClientKey(t.Context(), "one", k, anyKey, stepOf(audit.ClientKeyAdd, "client:one")))
	must(t, s.RetireClientKey(t.Context(), "one", "main", false, stepOf(audit.ClientKeyRetire, "client:one")))
	same(t, "the other client", view(foundClient(t, s, "two")), view(two))

	got := foundClient(t, s, "one")
	if len(got.Keys) != 2 || !got.Keys[0].Retired || got.Keys[1].ID != "second" ||
		got.Keys[0].Thumbprint() != one.Keys[0].Thumbprint() ||
		got.Keys[1].Thumbprint() != k.Thumbprint() {
		t.Errorf("keys of the client = %+v, want the retired one and second", got.Public().Keys)
	}

	same(t, "when it was changed", got.Updated, noon.Add(time.Minute))
	must(t, s.RemoveClient(t.Context(), "one", stepOf(audit.ClientRemove, "client:one")))
	same(t, "the other client", view(foundClient(t, s, "two")), view(two))
}

// keyRetires checks that a retired kid stays taken: another key under it could be confused
// with the stolen one.
func keyRetires(t *testing.T, s Store) {
	before := clientAdded(t, s, "job", "a", "b")
	retire := func(kid string, end bool) error {
		return s.RetireClientKey(t.Context(), "job", kid, end, stepOf(audit.ClientKeyRetire, "client:job"))
	}

	must(t, retire("a", false))
	got := foundClient(t, s, "job")
	if !got.Keys[0].Retired || got.Keys[1].Retired || got.Version != before.Version {
		t.Errorf("version = %d, keys = %+v, want the same version and a retired", got.Version, got.Public().Keys)
	}

	must(t, retire("a", false)) // twice is not an error
	err := s.AddClientKey(t.Context(), "job", publicKey(t, "a"), anyKey, stepOf(audit.ClientKeyAdd, "client:job"))
	wants(t, "AddClientKey with the kid of a retired key", err, jeton.ErrConflict)
	must(t, retire("b", true))

	if got := foundClient(t, s, "job"); !got.Keys[1].Retired || got.Version <= before.Version {
		t.Errorf("version = %d, keys = %+v, want a greater version and b retired", got.Version, got.Public().Keys)
	}

	wants(t, "RetireClientKey of an unknown kid", retire("c", true), jeton.ErrNotFound)
}

// describedAreCounted adds clients at the same time, of which the check allows three.
func describedAreCounted(t *testing.T, s Store) {
	clientAdded(t, s, "job")
	full := jeton.WithDetail(jeton.ErrInvalid, "full")
	var all sync.WaitGroup
	var added atomic.Int32

	for i := range 6 {
		all.Go(func() {
			c := client.Client{Name: fmt.Sprintf("https://app.example/%d", i), Created: noon, Updated: noon}
			c.Folded = c.Name
			err := s.AddDescribedClient(t.Context(), c, func(kept int) error {
				if kept >= 3 {
					return full
				}
				return nil
			}, event(audit.ClientDocument, "client:"+c.Name))

			if err == nil {
				added.Add(1)
			} else if !errors.Is(err, full) {
				t.Errorf("AddDescribedClient: %v, want %v", err, full)
			}
		})
	}
	all.Wait()

	list, err := s.ListClients(t.Context(), client.Page{Prefix: "https://", Limit: 10})
	must(t, err)
	if added.Load() != 3 || len(list) != 3 {
		t.Errorf("%d calls succeeded and %d clients were added, want 3", added.Load(), len(list))
	}
}

// keyCheckDecides checks that the condition sees the client as it is in the step: the
// caller has read it earlier.
func keyCheckDecides(t *testing.T, s Store) {
	before := clientAdded(t, s, "job", "a")
	lines := auditLog(t, s)
	var seen client.Client

	err := s.AddClientKey(t.Context(), "job", publicKey(t, "b"), func(c client.Client) error {
		seen = c
		return jeton.WithDetail(jeton.ErrConflict, "not now")
	}, stepOf(audit.ClientKeyAdd, "client:job"))

	wants(t, "AddClientKey that the check refuses", err, jeton.ErrConflict)
	same(t, "the client that the check got", view(seen), view(before))
	same(t, "the client", view(foundClient(t, s, "job")), view(before))
	same(t, "the audit log", auditLog(t, s), lines)
}

// keysAtOnce registers different keys with one kid at the same time. One of them wins,
// completely.
func keysAtOnce(t *testing.T, s Store) {
	clientAdded(t, s, "job")
	var wg sync.WaitGroup

	taken := make(chan string, 8)
	for range cap(taken) {
		k := publicKey(t, "same")
		wg.Go(func() {
			err := s.AddClientKey(t.Context(), "job", k, anyKey, stepOf(audit.ClientKeyAdd, "client:job"))
			switch {
			case err == nil:
				taken <- k.Thumbprint()
			case !errors.Is(err, jeton.ErrConflict):
				t.Errorf("AddClientKey: %v, want ErrConflict", err)
			}
		})
	}

	wg.Wait()
	close(taken)
	c := foundClient(t, s, "job")
	if len(taken) != 1 || len(c.Keys) != 1 || c.Keys[0].Thumbprint() != <-taken {
		t.Errorf("%d keys were accepted, and the client has %+v, want one, the same", len(taken), c.Public().Keys)
	}
}

// clientNotChanged checks that a declared client changes only in the configuration file,
// except that its tokens can be ended: after a theft an operator cannot wait for a
// deployment.
func clientNotChanged(t *testing.T, s Store) {
	must(
		t,
		s.DeclareClients(t.Context(), []client.Client{declaredProgram(t, "job", "a")}, stepOf(audit.ClientChange, "")),
	)

	job, before := foundClient(t, s, "job"), auditLog(t, s)
	yes, none := true, []string{}
	for name, want := range map[string]error{
		"job":    jeton.ErrDeclared,
		"absent": jeton.ErrNotFound,
		"Job":    jeton.ErrNotFound,
	} {
		step := stepOf(audit.ClientChange, "client:"+name)
		for what, err := range map[string]error{
			"disabling":          s.ChangeClient(t.Context(), name, client.Change{Disabled: &yes}, step),
			"a scope and an end": s.ChangeClient(t.Context(), name, client.Change{Scopes: &none, End: true}, step),
			"a change to no secret": s.ChangeClient(t.Context(), name, client.Change{
				Secret: &client.SetSecret{},
			}, step),
			"removing":       s.RemoveClient(t.Context(), name, step),
			"a new key":      s.AddClientKey(t.Context(), name, publicKey(t, "b"), anyKey, step),
			"retiring a key": s.RetireClientKey(t.Context(), name, "a", true, step),
		} {
			wants(t, what+" of "+name, err, want)
		}
	}

	same(t, "the client", view(foundClient(t, s, "job")), view(job))
	same(t, "the audit log", auditLog(t, s), before)
	must(t, s.ChangeClient(t.Context(), "job", client.Change{End: true}, stepOf(audit.ClientEndTokens, "client:job")))
	got := foundClient(t, s, "job")
	if got.Version <= job.Version || !got.Declared {
		t.Errorf("version = %d, declared = %t, want a greater version, declared", got.Version, got.Declared)
	}
}

// clientRemoved gives the name of a removed client to another one, whose number and
// generation must differ: tokens of the first carry them.
func clientRemoved(t *testing.T, s Store) {
	old := clientAdded(t, s, "job", "a")
	must(t, s.RemoveClient(t.Context(), "job", stepOf(audit.ClientRemove, "client:job")))
	_, err := s.FindClient(t.Context(), "job")
	wants(t, "FindClient", err, jeton.ErrNotFound)
	again := clientAdded(t, s, "job")
	if again.ID == old.ID || again.Generation() == old.Generation() || len(again.Keys) != 0 {
		t.Errorf(
			"the new client is number %d, generation %s, with keys %+v; want others, and no keys",
			again.ID, again.Generation(), again.Public().Keys,
		)
	}

	same(t, "the audit log", auditLog(t, s), []string{
		"client.add client:job",
		"client.remove client:job",
		"client.add client:job",
	})
}

// clientChangesArePublished is userChangesArePublished for clients.
func clientChangesArePublished(t *testing.T, s Store) {
	published := subscribe(s)

	job := clientAdded(t, s, "job", "a")
	step := stepOf(audit.ClientChange, "client:job")
	same(t, "published for a new client", published.clients(), []int64(nil))
	must(t, s.ChangeClient(t.Context(), "job", client.Change{End: true}, step))

	same(t, "published for a change", published.clients(), []int64{job.ID})

	must(t, s.AddClientKey(t.Context(), "job", publicKey(t, "b"), anyKey, step))
	same(t, "published for a new key", published.clients(), []int64{job.ID})
	must(t, s.RetireClientKey(t.Context(), "job", "a", false, step))
	same(t, "published for a retired key", published.clients(), []int64{job.ID})

	wants(t, "ChangeClient of an unknown client", s.ChangeClient(t.Context(), "absent", client.Change{
		End: true,
	}, step), jeton.ErrNotFound)

	same(t, "published for a change that failed", published.clients(), []int64(nil))
	must(t, s.DeclareClients(t.Context(), []client.Client{declaredProgram(t, "job")}, step))
	same(t, "published for an adoption", published.clients(), []int64{job.ID})
	must(t, s.DeclareClients(t.Context(), nil, step))
	same(t, "published for a client that is no longer declared", published.clients(), []int64{job.ID})

	job = clientAdded(t, s, "job")
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	wants(t, "RemoveClient by a cancelled caller", s.RemoveClient(cancelled, "job", step), jeton.ErrUnavailable)
	must(t, s.Append(t.Context(), []jeton.Event{event("after", "")})) // the store has done all earlier steps

	if _, err := s.FindClient(t.Context(), "job"); errors.Is(err, jeton.ErrNotFound) {
		same(t, "published for a removal whose caller cancelled", published.clients(), []int64{job.ID})
	} else {
		same(t, "published for a removal that did not happen", published.clients(), []int64(nil))
	}
}
