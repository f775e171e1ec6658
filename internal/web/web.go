// Package web is how Jeton speaks HTTP: routes with their access beside them, handlers
// that return errors, and the one place that knows which outcome is which status.
//
// It promises that an error which is not one of package jeton's outcomes reaches a
// caller as a bare 500 with the id of the request, and the operator in full; that
// bodies are bounded and strictly read; and that every refusal names its outcome in
// the header Jeton-Error. Who may ask is judged by internal/gate, and what is
// answered by the doors.
package web

import (
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"math"
	"mime"
	"net/http"
	"net/netip"
	"strconv"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/policy"
)

// Route is a row of the route table: there is no other way to answer a request.
type Route struct {
	Pattern string // as http.ServeMux reads it
	Access  policy.Access
	Handle  Handler
	// BufferBody reads the body, of 64 KiB at most, before the gate is asked.
	BufferBody bool
	// Refuse phrases a refusal, or any other error of this route. Nil is Fail.
	Refuse func(w *Reply, r *http.Request, err error)
}

// Handler answers a request and returns its error. It reads, does, answers; it sets no
// status on an error, logs nothing and does not ask who is calling.
type Handler func(w *Reply, r *http.Request) error

// Reply is the answer to one request, with what the server knows about the request
// beside it. It is used by one goroutine at a time.
type Reply struct {
	http.ResponseWriter
	ID       string     // of the request
	Start    time.Time  // when it came
	Source   netip.Addr // who sent it, after trusted proxies; invalid on a Unix socket
	Decision any        // what internal/gate let it through with

	status int
	bytes  int64
}

// Reset makes w the answer of another request.
func (w *Reply) Reset(to http.ResponseWriter, id string, start time.Time, source netip.Addr) {
	*w = Reply{
		ResponseWriter: to,
		ID:             id,
		Start:          start,
		Source:         source,
	}
}

