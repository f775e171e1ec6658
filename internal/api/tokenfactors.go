package api

import (
	"errors"
	"net/http"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/account"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/session"
	"github.com/jeton-auth/jeton/internal/signin"
	"github.com/jeton-auth/jeton/internal/token"
	"github.com/jeton-auth/jeton/internal/web"
)

// requireFactors checks that a user who gets the secret of a token for services, by name or audience, was proved as
// they require, by the credential or by what the request has beside it: from then on the token stands for that. It
// returns jeton.ErrProof if the user can still show what is missing, and jeton.ErrForbidden without a second factor.
func (a *API) requireFactors(w *web.Reply, r *http.Request, c caller, acct account.Account, services []string) error {
	var rule policy.Require
	// A token that derives from another one has no more rights than that.
	if a.Requires != nil && c.Token == "" {
		var err error
		rule, err = a.Requires(r.Context(), services, c.Principal)
		if err != nil {
			return err
		}
	}
	if rule.IsZero() || signin.Meets(rule, c.shown, w.Start) == nil {
		return nil
	}

	proof := session.Proof{Methods: []string{"pwd"}, At: c.Since}
	live := c.decision.Session()
	if live != nil {
		var err error
		proof, err = a.Sessions.Proof(r.Context(), live)
		if err != nil {
			return err
		}
	}

	var unmet *policy.Unmet
	if !errors.As(signin.Meets(rule, proof, w.Start), &unmet) {
		return nil
	}

	// Not a 401: the session is valid, and a client would log the user out.
	has, err := a.hasFactor(r, acct)
	switch {
	case err != nil:
		return err
	case !has && rule.Factors > 1:
		return jeton.WithDetail(
			jeton.ErrForbidden,
			"the service requires two factors, and the account has one: add an authenticator app or a passkey",
		)
	}

	return jeton.WithDetail(
		jeton.ErrProof,
		"the service requires more of who creates a token: "+unmet.Text+
			"; give current_password and code, or sign in again and use the session",
	)
}

// requireFactorsOf is requireFactors for the services of the token that a request rotates. One that is not stored, or
// is of another user, is for Rotate to refuse.
func (a *API) requireFactorsOf(w *web.Reply, r *http.Request, c caller, acct account.Account) error {
	list, _, err := a.Tokens.List(r.Context(), token.Which{Accessor: r.PathValue("accessor"), User: c.Name}, 1)
	if err != nil || len(list) == 0 {
		return err
	}

	return a.requireFactors(w, r, c, acct, list[0].Audience)
}

// hasFactor reports whether a user has a second factor, or a passkey.
func (a *API) hasFactor(r *http.Request, acct account.Account) (bool, error) {
	list, err := a.Factors.List(r.Context(), acct.ID)
	return len(list) > 0, err
}
