// Package gate judges requests: who is it, may they, and what does it cost.
//
// Admit answers a Question with a Pass. It walks in one order: the credential is read,
// its window is checked, then who may ask, then the terms; a use is spent last of all, so
// a refusal costs nothing. The question is a value and never an *http.Request, because
// behind a proxy the request that arrived is not the request asked about. Only Admit
// makes a Pass, so a door that holds one has asked. Every refusal is recorded with each
// check and its value; the doors phrase the answer.
package gate

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"slices"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/count"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/session"
	"github.com/jeton-auth/jeton/internal/web"
)

// RequestID is what a door asks about one request.
type Request struct {
	Service   *Service
	Access    policy.Access
	Route     string // the row of the route table
	Method    string
	Path      string
	Header    http.Header            // read, never changed
	Body      func() ([]byte, error) // nil where no credential is looked for in it
	Source    netip.Addr
	RequestID string // id
	Now       time.Time
}

// Service is what the gate knows of a service: its name, and how credentials are read
// there, in the order in which they are asked.
type Service struct {
	Name     string
	Readers  []Reader
	ReadBody bool // one of the readers looks into the body
}

// Credential is a credential that was found: whose it is, and what it is good for.
type Credential interface {
	// Principal returns the subject that it proves.
	Principal() jeton.Principal
	// Check judges it by time: jeton.ErrTooEarly or jeton.ErrExpired outside of its window.
	Check(now time.Time) error
	// Permits returns jeton.ErrScope or jeton.ErrForbidden unless it is good for what is asked.
	Permits(a policy.Request) error
	// Budgets returns what its uses hang on, and the budgets of its own that every
	// accepted request takes a use from.
	Budgets() (*count.Key, []policy.Budget)
	// LastUsed returns when it had last let a request through, or the zero time where that
	// is not kept.
	LastUsed() time.Time
	// Describe tells the operator which it is, and when it is good. Nothing in it is secret.
	Describe() (which, window string)
}

// Reader looks for one kind of credential in a question.
type Reader interface {
	// Read returns the credential; or ErrNotMine when the question shows none of this
	// kind, and the next reader is asked; or an error that ends the search.
	Read(ctx context.Context, q *Request) (Credential, error)
	// Kinds says which kind of credential it reads: routes choose what they accept.
	Kinds() policy.Kinds
}

// ErrNotMine says that a question shows no credential of the reader's kind.
var ErrNotMine = errors.New("no credential of this kind")

// Decision says who was let through. Its zero value names nobody.
type Decision struct {
	proof   Credential
	seen    time.Time // when the credential had last been used, as it was judged
	left    int64
	counted bool
	free    bool
}

// Principal returns the proved subject, which is nobody where a route is open.
func (p Decision) Principal() jeton.Principal {
	if p.proof == nil {
		return jeton.Principal{}
	}
	return p.proof.Principal()
}

// Session returns the session that was shown, or nil.
func (p Decision) Session() *session.Live {
	live, _ := p.proof.(*session.Live)
	return live
}

// Credential returns the credential that was shown, or nil.
func (p Decision) Credential() Credential { return p.proof }

// Left returns how many uses are left, and whether the route or the credential counts them.
func (p Decision) Left() (int64, bool) { return p.left, p.counted }

// Free reports whether uses are counted and this question took none: the door
// must not let it have what a use pays for.
func (p Decision) Free() bool { return p.free }

// Gate judges requests.
type Gate struct {
	sessions *session.Sessions
	counts   *count.Counts
	audit    *audit.Log
	recent   recent
}

// New returns a gate that counts uses and records in the audit log. It tells the sessions
// when they have been used.
func New(sessions *session.Sessions, counts *count.Counts, log *audit.Log) *Gate {
	return &Gate{sessions: sessions, counts: counts, audit: log}
}