// WriteHeader notes the status.
func (w *Reply) WriteHeader(status int) {
	if w.status == 0 || w.status < 200 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write counts the bytes.
func (w *Reply) Write(b []byte) (int, error) {
	if w.status < 200 {
		w.status = http.StatusOK
	}

	n, err := w.ResponseWriter.Write(b)
	w.bytes += int64(n)

	return n, err
}

// Unwrap lets http.ResponseController reach the connection.
func (w *Reply) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Status returns the status that was answered, or 0 when none was.
func (w *Reply) Status() int { return w.status }

// Bytes returns how much body was answered.
func (w *Reply) Bytes() int64 { return w.bytes }

// Header values that never change are shared, so that setting one takes no memory.
var (
	typeJSON    = []string{"application/json"}
	typeProblem = []string{"application/problem+json"}
	noStore     = []string{"no-store"}
	noSniff     = []string{"nosniff"}
)

// JSON answers with a document.
func JSON(w http.ResponseWriter, status int, document any) error {
	b, err := json.Marshal(document)
	if err != nil {
		return err
	}

	h := w.Header()
	h["Content-Type"] = typeJSON
	h["Cache-Control"] = noStore
	h["X-Content-Type-Options"] = noSniff
	w.WriteHeader(status)

	_, _ = w.Write(append(b, '\n'))

	return nil
}

// NoContent answers with nothing but success.
func NoContent(w http.ResponseWriter) error {
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// maxBody bounds the bodies that we read ourselves, in bytes.
const maxBody = 64 << 10

// Read reads a JSON document strictly: one document, no unknown members, at most 64 KiB.
func Read[T any](r *http.Request) (T, error) {
	var in T

	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "application/json" {
		return in, jeton.WithDetail(jeton.ErrMediaType, "send application/json")
	}

	d := json.NewDecoder(http.MaxBytesReader(nil, r.Body, maxBody))
	d.DisallowUnknownFields()

	if err := d.Decode(&in); err != nil {
		return in, readError(err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return in, jeton.WithDetail(jeton.ErrInvalid, "more than one JSON document")
	}

	return in, nil
}

func readError(err error) error {
	var large *http.MaxBytesError
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &large):
		return jeton.WithDetail(jeton.ErrTooLarge, "the body is over "+strconv.Itoa(maxBody>>10)+" KiB")
	case errors.As(err, &kind):
		return jeton.WithDetail(jeton.ErrInvalid, "member "+strconv.Quote(kind.Field)+": want "+kind.Type.String())
	case errors.Is(err, io.EOF):
		return jeton.WithDetail(jeton.ErrInvalid, "the body is empty")
	}

	// A syntax error or an unknown member; the decoder's words hold no value of the body.
	return jeton.WithDetail(jeton.ErrInvalid, err.Error())
}

// replies maps each outcome to its status, once.
var replies = []struct {
	err    error
	status int
	title  string
}{
	{jeton.ErrNoCredential, http.StatusUnauthorized, "Log in first"},
	{jeton.ErrBadCredential, http.StatusUnauthorized, "The credential is not valid"},
	{jeton.ErrAmbiguous, http.StatusBadRequest, "More than one credential"},
	{jeton.ErrExpired, http.StatusUnauthorized, "The credential has expired"},
	{jeton.ErrTooEarly, http.StatusUnauthorized, "The credential is not valid yet"},
	{jeton.ErrSpent, http.StatusForbidden, "No uses are left"},
	{jeton.ErrForbidden, http.StatusForbidden, "Not allowed"},
	{jeton.ErrScope, http.StatusForbidden, "The scopes of the token are not enough"},
	{jeton.ErrRelogin, http.StatusForbidden, "The terms do not permit another login now"},
	{jeton.ErrSessionsFull, http.StatusForbidden, "As many sessions as permitted are open"},
	{jeton.ErrTooMany, http.StatusTooManyRequests, "Too many attempts"},
	{jeton.ErrBusy, http.StatusServiceUnavailable, "Busy"},
	{jeton.ErrUnavailable, http.StatusServiceUnavailable, "Unavailable"},
	{jeton.ErrNotFound, http.StatusNotFound, "Not found"},
	{jeton.ErrMethod, http.StatusMethodNotAllowed, "Method not allowed"},
	{jeton.ErrConflict, http.StatusConflict, "Conflict"},
	{jeton.ErrChanged, http.StatusPreconditionFailed, "Changed meanwhile"},
	{jeton.ErrDeclared, http.StatusConflict, "Declared in the configuration file"},
	{jeton.ErrInvalid, http.StatusBadRequest, "Invalid request"},
	{jeton.ErrTooLarge, http.StatusRequestEntityTooLarge, "Too large"},
	{jeton.ErrMediaType, http.StatusUnsupportedMediaType, "Unsupported media type"},
	{jeton.ErrUpstream, http.StatusBadGateway, "The service did not answer"},
}

// Problem returns what a caller is told of an error.
func Problem(err error) jeton.Problem {
	for _, r := range replies {
		if errors.Is(err, r.err) {
			return jeton.Problem{
				Type:   "about:blank",
				Title:  r.title,
				Status: r.status,
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

// Mark sets the headers that every error answer has, whatever its body, and returns
// the problem that it is.
func Mark(w *Reply, err error) jeton.Problem {
	p := Problem(err)
	p.Request = w.ID
	h := w.Header()
	h[jeton.HeaderError] = []string{p.Code}
	h["Cache-Control"] = noStore

	if wait, ok := jeton.RetryAfter(err); ok {
		h["Retry-After"] = []string{strconv.Itoa(int(math.Ceil(wait.Seconds())))}
	} else if p.Status == http.StatusServiceUnavailable {
		h["Retry-After"] = []string{"1"}
	}

	return p
}

// Fail answers an error as problem details (RFC 9457).
func Fail(w *Reply, _ *http.Request, err error) {
	p := Mark(w, err)
	b, merr := json.Marshal(p)
	if merr != nil {
		b = []byte("{}")
	}

	h := w.Header()
	h["Content-Type"], h["X-Content-Type-Options"] = typeProblem, noSniff
	w.WriteHeader(p.Status)
	_, _ = w.Write(append(b, '\n'))
}

// Log tells the operator about an error that is ours to mend. Refusals are not: they are
// in the record. Neither is being busy, which comes in floods.
func Log(w *Reply, log *slog.Logger, r *http.Request, err error) {
	if Problem(err).Status < http.StatusInternalServerError || errors.Is(err, jeton.ErrBusy) {
		return
	}
	if r.Context().Err() != nil {
		return // the client has gone; strangers can do that as often as they like
	}

	log.Error("request failed", "request_id", w.ID, "method", r.Method, "path", ShownPath(r.URL.Path), "error", err)
}
