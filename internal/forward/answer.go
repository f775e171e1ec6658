package forward

import (
	"net/http"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/web"
)

// maxBody bounds the body of an answer, in bytes: a problem document or a short page.
const maxBody = 16 << 10

// verdict is the response to the request that was judged, before it becomes an answer to the proxy.
type verdict struct {
	header http.Header
	status int
	body   []byte
	long   bool // the body was longer than maxBody
}

// Header implements http.ResponseWriter.
func (v *verdict) Header() http.Header { return v.header }

// WriteHeader implements http.ResponseWriter.
func (v *verdict) WriteHeader(status int) {
	if v.status == 0 && status >= http.StatusOK {
		v.status = status
	}
}

// Write implements http.ResponseWriter.
func (v *verdict) Write(b []byte) (int, error) {
	v.WriteHeader(http.StatusOK)
	if len(v.body)+len(b) > maxBody {
		v.body, v.long = nil, true
	}
	if !v.long {
		v.body = append(v.body, b...)
	}

	return len(b), nil
}

// answerNginx answers auth_request of nginx, which knows 200, 401 and 403, and makes a 500 of everything else. A
// redirect is a 401 with Location, which its configuration delivers.
func answerNginx(w, inner *web.Reply, v *verdict) {
	switch {
	case inner.Passes && v.status == http.StatusOK:
	case v.status == http.StatusUnauthorized:
		v.header.Del("Location")
	case v.status == http.StatusSeeOther:
		v.status = http.StatusUnauthorized
	default:
		v.status = http.StatusForbidden
		v.header.Del("Location")
	}

	// nginx drops it.
	v.body = nil
	v.header.Del("Content-Type")
	v.write(w, inner.Passes)
}

// write sends the answer, with every header of the identity.
func (v *verdict) write(w *web.Reply, passes bool) {
	h := w.Header()
	for name, values := range v.header {
		h[name] = values
	}
	h.Del("Content-Length")

	for _, name := range web.IdentityHeaders {
		if !passes {
			h.Del(name)
		}
		h.Set(name, h.Get(name))
	}

	w.WriteHeader(v.status)
	_, _ = w.Write(v.body) // a proxy that has gone gets less
}

// answerRefusal answers a proxy that did not ask as it must.
func answerRefusal(c contract, w *web.Reply, r *http.Request, err error) {
	v := &verdict{header: http.Header{}}
	inner := &web.Reply{}
	inner.Reset(v, w.ID, w.Start, w.Source)
	if web.Problem(err).Status == http.StatusUnauthorized {
		err = jeton.ErrForbidden // there is no credential that would help
	}

	web.Fail(inner, r, err)
	w.Refused = inner.Refused
	c.answer(w, inner, v)
}
