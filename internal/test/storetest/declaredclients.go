package storetest

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/client"
	"github.com/jeton-auth/jeton/internal/secret"
)

// DeclaredClients checks that the store takes over the clients of a configuration.
func DeclaredClients(t *testing.T, open Open) {
	each(t, open, []test{
		{"new names are added, and the same declaration again writes nothing", clientsDeclaredAgain},
		{"every difference is one change of that client", clientsDeclaredChange},
		{"an existing client is adopted, with the declared keys and its retired ones", clientsAdopted},
		{"a client that is no longer declared is removed, and no other", clientsUndeclared},
		{"a name may change its case", clientsDeclaredCase},
		{"a conflict changes nothing at all", clientsDeclaredConflict},
	})
}

// declaredProgram returns a client as the configuration declares it: without times, which
// the store sets.
func declaredProgram(t *testing.T, name string, kids ...string) client.Client {
	t.Helper()
	c := newClient(t, name, kids...)
	c.Declared = true
	c.Created = time.Time{}
	c.Updated = time.Time{}

	for i := range c.Keys {
		c.Keys[i].Created = time.Time{}
	}

	return c
}

// declareClients makes the clients the declared ones.
func declareClients(t *testing.T, s Store, clients ...client.Client) {
	t.Helper()
	must(t, s.DeclareClients(t.Context(), clients, stepOf(audit.ClientChange, "")))
}

// clientsDeclaredAgain is declaredAgain for clients, also with their keys in another order.
func clientsDeclaredAgain(t *testing.T, s Store) {
	a, b := declaredProgram(t, "a", "two", "one"), declaredProgram(t, "b")
	a.Source = &client.Source{URL: "https://keys.example/a", Format: client.FormatPEM}
	b.Secret = nil
	b.Disabled = true
	b.Services = nil

	declareClients(t, s, b, a)
	// The step may run again after a rollback, so it must not write into the list of its
	// caller.
	same(t, "the creation time of the declared key", a.Keys[0].Created, time.Time{})
	want, lines := []clientView{view(foundClient(t, s, "a")), view(foundClient(t, s, "b"))}, auditLog(t, s)
	same(t, "the audit log", lines, []string{"client.add client:b", "client.add client:a"})
	pub := want[0].Public
	if !pub.Declared || len(pub.Keys) != 2 || pub.KeySource != a.Source.URL ||
		!pub.Created.Equal(noon.Add(time.Minute)) ||
		!pub.Keys[0].Created.Equal(noon.Add(time.Minute)) {
		t.Errorf("a = %+v, want it declared, with two keys, made when it was declared", pub)
	}

	later := stepOf(audit.ClientChange, "")
	later.Now = noon.Add(time.Hour)
	slices.Reverse(a.Keys)

	for _, clients := range [][]client.Client{{a, b}, {b, a}} {
		must(t, s.DeclareClients(t.Context(), clients, later))
	}

	same(t, "clients after the same declaration", []clientView{
		view(foundClient(t, s, "a")),
		view(foundClient(t, s, "b")),
	}, want)

	same(t, "the audit log after the same declaration", auditLog(t, s), lines)
}

// clientsDeclaredChange changes one field at a time. A setting that is written although it
// is the same would end tokens, hence the column grows.
func clientsDeclaredChange(t *testing.T, s Store) {
	other, job := declaredProgram(t, "other", "k"), declaredProgram(t, "job", "a", "b")
	declareClients(t, s, other, job)
	before := view(foundClient(t, s, "other"))
	h := secret.HashOf("another")
	for i, tc := range []struct {
		name   string
		change func()
		grows  bool
	}{
		{"services", func() { job.Services = []string{"red"} }, false},
		{"scopes", func() { job.Scopes = nil }, false},
		{"introspects", func() { job.Introspects = []string{"red"} }, false},
		{"the secret", func() { job.Secret = &h }, false},
		{"no secret", func() { job.Secret = nil }, false},
		{
			"a source",
			func() { job.Source = &client.Source{URL: "https://keys.example", Format: client.FormatJWKS} },
			false,
		},
		{"an option of the source", func() {
			job.Source = &client.Source{URL: "https://keys.example", Format: client.FormatJWKS, Private: true}
		}, false},
		{"no source", func() { job.Source = nil }, false},
		{"addresses to sign users in", func() { job.OpenID = relyingParty("https://a.example/done") }, false},
		{"another such address", func() { job.OpenID = relyingParty("https://b.example/done") }, false},
		{"no such address", func() { job.OpenID = nil }, false},
		{"another key", func() { job.Keys = append(job.Keys, publicKey(t, "c")) }, false},
		{"a key fewer", func() { job.Keys = job.Keys[1:] }, false},
		{"another key of the same kid", func() { job.Keys = []client.Key{publicKey(t, "b"), job.Keys[1]} }, false},
		{"when a key is valid", func() {
			job.Keys = slices.Clone(job.Keys)
			job.Keys[0].Opens, job.Keys[0].Closes = noon, noon.Add(time.Hour)
		}, false},
		{"disabled", func() { job.Disabled = true }, true},
		{"enabled", func() { job.Disabled = false }, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			was := foundClient(t, s, "job")
			tc.change()
			declareClients(t, s, other, job)
			got := foundClient(t, s, "job")
			grew := got.Version > was.Version
			if grew != tc.grows || got.ID != was.ID {
				t.Errorf("number %d, version %d after number %d, version %d", got.ID, got.Version, was.ID, was.Version)
			}

			want := job
			want.ID = got.ID
			want.Version = got.Version
			want.Created = got.Created
			want.Updated = got.Updated

			want.Keys = slices.Clone(want.Keys)
			for i := range want.Keys {
				want.Keys[i].Created = noon.Add(time.Minute)
			}

			slices.SortFunc(want.Keys, func(a, b client.Key) int { return strings.Compare(a.ID, b.ID) })
			same(t, "the client", view(got), view(want))
			lines := auditLog(t, s)
			if len(lines) != 3+i || lines[len(lines)-1] != "client.change client:job" {
				t.Errorf("audit log = %v, want one change more", lines)
			}
		})
	}

	same(t, "another client", view(foundClient(t, s, "other")), before)
}

