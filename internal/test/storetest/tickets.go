package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/account"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/secret"
	"github.com/jeton-auth/jeton/internal/session"
	"github.com/jeton-auth/jeton/internal/ticket"
)

// Tickets is the contract of ticket.Store.
func Tickets(t *testing.T, open Open) {
	t.Run("what is not valid is not found", func(t *testing.T) { validTickets(t, open) })
	each(t, open, []test{
		{"a ticket is taken as it was added, and looked at without using it up", ticketIsKept},
		{"a ticket that was taken is spent until it expires", ticketTwice},
		{"a ticket is swapped for another one, or both stay as they were", swappingTickets},
		{"a list has what a user can answer: one purpose, not taken, with its session", listingTickets},
		{"ending deletes those of one purpose and user that were not taken", endingTickets},
		{"a sweep deletes expired tickets, up to a limit", sweepingTickets},
		{"a user has at most a hundred tickets of a purpose, the newest", ticketsPerUser},
		{"a session takes the ticket that it starts for, once", startTakesTicket},
		{"no session outlives the revocation of the ticket that it starts for", startAgainstRevocation},
	})
}

// newTicket returns a ticket of a minute.
func newTicket(p ticket.Purpose) ticket.Ticket {
	return ticket.Ticket{
		Purpose: p,
		Service: "shop",
		Data:    []byte("\x00\xff data"),
		Expires: noon.Add(time.Minute),
	}
}

// added adds a ticket and returns its hash.
func added(t *testing.T, s Store, text string, in ticket.Ticket) secret.Hash {
	t.Helper()
	h := secret.HashOf(text)
	must(t, s.AddTicket(t.Context(), h, in))
	return h
}

func ticketIsKept(t *testing.T, s Store) {
	diane := user(t, s, "diane")

	for _, size := range []int{0, 1, ticket.MaxData} {
		want := newTicket(ticket.Code)
		want.Subject = diane.ID
		want.Login = signedIn(t, s, diane, fmt.Sprint("top ", size)).Login
		want.Data = bytes.Repeat([]byte{0xff}, size)
		h := added(t, s, fmt.Sprint(size), want)

		for range 2 {
			got, err := s.FindTicket(t.Context(), ticket.Code, h, noon)
			must(t, err)
			sameTicket(t, "FindTicket", got, want)
		}

		got, err := s.TakeTicket(t.Context(), ticket.Code, h, noon)
		must(t, err)
		sameTicket(t, "TakeTicket", got, want)
	}

	bare := ticket.Ticket{Purpose: ticket.Setup, Expires: noon.Add(time.Minute)}
	got, err := s.TakeTicket(t.Context(), ticket.Setup, added(t, s, "bare", bare), noon)
	must(t, err)
	sameTicket(t, "TakeTicket of one without data", got, bare)
}

func swappingTickets(t *testing.T, s Store) {
	answer := newTicket(ticket.Code)
	old := added(t, s, "old", newTicket(ticket.User))
	there := added(t, s, "there", answer)
	swap := func(to secret.Hash) error { return s.SwapTicket(t.Context(), ticket.User, old, noon, to, answer) }

	// A hash that exists is no ticket to add: the step fails as a whole.
	if err := swap(there); err == nil {
		t.Error("swap for a ticket that exists = nil, want an error")
	}
	if _, err := s.FindTicket(t.Context(), ticket.User, old, noon); err != nil {
		t.Errorf("the old ticket after that = %v, want it to be valid", err)
	}

	first, second := secret.HashOf("first"), secret.HashOf("second")
	must(t, swap(first))
	if err := swap(second); !errors.Is(err, jeton.ErrSpent) {
		t.Errorf("second swap = %v, want ErrSpent", err)
	}

	got, err := s.TakeTicket(t.Context(), ticket.Code, first, noon)
	must(t, err)
	sameTicket(t, "the new ticket", got, answer)
	if _, err := s.FindTicket(t.Context(), ticket.Code, second, noon); !errors.Is(err, jeton.ErrNotFound) {
		t.Errorf("the ticket of the second swap = %v, want ErrNotFound", err)
	}
}

// sameTicket compares tickets; no data and data of no bytes are the same.
func sameTicket(t *testing.T, what string, got, want ticket.Ticket) {
	t.Helper()
	got.Data, want.Data = append([]byte{}, got.Data...), append([]byte{}, want.Data...)
	same(t, what, got, want)
}

