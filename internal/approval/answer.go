package approval

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/secret"
	"github.com/jeton-auth/jeton/internal/ticket"
	"github.com/jeton-auth/jeton/internal/token"
)

// List returns the requests that wait for a user, by its number, newest first.
func (a *Approvals) List(ctx context.Context, user int64) ([]jeton.WaitingRequest, error) {
	tickets, err := a.conf.Tickets.List(ctx, ticket.Request, user)
	if err != nil {
		return nil, err
	}

	list := make([]jeton.WaitingRequest, len(tickets))
	for i, t := range tickets {
		if err := json.Unmarshal(t.Data, &list[i]); err != nil {
			return nil, fmt.Errorf("request for a token: %w", err)
		}
	}

	return list, nil
}

// Find returns the request of an id that waits for a user, by its number, or AnyUser. It returns jeton.ErrNotFound for
// one that was answered or has expired, or waits for another user.
func (a *Approvals) Find(ctx context.Context, id string, user int64) (jeton.WaitingRequest, error) {
	w, err := a.find(ctx, id, user)
	return w.WaitingRequest, err
}

// AnyUser finds the requests of all users, for an operator.
const AnyUser = -1

// find returns also what only this package needs to know.
func (a *Approvals) find(ctx context.Context, id string, user int64) (waiting, error) {
	t, err := a.conf.Tickets.Look(ctx, ticket.Request, ticket.Derive(requestOf, id))
	switch {
	case errors.Is(err, jeton.ErrBadCredential), errors.Is(err, jeton.ErrSpent):
		return waiting{}, errUnknown
	case err != nil:
		return waiting{}, err
	case user != AnyUser && t.Subject != user, t.Subject == 0:
		return waiting{}, errUnknown
	}

	var w waiting
	if err := json.Unmarshal(t.Data, &w); err != nil {
		return waiting{}, fmt.Errorf("request for a token: %w", err)
	}

	return w, nil
}

// answer is what the ticket of an answer holds.
type answer struct {
	ID       string           `json:"id"`
	Asker    string           `json:"asker"`
	Denied   bool             `json:"denied,omitempty"`
	By       string           `json:"by"` // who answered, as in the audit log
	Name     string           `json:"name,omitempty"`
	Audience string           `json:"audience,omitempty"`
	Terms    jeton.TokenTerms `json:"terms,omitzero"`
	Expires  time.Time        `json:"expires,omitzero"` // of the token
	Owner    token.Owner      `json:"owner,omitzero"`   // as it was when it approved
}

// Approver is the user who answers, or the user for whom an operator does.
type Approver struct {
	Owner token.Owner // proved, and allowed to have the token
	Login int64       // number of the session, which must not end before the token is handed out; 0: none
	Event jeton.Event // who answers, without what it is about
}

// Approve lets the program that asked have a token with these terms, see Narrow. Of two answers one counts. It returns
// the errors of Find and Narrow.
func (a *Approvals) Approve(ctx context.Context, id string, by Approver, in jeton.TokenApproval) error {
	w, err := a.find(ctx, id, by.Owner.ID)
	if err != nil {
		return err
	}
	terms, err := Narrow(w.TokenTerms, in)
	if err != nil {
		return err
	}

	// Groups are read again with each request, and would not fit.
	by.Owner.Groups = nil

	ev := by.Event
	ev.Action, ev.Reason = audit.TokenApprove, clip(fmt.Sprintf("%s of %s, %s", id, w.By, describeTerms(terms)))

	return a.answer(ctx, w, by, ev, answer{
		Name:     w.Name,
		Audience: w.Audience,
		Terms:    terms,
		Expires:  a.conf.Now().Add(time.Duration(terms.Seconds) * time.Second),
		Owner:    by.Owner,
	})
}

// Deny refuses a request. It returns the errors of Find.
func (a *Approvals) Deny(ctx context.Context, id string, by Approver) error {
	w, err := a.find(ctx, id, by.Owner.ID)
	if err != nil {
		return err
	}

	ev := by.Event
	ev.Action, ev.Reason = audit.TokenDeny, fmt.Sprintf("%s of %s", id, w.By)

	return a.answer(ctx, w, by, ev, answer{Denied: true})
}

