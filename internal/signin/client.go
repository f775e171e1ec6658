package signin

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/client"
	"github.com/jeton-auth/jeton/internal/jose"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/secret"
	"github.com/jeton-auth/jeton/internal/token"
)

// The bounds of an assertion's times. RFC 10070 and RFC 7523 leave them to us.
const (
	// MaxAssertion is how long an assertion may be good: exp less iat.
	MaxAssertion = 5 * time.Minute
	// ahead is how far a client's clock may be before ours.
	ahead = 10 * time.Second
	// maxJTI bounds the name of an assertion, in bytes.
	maxJTI = 256
)

// Purpose is what an assertion is shown for: its type may say so (RFC 10070).
type Purpose string

// The purposes.
const (
	Authentication Purpose = "client-authentication+jwt" // RFC 7523, section 2.2
	Grant          Purpose = "authorization-grant+jwt"   // RFC 7523, section 2.1
	Possession     Purpose = "key-possession+jwt"        // ours: whoever signed holds the key
)

// Credential is what a client shows to prove itself: a secret, or an assertion that it has signed.
type ClientCredential struct {
	ClientID  string // as it was given beside the proof; an assertion names the client by itself
	Secret    jeton.Secret
	Assertion string
	Purpose   Purpose // of the assertion
	// IssuerOnly is for a teaching client of old: what the assertion lacks is not asked for.
	// What it has must be right all the same.
	IssuerOnly bool
	Issuer     string // who we are: the only audience that an assertion may have
}

// Target is a service that tokens can be for, with their terms.
type Target struct {
	Service string
	Terms   policy.TokenTerms
	Allow   *policy.Allow // which people may log in there; nil: all
}

// TokenRequest is a client's request for a token.
type TokenRequest struct {
	Credential ClientCredential
	Audience   []string // audiences or names of services; none: the only one that the client may have
	Scopes     []string // none: all that the client may have
	Targets    []Target // what there is
	Source     netip.Addr
	Request    string // id of the request
}

// Token gives a client a token. It returns jeton.ErrNoCredential when it shows no proof,
// jeton.ErrBadCredential when the proof is not good, jeton.ErrForbidden when it may have no
// token for what it asks, jeton.ErrScope when it may not have a scope, and
// jeton.ErrUnavailable when that cannot be told.
func (l *Logins) Token(ctx context.Context, w TokenRequest) (token.Minted, error) {
	t := trail{action: audit.TokenIssue, source: w.Source, request: w.Request}
	m, err := l.token(ctx, w, &t)
	if err != nil {
		l.audit.Record(t.event(l.now(), err))
		return token.Minted{}, fmt.Errorf("issue token: %w", err)
	}

	return m, nil
}

func (l *Logins) token(ctx context.Context, w TokenRequest, t *trail) (token.Minted, error) {
	c, once, err := l.proveClient(ctx, w.Credential, t)
	if err != nil {
		return token.Minted{}, err
	}

	target, err := choose(c, w)
	if t.check(
		"service",
		clip(fmt.Sprintf("asked for %q", w.Audience))+fmt.Sprintf("; the client may have %v", c.Services),
		err,
	) != nil {
		return token.Minted{}, err
	}

	t.service = target.Service
	scopes, err := scopes(c, w.Scopes)
	if t.check(
		"scopes",
		clip(fmt.Sprintf("asked for %q", w.Scopes))+fmt.Sprintf("; the client may have %v", c.Scopes),
		err,
	) != nil {
		return token.Minted{}, err
	}

	// The step that uses the assertion up comes last of all: what is refused before it can
	// be tried again.
	judged := len(t.checks)
	if once != (token.Once{}) {
		t.checks = append(t.checks, jeton.Check{Name: "single use", Value: "not used before", Result: "pass"})
	}

	t.checks = append(t.checks, jeton.Check{Name: "terms", Value: describeToken(target.Terms), Result: "pass"})
	ev := t.event(l.now(), nil)
	m, err := l.tokens.Mint(ctx, token.Request{
		Owner:  token.ClientOwner(c),
		Scopes: scopes,
		Terms:  target.Terms,
		Once:   once,
		Source: sourceKey(w.Source),
	}, &ev)
	switch {
	case errors.Is(err, token.ErrUsed):
		t.checks = t.checks[:judged]
		return m, t.check("single use", "", &refused{Replayed})
	case err != nil:
		t.checks = t.checks[:judged]
		return m, t.check("terms", describeToken(target.Terms), err)
	}

	if !m.Recorded {
		l.audit.Record(ev)
	}

	return m, nil
}

