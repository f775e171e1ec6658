package web

import (
	"net/http"
	"strings"

	"github.com/jeton-auth/jeton/internal/policy"
)

// Route is an entry of the route table. There is no other way to answer a request.
type Route struct {
	Pattern string // as http.ServeMux reads it
	// Configured is set for a pattern of the configuration: it is matched with the path as the
	// upstreams of the service read it.
	Configured bool
	Access     policy.Access
	Handle     Handler
	// MaxBody is the maximum length of the body in bytes; 0: no limit. One whose length is announced is refused before
	// the gate is asked; the handler limits others.
	MaxBody int64
	// BufferBody reads the body, of at most 64 KiB, before the gate is asked.
	BufferBody bool
	// Refuse answers a refusal or any other error of this route. Nil is Fail.
	Refuse Refuser
}

// Handler answers a request and returns its error. It sets no status for an error, logs nothing
// and does not check who the caller is. It is called by many goroutines at once.
type Handler func(w *Reply, r *http.Request) error

// Refuser answers a request that err refuses.
type Refuser func(w *Reply, r *http.Request, err error)

// ExactPath returns the pattern that matches a path alone, even if the path ends in a slash.
func ExactPath(path string) string {
	// http.ServeMux takes a pattern that ends in a slash for every path below it.
	if strings.HasSuffix(path, "/") {
		return path + "{$}"
	}
	return path
}
