package signin

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jeton-auth/jeton/internal/client"
	"github.com/jeton-auth/jeton/internal/jose"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/secret"
	"github.com/jeton-auth/jeton/internal/token"
)

// MaxWorkloadLifetime is the maximum of exp minus iat of a token of another issuer: that of a long CI job.
const MaxWorkloadLifetime = 24 * time.Hour

// WorkloadIssuer issues tokens to software at run time (CI, Kubernetes, SPIFFE), which exchanges them for tokens of a
// client.
type WorkloadIssuer struct {
	Name       string // in the audit log
	URL        string // iss; of SPIFFE the trust domain, as in spiffe://example.org
	SPIFFE     bool
	Audience   string
	Algorithms []jose.Alg
	Keys       client.Source
	Reuse      bool // a token may be used again until it expires; otherwise it is accepted once
	Rules      []policy.WorkloadRule
}

// issued reports whether a token says that it is of the issuer. A JWT-SVID need not have iss: its trust domain is in
// sub (SPIFFE JWT-SVID, section 3).
func (i *WorkloadIssuer) issued(c jose.Claims) bool {
	if i.SPIFFE {
		return strings.HasPrefix(c.Subject, i.URL+"/")
	}
	return c.Issuer == i.URL
}

// Workloads are the issuers of workloads, with the keys that were fetched. A nil one has none. It is safe for
// concurrent use.
type Workloads struct {
	Issuers []WorkloadIssuer
	Keys    *client.KeyCache
}

// find returns the issuer that a token names, or nil.
func (w *Workloads) find(c jose.Claims) *WorkloadIssuer {
	if w == nil {
		return nil
	}

	at := slices.IndexFunc(w.Issuers, func(i WorkloadIssuer) bool { return i.issued(c) })
	if at < 0 {
		return nil
	}

	return &w.Issuers[at]
}

// workloadToken is a token that is to be exchanged.
type workloadToken struct {
	issuer *WorkloadIssuer
	signed jose.Signed
	claims jose.Claims
}

// checkWorkload checks a token of another issuer (RFC 7523, section 3): its header, its signature by a key of the
// issuer, its claims, and that a rule is for it. It returns the client of the rule, with no more services and scopes
// than the rule has.
func (l *Logins) checkWorkload(
	ctx context.Context,
	cred ClientCredential,
	t workloadToken,
	trail *auditTrail,
) (proved provedClient, err error) {
	trail.pass("issuer", t.issuer.Name)

	h := t.signed.Header
	err = trail.require([]requirement{
		// A typ for another purpose would let a token of one kind serve as one of another (RFC 8725, section 3.11).
		{h.Type != "" && !h.Typ("JWT") && !h.Typ("JOSE"), "type", clip(h.Type), WrongType},
		{len(h.Foreign) > 0, "key source", strings.Join(h.Foreign, ", "), EmbeddedKey},
		{!slices.Contains(t.issuer.Algorithms, h.Alg), "algorithm", clip(string(h.Alg)), OtherAlgorithm},
	})
	if err != nil {
		return proved, err
	}

	if err := l.checkWorkloadSignature(ctx, cred.Workloads.Keys, t, trail); err != nil {
		return proved, err
	}
	if err := l.checkWorkloadClaims(t, trail); err != nil {
		return proved, err
	}

	rule, err := t.rule(cred.ClientID, trail)
	if err != nil {
		return proved, err
	}

	proved, err = l.clientOfRule(ctx, rule, trail)
	proved.ruleID = rule.ID(t.issuer.Name, t.issuer.URL)
	if err == nil && !t.issuer.Reuse {
		proved.once = token.Once{
			// The space keeps this issuer apart from the JTIs of clients: no name of a client has one.
			Issuer:  "workload " + t.issuer.URL,
			JTI:     secret.HashOf(t.claims.ID),
			Expires: t.claims.Expires,
		}
	}

	return proved, err
}

// checkWorkloadSignature checks that a key of the issuer made the signature.
func (l *Logins) checkWorkloadSignature(
	ctx context.Context,
	cache *client.KeyCache,
	t workloadToken,
	trail *auditTrail,
) error {
	keys, err := cache.Keys(ctx, t.issuer.Keys, t.signed.Header.KeyID, l.now())
	if err != nil {
		return trail.check("issuer and key", "the keys of the issuer could not be fetched", err)
	}
	if len(keys) == 0 {
		return trail.fail("issuer and key", clip(t.signed.Header.KeyID), UnknownIssuerKey)
	}

	_, err = verify(t.signed, keys, trail)

	return err
}

