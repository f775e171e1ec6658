package api

import (
	"net/http"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/account"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/factor"
	"github.com/jeton-auth/jeton/internal/session"
	"github.com/jeton-auth/jeton/internal/web"
)

// Factor is a second factor of a user.
type Factor struct {
	ID      string     `json:"id"`
	Kind    string     `json:"kind" jsonschema:"totp: an authenticator app, passkey: a passkey"`
	Name    string     `json:"name" jsonschema:"Given by the user"`
	Created time.Time  `json:"created_at"`
	Used    *time.Time `json:"last_used_at,omitempty"`
}

// Factors is the second factors of a user.
type Factors struct {
	Factors   []Factor `json:"factors"`
	CodesLeft int      `json:"recovery_codes_left" jsonschema:"Recovery codes that were not used"`
}

// NewFactor is a factor to add.
type NewFactor struct {
	Kind string `json:"kind" jsonschema:"totp"`
	Name string `json:"name,omitempty" jsonschema:"Name of the app, at most 100 bytes"`
}

// Enrolment is an authenticator app that waits for its first code.
type Enrolment struct {
	ID     string `json:"id"`
	Secret string `json:"secret" jsonschema:"Secret in base32, shown once"`
	URI    string `json:"uri" jsonschema:"Address of the scheme otpauth, for a QR code"`
}

// FactorName is the name of a factor.
type FactorName struct {
	Name string `json:"name" jsonschema:"Such as that of the device, at most 100 bytes"`
}

// FactorCode is a code of an authenticator app.
type FactorCode struct {
	Code string `json:"code"`
}

// RecoveryCodes are new recovery codes, shown once.
type RecoveryCodes struct {
	Codes []string `json:"recovery_codes"`
}

// listOwnFactors answers GET /users/me/factors.
func (a *API) listOwnFactors(w *web.Reply, r *http.Request, c caller) error {
	acct, err := a.account(r.Context(), c)
	if err != nil {
		return err
	}

	return a.writeFactors(w, r, acct)
}

// listFactors answers GET /users/{id}/factors.
func (a *API) listFactors(w *web.Reply, r *http.Request, c caller) error {
	acct, err := a.target(r, c)
	if err != nil {
		return err
	}

	return a.writeFactors(w, r, acct)
}

// writeFactors answers with the factors of a user.
func (a *API) writeFactors(w *web.Reply, r *http.Request, acct account.Account) error {
	list, err := a.Factors.List(r.Context(), acct.ID)
	if err != nil {
		return err
	}

	out := Factors{Factors: []Factor{}, CodesLeft: factor.CodesLeft(list)}
	for _, one := range list {
		if one.Kind == factor.Recovery {
			continue
		}

		f := Factor{
			ID:      one.ID,
			Kind:    string(one.Kind),
			Name:    one.Name,
			Created: one.Created,
		}
		if !one.Used.IsZero() {
			f.Used = &one.Used
		}
		out.Factors = append(out.Factors, f)
	}

	return web.JSON(w, http.StatusOK, out)
}

// addOwnFactor answers POST /users/me/factors. The factor waits for its first code.
func (a *API) addOwnFactor(w *web.Reply, r *http.Request, c caller) error {
	in, err := web.Read[NewFactor](r)
	if err != nil {
		return err
	}
	if in.Kind != string(factor.TOTP) {
		return jeton.WithDetail(jeton.ErrInvalid, "invalid kind: want totp")
	}

	acct, err := a.proved(w, r, c)
	if err != nil {
		return err
	}

	e, err := a.Factors.EnrolTOTP(r.Context(), ownerOf(acct, c), in.Name)
	if err != nil {
		return err
	}

	return web.JSON(w, http.StatusCreated, Enrolment{
		ID:     e.ID,
		Secret: e.Secret.Reveal(),
		URI:    e.URI.Reveal(),
	})
}

// ownerOf returns the owner of the factors of an account that the caller changes.
func ownerOf(acct account.Account, c caller) factor.Owner {
	return factor.Owner{
		ID:      acct.ID,
		Name:    acct.Name,
		Session: c.Session,
	}
}

// proved returns the account of a caller who proved to be its user a short time ago.
func (a *API) proved(w *web.Reply, r *http.Request, c caller) (account.Account, error) {
	acct, err := a.account(r.Context(), c)
	if err != nil {
		return acct, err
	}

	_, err = a.requireProof(w, r, c, acct, Proof{})

	return acct, err
}

