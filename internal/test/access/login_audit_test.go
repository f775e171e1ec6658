package access_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/api"
	"github.com/jeton-auth/jeton/jetontest"
)

// TestALoginHasOneEvent checks that the audit log has what the caller must not learn.
func TestALoginHasOneEvent(t *testing.T) {
	s := jetontest.Start(t, strings.Replace(terms, "pair_burst: 1000000", "pair_burst: 1", 1))
	for _, name := range []string{"diane", "disabled", "guesser"} {
		s.AddUser(name, pw)
	}

	s.MustControl("PUT", "/api/v1/users/disabled/disabled", api.Disabled{Disabled: true}, nil)

	for _, tc := range []struct {
		name, service, user, password string
		actor, outcome, reason, last  string
	}{
		{"a login", "once", "diane", pw, "user:diane", "ok", "", "terms pass"},
		{"one too many", "once", "diane", pw, "user:diane", "relogin_refused", "terms", "terms fail"},
		{
			// Users type passwords into the field of the name, so the log has known names
			// only.
			"an unknown name",
			"timed",
			"not-a-name-but-a-password",
			pw,
			"user:?",
			"bad_credential",
			"unknown user",
			"password fail",
		},
		{
			"an impossible name",
			"timed",
			"no such name",
			pw,
			"user:?",
			"bad_credential",
			"unknown user",
			"password fail",
		},
		{
			"a disabled account",
			"timed",
			"disabled",
			pw,
			"user:disabled",
			"bad_credential",
			"account is disabled",
			"password fail",
		},
		{
			"a wrong password",
			"timed",
			"guesser",
			"wrong",
			"user:guesser",
			"bad_credential",
			"wrong password",
			"password fail",
		},
		{"throttled", "timed", "guesser", pw, "user:guesser", "too_many_attempts", "too many", "throttle fail"},
		{
			"throttled, unknown name",
			"timed",
			"not-a-name-but-a-password",
			pw,
			"user:?",
			"too_many_attempts",
			"too many",
			"throttle fail",
		},
		{"no password", "timed", "diane", "", "user:?", "no_credential", "no credential", "given fail"},
		{"no name", "timed", "", "", "", "no_credential", "no credential", "given fail"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := s.TryEnter(tc.service, tc.user, tc.password)
			var found []jeton.Event
			for range 200 {
				for _, e := range s.Events() {
					if e.Request == a.Request() {
						found = append(found, e)
					}
				}

				if len(found) > 0 {
					break
				}
			}

			if len(found) != 1 {
				t.Fatalf("%d events, want one", len(found))
			}

			e := found[0]
			last := e.Checks[len(e.Checks)-1]
			if e.Action != "login" || e.Service != tc.service || e.Actor != tc.actor ||
				e.Outcome != tc.outcome || !strings.Contains(e.Reason, tc.reason) ||
				last.Name+" "+last.Result != tc.last || e.Source != "127.0.0.1" {
				t.Errorf("event %+v, want %s of %s for %s, last check %s", e, tc.outcome, tc.actor, tc.reason, tc.last)
			}

			if strings.Contains(fmt.Sprint(e), pw) || strings.Contains(fmt.Sprint(e), "not-a-name") {
				t.Errorf("the event contains what was typed: %+v", e)
			}
		})
	}
}
