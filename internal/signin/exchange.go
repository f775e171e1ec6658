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

// ExchangeRules are the rules of clients that exchange tokens for those of the next service, by the name of the client.
type ExchangeRules map[string][]policy.ExchangeRule

// ExchangeRequest is a client's request to act for the owner of a token at another service (RFC 8693).
type ExchangeRequest struct {
	Credential ClientCredential
	Subject    string   // the token that the client received
	Audience   []string // audience or name of the other service
	Scopes     []string // none: all that the rule and the token have
	Wish       policy.ExchangeWish
	Targets    []Target
	Rules      ExchangeRules
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
	d := delegation{logins: l, req: req, trail: &trail}

	m, err := d.run(ctx)
	if err != nil {
		ev := trail.event(l.now(), err)
		ev.Target = d.target
		l.audit.Record(ev)

		return token.Minted{}, fmt.Errorf("exchange token: %w", err)
	}

	return m, nil
}

// delegation is one exchange of a token, with what is known of it so far.
type delegation struct {
	logins *Logins
	req    ExchangeRequest
	trail  *auditTrail

	target   string // of the audit event: the owner of the token
	client   client.Client
	once     token.Once
	key      string // thumbprint of the registered key that proved the client, or ""
	subject  *token.Live
	from, to Target
	rule     policy.ExchangeRule
}

// run does what Exchange says, and collects the checks in the trail.
func (d *delegation) run(ctx context.Context) (token.Minted, error) {
	proved, err := d.logins.proveClient(ctx, d.req.Credential, d.trail)
	if err != nil {
		return token.Minted{}, err
	}
	d.client, d.once = proved.client, proved.once
	d.key = proved.registeredKey()

	// Until here, a refusal is one of a client, as at the other grants.
	d.trail.action = audit.TokenExchange

	for _, check := range []func(context.Context) error{d.findSubject, d.findRule, d.checkActors, d.checkOwner} {
		if err := check(ctx); err != nil {
			return token.Minted{}, err
		}
	}

	scopes, err := d.scopes()
	if err != nil {
		return token.Minted{}, err
	}

	return d.mint(ctx, scopes)
}

// findSubject finds the subject token and checks its window.
func (d *delegation) findSubject(ctx context.Context) error {
	live, err := d.logins.tokens.Lookup(ctx, d.req.Subject)
	if err != nil {
		return subjectError(d.trail.check("subject token", "", err))
	}

	d.subject = live
	d.target = string(live.Owner.Kind) + ":" + live.Owner.Name
	which, window := live.Describe()
	d.trail.pass("subject token", which)

	return subjectError(d.trail.check("window", "now "+stamp(d.logins.now())+", "+window, live.Check(d.logins.now())))
}

// subjectError marks a refusal of the token. A store that could not be asked has refused nothing.
func subjectError(err error) error {
	if err == nil || errors.Is(err, jeton.ErrUnavailable) || errors.Is(err, jeton.ErrBusy) {
		return err
	}
	return &SubjectError{err}
}

// findRule finds the rule of the client for the two services.
func (d *delegation) findRule(context.Context) error {
	rules := d.req.Rules[d.client.Name]
	value := fmt.Sprintf("client %s: from %v to %s; rules: [%s]",
		d.client.Name, d.subject.Audience, clip(fmt.Sprintf("%q", d.req.Audience)), describeRules(rules))

	known := false
	for _, rule := range rules {
		to, ok := d.service(rule.To)
		if !ok || !slices.ContainsFunc(d.req.Audience, to.Named) {
			continue
		}

		known = true
		from, ok := d.service(rule.From)
		if ok && slices.Contains(d.subject.Audience, from.Terms.Audience) {
			d.from, d.to = from, to
			d.rule = rule
			d.trail.service = to.Service
			d.trail.pass("exchange", value)

			return nil
		}
	}

	if known {
		return d.trail.deny("exchange", value, OtherSubjectAudience)
	}

	return d.trail.deny("exchange", value, NoExchange)
}

