package api

import (
	"net/http"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/account"
	"github.com/jeton-auth/jeton/internal/session"
	"github.com/jeton-auth/jeton/internal/signin"
	"github.com/jeton-auth/jeton/internal/web"
)

// proofAge is how old the proof of a user may be who creates or rotates a token, or changes the e-mail address. A
// stolen session or token must not become a credential that lasts longer than itself.
const proofAge = 10 * time.Minute

// Proof proves a user who logged in a while ago, or shows a token.
type Proof struct {
	Current *string `json:"current_password,omitempty" jsonschema:"Required if the login is older than 10 minutes"`
	Code    string  `json:"code,omitempty" jsonschema:"Of the authenticator app, if the user has one"`
}

// requireProof returns jeton.ErrProof unless the caller, who is the user, proved the password at most proofAge ago: in
// the request, also as Basic (RFC 7617), or in the session. It returns what checkPassword does, or no proof.
func (a *API) requireProof(
	w *web.Reply,
	r *http.Request,
	c caller,
	acct account.Account,
	p Proof,
) (session.Proof, error) {
	if p.Current != nil {
		return a.checkPassword(w, r, c, acct, p)
	}

	// A token shows that a program has it, not that its user is there.
	if c.Token != "" {
		return session.Proof{}, jeton.WithDetail(
			jeton.ErrProof,
			"a token alone is no proof of its user: give current_password, or log in and use the session",
		)
	}

	return session.Proof{}, a.requireRecent(w, r, c)
}

// requireRecent returns jeton.ErrProof unless the password was proved at most proofAge ago: at the login of the
// session, later in the session, or in the request.
func (a *API) requireRecent(w *web.Reply, r *http.Request, c caller) error {
	proved := c.Since
	if c.Session != "" {
		var err error
		proved, err = a.Sessions.Proved(r.Context(), c.Session)
		if err != nil {
			return err
		}
	}

	// A clock that is set back makes no proof recent.
	age := w.Start.Sub(proved)
	if age.Abs() > proofAge {
		return jeton.WithDetail(
			jeton.ErrProof,
			"the login is older than 10 minutes: log in again, or give current_password",
		)
	}

	return nil
}

// checkPassword checks the current password of a user: a stolen session or token must not be enough to take the account
// over. Guesses are throttled as logins are. Of a user with a second factor, a password counts only with a code, or in
// a session whose recent proof showed the factor. It returns how the request itself proves the user.
func (a *API) checkPassword(
	w *web.Reply,
	r *http.Request,
	c caller,
	acct account.Account,
	p Proof,
) (session.Proof, error) {
	recent := false
	if c.Session != "" {
		err := a.requireRecent(w, r, c)
		if err != nil && jeton.Outcome(err) != jeton.ErrProof {
			return session.Proof{}, err
		}
		recent = err == nil
	}

	req := signin.PasswordRequest{
		Name:     acct.Name,
		Password: jeton.NewSecret(*p.Current),
		Code:     p.Code,
		Service:  a.Service.Name,
		Source:   w.Source,
		Request:  w.ID,
		Confirms: recent,
		Proved:   true,
	}
	v, err := a.Logins.Basic(r.Context(), req)
	if err != nil {
		return session.Proof{}, passwordRefused(err, p)
	}

	return v.Proof(req, w.Start), nil
}

// passwordRefused returns the refusal of a current password. None is a 401: the session is valid, and a client would
// log the user out.
func passwordRefused(err error, p Proof) error {
	switch jeton.Outcome(err) {
	case jeton.ErrBadCredential, jeton.ErrNoCredential:
		wrong := "current_password is wrong"
		if p.Code != "" {
			wrong = "current_password or code is wrong"
		}
		return jeton.WithDetail(jeton.ErrForbidden, wrong)
	case jeton.ErrFactor:
		return jeton.WithDetail(
			jeton.ErrProof,
			"this user has a second factor: give code beside current_password, or log in again and use the session",
		)
	}

	return err
}
