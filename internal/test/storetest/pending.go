package storetest

import (
	"errors"
	"fmt"
	"testing"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/account"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/mail"
	"github.com/jeton-auth/jeton/internal/secret"
	"github.com/jeton-auth/jeton/internal/ticket"
)

// newPending returns an address that waits for its link. The ticket's data is the version of the account.
func newPending(t *testing.T, email string) *account.Pending {
	t.Helper()
	m, err := mail.New(mail.Verify, noon)
	must(t, err)

	return &account.Pending{
		Email:   email,
		Mail:    m.ID,
		Link:    secret.HashOf(email),
		Expires: m.Expires,
		Data:    func(a account.Account) ([]byte, error) { return fmt.Append(nil, a.Version), nil },
	}
}

// pendingAddresses changes a user whose address old@example.org waits for its link.
func pendingAddresses(t *testing.T, open Open) {
	hash, refused := "another", jeton.ErrConflict

	for _, tc := range []struct {
		name   string
		change account.Change
		email  string // that waits afterwards
		data   string // of the ticket of its link
		ended  bool   // the step reports that it ended without another one
	}{
		{"another name", account.Change{Profile: named("Diane")}, "old@example.org", "1", false},
		{"it is cancelled", account.Change{EndPending: true}, "", "", true},
		{"another one", account.Change{Pending: newPending(t, "new@example.org")}, "new@example.org", "1", false},
		{
			"another one, with a password",
			account.Change{Pending: newPending(t, "new@example.org"), Password: &hash},
			"new@example.org", "2", false,
		},
		{
			"another one, but the change is refused",
			account.Change{
				Pending: newPending(t, "new@example.org"),
				Check:   func(account.Account) error { return refused },
			},
			"old@example.org", "1", false,
		},
		{
			"it is cancelled, but the change is refused",
			account.Change{EndPending: true, Check: func(account.Account) error { return refused }},
			"old@example.org", "1", false,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := open(t)
			user(t, s, "diane")
			old := newPending(t, "old@example.org")
			must(t, s.ChangeUser(t.Context(), "diane", account.Change{Pending: old}, noon, event("", "user:diane")))

			ended := false
			tc.change.Reason = func(_ account.Account, e bool) string {
				ended = e
				return ""
			}
			err := s.ChangeUser(t.Context(), "diane", tc.change, noon, event(audit.UserVerify, "user:diane"))
			if tc.change.Check != nil != errors.Is(err, refused) || ended != tc.ended {
				t.Errorf("the change = %v, ended %t, want ended %t", err, ended, tc.ended)
			}

			wantPending(t, s, tc.email, tc.data)
		})
	}
}

// named changes the first name of a profile.
func named(first string) func(account.Profile) account.Profile {
	return func(p account.Profile) account.Profile {
		p.First = first
		return p
	}
}

// wantPending fails unless one mail to an address waits, "" for none, and its link alone works.
func wantPending(t *testing.T, s Store, email, data string) {
	t.Helper()

	for _, address := range []string{"old@example.org", "new@example.org"} {
		found, err := s.FindTicket(t.Context(), ticket.Verify, secret.HashOf(address), noon)
		switch {
		case address != email:
			wants(t, "the link of "+address, err, jeton.ErrNotFound)
		case err != nil || string(found.Data) != data:
			t.Errorf("the link of %s = %q, %v, want the version %s", address, found.Data, err, data)
		}
	}

	list := claimedMails(t, s, noon)
	if email == "" {
		if len(list) != 0 {
			t.Errorf("got mails %+v, want none", list)
		}
		return
	}
	if len(list) != 1 || list[0].To != email || list[0].Kind != mail.Verify || list[0].Facts.Name != "diane" {
		t.Fatalf("got mails %+v, want one to %s", list, email)
	}

	// The sender adds no other link, and refuses one that has ended.
	m, link := list[0], secret.HashOf(email)
	must(t, s.AddMailLink(t.Context(), m.ID, link, ticket.Ticket{Purpose: ticket.Verify}))
	must(t, s.RevokeTicket(t.Context(), ticket.Verify, link))
	wantError(t, s.AddMailLink(t.Context(), m.ID, link, ticket.Ticket{Purpose: ticket.Verify}), jeton.ErrNotFound)
}
