package storetest

import (
	"slices"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/secret"
	"github.com/jeton-auth/jeton/internal/ticket"
	"github.com/jeton-auth/jeton/internal/token"
)

// Connections is the contract of token.ConnectionStore.
func Connections(t *testing.T, open Open) {
	each(t, open, []test{
		{"a grant is a use of a connection", grantConnects},
		{"what a user agrees to is added to what was agreed to", agreeing},
		{"the end of a connection ends its grants and its codes", endingConnections},
		{"a user and a client that are removed have no connections", removedHaveNone},
	})
}

// connected returns the one connection of the user, or the zero value.
func connected(t *testing.T, s Store, user int64) token.Connection {
	t.Helper()
	list, err := s.ListConnections(t.Context(), user, 10)
	must(t, err)
	if len(list) > 1 {
		t.Errorf("got connections %+v, want one at most", list)
	}
	if len(list) == 0 {
		return token.Connection{}
	}

	found, err := s.FindConnection(t.Context(), user, list[0].ClientID)
	must(t, err)
	if !slices.Equal(found.Scopes, list[0].Scopes) || !found.Used.Equal(list[0].Used) {
		t.Errorf("found %+v, listed %+v, want the same", found, list[0])
	}

	return list[0]
}

// agree lets the user of a grant agree to scopes a minute before noon.
func (g granting) agree(t *testing.T, s Store, scopes ...string) {
	t.Helper()
	must(t, s.Agree(t.Context(), token.Connection{
		User:     g.user.ID,
		ClientID: g.client.ID,
		Scopes:   scopes,
		Agreed:   noon.Add(-time.Minute),
	}, event(audit.ConsentGive, "client:wiki")))
}

func grantConnects(t *testing.T, s Store) {
	g := newGranting(t, s)
	_, err := s.FindConnection(t.Context(), g.user.ID, g.client.ID)
	wants(t, "FindConnection before a grant", err, jeton.ErrNotFound)

	must(t, g.add(t, s))
	got := connected(t, s, g.user.ID)
	if got.Client != "wiki" || got.ClientID != g.client.ID || !got.Agreed.IsZero() || !got.Created.Equal(noon) ||
		!got.Used.Equal(noon) || !slices.Equal(got.Scopes, []string{"openid"}) {
		t.Errorf("got %+v, want the client with the scopes of the grant, not agreed to", got)
	}
}

func agreeing(t *testing.T, s Store) {
	g := newGranting(t, s)
	g.agree(t, s, "openid", "profile")
	g.agree(t, s, "email", "openid")
	must(t, g.add(t, s))

	got := connected(t, s, g.user.ID)
	if want := []string{"email", "openid", "profile"}; !slices.Equal(got.Scopes, want) || !got.Used.Equal(noon) {
		t.Errorf("got %+v, want %v, used at noon", got, want)
	}
	if !got.Covers([]string{"email", "profile"}) || got.Covers([]string{"groups"}) {
		t.Errorf("%+v covers email and profile: %t, groups: %t, want true and false",
			got, got.Covers([]string{"email", "profile"}), got.Covers([]string{"groups"}))
	}

	err := s.Agree(t.Context(), token.Connection{User: g.user.ID, ClientID: 99, Agreed: noon}, event("", ""))
	wants(t, "Agree for a client that does not exist", err, jeton.ErrBadCredential)
}

func endingConnections(t *testing.T, s Store) {
	g := newGranting(t, s)
	g.grant.Offline = true
	must(t, g.add(t, s))

	in := newTicket(ticket.Code)
	in.Subject, in.Login, in.Service = g.user.ID, g.session.Login, token.ServiceOfClient("wiki")
	unused := added(t, s, "unused", in)

	ended := event(audit.ConsentEnd, "client:wiki")
	must(t, s.EndConnection(t.Context(), g.user.ID, "wiki", ended))
	if got := g.found(t, s); got != nil {
		t.Errorf("found %v, want nothing", got)
	}
	if _, err := s.FindToken(t.Context(), secret.HashOf("access")); err == nil {
		t.Error("the access token is found, want that it ended")
	}
	_, err := s.TakeTicket(t.Context(), ticket.Code, unused, noon)
	wants(t, "TakeTicket for a code that was not used", err, jeton.ErrNotFound)

	err = s.EndConnection(t.Context(), g.user.ID, "wiki", ended)
	wants(t, "EndConnection again", err, jeton.ErrNotFound)
}

func removedHaveNone(t *testing.T, s Store) {
	g := newGranting(t, s)
	g.agree(t, s, "openid")
	must(t, s.RemoveClient(t.Context(), "wiki", stepOf(audit.ClientRemove, "client:wiki")))

	again := clientAdded(t, s, "wiki")
	if _, err := s.FindConnection(t.Context(), g.user.ID, again.ID); err == nil {
		t.Error("a client of the same name has the connection, want none")
	}

	g.client = again
	g.agree(t, s, "openid")
	must(t, s.RemoveUser(t.Context(), "diane", false, event(audit.UserRemove, "user:diane")))
	if got := connected(t, s, g.user.ID); got.Client != "" {
		t.Errorf("a user who was removed has %+v, want nothing", got)
	}
}
