package signin

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/client"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/token"
	"github.com/jeton-auth/jeton/internal/web"
)

// Exchanges are the rules of clients that exchange tokens for those of the next service, by the name of the client.
type Exchanges map[string][]policy.ExchangeRule

// ExchangeRequest is a client's request to act for the owner of a token at another service (RFC 8693).
type ExchangeRequest struct {
	Credential ClientCredential
	Subject    string   // the token that the client received
	Audience   []string // audience or name of the other service
	Scopes     []string // none: all that the rule and the token have
	Targets    []Target
	Rules      Exchanges
	Source     netip.Addr
	Request    string // ID of the request
}

// SubjectError is a refusal of the token that is to be exchanged, and not of the client that shows it.
type SubjectError struct{ Err error }

// Error returns the text of the refusal.
func (s *SubjectError) Error() string { return s.Err.Error() }

// Unwrap returns why.
func (s *SubjectError) Unwrap() error { return s.Err }

// Exchange issues a token with which a client acts for the owner of another token. It returns what Token does for the
// client; a *SubjectError for a token that is not valid, spent, or at the end of its chain; jeton.ErrForbidden without
// a rule for both services, or for an owner who may not log in at the second one; and jeton.ErrScope.
func (l *Logins) Exchange(ctx context.Context, req ExchangeRequest) (token.Minted, error) {
	trail := auditTrail{action: audit.TokenIssue, source: req.Source, request: req.Request}
	e := exchange{logins: l, req: req, trail: &trail}

	m, err := e.run(ctx)
	if err != nil {
		ev := trail.event(l.now(), err)
		ev.Target = e.target
		l.audit.Record(ev)

		return token.Minted{}, fmt.Errorf("exchange token: %w", err)
	}

	return m, nil
}

// exchange is one exchange of a token, with what is known of it so far.
type exchange struct {
	logins *Logins
	req    ExchangeRequest
	trail  *auditTrail

	target   string // of the audit event: the owner of the token
	client   client.Client
	once     token.Once
	subject  *token.Live
	from, to Target
	rule     policy.ExchangeRule
}

// run does what Exchange says, and collects the checks in the trail.
func (e *exchange) run(ctx context.Context) (token.Minted, error) {
	proved, err := e.logins.proveClient(ctx, e.req.Credential, e.trail)
	if err != nil {
		return token.Minted{}, err
	}
	e.client, e.once = proved.client, proved.once

	// Until here, a refusal is one of a client, as at the other grants.
	e.trail.action = audit.TokenExchange

	for _, check := range []func(context.Context) error{e.findSubject, e.findRule, e.checkActors, e.checkOwner} {
		if err := check(ctx); err != nil {
			return token.Minted{}, err
		}
	}

	scopes, err := e.scopes()
	if err != nil {
		return token.Minted{}, err
	}

	return e.mint(ctx, scopes)
}

// findSubject finds the subject token and checks its window.
func (e *exchange) findSubject(ctx context.Context) error {
	live, err := e.logins.tokens.Lookup(ctx, e.req.Subject)
	if err != nil {
		return e.refuse(e.trail.check("subject token", "", err))
	}

	e.subject = live
	e.target = string(live.Owner.Kind) + ":" + live.Owner.Name
	which, window := live.Describe()
	e.trail.pass("subject token", which)

	return e.refuse(e.trail.check("window", "now "+stamp(e.logins.now())+", "+window, live.Check(e.logins.now())))
}

// refuse marks a refusal of the token. A store that could not be asked has refused nothing.
func (e *exchange) refuse(err error) error {
	if err == nil || errors.Is(err, jeton.ErrUnavailable) || errors.Is(err, jeton.ErrBusy) {
		return err
	}
	return &SubjectError{err}
}

// findRule finds the rule of the client for the two services.
func (e *exchange) findRule(context.Context) error {
	rules := e.req.Rules[e.client.Name]
	value := fmt.Sprintf("client %s: from %v to %s; rules: [%s]",
		e.client.Name, e.subject.Audience, clip(fmt.Sprintf("%q", e.req.Audience)), describeRules(rules))

	known := false
	for _, rule := range rules {
		to, ok := e.service(rule.To)
		if !ok || !slices.ContainsFunc(e.req.Audience, to.Named) {
			continue
		}

		known = true
		from, ok := e.service(rule.From)
		if ok && slices.Contains(e.subject.Audience, from.Terms.Audience) {
			e.from, e.to = from, to
			e.rule = rule
			e.trail.service = to.Service
			e.trail.pass("exchange", value)

			return nil
		}
	}

	if known {
		return e.trail.deny("exchange", value, OtherSubjectAudience)
	}

	return e.trail.deny("exchange", value, NoExchange)
}