// Client returns the client that a proof is of, and uses an assertion up. The error of a
// proof that is not good tells the operator why; whoever asked records it.
func (l *Logins) Client(ctx context.Context, p ClientCredential) (client.Client, error) {
	var t trail
	c, once, err := l.proveClient(ctx, p, &t)
	if err == nil {
		if err = l.tokens.UseOnce(ctx, once); errors.Is(err, token.ErrUsed) {
			err = t.fail("single use", "", Replayed)
		}
	}

	if ReasonOf(err) != "" {
		last := t.checks[len(t.checks)-1]
		return client.Client{}, fmt.Errorf("%w: %s of %s: %s", err, last.Name, t.actor, last.Value)
	}

	return c, err
}

// AddKey registers another key of a client that has proved itself. The proof is an
// assertion that the new key has signed: nobody registers a key that is not theirs.
func (l *Logins) AddKey(ctx context.Context, c client.Client, k jose.Key, p ClientCredential, ev jeton.Event) error {
	t := trail{action: ev.Action}
	signed, claims, err := l.shape(p, &t)
	if err == nil && claims.Issuer != c.Name {
		err = t.fail("issuer", clip(claims.Issuer), OtherClient)
	}

	if err == nil && signed.Verify(k) != nil {
		err = t.fail("signature", "key "+k.ID, WrongSignature)
	}
	if err == nil {
		err = l.claims(p, claims, &t)
	}

	if err == nil {
		err = l.tokens.UseOnce(ctx, token.Once{Issuer: c.Name, JTI: secret.HashOf(claims.ID), Expires: claims.Expires})
		if errors.Is(err, token.ErrUsed) {
			err = t.fail("single use", "", Replayed)
		}
	}

	ev.Checks = t.checks
	if err != nil && ReasonOf(err) == "" {
		return err
	}

	if err != nil {
		ev.Outcome, ev.Reason = jeton.Code(err), "proof of the new key: "+string(ReasonOf(err))
		l.audit.Record(ev)
		return jeton.WithDetail(jeton.ErrInvalid, "proof is no JWT that the new key has signed for this server")
	}

	return l.clients.AddOwnKey(ctx, c, k, ev)
}

// The reasons why a client's proof was not good. Those of its keys are internal/client's.
const (
	UnknownClient       Reason = Reason(client.UnknownClient)
	WrongSecret         Reason = "wrong secret"
	Replayed            Reason = "the assertion has been used before"
	Malformed           Reason = "not a signed JWT"
	WrongType           Reason = "the type of the assertion is another's"
	EmbeddedKey         Reason = "the assertion brings its own key"
	NoIssuer            Reason = "the assertion names no issuer"
	OtherClient         Reason = "client_id and the assertion name different clients"
	WrongAlgorithm      Reason = "the algorithm is not that of the key"
	WrongSignature      Reason = "the signature is wrong"
	NoSubject           Reason = "the assertion has no sub"
	OtherSubject        Reason = "sub is not iss"
	NoAudience          Reason = "the assertion has no aud"
	OtherAudience       Reason = "aud is not our issuer alone"
	NoExpiry            Reason = "the assertion has no exp"
	AssertionExpired    Reason = "the assertion has expired"
	NoIssueTime         Reason = "the assertion has no iat"
	IssuedInFuture      Reason = "iat is in the future"
	LifetimeTooLong     Reason = "exp is too long after iat"
	NotYetValid         Reason = "the assertion is not valid yet (nbf)"
	NoID                Reason = "the assertion has no jti"
	IDTooLong           Reason = "jti is too long"
	IssuedBeforeRestore Reason = "the assertion is from before the database was restored: it may have been used"
)

// proveClient checks a proof and returns whose it is, and what has to be used up for it.
func (l *Logins) proveClient(ctx context.Context, p ClientCredential, t *trail) (client.Client, token.Once, error) {
	if p.Assertion != "" {
		return l.assertion(ctx, p, t)
	}
	if p.ClientID == "" || p.Secret.IsZero() {
		return client.Client{}, token.Once{}, t.check(
			"given",
			"an assertion, or a client_id and a secret",
			jeton.ErrNoCredential,
		)
	}

	c, err := l.clients.FindForLogin(ctx, p.ClientID)
	if err != nil {
		return c, token.Once{}, t.check("store", "", err)
	}

	t.name(c)
	ok := l.clients.CheckSecret(c, p.Secret.Reveal())
	switch {
	case c.ID == 0:
		err = &refused{UnknownClient}
	case c.Disabled:
		err = &refused{Reason(client.Disabled)}
	case !ok:
		err = &refused{WrongSecret}
	}

	return c, token.Once{}, t.check("secret", "", err)
}

func (t *trail) name(c client.Client) {
	t.actor = "client:?"
	if c.ID != 0 {
		t.actor = "client:" + c.Name
	}
}

