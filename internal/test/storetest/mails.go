package storetest

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/account"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/factor"
	"github.com/jeton-auth/jeton/internal/mail"
	"github.com/jeton-auth/jeton/internal/secret"
	"github.com/jeton-auth/jeton/internal/ticket"
)

// Mails is the contract of mail.Store.
func Mails(t *testing.T, open Open) {
	t.Run("the user of a change gets a mail", func(t *testing.T) { noticesOfChanges(t, open) })
	t.Run("the user of a changed factor gets a mail", func(t *testing.T) { noticesOfFactors(t, open) })
	t.Run("a change of what waits for its link", func(t *testing.T) { pendingAddresses(t, open) })
	each(t, open, []test{
		{"a mail is claimed as it was added, and is due again after its time", claimingMails},
		{"of many claims at once, one gets a mail", racingMails},
		{"the link of a mail that is sent again is not brought back", linkedMails},
		{"another address ends the links that were sent by mail", linksOfAddress},
		{"the mails of a user end with the user", mailsOfRemoved},
	})
}

// addressed adds a user with an address and returns it.
func addressed(t *testing.T, s Store) account.Account {
	t.Helper()
	a := user(t, s, "diane")
	must(t, s.ChangeUser(t.Context(), "diane", account.Change{Profile: atAddress("diane@example.org")}, noon,
		event(audit.UserChange, "user:diane")))
	a.Email = "diane@example.org"

	return a
}

// atAddress changes the address of a profile.
func atAddress(email string) func(account.Profile) account.Profile {
	return func(p account.Profile) account.Profile {
		p.Email, p.EmailFolded = email, email
		return p
	}
}

// refolded changes the address of a profile to another one that is folded as before.
func refolded(email string) func(account.Profile) account.Profile {
	return func(p account.Profile) account.Profile {
		p.Email = email
		return p
	}
}

func noticesOfChanges(t *testing.T, open Open) {
	hash, refused := "another", jeton.ErrConflict

	for _, tc := range []struct {
		name   string
		silent bool // the server has no mailer
		change account.Change
		want   []mail.Kind
	}{
		{"the password", false, account.Change{Password: &hash}, []mail.Kind{mail.Password}},
		{"the address", false, account.Change{Profile: atAddress("mallory@example.org")}, []mail.Kind{mail.Address}},
		// It may be that of another user: their mailboxes need not fold alike.
		{
			"an address that folds alike",
			false,
			account.Change{Profile: refolded("Diane@example.org")},
			[]mail.Kind{mail.Address},
		},
		{
			"one of other letters that folds alike",
			false,
			account.Change{Profile: refolded("diane@\uff45xample.org")},
			[]mail.Kind{mail.Address},
		},
		{
			"both",
			false,
			account.Change{Password: &hash, Profile: atAddress("")},
			[]mail.Kind{mail.Address, mail.Password},
		},
		{"the groups", false, account.Change{Groups: &[]string{"staff"}}, nil},
		{"the same address", false, account.Change{Profile: atAddress("diane@example.org")}, nil},
		{"the password, without a mailer", true, account.Change{Password: &hash}, nil},
		{
			"the password, but the change is refused",
			false,
			account.Change{Password: &hash, Check: func(account.Account) error { return refused }},
			nil,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := open(t)
			addressed(t, s)
			s.SendNotices(!tc.silent)

			_ = s.ChangeUser(t.Context(), "diane", tc.change, noon, event(audit.UserChange, "user:diane"))

			kinds := map[mail.Kind]bool{}
			for _, m := range claimedMails(t, s, noon) {
				kinds[m.Kind] = true
				// Never to the new address, which an attacker may have chosen.
				if m.To != "diane@example.org" || m.Facts.Name != "diane" {
					t.Errorf("mail %s of %s is to %s, want the address before", m.Kind, m.Facts.Name, m.To)
				}
			}
			for _, k := range tc.want {
				if !kinds[k] {
					t.Errorf("no mail %s", k)
				}
			}
			if len(kinds) != len(tc.want) {
				t.Errorf("got mails %v, want %v", kinds, tc.want)
			}
		})
	}
}