// service returns the service with a name.
func (e *exchange) service(service string) (Target, bool) {
	at := slices.IndexFunc(e.req.Targets, func(t Target) bool { return t.Service == service })
	if at < 0 {
		return Target{}, false
	}

	return e.req.Targets[at], true
}

// describeRules shows from which service to which other one a client exchanges tokens.
func describeRules(rules []policy.ExchangeRule) string {
	list := make([]string, len(rules))
	for i, r := range rules {
		list[i] = r.From + " to " + r.To
	}

	return strings.Join(list, ", ")
}

// checkActors checks the clients that act for the owner already.
func (e *exchange) checkActors(context.Context) error {
	names := e.subject.Principal().Actors
	return e.refuse(e.trail.check(
		"actors", fmt.Sprintf("%s would act for %s; before it %v", e.client.Name, e.target, names),
		e.subject.CheckActors(e.client, e.to.Service),
	))
}

// checkOwner checks that the owner of the token may have one for the other service.
func (e *exchange) checkOwner(ctx context.Context) error {
	owner, who := e.subject.Owner, e.subject.Principal()

	// The first service checks this at each request; so do we: the user may have left a group since the token was
	// issued.
	allowed := owner.ValidAt(e.from.Service) && e.from.Allow.CheckLogin(who) == nil &&
		owner.ValidAt(e.to.Service) && e.to.Allow.CheckLogin(who) == nil
	if !allowed {
		return e.trail.deny("owner", e.target, NoLogin)
	}
	if owner.Kind != jeton.KindUser {
		return e.checkClientOwner(ctx)
	}

	// The token shows that its user was proved as the first service requires, and no more.
	first, err := e.from.RequireOf(ctx, who, e.logins.now())
	if err != nil {
		return e.trail.check("owner", e.target, err)
	}
	second, err := e.to.RequireOf(ctx, who, e.logins.now())
	if err != nil {
		return e.trail.check("owner", e.target, err)
	}
	if first.And(second) != first {
		return e.trail.deny("owner", e.to.Service+" requires "+second.String(), LessProved)
	}
	e.trail.pass("owner", e.target)

	return nil
}

// checkClientOwner checks that a client which owns the token has both services, as for a token that it requests itself.
func (e *exchange) checkClientOwner(ctx context.Context) error {
	owner, err := e.logins.clients.FindForLogin(ctx, e.subject.Owner.Name)
	if err != nil {
		return e.trail.check("owner", e.target, err)
	}

	for _, t := range []Target{e.from, e.to} {
		if !slices.Contains(owner.Services, t.Service) {
			return e.trail.deny("owner", describeChoice([]string{t.Service}, owner.Services), NoLogin)
		}
	}
	e.trail.pass("owner", e.target)

	return nil
}

// scopes returns the scopes of the new token: those that are requested, or all that the rule and the token have.
func (e *exchange) scopes() ([]string, error) {
	has := e.from.Grants.Limit(e.subject.Principal(), e.subject.Scopes)
	granted := e.rule.Granted(has)

	scopes := e.req.Scopes
	if len(scopes) == 0 {
		scopes = granted
	}
	value := fmt.Sprintf("requested %s; the token has %v, the rule %v",
		clip(fmt.Sprintf("%q", e.req.Scopes)), has, e.rule.Scopes)

	return scopes, e.trail.check("scopes", value, policy.CheckScopes(granted, scopes))
}

// mint makes the token. The assertion of the client is used up with it, so that after a refusal it can be sent again.
func (e *exchange) mint(ctx context.Context, scopes []string) (token.Minted, error) {
	var lastStep []jeton.Check
	if e.once != (token.Once{}) {
		lastStep = append(lastStep, passed("single use", "not used before"))
	}

	terms := describeTokenTerms(e.rule.Terms(e.to.Terms))
	if e.rule.SharedUses {
		terms += ", shared uses"
	}
	lastStep = append(lastStep, passed("terms", terms))

	ev := e.trail.event(e.logins.now(), nil, lastStep...)
	ev.Target = e.target

	m, err := e.logins.tokens.Exchange(ctx, token.ExchangeRequest{
		Subject: e.subject,
		By:      e.client,
		Rule:    e.rule,
		Terms:   e.to.Terms,
		Scopes:  scopes,
		Once:    e.once,
		Source:  web.AddressText(e.req.Source),
	}, ev)
	switch {
	case errors.Is(err, token.ErrUsed):
		return m, e.trail.fail("single use", "", Replayed)
	case errors.Is(err, jeton.ErrSpent):
		return m, e.refuse(e.trail.check("uses", "the token has none left", err))
	case err != nil:
		return m, e.refuse(e.trail.check("terms", terms+": "+err.Error(), err))
	}

	return m, nil
}
