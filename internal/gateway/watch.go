package gateway

import (
	"context"
	"errors"
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
	if ctx.Err() == nil {
		return nil
	}

	var ended endedError
	if errors.As(context.Cause(ctx), &ended) {
		return ended
	}

	return nil
}

// gonePatience bounds how long an upstream works for a client that sends no more and gets nothing: it may have gone.
// That is noticed within twice this time.
const gonePatience = time.Minute

// watched is what is known of a request that is looked at from time to time.
type watched struct {
	timer  *time.Timer // of the first look
	every  time.Duration
	waited time.Duration // since the last look at the client
	client web.Departure
}

// watch ends a request when its credential ends, or its client has gone. It is a timer and no goroutine: most requests
// end before it fires.
func (in *forwarded) watch() {
	in.watched.every = watchEvery
	if in.upstream.access.IsOpen() {
		in.watched.every = gonePatience
	}
	in.watched.timer = time.AfterFunc(in.watched.every, in.look)
}

// unwatch ends the watch when the response is complete. If the credential ended it, the log of requests says why.
func (in *forwarded) unwatch() {
	in.watched.timer.Stop()

	ended := ofCredential(in)
	if ended != nil {
		in.reply.Refused = jeton.Code(ended)
	}
}

// look judges the request again. It does so until the request has ended.
func (in *forwarded) look() {
	if in.Err() != nil {
		return
	}

	in.watched.waited += in.watched.every
	if in.watched.waited >= gonePatience {
		in.watched.waited = 0
		if in.watched.client.Look(in.reply) {
			in.end(nil)
			return
		}
	}

	if in.upstream.access.IsOpen() || in.mayGoOn() {
		time.AfterFunc(in.watched.every, in.look)
	}
}

// mayGoOn judges the credential again, and ends the request if that does not open the route any more.
func (in *forwarded) mayGoOn() bool {
	u := in.upstream
	err := u.gate.Recheck(in, in.reply, in.request, u.service, u.access)
	switch {
	case in.Err() != nil:
		return false
	// Busy says nothing about the credential: it is looked at again.
	case err == nil, errors.Is(err, jeton.ErrBusy):
		return true
	}

	in.end(endedError{err})
	u.log.Info("a request in progress ended with its credential", "service", u.service.Name,
		"outcome", jeton.Code(err), "request_id", in.reply.ID)

	return false
}
