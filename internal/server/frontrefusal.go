package server

import (
	"errors"
	"net/http"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/web"
)

// advised is a refusal of a listener with what the operator may change. Only the log has it: callers get the outcome
// alone, which says nothing about the configuration.
type advised struct {
	error
	fix string
}

// Unwrap returns the outcome.
func (a advised) Unwrap() error { return a.error }

// frontRefusals returns a limit for refusals of listeners.
func frontRefusals() *logLimit { return &logLimit{most: 10, every: time.Minute} }

// advise logs a refusal of a request that has no service yet, if there is something to change.
func (f *front) advise(w *web.Reply, r *http.Request, err error) {
	var a advised
	if f.refusals == nil || !errors.As(err, &a) {
		return
	}

	ok, skipped := f.refusals.allows(f.now())
	if !ok {
		return
	}

	f.log.Warn(
		"request refused before it had a service",
		"source", web.AddressText(w.Source),
		"outcome", jeton.Code(err),
		"fix", a.fix,
		"peer", peer(r),
		"host", r.Host,
		"forwarded_host", r.Header.Get("X-Forwarded-Host"),
		"skipped", skipped, // not logged since the last line
		"request_id", w.ID,
	)
}
