package ticket_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/secret"
	"github.com/jeton-auth/jeton/internal/ticket"
)

var noon = time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)

// store notes what it is called with. What a store keeps is checked by storetest.
type store struct {
	hash  secret.Hash
	added ticket.Ticket
	calls int
	fail  error
}

func (s *store) AddTicket(_ context.Context, h secret.Hash, t ticket.Ticket) error {
	s.calls++
	s.hash, s.added = h, t
	return s.fail
}

func (s *store) FindTicket(_ context.Context, _ ticket.Purpose, h secret.Hash, _ time.Time) (ticket.Ticket, error) {
	s.calls++
	if s.fail == nil && h != s.hash {
		return ticket.Ticket{}, jeton.ErrNotFound
	}
	return s.added, s.fail
}

func (s *store) TakeTicket(
	ctx context.Context,
	p ticket.Purpose,
	h secret.Hash,
	now time.Time,
) (ticket.Ticket, error) {
	return s.FindTicket(ctx, p, h, now)
}

func (s *store) SwapTicket(
	ctx context.Context,
	_ ticket.Purpose,
	_ secret.Hash,
	_ time.Time,
	next secret.Hash,
	t ticket.Ticket,
) error {
	return s.AddTicket(ctx, next, t)
}

func (s *store) ListTickets(context.Context, ticket.Purpose, int64, time.Time) ([]ticket.Ticket, error) {
	return []ticket.Ticket{s.added}, s.fail
}

func (s *store) EndTickets(context.Context, ticket.Purpose, int64) error { return s.fail }

func (s *store) RevokeTicket(context.Context, ticket.Purpose, secret.Hash) error { return s.fail }

func (s *store) SweepTickets(context.Context, time.Time, int) (int, error) { return 0, s.fail }

func newTickets(s ticket.Store) *ticket.Tickets {
	return ticket.New(ticket.Config{
		Store: s,
		Now:   func() time.Time { return noon },
		Log:   slog.New(slog.DiscardHandler),
	})
}

func TestOnlyTheHashOfASecretIsStored(t *testing.T) {
	s := &store{}
	text, err := newTickets(s).Issue(t.Context(), ticket.Ticket{Purpose: ticket.Code, Expires: noon.Add(time.Minute)})
	if err != nil {
		t.Fatal(err)
	}

	if !secret.Is(secret.Ticket, text.Reveal()) || s.hash != secret.HashOf(text.Reveal()) {
		t.Errorf("secret = %s, want one of the kind of tickets, stored by its hash", text.Reveal())
	}
	if got := secret.Mask("code=" + text.Reveal()); got != "code=[secret]" {
		t.Errorf("Mask = %q, want the secret replaced", got)
	}
}

func TestATicketIsShortAndSmall(t *testing.T) {
	for _, tc := range []struct {
		name string
		in   ticket.Ticket
		ok   bool
	}{
		{"a minute", ticket.Ticket{Purpose: ticket.Code, Expires: noon.Add(time.Minute)}, true},
		{"thirty days", ticket.Ticket{Purpose: ticket.Setup, Expires: noon.Add(ticket.MaxLifetime)}, true},
		{"longer", ticket.Ticket{Purpose: ticket.Setup, Expires: noon.Add(ticket.MaxLifetime + 1)}, false},
		{"expired", ticket.Ticket{Purpose: ticket.Code, Expires: noon}, false},
		{"without an end", ticket.Ticket{Purpose: ticket.Code}, false},
		{"without a purpose", ticket.Ticket{Expires: noon.Add(time.Minute)}, false},
		{"much data", withData(ticket.MaxData), true},
		{"too much data", withData(ticket.MaxData + 1), false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := &store{}
			_, err := newTickets(s).Issue(t.Context(), tc.in)
			if (err == nil) != tc.ok || (s.calls == 1) != tc.ok {
				t.Errorf("Issue = %v with %d calls of the store, want it accepted: %t", err, s.calls, tc.ok)
			}
		})
	}
}

func withData(n int) ticket.Ticket {
	return ticket.Ticket{Purpose: ticket.Code, Data: bytes.Repeat([]byte{1}, n), Expires: noon.Add(time.Minute)}
}

func TestOutcomesOfATake(t *testing.T) {
	other, err := secret.New(secret.Ticket, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	access, err := secret.New(secret.Access, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}

	for _, tc := range []struct {
		name    string
		text    string // "": the one that was issued
		fail    error  // of the store
		want    error
		subject int64 // of the ticket that comes with it
		calls   int
	}{
		{"the ticket", "", nil, nil, 7, 1},
		{"a ticket that was taken", "", jeton.ErrSpent, jeton.ErrSpent, 7, 1},
		{"an unknown one", other.Reveal(), nil, jeton.ErrBadCredential, 0, 1},
		{"a secret of another kind", access.Reveal(), nil, jeton.ErrBadCredential, 0, 0},
		{"another text", "x", nil, jeton.ErrBadCredential, 0, 0},
		{"the store does not answer", "", jeton.ErrUnavailable, jeton.ErrUnavailable, 7, 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := &store{}
			tickets := newTickets(s)
			issued, err := tickets.Issue(t.Context(), ticket.Ticket{
				Purpose: ticket.Code,
				Subject: 7,
				Expires: noon.Add(time.Minute),
			})
			if err != nil {
				t.Fatal(err)
			}

			text := tc.text
			if text == "" {
				text = issued.Reveal()
			}
			s.fail, s.calls = tc.fail, 0

			got, err := tickets.Take(t.Context(), ticket.Code, text)
			if !errors.Is(err, tc.want) || got.Subject != tc.subject || s.calls != tc.calls {
				t.Errorf(
					"Take = subject %d, %v with %d calls of the store, want %d, %v with %d",
					got.Subject, err, s.calls, tc.subject, tc.want, tc.calls,
				)
			}

			_, err = tickets.Look(t.Context(), ticket.Code, text)
			if !errors.Is(err, tc.want) {
				t.Errorf("Look = %v, want %v", err, tc.want)
			}
		})
	}
}
