package gateway

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/web"
)

// watchEvery is how often the credential of a request in progress is checked again. A session that ends takes its
// WebSockets, streams of events and downloads with it, within this time after the end has been answered.
const watchEvery = 200 * time.Millisecond

// endedError ends a request in progress: its credential does not open the route any more.
type endedError struct{ error }

// Unwrap returns the outcome.
func (e endedError) Unwrap() error { return e.error }

// ofCredential returns why the credential of a request ended it, or nil if it did not.
func ofCredential(ctx context.Context) error {
	var ended endedError
	if errors.As(context.Cause(ctx), &ended) {
		return ended
	}

	return nil
}

// watched is a request in progress.
type watched struct {
	upstream *upstream
	ctx      context.Context
	reply    *web.Reply
	request  *http.Request
	end      context.CancelCauseFunc
}

// watch ends a request when its credential ends. The caller calls stop when the response is complete; then the reason
// is in the log of requests.
func (u *upstream) watch(
	ctx context.Context,
	w *web.Reply,
	r *http.Request,
	end context.CancelCauseFunc,
) (stop func()) {
	if u.access.IsOpen() {
		return func() {}
	}

	// A timer and no goroutine: most requests end before it fires.
	at := &watched{u, ctx, w, r, end}
	timer := time.AfterFunc(watchEvery, at.check)

	return func() {
		timer.Stop()
		ended := ofCredential(ctx)
		if ended != nil {
			w.Refused = jeton.Code(ended)
		}
	}
}

// check judges the request again. It does so until the request has ended.
func (a *watched) check() {
	if a.ctx.Err() != nil {
		return
	}

	u := a.upstream
	err := u.gate.Recheck(a.ctx, a.reply, a.request, u.service, u.access)
	switch {
	case a.ctx.Err() != nil:
	// Busy says nothing about the credential: it is looked at again.
	case err == nil, errors.Is(err, jeton.ErrBusy):
		time.AfterFunc(watchEvery, a.check)
	default:
		a.end(endedError{err})
		u.log.Info("a request in progress ended with its credential", "service", u.service.Name,
			"outcome", jeton.Code(err), "request_id", a.reply.ID)
	}
}