// checkWorkloadClaims checks that a token is for this server and for now.
func (l *Logins) checkWorkloadClaims(t workloadToken, trail *auditTrail) error {
	now := l.now()
	c := t.claims
	once := !t.issuer.Reuse
	// Without iat, the token lives at least from now to exp.
	issued := c.IssuedAt
	if issued.IsZero() {
		issued = now
	}
	// Exactly one audience: otherwise the other recipient could replay the token here.
	wrongAudience := len(c.Audience) != 1 || c.Audience[0] != t.issuer.Audience

	err := trail.require([]requirement{
		{c.Subject == "", "sub", "", NoSubject},
		{
			wrongAudience,
			"aud",
			clip(fmt.Sprintf("got %q, want %q", c.Audience, t.issuer.Audience)),
			OtherWorkloadAudience,
		},
		{c.Expires.IsZero(), "exp", "", NoExpiry},
		{!now.Before(c.Expires), "exp", stampAt(c.Expires, now), AssertionExpired},
		{once && c.IssuedAt.IsZero(), "iat", "", NoIssueTime},
		{c.IssuedAt.After(now.Add(maxSkew)), "iat", stampAt(c.IssuedAt, now), IssuedInFuture},
		{c.Expires.Sub(issued) > MaxWorkloadLifetime, "life", c.Expires.Sub(issued).String(), LifetimeTooLong},
		{c.NotBefore.After(now.Add(maxSkew)), "nbf", stampAt(c.NotBefore, now), NotYetValid},
		{once && c.ID == "", "jti", "", NoID},
		{len(c.ID) > maxJTI, "jti", fmt.Sprintf("%d bytes", len(c.ID)), IDTooLong},
		{
			once && l.mayBeUsedBeforeRestore(c, now),
			"restored",
			stamp(c.IssuedAt) + ", restored " + stamp(l.restored),
			IssuedBeforeRestore,
		},
	})
	if err != nil {
		return err
	}

	trail.pass("claims", fmt.Sprintf(
		"sub %q, aud %q, iat %s, exp %s, jti %q",
		clip(c.Subject), c.Audience, stamp(c.IssuedAt), stamp(c.Expires), clip(c.ID),
	))

	return nil
}

// rule returns the first rule of the issuer that is for the token, and for the client that the request names, if it
// names one.
func (t workloadToken) rule(clientID string, trail *auditTrail) (policy.WorkloadRule, error) {
	var claims map[string]json.RawMessage
	// It has been read before, as an object of unique members.
	if err := json.Unmarshal(t.signed.Payload, &claims); err != nil {
		return policy.WorkloadRule{}, trail.fail("shape", clip(err.Error()), Malformed)
	}

	at := slices.IndexFunc(t.issuer.Rules, func(r policy.WorkloadRule) bool {
		return (clientID == "" || clientID == r.Client) && r.Matches(claims)
	})
	if at < 0 {
		return policy.WorkloadRule{}, trail.fail("rule", "sub "+clip(t.claims.Subject), NoRule)
	}
	trail.pass("rule", fmt.Sprintf("rules[%d] of %s", at, t.issuer.Name))

	return t.issuer.Rules[at], nil
}

// clientOfRule returns the client that a rule names, with no more services and scopes than the rule has.
func (l *Logins) clientOfRule(
	ctx context.Context,
	rule policy.WorkloadRule,
	trail *auditTrail,
) (proved provedClient, err error) {
	c, err := l.clients.FindForLogin(ctx, rule.Client)
	if err != nil {
		return proved, trail.check("store", "", err)
	}

	trail.setClient(c)
	switch {
	case c.ID == 0:
		return proved, trail.fail("client", rule.Client, UnknownClient)
	case c.Disabled:
		return proved, trail.fail("client", rule.Client, Reason(client.Disabled))
	}

	// The lists are those of the cache: they are replaced, and not changed.
	c.Services = narrowed(c.Services, rule.Services)
	c.Scopes = narrowed(c.Scopes, rule.Scopes)

	return provedClient{client: c, rule: &rule}, nil
}

// narrowed returns the members of a list that another one has, too; all of them for an empty one.
func narrowed(list, to []string) []string {
	if len(to) == 0 {
		return list
	}
	return slices.DeleteFunc(slices.Clone(list), func(s string) bool { return !slices.Contains(to, s) })
}
