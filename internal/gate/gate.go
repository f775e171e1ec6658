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
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"jeton"
	"jeton/internal/audit"
	"jeton/internal/policy"
	"jeton/internal/session"
	"jeton/internal/web"
)

// Question is what a door asks about one request.
type Question struct {
	Service *Service
	Access  policy.Access
	Route   string // the row of the route table
	Method  string
	Path    string
	Header  http.Header // read, never changed
	Source  netip.Addr
	Request string // id
	Now     time.Time
}

// Service is what the gate knows of a service: its name, and how credentials are read
// there, in the order in which they are asked.
type Service struct {
	Name    string
	Readers []Reader
}

// Reader looks for one kind of credential in a question.
type Reader interface {
	// Read returns the credential's session; or ErrNotMine when the question shows no
	// credential of this kind, and the next reader is asked; or an error that ends the search.
	Read(ctx context.Context, q *Question) (*session.Live, error)
	// Kind names the credential for the record.
	Kind() string
}

// ErrNotMine says that a question shows no credential of the reader's kind.
var ErrNotMine = errors.New("no credential of this kind")

// Pass says who was let through. Its zero value names nobody.
type Pass struct {
	live    *session.Live
	seen    time.Time // when the session had last been used, as it was judged
	left    int64
	counted bool
	free    bool
}

// Principal returns the proved subject, which is nobody where a route is open.
func (p Pass) Principal() jeton.Principal {
	if p.live == nil {
		return jeton.Principal{}
	}
	return jeton.Principal{Kind: jeton.KindUser, Name: p.live.Name, Groups: p.live.Groups, Session: p.live.ID, Since: p.live.Created}
}

// Name returns the name of the proved subject, or "".
func (p Pass) Name() string {
	if p.live == nil {
		return ""
	}
	return p.live.Name
}

// Login returns the number of the login that was shown, or 0.
func (p Pass) Login() int64 {
	if p.live == nil {
		return 0
	}
	return p.live.Login
}

// Left returns how many uses are left, and whether the route counts them.
func (p Pass) Left() (int64, bool) { return p.left, p.counted }

// Free reports whether the route counts uses and this question took none: the door
// must not let it have what a use pays for.
func (p Pass) Free() bool { return p.free }

// Gate judges requests.
type Gate struct {
	sessions *session.Sessions
	audit    *audit.Log
	recent   recent
}

// New returns a gate over the sessions, recording in the audit log.
func New(sessions *session.Sessions, log *audit.Log) *Gate {
	return &Gate{sessions: sessions, audit: log}
}

// Admit judges a question. It returns one of package jeton's outcomes on a refusal,
// and jeton.ErrUnavailable when it cannot tell.
func (g *Gate) Admit(ctx context.Context, q *Question) (Pass, error) {
	if q.Access.IsOpen() {
		return Pass{}, nil
	}
	var pass Pass
	if step, err := g.judge(ctx, q, &pass); err != nil {
		g.audit.Note(g.refusal(q, &pass, step, err))
		return Pass{}, err
	}
	g.sessions.Used(pass.live, q.Now)
	g.passed(q, pass)
	return pass, nil
}

// Identify says who asks, without judging whether they may: for the doors that end or
// replace a session. It records nothing and takes nothing.
func (g *Gate) Identify(ctx context.Context, q *Question) (Pass, error) {
	live, err := who(ctx, q)
	if err != nil {
		return Pass{}, err
	}
	if err := live.Check(q.Now); err != nil {
		return Pass{}, err
	}
	return Pass{live: live}, nil
}

// Of returns what a request was let through with: nobody where its route is open.
func Of(w *web.Reply) Pass {
	if p, ok := w.Pass.(*Pass); ok {
		return *p
	}
	return Pass{}
}

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
func (g *Gate) judge(ctx context.Context, q *Question, pass *Pass) (step, error) {
	if !q.Access.NeedsSession() {
		return stepRoute, jeton.ErrForbidden
	}
	live, err := who(ctx, q)
	if err != nil {
		return stepCredential, err
	}
	pass.live, pass.seen = live, live.LastUsed()
	if err := live.Check(q.Now); err != nil {
		return stepWindow, err
	}
	if q.Access.Allow != nil {
		if err := q.Access.Allow.Check(pass.Principal()); err != nil {
			return stepScope, err
		}
	}
	if len(q.Access.Budgets) == 0 {
		return steps, nil
	}
	pass.counted = true
	if pass.free = q.Method == http.MethodHead; pass.free {
		// Nothing is given for a HEAD, so nothing is taken.
		pass.left, err = g.sessions.Left(ctx, live, q.Access.Budgets)
	} else {
		pass.left, err = g.sessions.Spend(ctx, live, q.Access.Budgets)
	}
	return stepUse, err
}

