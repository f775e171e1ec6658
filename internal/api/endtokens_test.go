package api_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/jetontest"
)

func TestEndingTokensTakesOneKindOrNone(t *testing.T) {
	s := jetontest.Start(t, usersConf)
	s.AddUser("diane", "correct horse battery")
	s.AddToken(jetontest.NewToken{
		User:     "diane",
		Name:     "laptop",
		Services: []string{"portal"},
		Expires:  time.Now().Add(time.Hour),
	})
	left := func() int {
		var list []jeton.Token
		s.MustControl("GET", "/api/v1/tokens?user=diane", nil, &list)
		return len(list)
	}

	for _, tc := range []struct{ name, query string }{
		{"an empty one", "?kind="},
		{"two", "?kind=personal&kind=leased"},
		{"an empty one and another", "?kind=&kind=personal"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := s.Control("POST", "/api/v1/users/diane/end-tokens"+tc.query, nil, nil)
			if !errors.Is(err, jeton.ErrInvalid) || !strings.Contains(err.Error(), "invalid kind: want one") {
				t.Errorf("got %v, want ErrInvalid that names kind", err)
			}
			if got := left(); got != 1 {
				t.Errorf("%d tokens are left, want 1", got)
			}
		})
	}

	s.MustControl("POST", "/api/v1/users/diane/end-tokens", nil, nil)
	if got := left(); got != 0 {
		t.Errorf("without a kind: %d tokens are left, want none", got)
	}
}