// validTickets checks each reason for which a ticket is not found, taken or not.
func validTickets(t *testing.T, open Open) {
	for _, tc := range []struct {
		name   string
		change func(t *testing.T, s Store)
		p      ticket.Purpose
		text   string
		now    time.Time
		want   error
	}{
		{"nothing happened", nil, ticket.Code, "one", noon, nil},
		{"a millisecond before it expires", nil, ticket.Code, "one", noon.Add(time.Minute - time.Millisecond), nil},
		{"as it expires", nil, ticket.Code, "one", noon.Add(time.Minute), jeton.ErrNotFound},
		{"another secret", nil, ticket.Code, "two", noon, jeton.ErrNotFound},
		{"another purpose", nil, ticket.SignIn, "one", noon, jeton.ErrNotFound},
		{
			"its session has ended",
			func(t *testing.T, s Store) {
				_, err := s.EndSessions(t.Context(), session.Which{ID: "s_top"}, event(audit.Logout, ""))
				must(t, err)
			},
			ticket.Code, "one", noon, jeton.ErrNotFound,
		},
		{"its user is disabled", disabled(true), ticket.Code, "one", noon, jeton.ErrNotFound},
		{"its user was disabled and enabled", disabled(true, false), ticket.SignIn, "link", noon, jeton.ErrNotFound},
		{
			"its user's password was changed",
			func(t *testing.T, s Store) {
				pw := "new"
				must(t, s.ChangeUser(t.Context(), "diane", account.Change{Password: &pw}, noon, event("", "")))
			},
			ticket.SignIn, "link", noon, jeton.ErrNotFound,
		},
		{
			"its user was deleted",
			func(t *testing.T, s Store) { must(t, s.RemoveUser(t.Context(), "diane", false, event("", ""))) },
			ticket.SignIn, "link", noon, jeton.ErrNotFound,
		},
		{
			"its user's groups were changed",
			func(t *testing.T, s Store) {
				groups := []string{"red"}
				must(t, s.ChangeUser(t.Context(), "diane", account.Change{Groups: &groups}, noon, event("", "")))
			},
			ticket.SignIn, "link", noon, nil,
		},
		{"another user was disabled", disabledUser("carl", true), ticket.SignIn, "link", noon, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := open(t)
			diane := user(t, s, "diane")
			user(t, s, "carl")

			code, link := newTicket(ticket.Code), newTicket(ticket.SignIn)
			code.Subject, code.Login = diane.ID, signedIn(t, s, diane, "top").Login
			link.Subject = diane.ID
			added(t, s, "one", code)
			added(t, s, "link", link)
			if tc.change != nil {
				tc.change(t, s)
			}

			_, err := s.FindTicket(t.Context(), tc.p, secret.HashOf(tc.text), tc.now)
			wants(t, "FindTicket", err, tc.want)
			_, err = s.TakeTicket(t.Context(), tc.p, secret.HashOf(tc.text), tc.now)
			wants(t, "TakeTicket", err, tc.want)
		})
	}
}

// disabled returns a step that disables diane or enables her, in this order.
func disabled(steps ...bool) func(*testing.T, Store) { return disabledUser("diane", steps...) }

func disabledUser(name string, steps ...bool) func(*testing.T, Store) {
	return func(t *testing.T, s Store) {
		for _, to := range steps {
			must(t, s.ChangeUser(t.Context(), name, account.Change{Disabled: &to}, noon, event("", "")))
		}
	}
}

func ticketTwice(t *testing.T, s Store) {
	want := newTicket(ticket.Code)
	h := added(t, s, "one", want)
	_, err := s.TakeTicket(t.Context(), ticket.Code, h, noon)
	must(t, err)

	for range 2 {
		got, err := s.TakeTicket(t.Context(), ticket.Code, h, noon)
		wants(t, "TakeTicket again", err, jeton.ErrSpent)
		sameTicket(t, "TakeTicket again", got, want)

		got, err = s.FindTicket(t.Context(), ticket.Code, h, noon)
		wants(t, "FindTicket after it was taken", err, jeton.ErrSpent)
		sameTicket(t, "FindTicket after it was taken", got, want)
	}

	_, err = s.TakeTicket(t.Context(), ticket.Setup, h, noon)
	wants(t, "TakeTicket for another purpose", err, jeton.ErrNotFound)
	_, err = s.TakeTicket(t.Context(), ticket.Code, h, want.Expires)
	wants(t, "TakeTicket after it has expired", err, jeton.ErrNotFound)
}

func ticketAtOnce(t *testing.T, s Store) {
	for round := range 5 {
		h := added(t, s, fmt.Sprint(round), newTicket(ticket.Code))
		var taken, spent atomic.Int64

		var wg sync.WaitGroup
		for range 64 {
			wg.Go(func() {
				_, err := s.TakeTicket(t.Context(), ticket.Code, h, noon)
				switch {
				case err == nil:
					taken.Add(1)
				case errors.Is(err, jeton.ErrSpent):
					spent.Add(1)
				default:
					t.Errorf("TakeTicket: %v", err)
				}
			})
		}
		wg.Wait()

		if taken.Load() != 1 || spent.Load() != 63 {
			t.Errorf("taken %d times and spent %d times, want 1 and 63", taken.Load(), spent.Load())
		}
	}
}

