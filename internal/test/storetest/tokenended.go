package storetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/client"
	"github.com/jeton-auth/jeton/internal/secret"
	"github.com/jeton-auth/jeton/internal/token"
)

// endedTokenKnown revokes tokens in every way, and looks for what an operator must learn of a
// token that a client still sends.
func endedTokenKnown(t *testing.T, s Store) {
	a, c := user(t, s, "diane"), clientAdded(t, s, "job", "k")
	at := noon.Add(time.Minute)

	for _, tc := range []struct {
		name  string
		owner token.Owner
		do    func(r token.Record, ev jeton.Event) error
	}{
		{"revoked", token.UserOwner(a), func(r token.Record, ev jeton.Event) error {
			return s.EndTokens(t.Context(), token.Which{Accessor: r.Accessor}, nil, ev)
		}},
		{"rotated", token.UserOwner(a), func(r token.Record, ev jeton.Event) error {
			_, err := s.RotateToken(t.Context(), token.Rotation{Accessor: r.Accessor, Fresh: secret.HashOf("new")}, ev)
			return err
		}},
		{"ended with the client's", token.ClientOwner(c), func(_ token.Record, ev jeton.Event) error {
			return s.ChangeClient(t.Context(), "job", client.Change{End: true}, client.Step{Now: at, Event: ev})
		}},
		{"ended with the user", token.UserOwner(a), func(_ token.Record, ev jeton.Event) error {
			return s.RemoveUser(t.Context(), "diane", false, ev)
		}},
	} {
		m := mint(c, tc.name)
		m.Owner, m.Kind, m.Name = tc.owner, token.Personal, "ci"
		r := minted(t, s, m)

		_, err := s.FindEnded(t.Context(), r.Hash)
		wants(t, "FindEnded of a valid token", err, jeton.ErrNotFound)

		must(t, tc.do(r, jeton.Event{Time: at, Actor: "operator", Action: audit.TokenRevoke}))

		got, err := s.FindEnded(t.Context(), r.Hash)
		want := token.Ended{
			Accessor: r.Accessor,
			Name:     "ci",
			Owner:    string(tc.owner.Kind) + ":" + tc.owner.Name,
			At:       at,
			Actor:    "operator",
			Action:   audit.TokenRevoke,
		}
		if err != nil || got != want {
			t.Errorf("FindEnded of a token that was %s = %+v, %v, want %+v", tc.name, got, err, want)
		}
	}

	// Of signed tokens only the hash of a jti or of a generation is known.
	void := token.Void{Hash: secret.HashOf("jti:one"), Until: at.Add(time.Hour)}
	revoke := jeton.Event{Time: at, Actor: "client:job", Action: audit.TokenRevoke}
	must(t, s.EndTokens(t.Context(), token.Which{}, &void, revoke))

	for h, want := range map[secret.Hash]token.Ended{
		void.Hash:                     {At: at, Actor: "client:job", Action: audit.TokenRevoke},
		secret.HashOf(c.Generation()): {At: at, Actor: "operator", Action: audit.TokenRevoke},
		secret.HashOf(a.Generation()): {At: at, Actor: "operator", Action: audit.TokenRevoke},
	} {
		got, err := s.FindEnded(t.Context(), h)
		if err != nil || got != want {
			t.Errorf("FindEnded of signed tokens = %+v, %v, want %+v", got, err, want)
		}
	}

	// In this order, as what is forgotten does not come back.
	for _, tc := range []struct {
		before time.Time
		want   error
	}{{at, nil}, {at.Add(time.Minute), jeton.ErrNotFound}} {
		_, err := s.Forget(t.Context(), tc.before, 100)
		must(t, err)
		_, err = s.FindEnded(t.Context(), secret.HashOf("revoked"))
		wants(t, "FindEnded after Forget", err, tc.want)
	}
}

// endedTokenDropped drops what is kept of a token with the event of its end.
func endedTokenDropped(t *testing.T, s Store) {
	r := minted(t, s, mint(clientAdded(t, s, "job", "k"), "dropped"))
	revoke := event(audit.TokenRevoke, "")
	must(t, s.EndTokens(t.Context(), token.Which{Accessor: r.Accessor}, nil, revoke))

	log, err := s.Measure(t.Context(), 0, 10)
	must(t, err)

	for _, tc := range []struct {
		excess audit.Excess
		want   error
	}{
		{audit.Excess{Droppable: true}, nil},
		{audit.Excess{Actor: "user:diane"}, nil},
		{audit.Excess{Actor: "operator"}, jeton.ErrNotFound},
	} {
		tc.excess.Limit = 1000
		tc.excess.Turn = log.Turn
		_, err := s.Drop(t.Context(), tc.excess)
		must(t, err)

		_, err = s.FindEnded(t.Context(), r.Hash)
		wants(t, fmt.Sprintf("FindEnded after Drop of %+v", tc.excess), err, tc.want)
	}
}
