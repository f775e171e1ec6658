package gate

import (
	"context"
	"strings"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/factor"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/session"
	"github.com/jeton-auth/jeton/internal/signin"
)

// byPassword is the method of a password that comes with a request (RFC 8176, section 2).
const byPassword = "pwd"

// proves checks that the user of a request was proved as the route requires.
func (g *Gate) proves(ctx context.Context, req *Request, d *Decision) error {
	if !req.requiresProof() {
		return nil
	}

	if provesByToken(d.credential) {
		// What creates tokens judges its user by the same rule. A program cannot show a factor.
		return nil
	}

	switch c := d.credential.(type) {
	case newSession:
		return nil // the sign-in asks for what is required
	case sessionCredential:
		var err error
		d.proof, err = g.sessions.Proof(ctx, c.Live)
		if err != nil {
			return err
		}
	default:
		if c.Principal().Kind == jeton.KindClient {
			return nil
		}
		d.proof = session.Proof{Methods: []string{byPassword}, At: c.Principal().Since}
	}

	rule, err := requiredOf(ctx, req, d)
	if err != nil {
		return err
	}

	return signin.Meets(rule, d.proof, req.Now)
}

// requiresProof reports whether it matters for a request how its user was proved.
func (r *Request) requiresProof() bool { return !r.Access.Require.IsZero() || r.Access.Managers }

// requiredOf returns what the route requires of the user of a request.
func requiredOf(ctx context.Context, req *Request, d *Decision) (policy.Require, error) {
	rule := req.Access.Require
	if !req.Access.Managers || factor.Reaches(d.proof.Methods, factor.TwoFactors) {
		return rule, nil
	}

	var err error
	rule, d.factorsFrom, err = req.Service.Managers.Require(ctx, d.Principal(), rule, req.Now)

	return rule, err
}

// provesByToken reports whether a credential is a token, also one that another package has wrapped.
func provesByToken(c Credential) bool {
	origin, err := c.Origin()
	return err == nil && origin.Token != nil
}

// describeFactors shows how the user was proved beside what is required.
func describeFactors(req *Request, d *Decision) string {
	required := describeRule(req, d)
	if len(d.proof.Methods) == 0 && d.proof.At.IsZero() {
		_, isNew := d.credential.(newSession)
		switch {
		case isNew:
			return required + "; the sign-in asks for it"
		case provesByToken(d.credential):
			return required + "; a token counts as what its creator showed"
		}

		return required
	}

	text := required + "; the user was proved by " + signin.MethodsOf(d.proof)
	if !d.proof.At.IsZero() {
		text += " at " + stamp(d.proof.At)
	}

	return text
}

// describeRule shows what the route requires, and from when on of the user.
func describeRule(req *Request, d *Decision) string {
	var parts []string
	if !req.Access.Require.IsZero() {
		parts = append(parts, "required: "+req.Access.Require.String())
	}

	switch {
	case !d.factorsFrom.IsZero():
		from := "two factors are required of this user, who manages others, from " + stamp(d.factorsFrom) + " on"
		parts = append(parts, from)
	case req.Access.Managers:
		parts = append(parts, "two factors are required of users who manage others")
	}

	return strings.Join(parts, "; ")
}
