package wallet

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jeton-auth/jeton"
)

// The paths at which a Jeton service takes requests for tokens.
const (
	tokenRequestPath = "/.jeton/token/requests"
	tokenPollPath    = "/.jeton/token/requests/poll"
)

// TokenRequest is a request for a token that its user has to approve. Its methods are safe for concurrent use.
type TokenRequest struct {
	at    endpoint
	asked jeton.TokenRequested
}

// RequestToken asks a user for a token at the service of the identity: the user of the identity, or the one that a
// client names. It returns jeton.ErrTooMany if too many requests wait, jeton.ErrNotFound if the service takes none, and
// the errors of RoundTrip.
func (id *Identity) RequestToken(ctx context.Context, in jeton.TokenRequest) (*TokenRequest, error) {
	at, err := id.endpoint()
	if err != nil {
		return nil, err
	}

	return requestToken(ctx, in, at)
}

// RequestTokenWith is RequestToken with a token for the service, as a job has it. caCert is the certificate to trust,
// in PEM; "": those of the system.
func (w *Wallet) RequestTokenWith(
	ctx context.Context,
	rawURL string,
	token jeton.Secret,
	caCert string,
	in jeton.TokenRequest,
) (*TokenRequest, error) {
	at, err := w.endpointWith(rawURL, token, caCert)
	if err != nil {
		return nil, err
	}

	return requestToken(ctx, in, at)
}

func requestToken(ctx context.Context, in jeton.TokenRequest, at endpoint) (*TokenRequest, error) {
	var asked jeton.TokenRequested
	if err := at.post(ctx, at.maker, tokenRequestPath, in, &asked); err != nil {
		return nil, fmt.Errorf("request a token at %s: %w", at.origin, err)
	}
	if asked.Secret == "" || !shown(asked.ID, 64) {
		return nil, jeton.WithDetail(jeton.ErrInvalid, string(at.origin)+" answered with an invalid request")
	}

	return &TokenRequest{at, asked}, nil
}

// ID returns the handle by which the user finds the request.
func (r *TokenRequest) ID() string { return r.asked.ID }

// Waits returns for how long the request waits for the user.
func (r *TokenRequest) Waits() time.Duration { return time.Duration(r.asked.Seconds) * time.Second }

// Withdraw ends the request: the user no longer sees it, and if the user has approved it, the token is not made. It
// returns jeton.ErrNotFound if the request has ended, or the token was handed out.
func (r *TokenRequest) Withdraw(ctx context.Context) error {
	in := jeton.TokenRequestPoll{ID: r.asked.ID, Secret: r.asked.Secret, Withdraw: true}

	var out struct{}
	if err := r.at.post(ctx, r.at.maker, tokenPollPath, in, &out); err != nil {
		return fmt.Errorf("withdraw request %s at %s: %w", r.asked.ID, r.at.origin, err)
	}

	return nil
}

// Wait returns the token when the user has approved it. It returns jeton.ErrForbidden if the user refuses,
// jeton.ErrNotFound if the request ends without an answer, and the error of ctx.
func (r *TokenRequest) Wait(ctx context.Context) (jeton.Token, jeton.Secret, error) {
	every := time.Duration(r.asked.Interval) * time.Second
	poll := jeton.TokenRequestPoll{ID: r.asked.ID, Secret: r.asked.Secret}

	for {
		every = min(max(every, pollLeast), pollMost)
		timer := time.NewTimer(every)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return jeton.Token{}, jeton.Secret{}, fmt.Errorf("wait for the user: %w", ctx.Err())
		}

		var out jeton.TokenHandedOut
		err := r.at.post(ctx, r.at.maker, tokenPollPath, poll, &out)
		switch {
		case errors.Is(err, jeton.ErrTooMany):
			every += pollEvery
		case errors.Is(err, jeton.ErrUnavailable), errors.Is(err, jeton.ErrBusy):
			// The request waits for longer than a restart.
		case err != nil:
			return jeton.Token{}, jeton.Secret{}, fmt.Errorf("request %s at %s: %w", r.asked.ID, r.at.origin, err)
		case out.Secret == "":
			// The user has not answered yet.
		case checkToken(out.Secret) != nil:
			return jeton.Token{}, jeton.Secret{}, jeton.WithDetail(
				jeton.ErrInvalid, string(r.at.origin)+" answered with an invalid token",
			)
		default:
			return out.Token, jeton.NewSecret(out.Secret), nil
		}
	}
}
