package server_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/api"
	"github.com/jeton-auth/jeton/jetontest"
)

func TestAPasskeyIsRenamedByItsUserAndByAnOperator(t *testing.T) {
	s := jetontest.Start(t, passkeys)
	s.AddUser("diane", right)
	s.AddUser("bob", right)
	b, _ := keyOf(t, s, "diane")

	const list = "/api/v1/users/diane/factors"
	var has api.Factors
	s.MustControl(http.MethodGet, list, nil, &has)
	id := has.Factors[0].ID
	named := func() string {
		s.MustControl(http.MethodGet, list, nil, &has)
		return has.Factors[0].Name
	}

	own := s.Issuer() + "/api/v1/users/me/factors/" + id
	a := s.Send(b.client, http.MethodPut, own, `{"name":"telephone"}`,
		"Content-Type", "application/json", "Origin", s.Issuer())
	if a.Status != http.StatusNoContent || named() != "telephone" {
		t.Errorf("by the user: got %d %s, want the name telephone", a.Status, a.Body)
	}

	s.MustControl(http.MethodPut, list+"/"+id, api.FactorName{Name: "laptop of work"}, nil)
	if got := named(); got != "laptop of work" {
		t.Errorf("by an operator: got %q, want laptop of work", got)
	}
	if e := newest(t, s, "factor.change"); e.Actor != "operator" || !strings.Contains(e.Reason, "laptop of work") {
		t.Errorf("event = %s %q, want the operator and the name", e.Actor, e.Reason)
	}

	for name, want := range map[string]error{
		"":                       jeton.ErrInvalid,
		"\x00":                   jeton.ErrInvalid,
		strings.Repeat("x", 101): jeton.ErrInvalid,
	} {
		err := s.Control(http.MethodPut, list+"/"+id, api.FactorName{Name: name}, nil)
		if !errors.Is(err, want) {
			t.Errorf("the name %q: got %v, want %v", name, err, want)
		}
	}
	err := s.Control(http.MethodPut, "/api/v1/users/bob/factors/"+id, api.FactorName{Name: "x"}, nil)
	if !errors.Is(err, jeton.ErrNotFound) {
		t.Errorf("the passkey of another user: got %v, want %v", err, jeton.ErrNotFound)
	}
}
