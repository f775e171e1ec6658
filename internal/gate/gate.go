// Package gate judges requests: who is calling, may they, and what does it cost.
//
// Admit turns a Request into a Decision, and nothing else creates one. It checks in a
// fixed order: route, credential, window, scope, factors, uses. A use is spent last, so a
// refusal costs nothing. Each refusal becomes an audit event with every check.
//
// A Request is a value and not an *http.Request: behind a proxy, the request that
// arrived is not the request to judge. The endpoints phrase the answer.
//
// Each kind of credential has one file here: bearer.go, cookie.go and basic.go; package
// oauth has that of a client, which is in its form. A new kind, such as a client
// certificate, is a new file with a Reader and its Credential, and a field in Request if it
// is not in the headers. Beside it, the kind needs a bit and a name in policy.Kinds
// (policy/access.go), a line in gateway/credentials.go, and a word in the accept keys of package
// config (config/service.go, config/check_service.go). A client certificate would also be
// requested in server/listen.go.
//
// A new rule of a route is a key in package config, a line in gateway/routes.go, a field of
// policy.Access and a check in a step of gate.go. A new step also has a name and a description in
// explain.go.
//
// One use is one request: a counted route does not upgrade connections (request.go).
//
// # Files
//
//	gate.go, request.go             from a request to a decision; the request to judge
//	credential.go                   what a kind of credential implements
//	bearer.go, cookie.go, basic.go  the kinds: token, session, name and password
//	factors.go                      how the user has to be proved
//	repeat.go                       the use of a request that a proxy asks about twice
//	recheck.go                      a request in progress, judged again
//	try.go                          what a request would get, without a use
//	explain.go, explainring.go      a decision as an audit event; the last decisions that admitted
package gate

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/count"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/session"
	"github.com/jeton-auth/jeton/internal/web"
)

// Gate judges requests.
type Gate struct {
	sessions *session.Sessions
	counts   *count.Counts
	audit    *audit.Log
	now      func() time.Time
	recent   recentDecisions
	repeats  repeats
}

// New returns a gate. It spends uses in counts, records refusals in log, and updates the
// last use of a session or a token.
func New(sessions *session.Sessions, counts *count.Counts, log *audit.Log, now func() time.Time) *Gate {
	return &Gate{
		sessions: sessions,
		counts:   counts,
		audit:    log,
		now:      now,
	}
}

// Decision says as whom a request was admitted, and what it cost. Its zero value has no
// principal.
type Decision struct {
	credential  Credential
	lastUsed    time.Time // of the credential, before this request
	proof       session.Proof
	factorsFrom time.Time // from when on two factors are required of the user, who manages others; or zero
	left        int64
	counted     bool
	free        bool
}

// Principal returns the proved subject, or the zero principal on an open route.
func (d Decision) Principal() jeton.Principal {
	if d.credential == nil {
		return jeton.Principal{}
	}
	return d.credential.Principal()
}

// Session returns the session that was shown, or nil.
func (d Decision) Session() *session.Live { return sessionOf(d.credential) }

// Credential returns the credential that was shown, or nil.
func (d Decision) Credential() Credential { return d.credential }

// Origin returns what a token derives from that this request creates.
func (d Decision) Origin() (Origin, error) {
	if d.credential == nil {
		return Origin{}, jeton.ErrNoCredential
	}
	return d.credential.Origin()
}

// Left returns how many uses are left, and whether the route or the credential counts them.
func (d Decision) Left() (int64, bool) { return d.left, d.counted }

// Free reports whether uses are counted and the request took none. Its answer must not
// contain what a use pays for.
func (d Decision) Free() bool { return d.free }

// From returns the decision on the request that w answers. It is zero on an open route.
func From(w *web.Reply) Decision {
	if d, ok := w.Decision.(*Decision); ok {
		return *d
	}
	return Decision{}
}

// Admit judges a request. A refusal is one of package jeton's outcomes;
// jeton.ErrUnavailable means that the store could not be asked.
func (g *Gate) Admit(ctx context.Context, req *Request) (Decision, error) {
	// No credential is read: a bad one must not close a route that is open to all.
	if req.Access.IsOpen() {
		return Decision{}, nil
	}

	var d Decision
	failedAt, err := g.judge(ctx, req, &d)
	if err != nil {
		g.audit.Record(refusal(req, &d, failedAt, err))
		return Decision{}, err
	}

	// Only now: a refused request must not keep an idle session alive.
	switch c := d.credential.(type) {
	case sessionCredential:
		g.sessions.Used(c.Live, req.Now)
	case tokenCredential:
		c.Used(req.Now)
	case narrowedToken:
		c.Used(req.Now)
	}

	// Explain reads recent decisions; those on audited routes are in the audit log instead.
	if req.Access.Audit {
		g.audit.Record(admitted(req, &d))
	} else {
		g.recent.add(req, d)
	}

	return d, nil
}

// ShownSession returns the session that an HTTP request shows at a service, without judging the
// request. It is for endpoints that end or replace a session, so it records nothing and spends
// nothing.
//
// It also returns a session that has expired as far as this node knows. Another node may know of
// a later use, so ending the session must reach that node, too.
func ShownSession(w *web.Reply, r *http.Request, service *Service) (*session.Live, error) {
	req := NewRequest(w, r, service, policy.Session)

	c, err := findCredential(r.Context(), &req)
	if err != nil {
		return nil, err
	}

	return sessionOf(c), nil
}

// Record adds an event of an admitted request to the audit log.
func (g *Gate) Record(e jeton.Event) { g.audit.Record(e) }

// step is a check, in the order in which judge makes them.
type step int

const (
	stepRoute step = iota
	stepCredential
	stepWindow
	stepScope
	stepFactors
	stepUses
	steps
)

