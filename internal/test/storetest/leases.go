package storetest

import (
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/secret"
	"github.com/jeton-auth/jeton/internal/session"
	"github.com/jeton-auth/jeton/internal/token"
)

// renewsLeases checks who may renew a leased token, that the renewal moves its end and its parent, and that none brings
// a token back.
func renewsLeases(t *testing.T, s Store) {
	u, other := user(t, s, "diane"), user(t, s, "eshana")
	parent := minted(t, s, personal(u, "parent", 0))
	issued := personal(u, "issued", 0)
	issued.Kind = token.Access
	access := minted(t, s, issued)
	login := started(t, s, newLogin(u, "shop", "cookie", noon))

	leased := func(text string, from token.Record) token.Record {
		m := childOf(from, personal(u, text, from.Number))
		m.Kind = token.Leased
		return minted(t, s, m)
	}
	job := leased("job", parent)
	leased("issued job", access)
	leased("job of the session", token.Record{})

	later := noon.Add(time.Hour)
	by := func(r token.Record) token.LeaseRenewal {
		return token.LeaseRenewal{
			Audience: "shop",
			Owner:    token.UserOwner(u),
			Parent:   r.Number,
			Shown:    r.Hash,
			Adopt:    r.Kind != token.Personal && r.Kind != token.Leased,
			Now:      noon,
			Closes:   later,
		}
	}
	bySession := by(token.Record{})
	bySession.Login = login.Login
	byStranger := by(token.Record{})
	byStranger.Owner = token.UserOwner(other)
	rotated := by(parent)
	rotated.Shown = secret.HashOf("the secret before")
	elsewhere := bySession
	elsewhere.Audience = "wiki"
	late := by(parent)
	late.Now = later

	for _, tc := range []struct {
		name     string
		accessor string
		by       token.LeaseRenewal
		want     error
	}{
		{"by the token that made it", "t_job", by(parent), nil},
		{"by itself", "t_job", by(job), jeton.ErrNotFound},
		{"by an access token, of what a personal token made", "t_job", by(access), jeton.ErrNotFound},
		{"by a session, of what a personal token made", "t_job", bySession, jeton.ErrNotFound},
		{"by the access token that made it", "t_issued job", by(access), nil},
		{"by a session, of what an access token made", "t_issued job", bySession, nil},
		{"by an access token, of what a session made", "t_job of the session", by(access), nil},
		{"at another service", "t_job of the session", elsewhere, jeton.ErrNotFound},
		{"by another user", "t_job of the session", byStranger, jeton.ErrNotFound},
		{"by the previous secret of the token that made it", "t_job", rotated, jeton.ErrBadCredential},
		{"of a personal token", "t_parent", by(parent), jeton.ErrNotFound},
		{"of an unknown token", "t_none", by(parent), jeton.ErrNotFound},
		{"after its end", "t_job", late, jeton.ErrNotFound},
	} {
		tc.by.Accessor = tc.accessor
		wants(t, "RenewLease "+tc.name, s.RenewLease(t.Context(), tc.by), tc.want)
	}

	for text, parent := range map[string]int64{
		"job":                parent.Number,
		"issued job":         0, // the session renewed it last
		"job of the session": access.Number,
	} {
		r, err := s.FindToken(t.Context(), secret.HashOf(text))
		must(t, err)
		if !r.Window.Closes.Equal(later) || r.Parent != parent {
			t.Errorf("%s ends %v with token %d, want %v and %d", text, r.Window.Closes, r.Parent, later, parent)
		}
	}

	_, err := s.EndSessions(t.Context(), session.Which{ID: login.ID}, event(audit.Logout, "x"))
	must(t, err)
	bySession.Accessor = "t_issued job"
	wants(t, "RenewLease by a session that has ended", s.RenewLease(t.Context(), bySession), jeton.ErrBadCredential)

	must(t, s.EndTokens(t.Context(), token.Which{Accessor: "t_issued"}, nil, event(audit.TokenRevoke, "x")))
	noToken(t, s, "job of the session")
}
