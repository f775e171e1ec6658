package server_test

import (
	"fmt"
	"net/http"
	"testing"
)

// TestAllSessionsOfAllUsersEnd ends them as an operator does after a theft of cookies, and as no user can.
func TestAllSessionsOfAllUsersEnd(t *testing.T) {
	s := startRelying(t)
	users := map[string]*browser{}
	for _, name := range []string{"diane", "max"} {
		users[name] = newBrowser(t, s)
		users[name].signIn(name)
	}

	const all = "/api/v1/sessions?all=true"
	b := users["diane"]
	if a := s.Send(b.client, http.MethodDelete, s.Issuer()+all, "", "Origin", s.Issuer()); a.Status != 403 {
		t.Errorf("all sessions, by a user: got %d %s, want 403", a.Status, a.Body)
	}
	for name, b := range users {
		if !b.signedIn() {
			t.Errorf("the session of %s has ended, want it open", name)
		}
	}

	var ended struct{ Ended int }
	s.MustControl(http.MethodDelete, all, nil, &ended)
	for name, b := range users {
		if b.signedIn() {
			t.Errorf("the session of %s is open, want it ended", name)
		}
	}

	e := newest(t, s, "session.end")
	if ended.Ended != 2 || fmt.Sprint(e.Target, " ", e.Outcome) != "all sessions ok" {
		t.Errorf("ended %d with the event %+v, want 2 and one event of all sessions", ended.Ended, e)
	}
}