func noticesOfFactors(t *testing.T, open Open) {
	for _, tc := range []struct {
		name   string
		silent bool
		action string
		step   func(s Store, user int64, ev *jeton.Event) error
		want   int
	}{
		{"a passkey is added", false, audit.FactorAdd, func(s Store, user int64, ev *jeton.Event) error {
			return s.AddFactor(t.Context(), factor.Factor{ID: "f_2", User: user, Kind: factor.Passkey}, "", ev)
		}, 1},
		{"new recovery codes", false, audit.FactorCodes, func(s Store, user int64, ev *jeton.Event) error {
			return s.ReplaceFactors(t.Context(), factor.Owner{ID: user}, factor.Recovery, nil, ev)
		}, 1},
		{"one is removed", false, audit.FactorRemove, func(s Store, user int64, ev *jeton.Event) error {
			_, err := s.RemoveFactors(t.Context(), user, factor.Which{ID: "f_1"}, ev)
			return err
		}, 1},
		{"none is removed", false, audit.FactorRemove, func(s Store, user int64, ev *jeton.Event) error {
			_, err := s.RemoveFactors(t.Context(), user, factor.Which{ID: "f_3"}, ev)
			return err
		}, 0},
		{"one gets another name", false, audit.FactorChange, func(s Store, user int64, ev *jeton.Event) error {
			return s.RenameFactor(t.Context(), user, "f_1", "phone", ev)
		}, 0},
		{"without a mailer", true, audit.FactorRemove, func(s Store, user int64, ev *jeton.Event) error {
			_, err := s.RemoveFactors(t.Context(), user, factor.Which{ID: "f_1"}, ev)
			return err
		}, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := open(t)
			diane := addressed(t, s)
			addFactor(t, s, newFactor(diane, factor.TOTP, "f_1"))
			s.SendNotices(!tc.silent)

			ev := event(tc.action, "user:diane")
			must(t, tc.step(s, diane.ID, &ev))

			list := claimedMails(t, s, noon)
			if len(list) != tc.want {
				t.Fatalf("got %d mails, want %d", len(list), tc.want)
			}
			for _, m := range list {
				if m.Kind != mail.Factor || m.To != "diane@example.org" || m.Facts.Action != tc.action {
					t.Errorf("got mail %s to %s about %s, want one about %s", m.Kind, m.To, m.Facts.Action, tc.action)
				}
			}
		})
	}
}

// claimedMails claims what is due at a time.
func claimedMails(t *testing.T, s Store, now time.Time) []mail.Mail {
	t.Helper()
	list, err := s.ClaimMails(t.Context(), now, 100, again)
	must(t, err)

	return list
}

// newMail returns a mail to add.
func newMail(t *testing.T) mail.Mail {
	t.Helper()
	m, err := mail.New(mail.Recovery, noon)
	must(t, err)
	m.To, m.Language = "diane@example.org", "de"
	m.Facts = mail.Facts{Source: source, At: noon}

	return m
}

func claimingMails(t *testing.T, s Store) {
	if _, waiting, err := s.NextMail(t.Context()); waiting || err != nil {
		t.Errorf("of an empty store: waiting %t, %v, want nothing", waiting, err)
	}

	want := newMail(t)
	must(t, s.AddMail(t.Context(), want, event(audit.MailSend, "")))
	if at, waiting, err := s.NextMail(t.Context()); !waiting || at.After(noon) || err != nil {
		t.Errorf("after a mail was added: %v, waiting %t, %v, want it due", at, waiting, err)
	}
	if n, err := s.CountMails(t.Context()); n != 1 || err != nil {
		t.Errorf("%d mails wait, %v, want 1", n, err)
	}

	for tries, at := range []time.Time{noon, noon.Add(time.Minute)} {
		if early := claimedMails(t, s, at.Add(-time.Millisecond)); len(early) != 0 {
			t.Errorf("before it is due: got %+v, want none", early)
		}

		list := claimedMails(t, s, at)
		if len(list) != 1 {
			t.Fatalf("claim %d got %+v, want the mail", tries+1, list)
		}
		got := list[0]
		if got.ID != want.ID || got.To != want.To || got.Language != want.Language || got.Kind != want.Kind ||
			got.Facts.Source != source || !got.Expires.Equal(want.Expires) || got.Tries != tries+1 {
			t.Errorf("got %+v, want %+v and try %d", got, want, tries+1)
		}
	}

	must(t, s.DropMail(t.Context(), want.ID))
	if _, waiting, err := s.NextMail(t.Context()); waiting || err != nil {
		t.Errorf("after it was dropped: waiting %t, %v, want nothing", waiting, err)
	}
}

