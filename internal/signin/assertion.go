package signin

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jeton-auth/jeton/internal/client"
	"github.com/jeton-auth/jeton/internal/jose"
	"github.com/jeton-auth/jeton/internal/secret"
	"github.com/jeton-auth/jeton/internal/token"
)

// RFC 10070 and RFC 7523 leave these limits to the server.
const (
	// MaxAssertion is the maximum of exp minus iat.
	MaxAssertion = 5 * time.Minute
	// maxSkew is how far a client's clock may be ahead of ours.
	maxSkew = 10 * time.Second
	// maxJTI is the maximum length of jti, in bytes.
	maxJTI = 256
)

// Purpose is what an assertion is for. Its header typ may say so (RFC 10070).
type Purpose string

// The purposes.
const (
	Authentication Purpose = "client-authentication+jwt" // RFC 7523, section 2.2
	Grant          Purpose = "authorization-grant+jwt"   // RFC 7523, section 2.1
	Possession     Purpose = "key-possession+jwt"        // ours: proves that the signer has the key
)

// checkAssertion checks an assertion: its form, then the signature by a registered key of
// the client that it names, and only then its claims. Nothing in it leads to a key or an
// address.
func (l *Logins) checkAssertion(
	ctx context.Context,
	cred ClientCredential,
	trail *auditTrail,
) (proved provedClient, err error) {
	// Until a key proves it, the assertion may name any client.
	trail.actor = "client:?"
	signed, claims, err := l.readAssertion(cred.Assertion, trail)
	if err != nil {
		return proved, err
	}

	issuer := cred.Workloads.find(claims)
	if issuer != nil {
		return l.checkWorkload(ctx, cred, workloadToken{issuer, signed, claims}, trail)
	}
	if err := checkHeader(cred, signed.Header, claims, trail); err != nil {
		return proved, err
	}

	// An unknown name is the zero client, which fails below where a wrong key does.
	c, err := l.clients.FindForLogin(ctx, claims.Issuer)
	if err != nil {
		return proved, trail.check("store", "", err)
	}

	trail.setClient(c)
	key, err := l.checkSignature(ctx, c, signed, trail)
	if err != nil {
		return proved, err
	}
	if err := l.checkClaims(cred, claims, trail); err != nil {
		return proved, err
	}

	proved.client = c
	proved.key = key.ID
	// Only with iss_only may jti be absent; such an assertion can be replayed, and is a weakness.
	if claims.ID != "" {
		expires := claims.Expires
		// The use must be remembered for as long as the assertion could pass the other checks.
		if expires.IsZero() {
			expires = l.now().Add(MaxAssertion)
		}
		proved.once = token.Once{Issuer: c.Name, JTI: secret.HashOf(claims.ID), Expires: expires}
	}

	return proved, nil
}

// readAssertion reads a JWT. Nothing in it is proved yet.
func (l *Logins) readAssertion(text string, trail *auditTrail) (jose.Signed, jose.Claims, error) {
	signed, err := jose.Parse(text)
	if err != nil {
		return signed, jose.Claims{}, trail.fail("shape", clip(err.Error()), Malformed)
	}

	claims, err := jose.ParseClaims(signed.Payload)
	if err != nil {
		return signed, claims, trail.fail("shape", clip(err.Error()), Malformed)
	}

	h := signed.Header
	trail.pass("shape", fmt.Sprintf("alg %q, kid %q, typ %q", h.Alg, clip(h.KeyID), clip(h.Type)))

	return signed, claims, nil
}

// checkHeader checks that an assertion is for the purpose, and names a client.
func checkHeader(cred ClientCredential, h jose.Header, claims jose.Claims, trail *auditTrail) error {
	// A typ for another purpose would let a token of one kind serve as one of another (RFC 8725,
	// section 3.11). jwk, jku and x5u would let the attacker name the key (RFC 8725, section 3.10).
	return trail.require([]requirement{
		{h.Type != "" && !h.Typ("JWT") && !h.Typ(string(cred.Purpose)), "type", clip(h.Type), WrongType},
		{len(h.Foreign) > 0, "key source", strings.Join(h.Foreign, ", "), EmbeddedKey},
		{claims.Issuer == "", "issuer", "", NoIssuer},
		{
			cred.ClientID != "" && cred.ClientID != claims.Issuer,
			"client_id",
			fmt.Sprintf("%q, iss %q", clip(cred.ClientID), clip(claims.Issuer)),
			OtherClient,
		},
	})
}

