package web

import (
	"github.com/jeton-auth/jeton/internal/policy"
	"net/http"
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
