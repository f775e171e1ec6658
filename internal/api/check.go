package api

import (
	"errors"
	"net/http"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/gate"
	"github.com/jeton-auth/jeton/internal/token"
	"github.com/jeton-auth/jeton/internal/web"
)

var checkDoc = Doc{
	Summary: "Judge a request without sending it, as if a user, a token or no caller sent it. " +
		"It takes no use, keeps no session alive, and is not recorded.",
	In:     Check{},
	Out:    TestedToken{},
	Status: 200,
	Fails:  []int{404},
}

// Check describes a request to judge, and who would send it.
type Check struct {
	User    string `json:"user,omitempty" jsonschema:"Who sends it, with a session. Without user and token: no caller"`
	Token   string `json:"token,omitempty" jsonschema:"Accessor of the token that it shows"`
	Method  string `json:"method" jsonschema:"As in GET"`
	URL     string `json:"url" jsonschema:"Address of a service, or a path with service"`
	Service string `json:"service,omitempty" jsonschema:"Name of the service, if url is a path"`
	Source  string `json:"source,omitempty" jsonschema:"Address that it comes from. Default: the caller's"`
}

// check answers POST /check: what a request would get that was not sent.
func (a *API) check(w *web.Reply, r *http.Request, _ caller) error {
	in, err := web.Read[Check](r)
	if err != nil {
		return err
	}

	switch {
	case a.Route == nil:
		return jeton.WithDetail(jeton.ErrUnavailable, "no server is running, so it has no routes")
	case in.User != "" && in.Token != "":
		return jeton.WithDetail(jeton.ErrInvalid, "name user or token, not both")
	}

	try, err := a.tryAs(r, in)
	if err != nil {
		return err
	}

	test := TokenTest{
		Method:  in.Method,
		URL:     in.URL,
		Service: in.Service,
		Source:  in.Source,
	}
	v, _, err := a.judge(w, test, try)
	if err != nil {
		return err
	}

	return web.JSON(w, http.StatusOK, v)
}

// tryAs returns what judges a request of the subject that a check names.
func (a *API) tryAs(r *http.Request, in Check) (func(*gate.Request) (gate.Trial, error), error) {
	ctx := r.Context()

	if in.Token != "" {
		live, err := a.Tokens.FindAccessor(ctx, token.Which{Accessor: in.Token})
		if err != nil {
			return nil, err
		}
		return func(req *gate.Request) (gate.Trial, error) { return a.Gate.Try(ctx, req, live) }, nil
	}

	if in.User == "" {
		return func(req *gate.Request) (gate.Trial, error) { return a.Gate.TryOpen(ctx, req) }, nil
	}

	acct, err := a.Accounts.Find(ctx, in.User)
	if err != nil {
		return nil, err
	}

	return func(req *gate.Request) (gate.Trial, error) {
		v := gate.Visitor{
			Principal: jeton.Principal{Kind: jeton.KindUser, Name: acct.Name, Groups: acct.Groups},
		}
		switch {
		case acct.Disabled:
			v.Refused = jeton.WithDetail(jeton.ErrBadCredential, "the user is disabled")
		case !acct.ValidAt(req.Service.Name):
			v.Refused = jeton.WithDetail(jeton.ErrBadCredential, "the user is one of service "+acct.Service)
		}

		live, err := a.Sessions.Newest(ctx, acct.Name, req.Service.Name)
		if err != nil && !errors.Is(err, jeton.ErrNotFound) {
			return gate.Trial{}, err
		}
		v.Session = live

		return a.Gate.TryUser(ctx, req, v)
	}, nil
}