// confirmOwnFactor answers POST /users/me/factors/{factor}/confirm. The other sessions of the user end: they were
// started without the factor. Who has no recovery codes gets some.
func (a *API) confirmOwnFactor(w *web.Reply, r *http.Request, c caller) error {
	in, err := web.Read[FactorCode](r)
	if err != nil {
		return err
	}

	acct, err := a.proved(w, r, c)
	if err != nil {
		return err
	}

	id := r.PathValue("factor")
	ev := a.event(w, c, audit.FactorAdd, "user:"+acct.Name)
	ev.Reason = "authenticator app " + id
	err = a.Factors.ConfirmTOTP(r.Context(), ownerOf(acct, c), id, in.Code, ev)
	if jeton.Outcome(err) == jeton.ErrBadCredential {
		// Not a 401: the session is valid, and a client would log the user out.
		err = jeton.WithDetail(jeton.ErrForbidden, "the code is wrong")
	}
	if err != nil {
		ev.Outcome, ev.Reason = jeton.Code(err), err.Error()
		a.Audit.Record(ev)

		return err
	}

	list, err := a.Factors.List(r.Context(), acct.ID)
	if err != nil {
		return err
	}
	if factor.CodesLeft(list) > 0 {
		return web.JSON(w, http.StatusOK, RecoveryCodes{Codes: []string{}})
	}

	return a.newCodes(w, r, c, acct)
}

// newRecoveryCodes answers POST /users/me/recovery-codes. Earlier ones end.
func (a *API) newRecoveryCodes(w *web.Reply, r *http.Request, c caller) error {
	acct, err := a.proved(w, r, c)
	if err != nil {
		return err
	}

	list, err := a.Factors.List(r.Context(), acct.ID)
	if err != nil {
		return err
	}
	if !factor.Second(list) {
		return jeton.WithDetail(jeton.ErrConflict, "recovery codes replace a factor: add one first")
	}

	return a.newCodes(w, r, c, acct)
}

// newCodes answers with new recovery codes of a user.
func (a *API) newCodes(w *web.Reply, r *http.Request, c caller, acct account.Account) error {
	codes, err := a.Factors.NewRecoveryCodes(
		r.Context(), ownerOf(acct, c), a.event(w, c, audit.FactorCodes, "user:"+acct.Name),
	)
	if err != nil {
		return err
	}

	var out RecoveryCodes
	for _, code := range codes {
		out.Codes = append(out.Codes, code.Reveal())
	}

	return web.JSON(w, http.StatusOK, out)
}

// renameOwnFactor answers PUT /users/me/factors/{factor}.
func (a *API) renameOwnFactor(w *web.Reply, r *http.Request, c caller) error {
	acct, err := a.proved(w, r, c)
	if err != nil {
		return err
	}

	return a.rename(w, r, c, acct)
}

// renameFactor answers PUT /users/{id}/factors/{factor}.
func (a *API) renameFactor(w *web.Reply, r *http.Request, c caller) error {
	acct, err := a.target(r, c)
	if err != nil {
		return err
	}

	return a.rename(w, r, c, acct)
}

// rename gives the factor in the path, which is one of a user, the name in the request.
func (a *API) rename(w *web.Reply, r *http.Request, c caller, acct account.Account) error {
	in, err := web.Read[FactorName](r)
	if err != nil {
		return err
	}
	if err := require("name", in.Name); err != nil {
		return err
	}

	id := r.PathValue("factor")
	ev := a.event(w, c, audit.FactorChange, "user:"+acct.Name)
	ev.Reason = id + " is named " + in.Name
	if err := a.Factors.Rename(r.Context(), acct.ID, id, in.Name, ev); err != nil {
		return err
	}
	a.Logins.WakeMails()

	return web.NoContent(w)
}

// removeOwnFactor answers DELETE /users/me/factors/{factor}.
func (a *API) removeOwnFactor(w *web.Reply, r *http.Request, c caller) error {
	acct, err := a.proved(w, r, c)
	if err != nil {
		return err
	}

	id := r.PathValue("factor")
	ev := a.event(w, c, audit.FactorRemove, "user:"+acct.Name)
	ev.Reason = id
	if _, err := a.Factors.Remove(r.Context(), acct.ID, factor.Which{ID: id}, ev); err != nil {
		return err
	}

	return web.NoContent(w)
}

// resetFactors answers DELETE /users/{id}/factors?reason=. The user signs in with the password alone until a new factor
// is added, so the sessions of the user end.
func (a *API) resetFactors(w *web.Reply, r *http.Request, c caller) error {
	reason := r.URL.Query().Get("reason")
	if err := require("reason", reason); err != nil {
		return err
	}
	if len(reason) > factor.MaxName {
		return jeton.WithDetail(jeton.ErrInvalid, "reason is too long: want at most 100 bytes")
	}

	acct, err := a.target(r, c)
	if err != nil {
		return err
	}

	ev := a.event(w, c, audit.FactorReset, "user:"+acct.Name)
	ev.Reason = reason
	if _, err := a.Factors.Remove(r.Context(), acct.ID, factor.Which{All: true}, ev); err != nil {
		return lastWayOf(err)
	}

	ended := a.event(w, c, audit.SessionEnd, "user:"+acct.Name)
	ended.Reason = "second factors were reset"
	if _, err := a.Sessions.End(r.Context(), session.Which{User: acct.Name}, ended); err != nil {
		return err
	}

	return web.NoContent(w)
}