// answer puts an answer in the place of a request.
func (a *Approvals) answer(ctx context.Context, w waiting, by Approver, ev jeton.Event, ans answer) error {
	ans.ID = w.ID
	ans.Asker = w.By
	ans.By = ev.Actor
	data, err := json.Marshal(ans)
	if err != nil {
		return err
	}

	t := ticket.Ticket{
		Purpose: ticket.Answered,
		Subject: by.Owner.ID,
		Login:   by.Login,
		Service: w.Service,
		Data:    data,
		Expires: w.Expires,
	}
	soon := a.conf.Now().Add(collect)
	if t.Expires.Before(soon) {
		t.Expires = soon
	}

	err = a.conf.Tickets.Swap(ctx, ticket.Request, ticket.Derive(requestOf, w.ID), w.Answer, t)
	if errors.Is(err, jeton.ErrBadCredential) || errors.Is(err, jeton.ErrSpent) {
		return errUnknown
	}
	if err != nil {
		return err
	}

	ev.Target = "user:" + w.User
	ev.Service = w.Service
	a.conf.Audit.Record(ev)

	return nil
}

// Redeem returns the token of a request that was approved, once. It returns ErrWaiting until the user has answered,
// jeton.ErrForbidden if the user has refused, jeton.ErrConflict for a second call, jeton.ErrNotFound for a request that
// has ended or is not the caller's, jeton.ErrTooMany for one that asks too often, and the errors of token.Create. ev
// is the event of the new token, without actor and target.
func (a *Approvals) Redeem(
	ctx context.Context,
	by Caller,
	in jeton.TokenRequestPoll,
	ev jeton.Event,
) (jeton.Token, jeton.Secret, error) {
	text := ticket.Derive(answerOf, in.Secret)
	t, err := a.conf.Tickets.Look(ctx, ticket.Answered, text)
	switch {
	case errors.Is(err, jeton.ErrBadCredential):
		return jeton.Token{}, jeton.Secret{}, a.unanswered(ctx, by, in)
	case err != nil && !errors.Is(err, jeton.ErrSpent):
		return jeton.Token{}, jeton.Secret{}, err
	}
	spent := err != nil

	var ans answer
	if err := json.Unmarshal(t.Data, &ans); err != nil {
		return jeton.Token{}, jeton.Secret{}, fmt.Errorf("answer to a request for a token: %w", err)
	}
	switch {
	case ans.Asker != by.actor() || ans.ID != in.ID || t.Service != by.Service:
		return jeton.Token{}, jeton.Secret{}, errEnded
	case ans.Denied:
		return jeton.Token{}, jeton.Secret{}, errDenied
	case spent:
		return jeton.Token{}, jeton.Secret{}, errTaken
	}

	// Before the token is made: of two polls at once, one makes it.
	_, err = a.conf.Tickets.Take(ctx, ticket.Answered, text)
	switch {
	case errors.Is(err, jeton.ErrSpent):
		return jeton.Token{}, jeton.Secret{}, errTaken
	case errors.Is(err, jeton.ErrBadCredential):
		return jeton.Token{}, jeton.Secret{}, errEnded
	case err != nil:
		return jeton.Token{}, jeton.Secret{}, err
	}

	return a.create(ctx, by, ans, t.Login, ev)
}

// create makes the token of an answer.
func (a *Approvals) create(
	ctx context.Context,
	by Caller,
	ans answer,
	login int64,
	ev jeton.Event,
) (jeton.Token, jeton.Secret, error) {
	rules, err := policy.ParseRules(ans.Terms.Allows)
	if err != nil {
		return jeton.Token{}, jeton.Secret{}, err
	}

	ev.Actor = by.actor()
	ev.Checks = []jeton.Check{{Name: "request", Value: ans.ID + " approved by " + ans.By, Result: "pass"}}

	return a.conf.Tokens.Create(ctx, ans.Owner, token.Draft{
		Name:     ans.Name,
		Audience: []string{ans.Audience},
		Scopes:   ans.Terms.Scopes,
		Limits:   policy.Limits{Allows: rules},
		MaxUses:  ans.Terms.MaxUses,
		Expires:  ans.Expires,
		Login:    login,
		Source:   ev.Source,

		Requested: true,
	}, ev)
}