func endingTickets(t *testing.T, s Store) {
	diane, carl := user(t, s, "diane"), user(t, s, "carl")
	for text, in := range map[string]struct {
		p       ticket.Purpose
		subject int64
	}{
		"one":        {ticket.SignIn, diane.ID},
		"two":        {ticket.SignIn, diane.ID},
		"taken":      {ticket.SignIn, diane.ID},
		"code":       {ticket.Code, diane.ID},
		"of carl":    {ticket.SignIn, carl.ID},
		"of no user": {ticket.SignIn, 0},
	} {
		tk := newTicket(in.p)
		tk.Subject = in.subject
		added(t, s, text, tk)
	}

	_, err := s.TakeTicket(t.Context(), ticket.SignIn, secret.HashOf("taken"), noon)
	must(t, err)
	must(t, s.EndTickets(t.Context(), ticket.SignIn, diane.ID))

	check := func(p ticket.Purpose, text string, want error) {
		t.Helper()
		_, err := s.FindTicket(t.Context(), p, secret.HashOf(text), noon)
		wants(t, "FindTicket("+text+")", err, want)
	}
	check(ticket.SignIn, "one", jeton.ErrNotFound)
	check(ticket.SignIn, "two", jeton.ErrNotFound)
	check(ticket.SignIn, "taken", jeton.ErrSpent)
	check(ticket.Code, "code", nil)
	check(ticket.SignIn, "of carl", nil)
	check(ticket.SignIn, "of no user", nil)

	must(t, s.EndTickets(t.Context(), ticket.SignIn, 0))
	check(ticket.SignIn, "of no user", jeton.ErrNotFound)
	check(ticket.SignIn, "of carl", nil)
}

func listingTickets(t *testing.T, s Store) {
	diane := user(t, s, "diane")
	signIn := signedIn(t, s, diane, "top")

	add := func(text string, change func(*ticket.Ticket)) ticket.Ticket {
		in := newTicket(ticket.Request)
		in.Subject = diane.ID
		change(&in)
		added(t, s, text, in)
		return in
	}

	first := add("first", func(*ticket.Ticket) {})
	later := add("later", func(in *ticket.Ticket) { in.Expires = in.Expires.Add(time.Second) })
	add("taken", func(*ticket.Ticket) {})
	add("answer", func(in *ticket.Ticket) { in.Purpose = ticket.Answered })
	add("of no user", func(in *ticket.Ticket) { in.Subject = 0 })
	add("expired", func(in *ticket.Ticket) { in.Expires = noon })
	add("of a session", func(in *ticket.Ticket) { in.Login = signIn.Login })
	_, err := s.TakeTicket(t.Context(), ticket.Request, secret.HashOf("taken"), noon)
	must(t, err)
	_, err = s.EndSessions(t.Context(), session.Which{ID: signIn.ID}, event(audit.Logout, ""))
	must(t, err)

	list, err := s.ListTickets(t.Context(), ticket.Request, diane.ID, noon)
	must(t, err)
	if len(list) != 2 {
		t.Fatalf("ListTickets = %v, want two tickets", list)
	}
	sameTicket(t, "first of the list", list[0], later)
	sameTicket(t, "second of the list", list[1], first)
}

func sweepingTickets(t *testing.T, s Store) {
	for i := range 5 {
		added(t, s, fmt.Sprint(i), newTicket(ticket.Code))
	}
	_, err := s.TakeTicket(t.Context(), ticket.Code, secret.HashOf("0"), noon)
	must(t, err)

	young := newTicket(ticket.Code)
	young.Expires = young.Expires.Add(time.Millisecond)
	h := added(t, s, "young", young)

	for _, want := range []int{2, 2, 1, 0} {
		n, err := s.SweepTickets(t.Context(), young.Expires, 2)
		must(t, err)
		same(t, "SweepTickets", n, want)
	}

	_, err = s.FindTicket(t.Context(), ticket.Code, secret.HashOf("0"), noon)
	wants(t, "FindTicket of one that was taken and swept", err, jeton.ErrNotFound)
	_, err = s.FindTicket(t.Context(), ticket.Code, h, noon)
	wants(t, "FindTicket of one that expires as the sweep's time comes", err, nil)
}