// Admit judges a question. It returns one of package jeton's outcomes on a refusal,
// and jeton.ErrUnavailable when it cannot tell.
func (g *Gate) Admit(ctx context.Context, q *Request) (Decision, error) {
	if q.Access.IsOpen() {
		return Decision{}, nil
	}

	var pass Decision
	if step, err := g.judge(ctx, q, &pass); err != nil {
		g.audit.Record(g.refusal(q, &pass, step, err))
		return Decision{}, err
	}

	live := pass.Session()
	if live != nil {
		g.sessions.Used(live, q.Now)
	}

	g.passed(q, pass)

	return pass, nil
}

// Identify says who asks, without judging whether they may: for the doors that end or
// replace a session. It records nothing and takes nothing. With an error that says that the
// time of a credential is over it still returns whose it is: another node may know of a
// later use, and what ends must end there, too.
func (g *Gate) Identify(ctx context.Context, q *Request) (Decision, error) {
	proof, err := who(ctx, q)
	if err != nil {
		return Decision{}, err
	}
	return Decision{proof: proof}, proof.Check(q.Now)
}

// From returns what a request was let through with: nobody where its route is open.
func From(w *web.Reply) Decision {
	if p, ok := w.Decision.(*Decision); ok {
		return *p
	}
	return Decision{}
}

// Record records an event of a request that was let through.
func (g *Gate) Record(e jeton.Event) { g.audit.Record(e) }

// step is where in the walk a question is.
type step int

const (
	stepRoute step = iota
	stepCredential
	stepWindow
	stepScope
	stepUse
	steps
)

// judge walks the checks in order and returns the one at which a refusal happened.
func (g *Gate) judge(ctx context.Context, q *Request, pass *Decision) (step, error) {
	if !q.Access.NeedsProof() {
		return stepRoute, jeton.ErrForbidden
	}

	proof, err := who(ctx, q)
	if err != nil {
		return stepCredential, err
	}

	pass.proof, pass.seen = proof, proof.LastUsed()
	if err := proof.Check(q.Now); err != nil {
		return stepWindow, err
	}

	if q.Access.Allow != nil {
		if err := q.Access.Allow.Check(proof.Principal()); err != nil {
			return stepScope, err
		}
	}

	if err := proof.Permits(policy.Request{
		Method: q.Method,
		Path:   q.Path,
		Source: q.Source,
		Scopes: q.Access.Scopes,
	}); err != nil {
		return stepScope, err
	}

	return g.spend(ctx, q, pass)
}

// spend takes what the route and the credential count, last of all.
func (g *Gate) spend(ctx context.Context, q *Request, pass *Decision) (_ step, err error) {
	holder, budgets := pass.proof.Budgets()
	route := q.Access.PerToken
	if pass.Session() != nil {
		route = q.Access.Budgets
	}

	switch {
	case len(budgets) == 0:
		budgets = route
	case len(route) > 0:
		budgets = slices.Concat(route, budgets)
	}

	if len(budgets) == 0 {
		return steps, nil
	}

	pass.counted = true
	pass.free = q.Method == http.MethodHead
	if pass.free {
		// Nothing is given for a HEAD, so nothing is taken.
		pass.left, err = g.counts.Left(ctx, holder, budgets)
	} else {
		pass.left, err = g.counts.Spend(ctx, holder, budgets)
	}

	return stepUse, err
}

// who asks the readers of what the route accepts, in order. The first that finds something
// of its kind decides.
func who(ctx context.Context, q *Request) (Credential, error) {
	for _, r := range q.Service.Readers {
		if r.Kinds()&q.Access.Accept == 0 {
			continue
		}

		proof, err := r.Read(ctx, q)
		if !errors.Is(err, ErrNotMine) {
			return proof, err
		}
	}

	return nil, jeton.ErrNoCredential
}

// passed remembers why a request was let through: for good where the route says so,
// for a while otherwise.
func (g *Gate) passed(q *Request, pass Decision) {
	if q.Access.Audit {
		g.audit.Record(allowed(q, &pass))
		return
	}
	g.recent.add(q, pass)
}