func racingMails(t *testing.T, s Store) {
	must(t, s.AddMail(t.Context(), newMail(t), event(audit.MailSend, "")))

	var all sync.WaitGroup
	got := make(chan int, 8)
	for range cap(got) {
		all.Go(func() {
			list, err := s.ClaimMails(t.Context(), noon, 10, again)
			if err != nil {
				t.Error(err)
			}
			got <- len(list)
		})
	}
	all.Wait()
	close(got)

	total := 0
	for n := range got {
		total += n
	}
	if total != 1 {
		t.Errorf("%d claims got the mail, want 1", total)
	}
}

func linkedMails(t *testing.T, s Store) {
	diane := user(t, s, "diane")
	in := newTicket(ticket.Recover)
	in.Subject = diane.ID

	older, newer := newMail(t), newMail(t)
	first, second := secret.HashOf("first"), secret.HashOf("second")
	must(t, s.AddMail(t.Context(), older, event(audit.MailSend, "")))
	must(t, s.AddMail(t.Context(), newer, event(audit.MailSend, "")))

	for range 2 {
		must(t, s.AddMailLink(t.Context(), older.ID, first, in))
		if _, err := s.FindTicket(t.Context(), ticket.Recover, first, noon); err != nil {
			t.Errorf("got %v, want the ticket of the link", err)
		}
	}

	// The link of a newer mail ends it.
	must(t, s.AddMailLink(t.Context(), newer.ID, second, in))
	wantError(t, s.AddMailLink(t.Context(), older.ID, first, in), jeton.ErrNotFound)

	// So does a mail that was dropped.
	must(t, s.DropMail(t.Context(), newer.ID))
	wantError(t, s.AddMailLink(t.Context(), newer.ID, second, in), jeton.ErrNotFound)
}

func linksOfAddress(t *testing.T, s Store) {
	diane := addressed(t, s)
	hashes := map[ticket.Purpose]secret.Hash{}
	for _, p := range []ticket.Purpose{ticket.RecoverMail, ticket.Verify, ticket.Recover} {
		in := newTicket(p)
		in.Subject = diane.ID
		hashes[p] = added(t, s, string(p), in)
	}

	change := func(what string, c account.Change, want error) {
		t.Helper()
		must(t, s.ChangeUser(t.Context(), "diane", c, noon, event(audit.UserChange, "user:diane")))
		for _, p := range []ticket.Purpose{ticket.RecoverMail, ticket.Verify} {
			_, err := s.FindTicket(t.Context(), p, hashes[p], noon)
			wants(t, what+": "+string(p), err, want)
		}
	}
	change("another group", account.Change{Groups: &[]string{"staff"}}, nil)
	change("another address", account.Change{Profile: atAddress("d@example.org")}, jeton.ErrNotFound)

	// An operator passed it on, to the user and not to an address.
	_, err := s.FindTicket(t.Context(), ticket.Recover, hashes[ticket.Recover], noon)
	wants(t, "a link that an operator passed on", err, nil)
}

// wantError fails unless an error is the outcome that is wanted.
func wantError(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("got %v, want %v", err, want)
	}
}

func mailsOfRemoved(t *testing.T, s Store) {
	addressed(t, s)
	s.SendNotices(true)
	hash := "another"
	must(t, s.ChangeUser(t.Context(), "diane", account.Change{Password: &hash}, noon, event("", "user:diane")))
	// It is about no user yet.
	must(t, s.AddMail(t.Context(), newMail(t), event(audit.MailSend, "")))

	must(t, s.RemoveUser(t.Context(), "diane", false, event(audit.UserRemove, "user:diane")))
	if list := claimedMails(t, s, noon); len(list) != 1 || list[0].Kind != mail.Recovery {
		t.Errorf("after the user was removed, got %+v, want the mail of no user alone", list)
	}
}