// unanswered returns why a request without an answer gives no token.
func (a *Approvals) unanswered(ctx context.Context, by Caller, in jeton.TokenRequestPoll) error {
	w, err := a.own(ctx, by, in)
	if err != nil {
		return err
	}

	if _, err := a.poll.Begin(a.conf.Now(), hex.EncodeToString(w.Answer[:]), netip.Addr{}, false); err != nil {
		return err
	}

	return ErrWaiting
}

// own returns the request of a caller that waits. It returns errEnded if none does.
func (a *Approvals) own(ctx context.Context, by Caller, in jeton.TokenRequestPoll) (waiting, error) {
	t, err := a.conf.Tickets.Look(ctx, ticket.Request, ticket.Derive(requestOf, in.ID))
	switch {
	case errors.Is(err, jeton.ErrBadCredential), errors.Is(err, jeton.ErrSpent):
		// Answered by a session that has ended since, or expired.
		return waiting{}, errEnded
	case err != nil:
		return waiting{}, err
	}

	var w waiting
	if err := json.Unmarshal(t.Data, &w); err != nil {
		return waiting{}, fmt.Errorf("request for a token: %w", err)
	}
	mine := secret.HashOf(ticket.Derive(answerOf, in.Secret)) == w.Answer
	if !mine || w.By != by.actor() || w.Service != by.Service {
		return waiting{}, errEnded
	}

	return w, nil
}

// Withdraw ends a request of a caller that no longer waits for it, also if the user has approved it. It returns
// jeton.ErrNotFound for a request that has ended, whose token was handed out, or that is not the caller's.
func (a *Approvals) Withdraw(ctx context.Context, by Caller, in jeton.TokenRequestPoll) error {
	_, err := a.own(ctx, by, in)
	waits := err == nil
	if errors.Is(err, errEnded) {
		err = a.approved(ctx, by, in)
	}
	if err != nil {
		return err
	}

	// In this order: once the request is deleted, no answer to it can come, and one that came before is taken next.
	if err := a.conf.Tickets.Revoke(ctx, ticket.Request, ticket.Derive(requestOf, in.ID)); err != nil {
		return err
	}

	// As a poll takes the answer before it makes the token, only one of the two succeeds.
	text := ticket.Derive(answerOf, in.Secret)
	_, err = a.conf.Tickets.Take(ctx, ticket.Answered, text)
	switch {
	case errors.Is(err, jeton.ErrBadCredential) && waits:
		return nil // it has no answer
	case errors.Is(err, jeton.ErrBadCredential), errors.Is(err, jeton.ErrSpent):
		return errEnded
	case err != nil:
		return err
	}

	return a.conf.Tickets.Revoke(ctx, ticket.Answered, text)
}

// approved returns errEnded unless a request of a caller has an answer that was not collected.
func (a *Approvals) approved(ctx context.Context, by Caller, in jeton.TokenRequestPoll) error {
	t, err := a.conf.Tickets.Look(ctx, ticket.Answered, ticket.Derive(answerOf, in.Secret))
	switch {
	case errors.Is(err, jeton.ErrBadCredential), errors.Is(err, jeton.ErrSpent):
		return errEnded
	case err != nil:
		return err
	}

	var ans answer
	if err := json.Unmarshal(t.Data, &ans); err != nil {
		return fmt.Errorf("answer to a request for a token: %w", err)
	}
	if ans.Asker != by.actor() || ans.ID != in.ID || t.Service != by.Service {
		return errEnded
	}

	return nil
}
