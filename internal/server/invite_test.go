package server_test

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/test/smtptest"
	"github.com/jeton-auth/jeton/jetontest"
)

// invited is an invitation as the API returns it.
type invited struct {
	ID    string `json:"id"`
	URL   string `json:"url"`
	Email string `json:"email"`
}

// inviting makes an invitation as an operator, and returns it with the path of its page.
func inviting(s *jetontest.Server, in map[string]any) (invited, string) {
	var made invited
	s.MustControl(http.MethodPost, "/api/v1/invitations", in, &made)

	return made, strings.TrimPrefix(made.URL, s.Issuer())
}

// makeAccount makes an account by the page of an invitation, and returns the response.
func makeAccount(s *jetontest.Server, path, name, password string) jetontest.Answer {
	return submit(s, path, url.Values{"username": {name}, "password": {password}})
}

func TestAnInvitationMakesAnAccount(t *testing.T) {
	s := startMailing(t, mailOptions(t, smtptest.Start(t, smtptest.Options{}))...)
	_, path := inviting(s, map[string]any{"groups": []string{"staff"}})

	lookAt(t, s, path)

	for _, tc := range []struct {
		name, user, password string
		want                 int
	}{
		{"a name that is taken", "diane", right, http.StatusConflict},
		{"a short password", "fay", "short", http.StatusBadRequest},
		{"no name", "", right, http.StatusBadRequest},
		{"a name and a password", "fay", right, http.StatusSeeOther},
		{"the same again", "gus", right, http.StatusGone},
	} {
		if a := makeAccount(s, path, tc.user, tc.password); a.Status != tc.want {
			t.Errorf("%s: got %d, want %d", tc.name, a.Status, tc.want)
		} else if a.Header.Get("Set-Cookie") != "" {
			t.Errorf("%s: the response sets %s, want no session", tc.name, a.Header.Get("Set-Cookie"))
		}
	}

	if !entered(s, "fay", right) || entered(s, "gus", right) {
		t.Error("want fay to sign in, and no gus")
	}
	var fay jeton.User
	s.MustControl(http.MethodGet, "/api/v1/users/fay", nil, &fay)
	if strings.Join(fay.Groups, ",") != "staff" {
		t.Errorf("fay is in the groups %v, want those of the invitation", fay.Groups)
	}
	if a := s.Send(s.Client(), http.MethodGet, s.Issuer()+path, ""); a.Status != http.StatusGone {
		t.Errorf("GET of the link that was used: %d, want 410", a.Status)
	}
	readLogInGerman(t, s)
}

func TestAnInvitationIsSentToItsAddress(t *testing.T) {
	server := smtptest.Start(t, smtptest.Options{})
	s := startMailing(t, mailOptions(t, server)...)
	made, _ := inviting(s, map[string]any{"email": "fay@example.org"})
	if made.URL != "" {
		t.Errorf("the response has the link %s, want it in the mail alone", made.URL)
	}

	m := server.Next(t)
	if m.To != "fay@example.org" || m.Header.Get("Subject") != "You are invited to Example" {
		t.Errorf("got %q to %s, want an invitation to fay", m.Header.Get("Subject"), m.To)
	}
	if a := makeAccount(s, linkIn(t, s, m), "fay", right); a.Status != http.StatusSeeOther {
		t.Fatalf("got %d %s, want 303", a.Status, a.Body)
	}

	var fay jeton.User
	s.MustControl(http.MethodGet, "/api/v1/users/fay", nil, &fay)
	if fay.Email != "fay@example.org" {
		t.Errorf("fay has the address %q, want that of the invitation", fay.Email)
	}
}

