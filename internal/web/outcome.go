package web

import (
	"encoding/json"
	"errors"
	"log/slog"
	"math"
	"net/http"
	"strconv"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/secret"
)

// outcomes maps each outcome to its status and title, once.
var outcomes = []struct {
	err    error
	status int
	title  string
}{
	{jeton.ErrNoCredential, http.StatusUnauthorized, "Authentication required"},
	{jeton.ErrBadCredential, http.StatusUnauthorized, "The credential is not valid"},
	{jeton.ErrAmbiguous, http.StatusBadRequest, "More than one credential"},
	{jeton.ErrExpired, http.StatusUnauthorized, "The credential has expired"},
	{jeton.ErrTooEarly, http.StatusUnauthorized, "The credential is not valid yet"},
	{jeton.ErrSpent, http.StatusForbidden, "No uses are left"},
	{jeton.ErrForbidden, http.StatusForbidden, "Not allowed"},
	{jeton.ErrScope, http.StatusForbidden, "The scopes of the token are not enough"},
	{jeton.ErrProof, http.StatusForbidden, "A recent login or the current password is required"},
	{jeton.ErrFactor, http.StatusUnauthorized, "A second factor or a newer sign-in is required"},
	{jeton.ErrRelogin, http.StatusForbidden, "The terms do not permit another login now"},
	{jeton.ErrSessionsFull, http.StatusForbidden, "Too many sessions are open"},
	{jeton.ErrTokensFull, http.StatusForbidden, "Too many tokens exist"},
	{jeton.ErrTooMany, http.StatusTooManyRequests, "Too many attempts"},
	{jeton.ErrBusy, http.StatusServiceUnavailable, "Busy"},
	{jeton.ErrUnavailable, http.StatusServiceUnavailable, "Unavailable"},
	{jeton.ErrNotFound, http.StatusNotFound, "Not found"},
	{jeton.ErrMethod, http.StatusMethodNotAllowed, "Method not allowed"},
	{jeton.ErrConflict, http.StatusConflict, "Conflict"},
	{jeton.ErrChanged, http.StatusPreconditionFailed, "The resource has changed"},
	{jeton.ErrDeclared, http.StatusConflict, "Declared in the configuration file"},
	{jeton.ErrInvalid, http.StatusBadRequest, "Invalid request"},
	{jeton.ErrTooLarge, http.StatusRequestEntityTooLarge, "Too large"},
	{jeton.ErrMediaType, http.StatusUnsupportedMediaType, "Unsupported media type"},
	{jeton.ErrMisdirected, http.StatusMisdirectedRequest, "No service here has this host name"},
	{jeton.ErrUpstream, http.StatusBadGateway, "The service did not answer"},
}

// Problem returns the problem details that a caller gets for an error. An error that is not an outcome of
// package jeton is a bare 500.
func Problem(err error) jeton.Problem {
	for _, o := range outcomes {
		if errors.Is(err, o.err) {
			return jeton.Problem{
				Type:   "about:blank",
				Title:  o.title,
				Status: o.status,
				Code:   jeton.Code(err),
				Detail: jeton.Detail(err),
			}
		}
	}

	return jeton.Problem{
		Type:   "about:blank",
		Title:  "Internal error",
		Status: http.StatusInternalServerError,
		Code:   jeton.CodeInternal,
	}
}

// Mark sets the headers that every error response has, whatever its body, and returns the problem
// details.
func Mark(w *Reply, err error) jeton.Problem {
	p := Problem(err)
	p.Request = w.ID
	w.Refused = p.Code
	h := w.Header()
	// A refusal is about this caller at this moment: no cache may keep it for another one.
	h[jeton.HeaderError] = []string{p.Code}
	h["Cache-Control"] = noStore

	// Rounded up: a client that is a second early is refused again.
	if wait, ok := jeton.RetryAfter(err); ok {
		h["Retry-After"] = []string{strconv.Itoa(int(math.Ceil(wait.Seconds())))}
	} else if p.Status == http.StatusServiceUnavailable {
		h["Retry-After"] = []string{"1"}
	}

	return p
}

// Fail writes a response for an error, as problem details (RFC 9457).
func Fail(w *Reply, _ *http.Request, err error) {
	p := Mark(w, err)
	b, merr := json.Marshal(p)
	if merr != nil {
		b = []byte("{}") // a Problem always encodes
	}

	h := w.Header()
	h["Content-Type"] = typeProblem
	h["X-Content-Type-Options"] = noSniff
	w.WriteHeader(p.Status)
	_, _ = w.Write(append(b, '\n'))
}

// Log logs an error that the operator can do something about. Refusals are in the audit log
// instead, and a busy server would fill the log.
func Log(w *Reply, log *slog.Logger, r *http.Request, err error) {
	if Problem(err).Status < http.StatusInternalServerError || errors.Is(err, jeton.ErrBusy) {
		return
	}
	if r.Context().Err() != nil {
		return // the client has gone; any client could fill the log by hanging up
	}

	log.Error(
		"request failed",
		"request_id", w.ID,
		"method", r.Method,
		"path", secret.RedactPath(r.URL.Path),
		"error", err,
	)
}