// judge makes the checks in order. On a refusal it returns the check that failed, and d
// holds what is known so far.
func (g *Gate) judge(ctx context.Context, req *Request, d *Decision) (step, error) {
	// The route is closed, or only for operators on the control socket: no credential opens it.
	if !req.Access.NeedsCredential() {
		return stepRoute, jeton.ErrForbidden
	}

	c, err := findCredential(ctx, req)
	if err != nil {
		return stepCredential, err
	}

	// Set before the checks, so that the audit event of a refusal names the credential.
	d.credential = c
	d.lastUsed = c.LastUsed() // before this request counts as a use

	// Reading the credential may have taken a while: it may be in a slow body, or its password may have waited to be
	// hashed. The credential may have expired meanwhile.
	req.Now = g.now()

	if err := c.Check(req.Now); err != nil {
		return stepWindow, err
	}

	if err := permits(req, c); err != nil {
		return stepScope, err
	}

	if err := g.proves(ctx, req, d); err != nil {
		return stepFactors, err
	}

	// Last, so that a refusal by any other check costs no use.
	if err := g.spend(ctx, req, d); err != nil {
		return stepUses, err
	}

	return steps, nil
}

// findCredential asks the readers that the route accepts, in order. The first that finds a
// credential of its kind decides, good or not.
func findCredential(ctx context.Context, req *Request) (Credential, error) {
	for _, r := range req.Service.Readers {
		if r.Kinds()&req.Access.Accept == 0 {
			continue
		}

		c, err := r.Read(ctx, req)
		// A failure ends the search as well: a second credential must not hide a bad one.
		if !errors.Is(err, ErrNotMine) {
			return c, err
		}
	}

	return nil, noCredential(req)
}

// noCredential returns jeton.ErrNoCredential. For the operator it names what the request shows
// and the route does not accept, such as a Bearer token where only sessions are accepted.
func noCredential(req *Request) error {
	var shown []string

	lines := req.Header["Authorization"]
	if len(lines) > 0 {
		scheme, _, _ := strings.Cut(lines[0], " ")
		switch {
		case strings.EqualFold(scheme, "Bearer"):
			shown = append(shown, "a Bearer token")
		case strings.EqualFold(scheme, "Basic"):
			shown = append(shown, "Basic credentials")
		default:
			shown = append(shown, "a header Authorization of an unknown scheme")
		}
	}

	for _, r := range req.Service.Readers {
		cookie, ok := r.(Cookie)
		if !ok {
			continue
		}

		_, n := web.FindCookie(req.Header, cookie.Cookie.Name)
		if n > 0 && req.Access.Accept&cookie.Kinds() == 0 {
			shown = append(shown, "the cookie "+cookie.Cookie.Name)
		}
	}

	if len(shown) == 0 {
		return jeton.ErrNoCredential
	}

	return fmt.Errorf(
		"%w that this route accepts: the request shows %s, the route accepts %s",
		jeton.ErrNoCredential, strings.Join(shown, " and "), req.Access.Accept,
	)
}

// permits checks who may use the service and the route, and then the limits of the credential
// itself.
func permits(req *Request, c Credential) error {
	// At each request and not at the login alone: the user may have left a group since then.
	if err := req.Service.Allow.CheckLogin(c.Principal()); err != nil {
		return err
	}

	if req.Access.Allow != nil {
		if err := req.Access.Allow.Check(c.Principal()); err != nil {
			return err
		}
	}

	return c.Permits(policy.Request{
		Method: req.Method,
		Path:   req.Path,
		Source: req.Source,
		Scopes: req.Access.Scopes,

		AboutItself: req.Access.AboutItself,
	})
}

// spend takes one use of each budget of the route and of the credential. A HEAD is not
// given what a use pays for, so it takes none, unless another proxy answers it. A page that a
// browser fetches ahead is refused, and takes none either.
func (g *Gate) spend(ctx context.Context, req *Request, d *Decision) (err error) {
	if req.Access.AboutItself {
		return nil
	}

	key, own := d.credential.Budgets()
	fresh, isNew := d.credential.(newSession)

	budgets := req.Access.TokenBudgets
	switch {
	case d.Session() != nil, isNew:
		budgets = req.Access.SessionBudgets
	case d.credential.Principal().Kind == jeton.KindClient:
		budgets = req.Access.ClientBudgets
	}

	if len(own) > 0 {
		// Not append: it could write into the array of the route, which all requests share.
		budgets = slices.Concat(budgets, own)
	}
	if len(budgets) == 0 {
		return nil
	}

	// The user may never look at the page. A browser drops the refusal, and asks again if the page is opened.
	if web.Prefetches(req.Header) {
		return jeton.WithDetail(jeton.ErrForbidden, "a page that is fetched ahead takes no use: open it to take one")
	}

	if req.Service.Forwarded && req.Header.Get("Upgrade") != "" {
		return jeton.WithDetail(jeton.ErrForbidden, "uses are counted here, and the request asks for another protocol")
	}

	// A HEAD with a credential that is spent is refused all the same: Left reports that, too.
	d.counted, d.free = true, req.Method == http.MethodHead && !req.Service.Forwarded
	switch {
	case isNew:
		d.left = fresh.left(budgets)
	case d.free || req.looking:
		d.left, err = g.counts.Left(ctx, key, budgets)
	case len(req.Repeat) > 0:
		d.left, err = g.repeats.spend(ctx, repeatKey(req, key.Holder()), g.now, func() (int64, error) {
			return g.counts.Spend(ctx, key, budgets)
		})
	default:
		d.left, err = g.counts.Spend(ctx, key, budgets)
	}

	return err
}