func ticketsPerUser(t *testing.T, s Store) {
	diane, carl := user(t, s, "diane"), user(t, s, "carl")

	add := func(text string, p ticket.Purpose, subject int64, expires time.Duration) {
		t.Helper()
		in := newTicket(p)
		in.Subject, in.Expires = subject, noon.Add(expires)
		added(t, s, text, in)
	}

	add("another user's", ticket.Code, carl.ID, time.Minute)
	add("another purpose", ticket.Form, diane.ID, time.Minute)
	for i := range ticket.MaxPerUser + 2 {
		add(fmt.Sprint("code ", i), ticket.Code, diane.ID, time.Minute+time.Duration(i)*time.Second)
		add(fmt.Sprint("setup ", i), ticket.Setup, 0, time.Minute+time.Duration(i)*time.Second)
	}

	for _, tc := range []struct {
		text string
		p    ticket.Purpose
		want error
	}{
		{"another user's", ticket.Code, nil},
		{"another purpose", ticket.Form, nil},
		{"setup 0", ticket.Setup, nil}, // is no user's
		{"code 0", ticket.Code, jeton.ErrNotFound},
		{"code 1", ticket.Code, jeton.ErrNotFound},
		{"code 2", ticket.Code, nil},
		{"code 101", ticket.Code, nil},
	} {
		_, err := s.FindTicket(t.Context(), tc.p, secret.HashOf(tc.text), noon)
		wants(t, "FindTicket("+tc.text+")", err, tc.want)
	}
}

// startTakesTicket starts sessions for one code: first one that the terms refuse, then several at once.
func startTakesTicket(t *testing.T, s Store) {
	diane := user(t, s, "diane")
	top := signedIn(t, s, diane, "top")
	code := newTicket(ticket.Code)
	code.Subject, code.Login = diane.ID, top.Login
	h := added(t, s, "code", code)

	start := func(text string, judge func(policy.History) ([]int64, error)) error {
		in := childLogin(top, diane, "shop", text)
		in.Ticket = h
		return s.StartSession(t.Context(), in, judge)
	}

	err := start("refused", func(policy.History) ([]int64, error) { return nil, jeton.ErrRelogin })
	wants(t, "StartSession against the terms", err, jeton.ErrRelogin)
	_, err = s.FindTicket(t.Context(), ticket.Code, h, noon)
	wants(t, "FindTicket after it", err, nil)

	var started atomic.Int64
	var all sync.WaitGroup
	for i := range 4 {
		all.Go(func() {
			err := start(fmt.Sprint("child ", i), acceptLogin)
			switch {
			case err == nil:
				started.Add(1)
			case !errors.Is(err, jeton.ErrSpent):
				t.Errorf("StartSession with a ticket that was taken: %v, want %v", err, jeton.ErrSpent)
			}
		})
	}
	all.Wait()

	same(t, "sessions of four starts at once", started.Load(), int64(1))
	_, err = s.TakeTicket(t.Context(), ticket.Code, h, noon)
	wants(t, "TakeTicket after the start", err, jeton.ErrSpent)
}

// startAgainstRevocation starts a session for a code while another use of the code revokes it, and then ends what it
// finds: before the start, while it judges, and after it. In each order no session is left.
func startAgainstRevocation(t *testing.T, s Store) {
	diane := user(t, s, "diane")
	for _, when := range []string{"before", "while", "after"} {
		top := signedIn(t, s, diane, "top "+when)
		code := newTicket(ticket.Code)
		code.Subject, code.Login = diane.ID, top.Login
		h := added(t, s, "code "+when, code)

		var revoked sync.WaitGroup
		revoke := func() {
			err := s.RevokeTicket(t.Context(), ticket.Code, h)
			if err == nil {
				_, err = s.EndSessions(t.Context(), session.Which{Parent: top.Login}, event(audit.SessionEnd, ""))
			}
			if err != nil {
				t.Errorf("revoke %s: %v", when, err)
			}
		}

		if when == "before" {
			revoke()
		}

		in := childLogin(top, diane, "shop", "child "+when)
		in.Ticket = h
		began := false
		err := s.StartSession(t.Context(), in, func(history policy.History) ([]int64, error) {
			if when == "while" && !began {
				revoked.Go(revoke)
			}
			began = true
			return acceptLogin(history)
		})
		if when == "before" {
			wants(t, "StartSession after the revocation", err, jeton.ErrBadCredential)
		} else {
			wants(t, "StartSession", err, nil)
		}

		if when == "after" {
			revoke()
		}
		revoked.Wait()

		same(t, "sessions with a revocation "+when, ids(t, s, session.Which{Parent: top.Login}, 10), []string{})
	}

	wants(t, "RevokeTicket of none", s.RevokeTicket(t.Context(), ticket.Code, secret.HashOf("none")), nil)
}