// assertion checks an assertion: its shape, whose it is by what it says, the signature by a
// key that was registered for that client, and only then the claims. Nothing that it says
// leads to a key or an address.
func (l *Logins) assertion(
	ctx context.Context,
	p ClientCredential,
	t *trail,
) (c client.Client, once token.Once, err error) {
	t.actor = "client:?"
	signed, claims, err := l.shape(p, t)
	if err != nil {
		return c, once, err
	}

	if c, err = l.clients.FindForLogin(ctx, claims.Issuer); err != nil {
		return c, once, t.check("store", "", err)
	}

	t.name(c)
	if err := l.signature(ctx, c, signed, t); err != nil {
		return c, once, err
	}
	if err := l.claims(p, claims, t); err != nil {
		return c, once, err
	}

	if claims.ID != "" {
		expires := claims.Expires
		if expires.IsZero() {
			expires = l.now().Add(MaxAssertion)
		}
		once = token.Once{Issuer: c.Name, JTI: secret.HashOf(claims.ID), Expires: expires}
	}

	return c, once, nil
}

// shape reads an assertion without believing it.
func (l *Logins) shape(p ClientCredential, t *trail) (jose.Signed, jose.Claims, error) {
	signed, err := jose.Parse(p.Assertion)
	if err != nil {
		return signed, jose.Claims{}, t.fail("shape", clip(err.Error()), Malformed)
	}

	claims, err := jose.ParseClaims(signed.Payload)
	if err != nil {
		return signed, claims, t.fail("shape", clip(err.Error()), Malformed)
	}

	h := signed.Header
	t.pass("shape", fmt.Sprintf("alg %q, kid %q, typ %q", h.Alg, clip(h.KeyID), clip(h.Type)))

	for _, c := range []struct {
		wrong       bool
		name, value string
		why         Reason
	}{
		{h.Type != "" && !h.Typ("JWT") && !h.Typ(string(p.Purpose)), "type", clip(h.Type), WrongType},
		{len(h.Foreign) > 0, "key source", strings.Join(h.Foreign, ", "), EmbeddedKey},
		{claims.Issuer == "", "issuer", "", NoIssuer},
		{
			p.ClientID != "" && p.ClientID != claims.Issuer,
			"client_id",
			fmt.Sprintf("%q, iss %q", clip(p.ClientID), clip(claims.Issuer)),
			OtherClient,
		},
	} {
		if c.wrong {
			return signed, claims, t.fail(c.name, c.value, c.why)
		}
	}

	return signed, claims, nil
}

// signature checks that one of the client's own keys has signed.
func (l *Logins) signature(ctx context.Context, c client.Client, signed jose.Signed, t *trail) error {
	keys, err := l.clients.Keys(ctx, c, signed.Header.KeyID, l.now())
	if why := client.ReasonOf(err); why != "" {
		return t.fail("client and key", "", Reason(why))
	}
	if err != nil {
		return t.check("client and key", "the keys of the client cannot be told", err)
	}

	why := WrongAlgorithm
	for _, k := range keys {
		switch err := signed.Verify(k); {
		case err == nil:
			t.pass("signature", fmt.Sprintf("key %s, %s", k.ID, k.Alg))
			return nil
		case errors.Is(err, jose.ErrSignature):
			why = WrongSignature
		}
	}

	return t.fail("signature", fmt.Sprintf("%d keys tried", len(keys)), why)
}

// claims judges what an assertion says, once it is known who says it (RFC 7523, section 3;
// RFC 10070).
func (l *Logins) claims(p ClientCredential, c jose.Claims, t *trail) error {
	now, all := l.now(), !p.IssuerOnly
	for _, check := range []struct {
		wrong       bool
		name, value string
		why         Reason
	}{
		{all && c.Subject == "", "sub", "", NoSubject},
		{c.Subject != "" && c.Subject != c.Issuer, "sub", clip(c.Subject), OtherSubject},
		{all && len(c.Audience) == 0, "aud", "", NoAudience},
		{
			len(c.Audience) > 0 && (len(c.Audience) != 1 || c.Audience[0] != p.Issuer),
			"aud",
			clip(fmt.Sprintf("%q, not %q alone", c.Audience, p.Issuer)),
			OtherAudience,
		},
		{all && c.Expires.IsZero(), "exp", "", NoExpiry},
		{!c.Expires.IsZero() && !now.Before(c.Expires), "exp", stampAt(c.Expires, now), AssertionExpired},
		{all && c.IssuedAt.IsZero(), "iat", "", NoIssueTime},
		{c.IssuedAt.After(now.Add(ahead)), "iat", stampAt(c.IssuedAt, now), IssuedInFuture},
		{
			!c.IssuedAt.IsZero() && !c.Expires.IsZero() && c.Expires.Sub(c.IssuedAt) > MaxAssertion,
			"life",
			c.Expires.Sub(c.IssuedAt).String(),
			LifetimeTooLong,
		},
		{c.NotBefore.After(now.Add(ahead)), "nbf", stampAt(c.NotBefore, now), NotYetValid},
		{all && c.ID == "", "jti", "", NoID},
		{len(c.ID) > maxJTI, "jti", fmt.Sprintf("%d bytes", len(c.ID)), IDTooLong},
		{l.forgotten(c, now), "restored", stamp(c.IssuedAt) + ", restored " + stamp(l.restored), IssuedBeforeRestore},
	} {
		if check.wrong {
			return t.fail(check.name, check.value, check.why)
		}
	}

	t.pass(
		"claims",
		fmt.Sprintf(
			"sub %q, aud %q, iat %s, exp %s, jti %q",
			c.Subject,
			c.Audience,
			stamp(c.IssuedAt),
			stamp(c.Expires),
			clip(c.ID),
		),
	)

	return nil
}

