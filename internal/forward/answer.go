package forward

import (
	"net/http"
	"strings"

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

// newVerdict returns a verdict without a status, for a proxy that asks by a contract.
func newVerdict(c *contract, w *web.Reply) verdict {
	// gRPC has the answer in its message, and headers of its own.
	if c.path == checkPath {
		return verdict{header: http.Header{}}
	}
	return verdict{header: w.Header()}
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
	refuse(inner, v)
	switch {
	case inner.Passes:
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

// answerOAuth2 is answerNginx with the status and the headers of oauth2-proxy.
func answerOAuth2(w, inner *web.Reply, v *verdict) {
	known := map[string]string{
		"user":   v.header.Get(web.HeaderUser),
		"groups": v.header.Get(web.HeaderGroups),
		"email":  v.header.Get(web.HeaderEmail),
	}
	for _, a := range products["oauth2-proxy"] {
		value := ""
		if inner.Passes {
			value = known[a.Of]
		}
		if strings.HasPrefix(a.Name, "X-Auth-Request-") {
			v.header.Set(a.Name, value)
		}
	}

	// Before the status is another one: only 200 of an admitted request is an admission.
	refuse(inner, v)
	if inner.Passes {
		v.status = http.StatusAccepted
		v.body = nil
		v.write(w, true)

		return
	}

	answerNginx(w, inner, v)
}

// answerWhole answers a proxy that takes 2xx for yes, and hands every other response to the client as it is.
func answerWhole(w, inner *web.Reply, v *verdict) {
	refuse(inner, v)
	v.write(w, inner.Passes)
}

// answerTraefik answers forwardAuth of Traefik, which cannot pass a header on under another name: Cookie has what
// Jeton-Cookie has.
func answerTraefik(w, inner *web.Reply, v *verdict) {
	refuse(inner, v)
	cookie := v.header.Get(web.HeaderCookie)
	if inner.Passes && cookie != "" {
		v.header.Set(headerCookie, cookie)
	}

	v.write(w, inner.Passes)
}

// refuse makes an answer that is no admission one that no proxy takes for it.
func refuse(inner *web.Reply, v *verdict) {
	if inner.Passes && v.status == http.StatusOK {
		return
	}
	inner.Passes = false

	// Such as the answer to OPTIONS, which Jeton gives itself: it is not for the proxy to pass on.
	if v.status < http.StatusMultipleChoices {
		v.status, v.body = http.StatusForbidden, nil
	}

	// Some proxies resolve a relative address against our own.
	location := v.header.Get("Location")
	if strings.HasPrefix(location, "/") {
		v.header.Set("Location", inner.Origin.String()+location)
	}
}

// The names with which Envoy removes and sets headers of the request.
const (
	headerEnvoyRemove = "X-Envoy-Auth-Headers-To-Remove"
	headerCookie      = "Cookie"
)

// envoyRemoves are the headers that give the caller under other names, in every spelling. Over HTTP, Envoy sends none
// of them here, so that they cannot be refused.
var envoyRemoves = func() string {
	var list []string
	for _, name := range web.IdentityHeaders {
		list = append(list, strings.ToLower(strings.ReplaceAll(name, "-", "_")))
	}
	for _, product := range Products() {
		for _, a := range products[product] {
			if a.Of != "" {
				list = append(list, spellings(strings.ToLower(a.Name))...)
			}
		}
	}

	return strings.Join(list, ",")
}()

// answerEnvoy answers ext_authz of Envoy, which takes 200 for yes. It applies no empty value, so the answer names the
// headers to remove.
func answerEnvoy(w, inner *web.Reply, v *verdict) {
	refuse(inner, v)
	if !inner.Passes {
		v.write(w, false)
		return
	}

	remove := []string{"authorization", envoyRemoves}
	for _, name := range web.IdentityHeaders {
		if v.header.Get(name) == "" {
			v.header.Del(name)
			remove = append(remove, strings.ToLower(name))
		}
	}

	cookie := v.header.Get(web.HeaderCookie)
	if cookie == "" {
		remove = append(remove, "cookie")
	} else {
		v.header.Set(headerCookie, cookie)
	}

	v.header.Set(headerEnvoyRemove, strings.Join(remove, ","))
	v.send(w)
}

// write sends the answer, with every header of the identity.
func (v *verdict) write(w *web.Reply, passes bool) {
	for _, name := range web.IdentityHeaders {
		if !passes || len(v.header[name]) != 1 {
			v.header[name] = noValue
		}
	}

	v.send(w)
}

// noValue is a header without a value. It is shared by all answers, and never changed.
var noValue = []string{""}

// send sends the answer as it is.
func (v *verdict) send(w *web.Reply) {
	delete(v.header, "Content-Length")

	w.WriteHeader(v.status)
	_, _ = w.Write(v.body) // a proxy that has gone gets less
}

// answerRefusal answers a proxy that did not ask as it must.
func answerRefusal(c *contract, w *web.Reply, r *http.Request, err error) {
	v := newVerdict(c, w)
	inner := &web.Reply{}
	inner.Reset(&v, w.ID, w.Start, w.Source)
	if web.Problem(err).Status == http.StatusUnauthorized {
		err = jeton.ErrForbidden // there is no credential that would help
	}

	web.Fail(inner, r, err)
	w.Refused = inner.Refused
	c.answer(w, inner, &v)
}
