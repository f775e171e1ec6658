package signin

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/client"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/token"
	"github.com/jeton-auth/jeton/internal/web"
)

// Target is a service that tokens can be for, with their terms.
type Target struct {
	Service string
	Terms   policy.TokenTerms
	Allow   *policy.Allow  // users who may log in at the service; nil: all
	Grants  policy.Grants  // scopes of users at the service
	Require policy.Require // how every user has to be proved who gets a token
	// Managers are those of whom more is required, as their tokens manage others; nil: none.
	Managers *Managers
	Origins  func() []string // addresses of the service; nil: none
}

// Named reports whether a resource indicator (RFC 8707) is the service: its name, its audience, or a URL at one of its
// addresses. A URL is compared as text, so that no two programs read it differently.
func (t Target) Named(resource string) bool {
	if resource == t.Service || resource == t.Terms.Audience {
		return true
	}
	if t.Origins == nil {
		return false
	}

	return slices.ContainsFunc(t.Origins(), func(origin string) bool {
		rest, ok := strings.CutPrefix(resource, strings.TrimSuffix(origin, "/"))
		return ok && (rest == "" || rest[0] == '/' || rest[0] == '?') && !strings.Contains(rest, "#")
	})
}

// RequireOf returns how a user has to be proved who gets a token for the service.
func (t Target) RequireOf(ctx context.Context, user jeton.Principal, now time.Time) (policy.Require, error) {
	rule, _, err := t.Managers.Require(ctx, user, t.Require, now)
	return rule, err
}

// ForClient returns the one target of a resource indicator that a client may have tokens for.
func ForClient(targets []Target, c client.Client, resource string) (Target, bool) {
	matching := slices.DeleteFunc(slices.Clone(targets), func(t Target) bool {
		return !t.Named(resource) || !slices.Contains(c.Services, t.Service)
	})
	if len(matching) != 1 {
		return Target{}, false
	}

	return matching[0], true
}

// TokenRequest is a client's request for a token.
type TokenRequest struct {
	Credential ClientCredential
	Audience   []string // audiences or names of services; none: the client's only service
	Scopes     []string // none: all that the client has
	Targets    []Target // the services to choose from
	Source     netip.Addr
	Request    string // ID of the request
}

// Token issues a token to a client. It returns jeton.ErrNoCredential without a credential,
// jeton.ErrBadCredential for a bad one, jeton.ErrForbidden for an audience and
// jeton.ErrScope for a scope that the client does not have, and jeton.ErrUnavailable when
// the store or the client's key source could not be asked.
func (l *Logins) Token(ctx context.Context, req TokenRequest) (token.Minted, error) {
	trail := auditTrail{action: audit.TokenIssue, source: req.Source, request: req.Request}
	m, err := l.token(ctx, req, &trail)
	if err != nil {
		l.audit.Record(trail.event(l.now(), err))
		return token.Minted{}, fmt.Errorf("issue token: %w", err)
	}

	return m, nil
}

// token does what Token says, and collects the checks in the trail.
func (l *Logins) token(ctx context.Context, req TokenRequest, trail *auditTrail) (token.Minted, error) {
	proved, err := l.proveClient(ctx, req.Credential, trail)
	if err != nil {
		return token.Minted{}, err
	}

	c, once := proved.client, proved.once

	// The checks of the request come after the proof: a stranger must not learn what a client may do.
	target, err := chooseTarget(c, req)
	if trail.check("service", describeChoice(req.Audience, c.Services), err) != nil {
		return token.Minted{}, err
	}

	trail.service = target.Service
	scopes, err := chooseScopes(c, req.Scopes)
	if trail.check("scopes", describeChoice(req.Scopes, c.Scopes), err) != nil {
		return token.Minted{}, err
	}

	grant := token.Request{
		Owner:  token.ClientOwner(c),
		Scopes: scopes,
		Terms:  target.Terms,
		Once:   once,
		Source: web.AddressText(req.Source),
	}
	if proved.rule != nil {
		grant.Terms = proved.rule.Terms(grant.Terms)
		grant.Limits.Allows = proved.rule.Allows
		grant.Rule = proved.ruleID
	}

	// The assertion is used up last, so that after any other refusal it can be sent again.
	terms := describeTokenTerms(grant.Terms)
	var lastStep []jeton.Check
	if once != (token.Once{}) {
		lastStep = append(lastStep, passed("single use", "not used before"))
	}

	lastStep = append(lastStep, passed("terms", terms))
	ev := trail.event(l.now(), nil, lastStep...)

	m, err := l.tokens.Mint(ctx, grant, &ev)
	if errors.Is(err, token.ErrUsed) {
		return m, trail.fail("single use", "", Replayed)
	}
	if err != nil {
		return m, trail.check("terms", terms, err)
	}

	// The mint of a signed token that is not stored has no transaction that the event could
	// be in.
	if !m.Recorded {
		l.audit.Record(ev)
	}

	return m, nil
}

// chooseTarget returns the one service that a token is requested for, among those that the
// client may have tokens for.
func chooseTarget(c client.Client, req TokenRequest) (Target, error) {
	if len(req.Audience) > 1 {
		return Target{}, jeton.WithDetail(jeton.ErrForbidden, "a token is for one service: request one audience")
	}

	var chosen Target
	matching := 0
	for _, t := range req.Targets {
		requested := len(req.Audience) == 0 || slices.ContainsFunc(req.Audience, t.Named)
		if requested && slices.Contains(c.Services, t.Service) {
			chosen = t
			matching++
		}
	}

	// With two, neither is picked: the token would depend on the order of the configuration.
	switch matching {
	case 0:
		return Target{}, jeton.ErrForbidden
	case 1:
		return chosen, nil
	}

	return Target{}, jeton.WithDetail(
		jeton.ErrForbidden,
		"name the service that the token is for: audience=NAME or resource=NAME",
	)
}

// chooseScopes returns the requested scopes, or an error if the client lacks one.
func chooseScopes(c client.Client, requested []string) ([]string, error) {
	// RFC 6749, section 3.3: the default, which the response names.
	if len(requested) == 0 {
		return c.Scopes, nil
	}
	if err := policy.CheckScopes(c.Scopes, requested); err != nil {
		return nil, err
	}

	return requested, nil
}

// describeChoice shows what was requested beside what is allowed, for the operator. What
// was requested is clipped: it comes from outside.
func describeChoice(requested, allowed []string) string {
	b := []byte("requested [")
	for i, text := range requested {
		if i > 0 {
			b = append(b, ' ')
		}
		b = strconv.AppendQuote(b, text)
	}

	return clip(string(append(b, ']'))) + "; the client may have [" + strings.Join(allowed, " ") + "]"
}

// describeTokenTerms describes the terms of a token in the audit log.
func describeTokenTerms(t policy.TokenTerms) string {
	s := string(t.Format) + " for " + t.Audience + ", lifetime " + t.Lifetime.String()
	if t.Delay > 0 {
		s += fmt.Sprintf(", valid after %v", t.Delay)
	}
	if t.MaxUses != policy.Unlimited {
		s += fmt.Sprintf(", %d uses", t.MaxUses)
	}

	return s
}