// clientsAdopted declares a client that was added with commands. A key that it had stays as
// old as it was, and a retired one stays retired; any other that is not declared is gone.
func clientsAdopted(t *testing.T, s Store) {
	old := clientAdded(t, s, "job", "a", "b", "d")
	must(t, s.RetireClientKey(t.Context(), "job", "a", false, stepOf(audit.ClientKeyRetire, "client:job")))
	job := declaredProgram(t, "job", "c")
	job.Keys = append(job.Keys, old.Keys[1])
	declareClients(t, s, job)

	got := foundClient(t, s, "job")
	var keys []string
	for _, k := range got.Keys {
		fresh := k.Created.Equal(noon.Add(time.Minute))
		keys = append(keys, fmt.Sprintf("%s retired %t, new %t", k.ID, k.Retired, fresh))
	}
	slices.Sort(keys)
	if got.ID != old.ID || !got.Declared {
		t.Errorf("the client is number %d, declared %t, want number %d, declared", got.ID, got.Declared, old.ID)
	}
	same(t, "keys", keys, []string{
		"a retired true, new false",
		"b retired false, new false",
		"c retired false, new true",
	})

	lines := auditLog(t, s)
	declareClients(t, s, job)
	same(t, "the audit log after the same declaration", auditLog(t, s), lines)
}

// clientsUndeclared takes a client out of the file. Clients that were added with commands
// stay.
func clientsUndeclared(t *testing.T, s Store) {
	own := view(clientAdded(t, s, "own", "k"))
	declareClients(t, s, declaredProgram(t, "a", "k"), declaredProgram(t, "b", "k"))
	old, b := foundClient(t, s, "a"), foundClient(t, s, "b")
	declareClients(t, s, b)
	_, err := s.FindClient(t.Context(), "a")
	wants(t, "FindClient", err, jeton.ErrNotFound)

	same(t, "the client that is still declared", view(foundClient(t, s, "b")), view(b))
	same(t, "the client that was never declared", view(foundClient(t, s, "own")), own)
	lines := auditLog(t, s)
	same(t, "the last event", lines[len(lines)-1], "client.remove client:a")
	declareClients(t, s, declaredProgram(t, "a"))

	again := foundClient(t, s, "a")
	if again.ID == old.ID || len(again.Keys) != 0 {
		t.Errorf("new client = number %d with keys %+v, want a new number and no keys", again.ID, again.Public().Keys)
	}
}

// clientsDeclaredCase is declaredCase for clients.
func clientsDeclaredCase(t *testing.T, s Store) {
	declareClients(t, s, declaredProgram(t, "job"))
	old := foundClient(t, s, "job")
	declareClients(t, s, declaredProgram(t, "Job"))
	_, err := s.FindClient(t.Context(), "job")
	wants(t, "FindClient", err, jeton.ErrNotFound)

	got := foundClient(t, s, "Job")
	if got.ID == old.ID {
		t.Errorf("number of the new name = %d, want another than the old one's", got.ID)
	}
}

// clientsDeclaredConflict is declaredConflict for clients.
func clientsDeclaredConflict(t *testing.T, s Store) {
	clientAdded(t, s, "Job")
	declareClients(t, s, declaredProgram(t, "a"))
	a, before := view(foundClient(t, s, "a")), auditLog(t, s)
	changed := declaredProgram(t, "a")
	changed.Disabled = true

	err := s.DeclareClients(t.Context(), []client.Client{
		changed,
		declaredProgram(t, "job"),
	}, stepOf(audit.ClientChange, ""))

	wants(t, "DeclareClients with a name that differs in case alone", err, jeton.ErrConflict)
	same(t, "the declared client", view(foundClient(t, s, "a")), a)
	same(t, "the audit log", auditLog(t, s), before)
}
