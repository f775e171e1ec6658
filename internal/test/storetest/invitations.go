package storetest

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/account"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/invite"
	"github.com/jeton-auth/jeton/internal/mail"
	"github.com/jeton-auth/jeton/internal/secret"
)

// Invitations is the contract of invite.Store.
func Invitations(t *testing.T, open Open) {
	t.Run("an invitation dies", func(t *testing.T) { deadInvitations(t, open) })
	each(t, open, []test{
		{"an invitation is kept as it was added", invitationIsKept},
		{"its mail and its event are added with it", invitationIsMailed},
		{"a use adds a user in its groups, with its address", invitationAddsUser},
		{"a name that is taken takes no use", invitationKeepsUse},
		{"an address that a user has meanwhile takes no use", invitationOfTakenAddress},
		{"of many users at once, as many are added as there are uses", invitationRace},
		{"a sweep deletes what expired before a time", invitationsAreSwept},
	})
}

// newInvitation returns an invitation of an operator, whose secret is its note.
func newInvitation(note string, uses int64) invite.Invitation {
	return invite.Invitation{
		ID:      "i_" + note,
		Hash:    secret.HashOf(note),
		Note:    note,
		Groups:  []string{"staff", "wiki"},
		Actor:   "operator",
		Most:    uses,
		Created: noon,
		Expires: noon.Add(time.Hour),
	}
}

// addInvitation adds an invitation without a mail.
func addInvitation(t *testing.T, s Store, inv invite.Invitation) {
	t.Helper()
	must(t, s.AddInvitation(t.Context(), inv, nil, event(audit.InvitationAdd, "invitation:"+inv.ID)))
}

// accept makes an account by an invitation that has no address.
func accept(t *testing.T, s Store, note, name string, now time.Time) error {
	t.Helper()
	return acceptAs(t, s, note, name, "", now)
}

// acceptAs makes an account with an address.
func acceptAs(t *testing.T, s Store, note, name, email string, now time.Time) error {
	t.Helper()
	a := account.Account{
		Name:     name,
		Folded:   name,
		Password: "hash",
		UUID:     "uuid of " + name,
		Created:  now,
		Updated:  now,
		Profile:  atAddress(email)(account.Profile{}),
	}

	return s.AcceptInvitation(t.Context(), secret.HashOf(note), a, now, event(audit.UserAdd, "user:"+name))
}

func invitationIsKept(t *testing.T, s Store) {
	inviter := admin(t, s, "root")
	first := newInvitation("first", 3)
	first.Email, first.Inviter, first.Actor = "diane@example.org", inviter.ID, "user:root"
	second := newInvitation("second", 1)
	second.Groups, second.Created = []string{}, noon.Add(time.Minute)
	addInvitation(t, s, first)
	addInvitation(t, s, second)

	list, err := s.ListInvitations(t.Context())
	must(t, err)
	same(t, "ListInvitations", list, []invite.Invitation{second, first})

	got, err := s.FindInvitation(t.Context(), first.Hash, noon)
	must(t, err)
	same(t, "FindInvitation", got, first)

	_, err = s.FindInvitation(t.Context(), secret.HashOf("other"), noon)
	wants(t, "FindInvitation of another secret", err, jeton.ErrNotFound)

	must(t, s.EndInvitation(t.Context(), first.ID, event(audit.InvitationEnd, "invitation:"+first.ID)))
	wants(t, "EndInvitation again", s.EndInvitation(t.Context(), first.ID, event("", "")), jeton.ErrNotFound)
	wants(t, "AcceptInvitation of an ended one", accept(t, s, "first", "eve", noon), jeton.ErrNotFound)
}

// admin adds an administrator.
func admin(t *testing.T, s Store, name string) account.Account {
	t.Helper()
	user(t, s, name)
	groups := account.Change{Groups: &[]string{account.AdminGroup}}
	must(t, s.ChangeUser(t.Context(), name, groups, noon, event(audit.UserChange, "user:"+name)))

	return found(t, s, name)
}