// service returns the service with a name.
func (d *delegation) service(service string) (Target, bool) {
	at := slices.IndexFunc(d.req.Targets, func(t Target) bool { return t.Service == service })
	if at < 0 {
		return Target{}, false
	}

	return d.req.Targets[at], true
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
func (d *delegation) checkActors(context.Context) error {
	names := d.subject.Principal().Actors
	return subjectError(d.trail.check(
		"actors", fmt.Sprintf("%s would act for %s; before it %v", d.client.Name, d.target, names),
		d.subject.CheckActors(d.client, d.to.Service),
	))
}

// checkOwner checks that the owner of the token may have one for the other service.
func (d *delegation) checkOwner(ctx context.Context) error {
	owner, who := d.subject.Owner, d.subject.Principal()

	// The first service checks this at each request; so do we: the user may have left a group since the token was
	// issued.
	allowed := owner.ValidAt(d.from.Service) && d.from.Allow.CheckLogin(who) == nil &&
		owner.ValidAt(d.to.Service) && d.to.Allow.CheckLogin(who) == nil
	if !allowed {
		return d.trail.deny("owner", d.target, NoLogin)
	}
	if owner.Kind != jeton.KindUser {
		return d.checkClientOwner(ctx)
	}

	// The token shows that its user was proved as the first service requires, and no more.
	first, err := d.from.RequireOf(ctx, who, d.logins.now())
	if err != nil {
		return d.trail.check("owner", d.target, err)
	}
	second, err := d.to.RequireOf(ctx, who, d.logins.now())
	if err != nil {
		return d.trail.check("owner", d.target, err)
	}
	if first.And(second) != first {
		return d.trail.deny("owner", d.to.Service+" requires "+second.String(), LessProved)
	}
	d.trail.pass("owner", d.target)

	return nil
}

// checkClientOwner checks that a client which owns the token has both services, as for a token that it requests itself.
func (d *delegation) checkClientOwner(ctx context.Context) error {
	owner, err := d.logins.clients.FindForLogin(ctx, d.subject.Owner.Name)
	if err != nil {
		return d.trail.check("owner", d.target, err)
	}

	for _, t := range []Target{d.from, d.to} {
		if !slices.Contains(owner.Services, t.Service) {
			return d.trail.deny("owner", describeChoice([]string{t.Service}, owner.Services), NoLogin)
		}
	}
	d.trail.pass("owner", d.target)

	return nil
}

// scopes returns the scopes of the new token: those that are requested, or all that the rule and the token have.
func (d *delegation) scopes() ([]string, error) {
	has := d.from.Grants.Limit(d.subject.Principal(), d.subject.Scopes)
	granted := d.rule.Granted(has)

	scopes := d.req.Scopes
	if len(scopes) == 0 {
		scopes = granted
	}
	value := fmt.Sprintf("requested %s; the token has %v, the rule %v",
		clip(fmt.Sprintf("%q", d.req.Scopes)), has, d.rule.Scopes)

	return scopes, d.trail.check("scopes", value, policy.CheckScopes(granted, scopes))
}

// mint makes the token. The assertion of the client is used up with it, so that after a refusal it can be sent again.
func (d *delegation) mint(ctx context.Context, scopes []string) (token.Minted, error) {
	var lastStep []jeton.Check
	if d.once != (token.Once{}) {
		lastStep = append(lastStep, passed("single use", "not used before"))
	}

	narrowed := d.rule.Narrowed(d.req.Wish)
	terms := describeTokenTerms(narrowed.Terms(d.to.Terms))
	if narrowed.SharedUses {
		terms += ", shared uses"
	}
	lastStep = append(lastStep, passed("terms", terms))

	ev := d.trail.event(d.logins.now(), nil, lastStep...)
	ev.Target = d.target

	m, err := d.logins.tokens.Exchange(ctx, token.ExchangeRequest{
		Subject: d.subject,
		By:      d.client,
		Key:     d.key,
		Rule:    d.rule,
		Wish:    d.req.Wish,
		Terms:   d.to.Terms,
		Scopes:  scopes,
		Once:    d.once,
		Source:  web.AddressText(d.req.Source),
	}, ev)
	switch {
	case errors.Is(err, token.ErrUsed):
		return m, d.trail.fail("single use", "", Replayed)
	case errors.Is(err, jeton.ErrSpent):
		return m, subjectError(d.trail.check("uses", "the token has none left", err))
	case err != nil:
		return m, subjectError(d.trail.check("terms", terms+": "+err.Error(), err))
	}

	return m, nil
}
