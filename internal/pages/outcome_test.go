package pages

import (
	"testing"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/audit"
)

func TestARefusalDoesNotReadLikeASuccess(t *testing.T) {
	english := newPages(t).languages[0]

	for _, c := range []struct {
		name    string
		event   jeton.Event
		what    string
		refused string
	}{
		{
			name:    "a sign-in with a wrong password",
			event:   jeton.Event{Action: audit.Login, Outcome: "bad_credential"},
			what:    "Sign-in failed",
			refused: "wrong name or password",
		},
		{
			name:    "a request with a token that lacks a scope",
			event:   jeton.Event{Action: audit.Request, Outcome: "insufficient_scope"},
			what:    "Request refused",
			refused: "scope missing",
		},
		{
			name:    "a change that was not allowed",
			event:   jeton.Event{Action: audit.UserPassword, Outcome: "forbidden"},
			what:    "Not done: Password changed",
			refused: "not allowed",
		},
		{
			name:    "a code that this version does not know",
			event:   jeton.Event{Action: audit.Request, Outcome: "of_a_newer_server"},
			what:    "Request refused",
			refused: "<code>of_a_newer_server</code>",
		},
		{
			name:    "a fault of the server",
			event:   jeton.Event{Action: audit.Request, Outcome: jeton.CodeInternal},
			what:    "Request refused",
			refused: "error of the server",
		},
	} {
		row := newEventRow(c.event, "diane")
		for i, text := range []Text{row.What, row.Refused} {
			got, err := english.translate(text.Key, text.Args...)
			want := []string{c.what, c.refused}[i]
			if err != nil || string(got) != want {
				t.Errorf("%s: got %q, %v, want %q", c.name, got, err, want)
			}
		}
	}
}