// checkSignature checks that one of the client's own keys made the signature, and returns it.
func (l *Logins) checkSignature(
	ctx context.Context,
	c client.Client,
	signed jose.Signed,
	trail *auditTrail,
) (jose.Key, error) {
	keys, err := l.clients.Keys(ctx, c, signed.Header.KeyID, l.now())
	if err != nil {
		unusable := client.ReasonOf(err)
		if unusable != "" {
			return jose.Key{}, trail.fail("client and key", "", Reason(unusable))
		}
		return jose.Key{}, trail.check("client and key", "the client's keys could not be looked up", err)
	}

	return verify(signed, keys, trail)
}

// verify checks that one of the keys made the signature, and returns it.
func verify(signed jose.Signed, keys []jose.Key, trail *auditTrail) (jose.Key, error) {
	// Without kid, each key of the signer is tried. "Wrong signature" is the closer miss of the two.
	reason := WrongAlgorithm
	for _, k := range keys {
		err := signed.Verify(k)
		if err == nil {
			trail.pass("signature", fmt.Sprintf("key %s, %s", k.ID, k.Alg))
			return k, nil
		}

		if errors.Is(err, jose.ErrSignature) {
			reason = WrongSignature
		}
	}

	return jose.Key{}, trail.fail("signature", fmt.Sprintf("%d keys tried", len(keys)), reason)
}

// checkClaims checks the claims of an assertion whose signer is proved (RFC 7523, section
// 3; RFC 10070).
func (l *Logins) checkClaims(cred ClientCredential, c jose.Claims, trail *auditTrail) error {
	now, all := l.now(), !cred.IssuerOnly
	lifetime := c.Expires.Sub(c.IssuedAt)
	hasLifetime := !c.IssuedAt.IsZero() && !c.Expires.IsZero()
	// RFC 10070: our issuer alone. An assertion for two servers could be replayed at the other one.
	wrongAudience := len(c.Audience) != 1 || c.Audience[0] != cred.Issuer

	err := trail.require([]requirement{
		{all && c.Subject == "", "sub", "", NoSubject},
		{c.Subject != "" && c.Subject != c.Issuer, "sub", clip(c.Subject), OtherSubject},
		{all && len(c.Audience) == 0, "aud", "", NoAudience},
		{
			len(c.Audience) > 0 && wrongAudience,
			"aud",
			clip(fmt.Sprintf("got %q, want %q", c.Audience, cred.Issuer)),
			OtherAudience,
		},
		{all && c.Expires.IsZero(), "exp", "", NoExpiry},
		{!c.Expires.IsZero() && !now.Before(c.Expires), "exp", stampAt(c.Expires, now), AssertionExpired},
		{all && c.IssuedAt.IsZero(), "iat", "", NoIssueTime},
		{c.IssuedAt.After(now.Add(maxSkew)), "iat", stampAt(c.IssuedAt, now), IssuedInFuture},
		{hasLifetime && lifetime > MaxAssertion, "life", lifetime.String(), LifetimeTooLong},
		{c.NotBefore.After(now.Add(maxSkew)), "nbf", stampAt(c.NotBefore, now), NotYetValid},
		{all && c.ID == "", "jti", "", NoID},
		{len(c.ID) > maxJTI, "jti", fmt.Sprintf("%d bytes", len(c.ID)), IDTooLong},
		{
			l.mayBeUsedBeforeRestore(c, now),
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
		c.Subject, c.Audience, stamp(c.IssuedAt), stamp(c.Expires), clip(c.ID),
	))

	return nil
}

// mayBeUsedBeforeRestore reports whether an assertion may have been used before the store
// was restored from a backup, which does not know of that use. An assertion without iat is
// judged by its exp, and one without either by how long its use would be remembered. One
// without jti may be used any number of times anyway.
func (l *Logins) mayBeUsedBeforeRestore(c jose.Claims, now time.Time) bool {
	if l.restored.IsZero() || c.ID == "" {
		return false
	}

	// No assertion lives longer than MaxAssertion, so exp gives the earliest iat.
	issued := c.IssuedAt
	if issued.IsZero() {
		if c.Expires.IsZero() {
			return now.Before(l.restored.Add(MaxAssertion))
		}
		issued = c.Expires.Add(-MaxAssertion)
	}

	return !issued.After(l.restored.Add(maxSkew)) // the client's clock may be ahead
}
