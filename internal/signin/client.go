package signin

import (
	"context"
	"errors"
	"fmt"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/client"
	"github.com/jeton-auth/jeton/internal/jose"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/secret"
	"github.com/jeton-auth/jeton/internal/token"
)

// ClientCredential is what a client shows to prove itself: a secret, or an assertion that
// it has signed.
type ClientCredential struct {
	ClientID  string // may be empty with an assertion, which names the client itself
	Secret    jeton.Secret
	Assertion string
	Purpose   Purpose // of the assertion
	// IssuerOnly is for teaching clients: only the claim iss is required. Other claims must be
	// right if they are present.
	IssuerOnly bool
	Issuer     string // ours: the only audience that an assertion may have
	Public     bool   // a public client that signs users in needs no credential
	// Workloads are the issuers whose tokens are accepted as the assertion; nil: none.
	Workloads *Workloads
}

// Client returns the client that a credential proves, and uses an assertion up. The error
// of a bad credential contains the reason for the operator; the caller records it.
func (l *Logins) Client(ctx context.Context, cred ClientCredential) (client.Client, error) {
	var trail auditTrail
	found, err := l.relyingClient(ctx, cred, &trail)
	if ReasonOf(err) != "" {
		last := trail.checks[len(trail.checks)-1]
		return client.Client{}, fmt.Errorf("%w: %s of %s: %s", err, last.Name, trail.actor, last.Value)
	}

	return found, err
}

// provedClient is a client that a credential proves.
type provedClient struct {
	client client.Client
	once   token.Once           // the assertion to use up; zero: none
	key    string               // ID of the key that signed the client's assertion; "": none did
	rule   *policy.WorkloadRule // by which a token of another issuer proves it; nil: another proof
	ruleID string               // of rule
}

// registeredKey returns the thumbprint of the key that proved the client, or "" if none did that is registered here. A
// fetched key is not: when its source no longer has it is known only once it is fetched again.
func (p provedClient) registeredKey() string {
	for _, k := range p.client.Keys {
		// No key of a source is used that has the ID of a registered one.
		if p.key != "" && k.ID == p.key {
			return k.Thumbprint()
		}
	}

	return ""
}

// proveClient checks a credential.
func (l *Logins) proveClient(
	ctx context.Context,
	cred ClientCredential,
	trail *auditTrail,
) (provedClient, error) {
	if cred.Assertion != "" {
		return l.checkAssertion(ctx, cred, trail)
	}

	c, err := l.checkSecret(ctx, cred, trail)

	return provedClient{client: c}, err
}

// checkSecret proves a client by its secret (RFC 6749, section 2.3.1).
func (l *Logins) checkSecret(ctx context.Context, cred ClientCredential, trail *auditTrail) (client.Client, error) {
	if cred.ClientID == "" || cred.Secret.IsZero() {
		err := trail.check("given", "an assertion, or a client_id and a secret", jeton.ErrNoCredential)
		return client.Client{}, err
	}

	c, err := l.clients.FindForLogin(ctx, cred.ClientID)
	if err != nil {
		return c, trail.check("store", "", err)
	}

	trail.setClient(c)
	// Also for an unknown or a disabled client, so that the time does not reveal which clients exist.
	ok := l.clients.CheckSecret(c, cred.Secret.Reveal())
	switch {
	case c.ID == 0:
		err = &refused{UnknownClient}
	case c.Disabled:
		err = &refused{Reason(client.Disabled)}
	case !ok:
		err = &refused{WrongSecret}
	}

	return c, trail.check("secret", "", err)
}

// setClient names the client as the actor, or "client:?" for an unknown one: what was sent
// as its name may be a secret.
func (t *auditTrail) setClient(c client.Client) {
	t.actor = "client:?"
	if c.ID != 0 {
		t.actor = "client:" + c.Name
	}
}

// useOnce uses an assertion up. Of two requests with the same one, on any nodes, one gets
// Replayed.
func (l *Logins) useOnce(ctx context.Context, once token.Once, trail *auditTrail) error {
	err := l.tokens.UseOnce(ctx, once)
	if errors.Is(err, token.ErrUsed) {
		return trail.fail("single use", "", Replayed)
	}
	return err
}

// AddKey registers another key of a client that has proved itself. The proof is an
// assertion signed by the new key, so that no client registers the key of another.
func (l *Logins) AddKey(
	ctx context.Context,
	c client.Client,
	key jose.Key,
	proof ClientCredential,
	ev jeton.Event,
) error {
	trail := auditTrail{action: ev.Action}
	err := l.checkPossession(ctx, c, key, proof, &trail)
	// The store writes them with the key, or the lines below without it.
	ev.Checks = trail.checks

	reason := ReasonOf(err)
	if reason != "" {
		ev.Outcome, ev.Reason = jeton.Code(err), "proof of the new key: "+string(reason)
		l.audit.Record(ev)
		return jeton.WithDetail(jeton.ErrInvalid, "invalid proof: want a JWT for this server, signed by the new key")
	}

	if err != nil {
		return err
	}

	return l.clients.AddOwnKey(ctx, c, key, ev)
}

// checkPossession checks an assertion that the client has signed with a new key.
func (l *Logins) checkPossession(
	ctx context.Context,
	c client.Client,
	key jose.Key,
	proof ClientCredential,
	trail *auditTrail,
) error {
	signed, claims, err := l.readAssertion(proof.Assertion, trail)
	if err != nil {
		return err
	}
	if err := checkHeader(proof, signed.Header, claims, trail); err != nil {
		return err
	}
	if claims.Issuer != c.Name {
		return trail.fail("issuer", clip(claims.Issuer), OtherClient)
	}

	// By the new key alone. An older key of the client proves nothing about this one.
	if signed.Verify(key) != nil {
		return trail.fail("signature", "key "+key.ID, WrongSignature)
	}

	if err := l.checkClaims(proof, claims, trail); err != nil {
		return err
	}

	// Used up like any assertion: a proof that leaked cannot be sent again.
	once := token.Once{Issuer: c.Name, JTI: secret.HashOf(claims.ID), Expires: claims.Expires}

	return l.useOnce(ctx, once, trail)
}