// forgotten reports whether an assertion may have been used when the store was not yet
// restored, and would be taken a second time. Such a one was issued before that, by a clock
// that may be ahead of ours. One that does not say when it was issued is judged by its
// end; one that has none either, by how long it would be remembered. One without jti may
// be shown as often as its client likes anyway.
func (l *Logins) forgotten(c jose.Claims, now time.Time) bool {
	if l.restored.IsZero() || c.ID == "" {
		return false
	}

	issued := c.IssuedAt
	switch {
	case issued.IsZero() && c.Expires.IsZero():
		return now.Before(l.restored.Add(MaxAssertion))
	case issued.IsZero():
		issued = c.Expires.Add(-MaxAssertion)
	}

	return !issued.After(l.restored.Add(ahead))
}

func (t *trail) pass(name, value string) {
	t.checks = append(t.checks, jeton.Check{Name: name, Value: value, Result: "pass"})
}

// fail notes a check that failed, with the value that it looked at.
func (t *trail) fail(name, value string, why Reason) error {
	text := string(why)
	if value != "" {
		text += ": " + value
	}

	t.checks = append(t.checks, jeton.Check{Name: name, Value: text, Result: "fail"})
	return &refused{why}
}

func stamp(at time.Time) string {
	if at.IsZero() {
		return "none"
	}
	return at.UTC().Format(policy.TimeFormat)
}

func stampAt(at, now time.Time) string { return stamp(at) + ", now " + stamp(now) }

// clip bounds what a stranger can put into the record, and takes out secrets that came in
// a field where they do not belong.
func clip(s string) string {
	const most = 200

	s = secret.Mask(s)
	if len(s) <= most {
		return s
	}

	return strings.ToValidUTF8(s[:most], "") + "…"
}

// choose finds the one service that a token is asked for, among those that the client may
// have tokens for.
func choose(c client.Client, w TokenRequest) (Target, error) {
	var chosen []Target
	for _, target := range w.Targets {
		may := false
		for _, s := range c.Services {
			may = may || s == target.Service
		}

		asked := len(w.Audience) == 0
		for _, a := range w.Audience {
			asked = asked || a == target.Service || a == target.Terms.Audience
		}

		if may && asked {
			chosen = append(chosen, target)
		}
	}

	switch {
	case len(chosen) == 1 && len(w.Audience) <= 1:
		return chosen[0], nil
	case len(w.Audience) > 1:
		return Target{}, jeton.WithDetail(jeton.ErrForbidden, "a token is for one service: ask for one")
	case len(chosen) > 1:
		return Target{}, jeton.WithDetail(
			jeton.ErrForbidden,
			"name the service that the token is for: audience=NAME or resource=NAME",
		)
	}

	return Target{}, jeton.ErrForbidden
}

// scopes returns what a token gets of what is asked: all of it, or an error.
func scopes(c client.Client, asked []string) ([]string, error) {
	if len(asked) == 0 {
		return c.Scopes, nil
	}
	if err := policy.CheckScopes(c.Scopes, asked); err != nil {
		return nil, err
	}

	return asked, nil
}

func describeToken(t policy.TokenTerms) string {
	s := fmt.Sprintf("%s for %s, lifetime %v", t.Format, t.Audience, t.Lifetime)
	if t.Delay > 0 {
		s += fmt.Sprintf(", not good for %v", t.Delay)
	}
	if t.MaxUses != policy.Unlimited {
		s += fmt.Sprintf(", %d uses", t.MaxUses)
	}

	return s
}