// who asks the readers in order. The first that finds something of its kind decides.
func who(ctx context.Context, q *Question) (*session.Live, error) {
	for _, r := range q.Service.Readers {
		live, err := r.Read(ctx, q)
		if !errors.Is(err, ErrNotMine) {
			return live, err
		}
	}
	return nil, jeton.ErrNoCredential
}

// refusal makes the line of the record, with every check up to the one that failed.
func (g *Gate) refusal(q *Question, pass *Pass, at step, err error) jeton.Event {
	e := event(q, pass.live)
	e.Outcome, e.Reason = jeton.Code(err), err.Error()
	e.Checks = checks(q, pass, at, err)
	return e
}

func event(q *Question, live *session.Live) jeton.Event {
	e := jeton.Event{Time: q.Now, Request: q.Request, Action: audit.Request, Target: string(appendTarget(nil, q)), Service: q.Service.Name, Outcome: audit.OK, Source: source(q.Source)}
	if live != nil {
		e.Actor = "user:" + live.Name
	}
	return e
}

func checks(q *Question, pass *Pass, at step, err error) []jeton.Check {
	list := make([]jeton.Check, 0, steps)
	for s := stepRoute; s < steps; s++ {
		c := jeton.Check{Name: names[s], Value: describe(q, pass, s), Result: "pass"}
		switch {
		case s == at && err != nil:
			c.Result = "fail"
			c.Value = join(c.Value, err.Error())
		case s > at:
			c.Result = "skip"
			c.Value = ""
		}
		list = append(list, c)
	}
	return list
}

var names = [steps]string{"route", "credential", "window", "scope", "uses"}

// describe tells what a step looked at. Nothing in it is secret.
func describe(q *Question, pass *Pass, s step) string {
	live := pass.live
	switch {
	case s == stepRoute:
		return q.Route + ": " + q.Access.String()
	case s == stepCredential && live != nil:
		return fmt.Sprintf("session %s of user %s, made %s from %s", live.ID, live.Name, stamp(live.Created), live.Source)
	case s == stepWindow && live != nil:
		return fmt.Sprintf("now %s, ends %s, last used %s, idle at most %v", stamp(q.Now), stamp(live.Expires), stamp(pass.seen), live.Idle)
	case s == stepScope && live != nil && q.Access.Allow != nil:
		return fmt.Sprintf("user %s in groups %v; allowed are %s", live.Name, live.Groups, q.Access.Allow)
	case s == stepUse && len(q.Access.Budgets) == 0:
		return "not counted"
	case s == stepUse && pass.free:
		return fmt.Sprintf("HEAD takes none, %d left", pass.left)
	case s == stepUse:
		return fmt.Sprintf("%d left", pass.left)
	}
	return ""
}

func join(a, b string) string {
	if a == "" {
		return b
	}
	return a + ": " + b
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

func source(a netip.Addr) string {
	if !a.IsValid() {
		return "local"
	}
	return a.String()
}

// appendTarget writes what was asked for, as the record may show it: bounded, and without
// a secret that somebody put into the path.
func appendTarget(b []byte, q *Question) []byte {
	const most = 200
	b = append(b, q.Method[:min(len(q.Method), 20)]...)
	b = append(b, ' ')
	path := web.ShownPath(q.Path)
	if len(path) <= most {
		return append(b, path...)
	}
	return append(append(b, strings.ToValidUTF8(path[:most], "")...), "…"...)
}

// passed remembers why a request was let through: for good where the route says so,
// for a while otherwise.
func (g *Gate) passed(q *Question, pass Pass) {
	if q.Access.Audit {
		g.audit.Note(allowed(q, &pass))
		return
	}
	g.recent.add(q, pass)
}

func allowed(q *Question, pass *Pass) jeton.Event {
	e := event(q, pass.live)
	e.Checks = checks(q, pass, steps, nil)
	return e
}

// Explain returns the decision on a request that was let through a short while ago.
// Refusals, and what routes record for good, are in the audit log.
func (g *Gate) Explain(request string) (jeton.Event, bool) {
	d, ok := g.recent.find(request)
	if !ok {
		return jeton.Event{}, false
	}
	e := allowed(&d.question, &d.pass)
	e.Target = string(d.target)
	return e, true
}
