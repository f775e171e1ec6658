package api

import (
	"net/http"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/account"
	"github.com/jeton-auth/jeton/internal/approval"
	"github.com/jeton-auth/jeton/internal/token"
	"github.com/jeton-auth/jeton/internal/web"
)

const approveText = "Approve a request for a token, with the terms that were requested or narrower ones. " +
	"The program that asked gets the token, once. "

var (
	listRequestsDoc = Doc{
		Summary: "List the requests for tokens that wait for the calling user, newest first.",
		Out:     []jeton.WaitingRequest{},
		Status:  200,
	}
	approveRequestDoc = Doc{
		Summary: approveText + "Needs a login not older than 10 minutes, or current_password. " + besideCode,
		In:      Approval{},
		Status:  204,
		Fails:   []int{404},
	}
	denyRequestDoc = Doc{
		Summary: "Refuse a request for a token.",
		Status:  204,
		Fails:   []int{404},
	}
	listAllRequestsDoc = Doc{
		Summary: "List the requests for tokens that wait for a user, newest first.",
		Query:   []Param{{"user", "Name of the user. Required."}},
		Out:     []jeton.WaitingRequest{},
		Status:  200,
		Fails:   []int{404},
	}
	approveAnyRequestDoc = Doc{
		Summary: approveText + "The token is one of the user whom it asked.",
		In:      jeton.TokenApproval{},
		Status:  204,
		Fails:   []int{404},
	}
)

// Approval approves a request for a token. Absent members are as requested.
type Approval struct {
	jeton.TokenApproval
	Proof
}

// listOwnRequests answers GET /users/me/token-requests.
func (a *API) listOwnRequests(w *web.Reply, r *http.Request, c caller) error {
	return a.requestsOf(w, r, c.Name)
}

// listRequests answers GET /token-requests?user=.
func (a *API) listRequests(w *web.Reply, r *http.Request, _ caller) error {
	return a.requestsOf(w, r, r.URL.Query().Get("user"))
}

// requestsOf answers with the requests that wait for a user.
func (a *API) requestsOf(w *web.Reply, r *http.Request, user string) error {
	acct, err := a.Accounts.Find(r.Context(), user)
	if err != nil {
		return err
	}

	list, err := a.Approvals.List(r.Context(), acct.ID)
	if err != nil {
		return err
	}

	return web.JSON(w, http.StatusOK, list)
}

// approveOwnRequest answers POST /users/me/token-requests/{request}/approve. To approve is to create a token, with the
// same proof of the user.
func (a *API) approveOwnRequest(w *web.Reply, r *http.Request, c caller) error {
	in, err := readOptional[Approval](r)
	if err != nil {
		return err
	}

	acct, by, err := a.approver(w, r, c)
	if err != nil {
		return err
	}

	req, err := a.Approvals.Find(r.Context(), r.PathValue("request"), acct.ID)
	if err != nil {
		return err
	}
	c.shown, err = a.requireProof(w, r, c, acct, in.Proof)
	if err != nil {
		return err
	}
	if err := a.requireFactors(w, r, c, acct, []string{req.Service}); err != nil {
		return err
	}

	return a.approve(w, r, acct, req, by, in.TokenApproval)
}

// denyOwnRequest answers POST /users/me/token-requests/{request}/deny.
func (a *API) denyOwnRequest(w *web.Reply, r *http.Request, c caller) error {
	_, by, err := a.approver(w, r, c)
	if err == nil {
		err = a.Approvals.Deny(r.Context(), r.PathValue("request"), by)
	}
	if err != nil {
		return err
	}

	return web.NoContent(w)
}

// approver returns the user of a request who answers another one. A token answers none: the program that has it could
// approve what it asks for itself.
func (a *API) approver(w *web.Reply, r *http.Request, c caller) (account.Account, approval.Approver, error) {
	if c.Token != "" {
		return account.Account{}, approval.Approver{}, jeton.WithDetail(
			jeton.ErrForbidden, "a token answers no request for a token; log in and use the session",
		)
	}

	acct, err := a.account(r.Context(), c)
	if err != nil {
		return acct, approval.Approver{}, err
	}
	origin, err := c.decision.Origin()
	if err != nil {
		return acct, approval.Approver{}, err
	}

	owner := token.UserOwner(acct)
	// The user as it was when the password was checked.
	if origin.Owner != nil {
		owner = *origin.Owner
	}

	return acct, approval.Approver{Owner: owner, Login: origin.Login, Event: a.event(w, c, "", "")}, nil
}

// approve approves a request for a token of a user who has what is requested.
func (a *API) approve(
	w *web.Reply,
	r *http.Request,
	acct account.Account,
	req jeton.WaitingRequest,
	by approval.Approver,
	in jeton.TokenApproval,
) error {
	terms, err := approval.Narrow(req.TokenTerms, in)
	if err != nil {
		return err
	}

	services := []string{req.Service}
	if err := checkServices(acct, services); err != nil {
		return err
	}
	if err := a.checkScopes(acct, NewToken{Services: services, Scopes: terms.Scopes}); err != nil {
		return err
	}

	if err := a.Approvals.Approve(r.Context(), req.ID, by, in); err != nil {
		return err
	}

	return web.NoContent(w)
}

// approveRequest answers POST /token-requests/{request}/approve, which only operators reach.
func (a *API) approveRequest(w *web.Reply, r *http.Request, c caller) error {
	in, err := readOptional[jeton.TokenApproval](r)
	if err != nil {
		return err
	}

	acct, req, err := a.requestOf(r)
	if err != nil {
		return err
	}

	by := approval.Approver{Owner: token.UserOwner(acct), Event: a.event(w, c, "", "")}

	return a.approve(w, r, acct, req, by, in)
}

// denyRequest answers POST /token-requests/{request}/deny, which only operators reach.
func (a *API) denyRequest(w *web.Reply, r *http.Request, c caller) error {
	acct, req, err := a.requestOf(r)
	if err != nil {
		return err
	}

	by := approval.Approver{Owner: token.UserOwner(acct), Event: a.event(w, c, "", "")}
	if err := a.Approvals.Deny(r.Context(), req.ID, by); err != nil {
		return err
	}

	return web.NoContent(w)
}

// requestOf returns the request for a token that the path names, and the user whom it asks.
func (a *API) requestOf(r *http.Request) (account.Account, jeton.WaitingRequest, error) {
	req, err := a.Approvals.Find(r.Context(), r.PathValue("request"), approval.AnyUser)
	if err != nil {
		return account.Account{}, req, err
	}

	acct, err := a.Accounts.Find(r.Context(), req.User)

	return acct, req, err
}

// readOptional reads a body that may be absent.
func readOptional[T any](r *http.Request) (T, error) {
	if r.ContentLength == 0 {
		var none T
		return none, nil
	}
	return web.Read[T](r)
}
