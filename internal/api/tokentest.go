package api

import (
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"strings"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/gate"
	"github.com/jeton-auth/jeton/internal/token"
	"github.com/jeton-auth/jeton/internal/web"
)

// TokenTest describes the request to judge.
type TokenTest struct {
	Method  string `json:"method" jsonschema:"As in GET"`
	URL     string `json:"url" jsonschema:"Address of a service, or a path with service"`
	Service string `json:"service,omitempty" jsonschema:"Name of the service, if url is a path"`
	Source  string `json:"source,omitempty" jsonschema:"Address that it comes from. Default: the caller's"`
}

// TestedToken is what the request would get.
type TestedToken struct {
	Allowed bool          `json:"allowed"`
	Code    string        `json:"code" jsonschema:"ok, or the code of the refusal"`
	Status  int           `json:"status" jsonschema:"HTTP status of the decision; 200 if it is allowed"`
	Service string        `json:"service,omitempty"`
	Route   string        `json:"route,omitempty" jsonschema:"Pattern of the route"`
	Checks  []jeton.Check `json:"checks"`
	Left    *int64        `json:"uses_remaining,omitempty" jsonschema:"Before the request; absent: not counted"`
}

// testOwnToken answers POST /users/me/tokens/{accessor}/test.
func (a *API) testOwnToken(w *web.Reply, r *http.Request, c caller) error {
	v, req, err := a.tryToken(w, r, token.Which{Accessor: r.PathValue("accessor"), User: c.Name})
	if err != nil {
		return err
	}

	// Who else may use the route is not for the user to know.
	for i := range v.Checks {
		check := &v.Checks[i]
		switch check.Name {
		case "route":
			check.Value = v.Route
		case "scope":
			check.Value = ""
			if len(req.Access.Scopes) > 0 {
				check.Value = fmt.Sprintf("needed are scopes %v", req.Access.Scopes)
			}
		}
	}

	return web.JSON(w, http.StatusOK, v)
}

// isMethod matches a method of HTTP (RFC 9110, section 9.1).
var isMethod = regexp.MustCompile(`^[A-Z]{1,20}$`)

// tryToken judges the request that the body describes, as if it showed the token that which selects.
func (a *API) tryToken(w *web.Reply, r *http.Request, which token.Which) (TestedToken, *gate.Request, error) {
	in, err := web.Read[TokenTest](r)
	if err != nil {
		return TestedToken{}, nil, err
	}

	live, err := a.Tokens.FindAccessor(r.Context(), which)
	if err != nil {
		return TestedToken{}, nil, err
	}

	return a.judge(w, in, func(req *gate.Request) (gate.Trial, error) { return a.Gate.Try(r.Context(), req, live) })
}

// judge finds the route of a request that was not sent, and returns what try says of it.
func (a *API) judge(
	w *web.Reply,
	in TokenTest,
	try func(*gate.Request) (gate.Trial, error),
) (TestedToken, *gate.Request, error) {
	req, err := a.readTest(w, in)
	if jeton.Outcome(err) == jeton.ErrNotFound {
		// A request without a route would be refused, which is what the caller wants to know.
		check := jeton.Check{Name: "route", Value: jeton.Detail(err), Result: "fail"}
		refused := TestedToken{
			Code:   jeton.Code(err),
			Status: http.StatusNotFound,
			Checks: []jeton.Check{check},
		}

		return refused, &gate.Request{}, nil
	}
	if err != nil {
		return TestedToken{}, nil, err
	}

	service := req.Service.Name
	trial, err := try(req)
	if err != nil {
		return TestedToken{}, nil, err
	}

	v := TestedToken{
		Allowed: trial.Refused == nil,
		Code:    "ok",
		Status:  http.StatusOK,
		Service: service,
		Route:   req.Route,
		Checks:  trial.Checks,
	}
	if trial.Refused != nil {
		v.Code = jeton.Code(trial.Refused)
		v.Status = web.Problem(trial.Refused).Status
	}
	if trial.Counted {
		v.Left = &trial.Left
	}

	return v, req, nil
}

// readTest returns the request that a test describes.
func (a *API) readTest(w *web.Reply, in TokenTest) (*gate.Request, error) {
	method := strings.ToUpper(in.Method)
	if !isMethod.MatchString(method) {
		return nil, jeton.WithDetail(jeton.ErrInvalid, "invalid method: want one such as GET")
	}

	u, err := url.Parse(in.URL)
	relative := err == nil && u.Host == "" && u.Scheme == "" && in.Service != ""
	absolute := err == nil && u.Host != "" && (u.Scheme == "https" || u.Scheme == "http")
	if !relative && !absolute || !strings.HasPrefix(u.Path, "/") && u.Path != "" {
		const want = "want an address such as https://shop.example.org/orders, or a path such as /orders and service"
		return nil, jeton.WithDetail(jeton.ErrInvalid, "invalid url: "+want)
	}
	if u.Path == "" {
		u.Path = "/"
	}

	source := w.Source
	if in.Source != "" {
		source, err = netip.ParseAddr(in.Source)
		if err != nil {
			return nil, jeton.WithDetail(jeton.ErrInvalid, "invalid source: want an address such as 192.0.2.7")
		}
	}

	req, err := a.Route(method, in.Service, u)
	if err != nil {
		return nil, err
	}

	req.Source = source.Unmap()
	req.RequestID = w.ID
	req.Now = w.Start

	return req, nil
}