func invitationIsMailed(t *testing.T, s Store) {
	addressed(t, s)
	taken := newInvitation("taken", 1)
	taken.Email = "Diane@example.org"
	m, err := mail.New(mail.Invitation, noon)
	must(t, err)
	m.To = "ben@example.org"

	err = s.AddInvitation(t.Context(), taken, &m, event(audit.InvitationAdd, "invitation:i_taken"))
	wants(t, "AddInvitation to the address of a user", err, jeton.ErrConflict)
	if mails := claimedMails(t, s, noon); len(mails) != 0 {
		t.Errorf("got %d mails, want none of an invitation that was refused", len(mails))
	}

	good := newInvitation("good", 1)
	good.Email = "ben@example.org"
	must(t, s.AddInvitation(t.Context(), good, &m, event(audit.InvitationAdd, "invitation:i_good")))
	mails := claimedMails(t, s, noon)
	if len(mails) != 1 || mails[0].To != "ben@example.org" || mails[0].Kind != mail.Invitation {
		t.Errorf("got mails %+v, want one to ben", mails)
	}
	log := auditLog(t, s)
	if last := log[len(log)-1]; last != "invitation.add invitation:i_good" {
		t.Errorf("the last event is %s, want that of the invitation", last)
	}
}

func invitationAddsUser(t *testing.T, s Store) {
	inv := newInvitation("one", 1)
	addInvitation(t, s, inv)
	must(t, accept(t, s, "one", "diane", noon))

	u := found(t, s, "diane")
	same(t, "groups", u.Groups, inv.Groups)
	wants(t, "a second user of one use", accept(t, s, "one", "ben", noon), jeton.ErrSpent)
	_, err := s.FindUser(t.Context(), "ben")
	wants(t, "FindUser", err, jeton.ErrNotFound)

	got, err := s.FindInvitation(t.Context(), inv.Hash, noon)
	wants(t, "FindInvitation of one that is used up", err, jeton.ErrSpent)
	if got.Used != 1 {
		t.Errorf("%d uses taken, want 1", got.Used)
	}
	same(t, "events", auditLog(t, s), []string{"invitation.add invitation:i_one", "user.add user:diane"})
}

func invitationKeepsUse(t *testing.T, s Store) {
	user(t, s, "diane")
	addInvitation(t, s, newInvitation("one", 1))

	wants(t, "AcceptInvitation", accept(t, s, "one", "diane", noon), jeton.ErrConflict)
	wants(t, "AcceptInvitation with another name", accept(t, s, "one", "ben", noon), nil)
}

func invitationOfTakenAddress(t *testing.T, s Store) {
	inv := newInvitation("one", 1)
	inv.Email = "diane@example.org"
	addInvitation(t, s, inv)
	addressed(t, s)

	err := acceptAs(t, s, "one", "ben", inv.Email, noon)
	wants(t, "AcceptInvitation", err, invite.ErrEmailTaken)
	wants(t, "AcceptInvitation, as callers see it", err, jeton.ErrConflict)
	_, err = s.FindInvitation(t.Context(), inv.Hash, noon)
	wants(t, "FindInvitation", err, nil)

	must(t, s.ChangeUser(t.Context(), "diane", account.Change{Profile: atAddress("")}, noon, event("", "")))
	wants(t, "AcceptInvitation, after the address is free", acceptAs(t, s, "one", "ben", inv.Email, noon), nil)
}

func invitationRace(t *testing.T, s Store) {
	const uses, users = 3, 8
	addInvitation(t, s, newInvitation("many", uses))

	var all sync.WaitGroup
	var done atomic.Int32
	for i := range users {
		all.Go(func() {
			err := accept(t, s, "many", fmt.Sprintf("user%d", i), noon)
			if err == nil {
				done.Add(1)
			} else if !errors.Is(err, jeton.ErrSpent) {
				t.Errorf("got %v, want %v", err, jeton.ErrSpent)
			}
		})
	}
	all.Wait()

	n, err := s.CountUsers(t.Context(), "")
	must(t, err)
	if done.Load() != uses || n != uses {
		t.Errorf("%d calls succeeded and %d users were added, want %d", done.Load(), n, uses)
	}
}

