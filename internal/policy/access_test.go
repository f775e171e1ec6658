package policy

import (
	"errors"
	"testing"

	"github.com/jeton-auth/jeton"
)

func TestAccess(t *testing.T) {
	for _, tc := range []struct {
		name                               string
		access                             Access
		open, credential, operator, closed bool
		prints                             string
	}{
		{"the zero value is closed", Access{}, false, false, false, true, "closed"},
		{
			"audited or counted alone is closed",
			Access{Audit: true, SessionBudgets: []Budget{{Name: "*", Max: 3, PerUser: true}}},
			false,
			false,
			false,
			true,
			`closed, uses 3 of "*", audited`,
		},
		{
			"a list of subjects alone is closed",
			Access{Allow: &Allow{Users: []string{"diane"}}},
			false,
			false,
			false,
			true,
			"closed, users [diane]",
		},
		{
			"users, groups and clients",
			Access{Allow: &Allow{Users: []string{"diane"}, Groups: []string{"staff"}, Clients: []string{"nightly"}}},
			false,
			false,
			false,
			true,
			"closed, users [diane] groups [staff] clients [nightly]",
		},
		{
			"empty lists",
			Access{Allow: &Allow{}},
			false,
			false,
			false,
			true,
			"closed, no caller",
		},
		{"open", Open, true, false, false, false, "open"},
		{"for a session", Session, false, true, false, false, "session"},
		{"for an operator", Operator, false, false, true, false, "operator"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := tc.access
			if a.IsOpen() != tc.open || a.NeedsCredential() != tc.credential || a.NeedsOperator() != tc.operator ||
				a.IsClosed() != tc.closed {
				t.Errorf(
					"open %t, credential %t, operator %t, closed %t, want %+v",
					a.IsOpen(), a.NeedsCredential(), a.NeedsOperator(), a.IsClosed(), tc,
				)
			}

			if a.String() != tc.prints {
				t.Errorf("String = %q, want %q", a, tc.prints)
			}
		})
	}
}

func TestAllow(t *testing.T) {
	diane := jeton.Principal{Kind: jeton.KindUser, Name: "diane", Groups: []string{"blue", "green"}}
	for _, tc := range []struct {
		name  string
		allow Allow
		who   jeton.Principal
		want  error
	}{
		{"named", Allow{Users: []string{"carl", "diane"}}, diane, nil},
		{"in a group", Allow{Groups: []string{"green"}}, diane, nil},
		{"named, and in no group", Allow{Users: []string{"diane"}, Groups: []string{"red"}}, diane, nil},
		{"neither", Allow{Users: []string{"carl"}, Groups: []string{"red"}}, diane, jeton.ErrForbidden},
		{"a name that differs in case", Allow{Users: []string{"Diane"}}, diane, jeton.ErrForbidden},
		{"a user named like a group", Allow{Groups: []string{"diane"}}, diane, jeton.ErrForbidden},
		{"a group named like a user", Allow{Users: []string{"blue"}}, diane, jeton.ErrForbidden},
		{"empty lists allow no subject", Allow{}, diane, jeton.ErrForbidden},
		{
			"the zero principal",
			Allow{Users: []string{"diane"}, Groups: []string{"blue"}},
			jeton.Principal{},
			jeton.ErrForbidden,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if err := tc.allow.Check(tc.who); !errors.Is(err, tc.want) {
				t.Errorf("Check(%v) = %v, want %v", tc.who.Name, err, tc.want)
			}
		})
	}
}

func TestOptionsAtACountedRouteDoesNotReachItsHandler(t *testing.T) {
	counted := Authenticated(BySession)
	counted.SessionBudgets = []Budget{{ID: 1, Name: "GET /three", Max: 3}}

	for _, tc := range []struct {
		name   string
		access Access
		method string
		want   bool
	}{
		{"GET, counted", counted, "GET", true},
		{"HEAD, counted", counted, "HEAD", true},
		{"OPTIONS, counted", counted, "OPTIONS", false},
		{"OPTIONS in other case, counted", counted, "Options", true},
		{"OPTIONS, not counted", Session, "OPTIONS", true},
		{"OPTIONS, open", Open, "OPTIONS", true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := tc.access.Handles(tc.method); got != tc.want {
				t.Errorf("Handles(%s) = %t, want %t", tc.method, got, tc.want)
			}
		})
	}
}