func TestAnInvitationToTheAddressOfAUser(t *testing.T) {
	server := smtptest.Start(t, smtptest.Options{})
	s := startMailing(t, mailOptions(t, server)...)
	inviting(s, map[string]any{"email": "fay@example.org"})
	path := linkIn(t, s, mailAbout(t, server, "You are invited to Example"))
	s.MustControl(http.MethodPut, "/api/v1/users/diane", map[string]string{"email": "Fay@example.org"}, nil)

	for _, tc := range []struct{ language, want string }{
		{"en", "There is an account of this e-mail address already."},
		{"de", "Es gibt schon ein Konto mit dieser E-Mail-Adresse."},
	} {
		fields := url.Values{"username": {"fay"}, "password": {right}}
		a := submit(s, path, fields, "Accept-Language", tc.language)
		if a.Status != http.StatusConflict || !strings.Contains(a.Body, tc.want) {
			t.Errorf("%s: got %d %s, want 409 with %q", tc.language, a.Status, a.Body, tc.want)
		}
	}
}

func TestAnInvitationDies(t *testing.T) {
	c := newHeldClock()
	server := smtptest.Start(t, smtptest.Options{})
	s := startMailing(t, mailOptions(t, server, jetontest.Clock(c.now))...)

	for _, tc := range []struct {
		name string
		end  func(made invited)
	}{
		{"after half an hour", func(invited) { c.move(31 * time.Minute) }},
		{"after an operator has ended it", func(made invited) {
			s.MustControl(http.MethodDelete, "/api/v1/invitations/"+made.ID, nil, nil)
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			made, path := inviting(s, map[string]any{})
			tc.end(made)

			if a := makeAccount(s, path, "fay", right); a.Status != http.StatusGone {
				t.Errorf("got %d, want 410", a.Status)
			}
			if a := s.Send(s.Client(), http.MethodGet, s.Issuer()+path, ""); a.Status != http.StatusGone {
				t.Errorf("GET: %d, want 410", a.Status)
			}
		})
	}
}

func TestAnInvitationIsRefused(t *testing.T) {
	s := startMailing(t, mailOptions(t, smtptest.Start(t, smtptest.Options{}))...)

	for _, tc := range []struct {
		name string
		in   map[string]any
		want error
	}{
		{"two accounts for one address", map[string]any{"email": "fay@example.org", "max_uses": 2}, jeton.ErrInvalid},
		{"the address of a user", map[string]any{"email": "Diane@example.org"}, jeton.ErrConflict},
		{"too many accounts", map[string]any{"max_uses": 1001}, jeton.ErrInvalid},
		{"fewer than one", map[string]any{"max_uses": -1}, jeton.ErrInvalid},
		{"longer than a week", map[string]any{"lifetime_s": 604801}, jeton.ErrInvalid},
		{"shorter than a minute", map[string]any{"lifetime_s": 59}, jeton.ErrInvalid},
		{"a group that can be none", map[string]any{"groups": []string{"a b"}}, jeton.ErrInvalid},
		{"a note of two lines", map[string]any{"note": "a\nb"}, jeton.ErrInvalid},
	} {
		err := s.Control(http.MethodPost, "/api/v1/invitations", tc.in, nil)
		if !errors.Is(err, tc.want) {
			t.Errorf("%s: got %v, want %v", tc.name, err, tc.want)
		}
	}
}

func TestOfManyUsesOfAnInvitationAsManySucceedAsItHas(t *testing.T) {
	s := startMailing(t, mailOptions(t, smtptest.Start(t, smtptest.Options{}))...)
	_, path := inviting(s, map[string]any{"max_uses": 3})

	var all sync.WaitGroup
	var done atomic.Int32
	for _, name := range []string{"ann", "ben", "cay", "dan", "eve", "fay"} {
		all.Go(func() {
			a := makeAccount(s, path, name, right)
			if a.Status == http.StatusSeeOther {
				done.Add(1)
			} else if a.Status != http.StatusGone {
				t.Errorf("got %d, want 303 or 410", a.Status)
			}
		})
	}
	all.Wait()

	if done.Load() != 3 {
		t.Errorf("%d made an account, want 3", done.Load())
	}
}
