package gate

import (
	"context"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/session"
	"github.com/jeton-auth/jeton/internal/signin"
)

// byPassword is the method of a password that comes with a request (RFC 8176, section 2).
const byPassword = "pwd"

// proves checks that the user of a request was proved as the route requires.
func (g *Gate) proves(ctx context.Context, req *Request, d *Decision) error {
	if req.Access.Require.IsZero() {
		return nil
	}

	switch c := d.credential.(type) {
	case tokenCredential, narrowedToken:
		// What creates tokens judges its user by the same rule. A program cannot show a factor.
		return nil
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

	return signin.Meets(req.Access.Require, d.proof, req.Now)
}

// describeFactors shows how the user was proved beside what is required.
func describeFactors(req *Request, d *Decision) string {
	required := "required: " + req.Access.Require.String()
	if len(d.proof.Methods) == 0 && d.proof.At.IsZero() {
		switch d.credential.(type) {
		case tokenCredential, narrowedToken:
			return required + "; a token counts as what its creator showed"
		case newSession:
			return required + "; the sign-in asks for it"
		}

		return required
	}

	text := required + "; the user was proved by " + signin.MethodsOf(d.proof)
	if !d.proof.At.IsZero() {
		text += " at " + stamp(d.proof.At)
	}

	return text
}
