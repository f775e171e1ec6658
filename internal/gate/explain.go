package gate

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/secret"
	"github.com/jeton-auth/jeton/internal/token"
	"github.com/jeton-auth/jeton/internal/web"
)

// Explain returns the decision on a request that was admitted a short time ago. Refusals,
// and requests to audited routes, are in the audit log.
func (g *Gate) Explain(requestID string) (jeton.Event, bool) {
	return g.recent.find(requestID)
}

// Refusals returns how many requests with a token were refused, as far as each has an event among the last thousand: of
// its user, or of the service for the token of a client.
func (g *Gate) Refusals(ctx context.Context, live *token.Live, service string) (int64, error) {
	filter := audit.Filter{
		Action:  audit.Request,
		Service: service,
		Since:   live.Created,
		Last:    1000,
	}
	if live.Owner.Kind == jeton.KindUser {
		filter.User = live.Owner.Name
	}

	events, err := g.audit.Events(ctx, filter)
	if err != nil {
		return 0, fmt.Errorf("find refusals: %w", err)
	}

	which, _ := live.Describe()
	shows := func(c jeton.Check) bool { return strings.HasPrefix(c.Value, which) }

	var n int64
	for _, e := range events {
		if e.Outcome != audit.OK && slices.ContainsFunc(e.Checks, shows) {
			n++
		}
	}

	return n, nil
}

// refusal returns the audit event of a refused request.
func refusal(req *Request, d *Decision, failed step, err error) jeton.Event {
	e := event(req, d.credential)
	e.Outcome, e.Reason = jeton.Code(err), err.Error()
	e.Checks = checks(req, d, failed, err)
	return e
}

// admitted returns the audit event of an admitted request.
func admitted(req *Request, d *Decision) jeton.Event {
	e := event(req, d.credential)
	e.Checks = checks(req, d, steps, nil)
	return e
}

// event returns the audit event of a decision, without its checks and its outcome.
func event(req *Request, c Credential) jeton.Event {
	e := jeton.Event{
		Time:    req.Now,
		Request: req.RequestID,
		Action:  audit.Request,
		Target:  string(appendTarget(nil, req)),
		Service: req.Service.Name,
		Outcome: audit.OK,
		Source:  web.AddressText(req.Source),
	}
	if c != nil {
		e.Actor = Actor(c.Principal())
	}

	return e
}

// Actor returns the name of a subject in the audit log.
func Actor(p jeton.Principal) string { return string(p.Kind) + ":" + p.Name }

// names are the names of the checks in the audit log.
var names = [steps]string{"route", "credential", "window", "scope", "factors", "uses"}

// checks returns every check up to the one that failed; those after it are skipped.
func checks(req *Request, d *Decision, failed step, err error) []jeton.Check {
	list := make([]jeton.Check, 0, steps)
	for s := range steps {
		if s == stepFactors && !req.requiresProof() {
			continue // most routes require none
		}

		c := jeton.Check{Name: names[s], Result: "skip"}
		if s <= failed {
			c.Result = "pass"
			c.Value = describe(req, d, s)
		}

		if s == failed {
			c.Result = "fail"
			c.Value = join(c.Value, err.Error())
		}

		list = append(list, c)
	}

	return list
}

// describe returns what a check looked at. It contains no secret.
func describe(req *Request, d *Decision, s step) string {
	if s == stepRoute {
		return req.Route + ": " + req.Access.String()
	}
	if d.credential == nil {
		return ""
	}

	switch s {
	case stepCredential:
		which, _ := d.credential.Describe()
		return which
	case stepWindow:
		return describeWindow(req, d)
	case stepScope:
		return describeScope(req, d.credential.Principal())
	case stepFactors:
		return describeFactors(req, d)
	default:
		return describeUses(d)
	}
}

// describeWindow shows the times that the decision was made by.
func describeWindow(req *Request, d *Decision) string {
	_, window := d.credential.Describe()
	if d.lastUsed.IsZero() {
		return fmt.Sprintf("now %s, %s", stamp(req.Now), window)
	}
	return fmt.Sprintf("now %s, last used %s, %s", stamp(req.Now), stamp(d.lastUsed), window)
}

// describeScope shows who the caller is beside who is allowed, or "" where nothing was
// checked.
func describeScope(req *Request, p jeton.Principal) string {
	a, logins := req.Access, req.Service.Allow
	if a.Allow == nil && logins == nil && len(a.Scopes) == 0 {
		return ""
	}

	s := fmt.Sprintf("%s %s in groups %v", p.Kind, p.Name, p.Groups)
	if p.Token != "" {
		s += fmt.Sprintf(" with scopes %v", p.Scopes)
	}

	if logins != nil && p.Kind == jeton.KindUser {
		s += "; those who may log in are " + logins.String()
	}

	if a.Allow != nil {
		s += "; allowed are " + a.Allow.String()
	}

	if len(a.Scopes) > 0 {
		s += fmt.Sprintf("; needed are scopes %v", a.Scopes)
	}

	return s
}

// describeUses shows what is left after the decision.
func describeUses(d *Decision) string {
	switch {
	case !d.counted:
		return "not counted"
	case d.free:
		return fmt.Sprintf("HEAD takes none, %d left", d.left)
	}

	return fmt.Sprintf("%d left", d.left)
}

func join(a, b string) string {
	if a == "" {
		return b
	}
	return a + ": " + b
}

func stamp(t time.Time) string { return t.UTC().Format(policy.TimeFormat) }

// appendTarget appends method and path as the audit log may show them: of bounded length,
// and with secrets in the path masked.
func appendTarget(b []byte, req *Request) []byte {
	const maxMethod = 20

	b = append(b, req.Method[:min(len(req.Method), maxMethod)]...)
	b = append(b, ' ')

	return append(b, secret.RedactPath(req.Path)...)
}