// changeRoot changes the inviter of deadInvitations.
func changeRoot(t *testing.T, s Store, c account.Change) {
	t.Helper()
	must(t, s.ChangeUser(t.Context(), "root", c, noon, event(audit.UserChange, "user:root")))
}

func deadInvitations(t *testing.T, open Open) {
	for _, tc := range []struct {
		name string
		at   time.Time
		end  func(t *testing.T, s Store)
		want error
	}{
		{"it works", noon, func(*testing.T, Store) {}, nil},
		{"not after its time", noon.Add(time.Hour), func(*testing.T, Store) {}, jeton.ErrNotFound},
		{"not after its inviter was disabled, even if enabled again", noon, func(t *testing.T, s Store) {
			changeRoot(t, s, account.Change{Disabled: new(true)})
			changeRoot(t, s, account.Change{Disabled: new(false)})
		}, jeton.ErrNotFound},
		{"not after its inviter has a new password", noon, func(t *testing.T, s Store) {
			changeRoot(t, s, account.Change{Password: new("new hash")})
		}, jeton.ErrNotFound},
		{"not after all tokens of its inviter were ended", noon, func(t *testing.T, s Store) {
			changeRoot(t, s, account.Change{EndTokens: true})
		}, jeton.ErrNotFound},
		{"not after a new password, even if personal tokens are kept", noon, func(t *testing.T, s Store) {
			changeRoot(t, s, account.Change{Password: new("new hash"), KeepTokens: true})
		}, jeton.ErrNotFound},
		{"after another user has a new password", noon, func(t *testing.T, s Store) {
			user(t, s, "ben")
			must(t, s.ChangeUser(t.Context(), "ben", account.Change{Password: new("new hash")}, noon, event("", "")))
		}, nil},
		{"not after its inviter left the group", noon, func(t *testing.T, s Store) {
			changeRoot(t, s, account.Change{Groups: &[]string{"staff"}})
		}, jeton.ErrNotFound},
		{"not after its inviter was removed", noon, func(t *testing.T, s Store) {
			must(t, s.RemoveUser(t.Context(), "root", false, event("", "")))
			list, err := s.ListInvitations(t.Context())
			must(t, err)
			same(t, "ListInvitations", len(list), 0)
		}, jeton.ErrNotFound},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := open(t)
			inv := newInvitation("one", 1)
			inv.Inviter = admin(t, s, "root").ID
			addInvitation(t, s, inv)
			tc.end(t, s)

			_, err := s.FindInvitation(t.Context(), inv.Hash, tc.at)
			wants(t, "FindInvitation", err, tc.want)
			wants(t, "AcceptInvitation", accept(t, s, "one", "diane", tc.at), tc.want)
		})
	}
}

func invitationsAreSwept(t *testing.T, s Store) {
	for i, note := range []string{"a", "b", "c"} {
		inv := newInvitation(note, 1)
		inv.Expires = noon.Add(time.Duration(i) * time.Minute)
		addInvitation(t, s, inv)
	}

	n, err := s.SweepInvitations(t.Context(), noon.Add(2*time.Minute), 1)
	must(t, err)
	same(t, "SweepInvitations with a limit", n, 1)
	n, err = s.SweepInvitations(t.Context(), noon.Add(2*time.Minute), 9)
	must(t, err)
	same(t, "SweepInvitations", n, 1)

	list, err := s.ListInvitations(t.Context())
	must(t, err)
	if len(list) != 1 || list[0].Note != "c" {
		t.Errorf("got %+v, want the one that has not expired", list)
	}
}
