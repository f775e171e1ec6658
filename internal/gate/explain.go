package gate

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/web"
)

// refusal makes the line of the record, with every check up to the one that failed.
func (g *Gate) refusal(q *Request, pass *Decision, at step, err error) jeton.Event {
	e := event(q, pass.proof)
	e.Outcome, e.Reason = jeton.Code(err), err.Error()
	e.Checks = checks(q, pass, at, err)
	return e
}

func event(q *Request, proof Credential) jeton.Event {
	e := jeton.Event{
		Time:    q.Now,
		Request: q.RequestID,
		Action:  audit.Request,
		Target:  string(appendTarget(nil, q)),
		Service: q.Service.Name,
		Outcome: audit.OK,
		Source:  source(q.Source),
	}
	if proof != nil {
		e.Actor = Actor(proof.Principal())
	}
	return e
}

// Actor names a subject as the record does.
func Actor(p jeton.Principal) string { return string(p.Kind) + ":" + p.Name }

func checks(q *Request, pass *Decision, at step, err error) []jeton.Check {
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
func describe(q *Request, pass *Decision, s step) string {
	if s == stepRoute {
		return q.Route + ": " + q.Access.String()
	}
	if pass.proof == nil {
		return ""
	}

	which, window := pass.proof.Describe()
	switch {
	case s == stepCredential:
		return which
	case s == stepWindow && !pass.seen.IsZero():
		return fmt.Sprintf("now %s, last used %s, %s", stamp(q.Now), stamp(pass.seen), window)
	case s == stepWindow:
		return fmt.Sprintf("now %s, %s", stamp(q.Now), window)
	case s == stepScope && (q.Access.Allow != nil || len(q.Access.Scopes) > 0):
		return describeScope(q, pass.proof.Principal())
	case s == stepUse && !pass.counted:
		return "not counted"
	case s == stepUse && pass.free:
		return fmt.Sprintf("HEAD takes none, %d left", pass.left)
	case s == stepUse:
		return fmt.Sprintf("%d left", pass.left)
	}

	return ""
}

func describeScope(q *Request, p jeton.Principal) string {
	s := fmt.Sprintf("%s %s in groups %v", p.Kind, p.Name, p.Groups)
	if p.Token != "" {
		s = fmt.Sprintf("%s %s with scopes %v", p.Kind, p.Name, p.Scopes)
	}
	if q.Access.Allow != nil {
		s += "; allowed are " + q.Access.Allow.String()
	}

	if len(q.Access.Scopes) > 0 {
		s += fmt.Sprintf("; needed are scopes %v", q.Access.Scopes)
	}

	return s
}

func join(a, b string) string {
	if a == "" {
		return b
	}
	return a + ": " + b
}

func stamp(t time.Time) string { return t.UTC().Format(policy.Stamp) }

func source(a netip.Addr) string {
	if !a.IsValid() {
		return "local"
	}
	return a.String()
}

// appendTarget writes what was asked for, as the record may show it: bounded, and without
// a secret that somebody put into the path.
func appendTarget(b []byte, q *Request) []byte {
	const most = 200

	b = append(b, q.Method[:min(len(q.Method), 20)]...)
	b = append(b, ' ')
	path := web.ShownPath(q.Path)
	if len(path) <= most {
		return append(b, path...)
	}

	return append(append(b, strings.ToValidUTF8(path[:most], "")...), "…"...)
}

func allowed(q *Request, pass *Decision) jeton.Event {
	e := event(q, pass.proof)
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
