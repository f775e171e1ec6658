package gate

import (
	"errors"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/signin"
	"github.com/jeton-auth/jeton/internal/web"
)

// Request is the request to judge.
type Request struct {
	Service   *Service
	Access    policy.Access
	Route     string // pattern in the route table
	Method    string
	Path      string
	Header    http.Header            // read, never changed
	Body      func() ([]byte, error) // nil where no credential is looked for in it
	Source    netip.Addr
	RequestID string
	Now       time.Time // when it arrived; Admit sets it to when the credential was judged

	// Repeat is the same for a request of another proxy and its repetitions, which take one use within ten seconds;
	// nil: it takes its own.
	Repeat []string

	looking bool // no use is taken: see Try
}

// Service is what the gate knows of a service.
type Service struct {
	Name     string
	Readers  []Reader         // asked in this order
	ReadBody bool             // one of the readers reads the body
	Allow    *policy.Allow    // users who may log in, and whose credentials are accepted; nil: all
	Grants   policy.Grants    // scopes of users
	Managers *signin.Managers // of whom routes that manage users require two factors; nil: of no user

	// Forwarded: another proxy passes the request on as it arrived, once it is admitted. A use pays for all that
	// the request can get there: HEAD takes one, and an Upgrade is refused, which could carry any number of requests.
	Forwarded bool
}

// NewRequest returns the request to judge for an HTTP request that is judged as it arrived.
func NewRequest(w *web.Reply, r *http.Request, service *Service, access policy.Access) Request {
	req := Request{
		Service:   service,
		Access:    access,
		Route:     r.Pattern,
		Method:    r.Method,
		Path:      r.URL.Path,
		Header:    r.Header,
		Source:    w.Source,
		RequestID: w.ID,
		Now:       w.Start,
		Repeat:    w.Repeat,
	}
	if service.ReadBody {
		// Several readers may look into the body, and it can be read from the connection once.
		req.Body = sync.OnceValues(func() ([]byte, error) { return web.BufferBody(w, r) })
	}

	return req
}

// requests are reused: Admit keeps none after it has returned.
var requests = sync.Pool{New: func() any { return new(Request) }}

// admission is what is known of a request that was admitted, in one allocation.
type admission struct {
	Decision
	remaining [1]string // value of the header
}

// AdmitHTTP judges an HTTP request as it arrived. The decision is then in From(w), and the
// reply says how many uses are left.
func (g *Gate) AdmitHTTP(w *web.Reply, r *http.Request, service *Service, access policy.Access) error {
	req := requests.Get().(*Request)
	*req = NewRequest(w, r, service, access)
	var err error
	a := &admission{}
	a.Decision, err = g.Admit(r.Context(), req)
	// The pool must not keep headers and bodies alive, in which there are secrets.
	*req = Request{}
	requests.Put(req)

	if a.counted {
		a.remaining[0] = strconv.FormatInt(a.left, 10)
		w.Header()[jeton.HeaderUsesRemaining] = a.remaining[:]
	} else if errors.Is(err, jeton.ErrSpent) {
		// A refusal comes without a decision, but here none left is certain.
		w.Header()[jeton.HeaderUsesRemaining] = []string{"0"}
	}

	if err != nil {
		return err
	}

	if a.counted || access.Counts() {
		// One use would pay for any number of messages over an upgraded connection.
		r.Header.Del("Upgrade")
	}

	w.Decision = &a.Decision

	return nil
}
