package gate

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/count"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/web"
)

// twoLeft is a count.Store in which each budget has two uses left after a spend.
type twoLeft struct{ count.Store }

func (twoLeft) Spend(context.Context, count.Use) ([]int64, error) { return []int64{2}, nil }
func (twoLeft) Left(context.Context, count.Use) ([]int64, error)  { return []int64{3}, nil }

// ticket is a credential that is good for one request, and perhaps counted.
type ticket struct {
	PerRequest
	own []policy.Budget
}

func (ticket) Principal() jeton.Principal {
	return jeton.Principal{Kind: jeton.KindClient, Name: "backup"}
}

func (t ticket) Budgets() (*count.Key, []policy.Budget) { return &count.Key{}, t.own }
func (ticket) Describe() (which, window string)         { return "ticket", "valid for this request" }

// ticketReader finds the same ticket in every request.
type ticketReader struct{ found ticket }

func (ticketReader) Kinds() policy.Kinds                                  { return policy.ByToken }
func (r ticketReader) Read(context.Context, *Request) (Credential, error) { return r.found, nil }

func TestACountedRequestIsNotUpgraded(t *testing.T) {
	uses := []policy.Budget{{ID: 1, Name: "*", Max: 3}}
	token := policy.Authenticated(policy.ByToken)

	countedRoute := token
	countedRoute.SessionBudgets, countedRoute.ClientBudgets = uses, uses

	countedLogins := token // uses of a session are counted, those of a token are not
	countedLogins.SessionBudgets = uses

	for _, tc := range []struct {
		name    string
		method  string
		access  policy.Access
		found   ticket
		upgrade string
		left    string
		free    bool
	}{
		{"not counted", "GET", token, ticket{}, "websocket", "", false},
		{"counted by the route", "GET", countedRoute, ticket{}, "", "2", false},
		{"counted by the route for sessions only", "GET", countedLogins, ticket{}, "", "", false},
		{"counted by the credential", "GET", token, ticket{own: uses}, "", "2", false},
		{"HEAD, counted", "HEAD", countedRoute, ticket{}, "", "3", true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g := New(nil, count.New(twoLeft{}), nil, time.Now)
			service := &Service{Name: "shop", Readers: []Reader{ticketReader{tc.found}}}
			r := httptest.NewRequest(tc.method, "/three", http.NoBody)
			r.Header.Set("Upgrade", "websocket")
			w := &web.Reply{ResponseWriter: httptest.NewRecorder()}

			err := g.AdmitHTTP(w, r, service, tc.access)
			if err != nil {
				t.Fatalf("AdmitHTTP = %v, want nil", err)
			}

			if got := r.Header.Get("Upgrade"); got != tc.upgrade {
				t.Errorf("Upgrade of the admitted request = %q, want %q", got, tc.upgrade)
			}
			if got := w.Header().Get(jeton.HeaderUsesRemaining); got != tc.left {
				t.Errorf("%s = %q, want %q", jeton.HeaderUsesRemaining, got, tc.left)
			}
			if d := From(w); d.Free() != tc.free || d.Principal().Name != "backup" {
				t.Errorf("decision: free %t, principal %q, want %t, backup", d.Free(), d.Principal().Name, tc.free)
			}
		})
	}
}

func TestNewRequestReadsTheBodyOnceAndPutsItBack(t *testing.T) {
	r := httptest.NewRequest("POST", "/x", http.NoBody)
	w := &web.Reply{ResponseWriter: httptest.NewRecorder(), ID: "r1", Start: time.Unix(1, 0)}

	req := NewRequest(w, r, &Service{}, policy.Session)
	if req.Body != nil {
		t.Error("a service that reads no body gets one, want nil")
	}

	req = NewRequest(w, r, &Service{ReadBody: true}, policy.Session)
	if b, err := req.Body(); err != nil || len(b) != 0 {
		t.Errorf("Body() = %q, %v, want an empty body", b, err)
	}
	if req.Method != "POST" || req.Path != "/x" || req.RequestID != "r1" || !req.Now.Equal(w.Start) {
		t.Errorf("NewRequest = %+v, want POST /x with the ID and time of the reply", req)
	}
}

func TestACredentialCreatesNoTokensUnlessItSaysSo(t *testing.T) {
	if _, err := (Decision{credential: ticket{}}).Origin(); !errors.Is(err, jeton.ErrForbidden) {
		t.Errorf("Origin of a credential that embeds PerRequest = %v, want ErrForbidden", err)
	}
	if _, err := (Decision{}).Origin(); !errors.Is(err, jeton.ErrNoCredential) {
		t.Errorf("Origin on an open route = %v, want ErrNoCredential", err)
	}
}
