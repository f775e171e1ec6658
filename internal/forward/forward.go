// Package forward decides for other proxies (forward-auth): they ask before they pass a request on.
//
// A request passes only if the service's own routes admit it, judged as if it had arrived at a listener of Jeton. What
// a proxy does not send exactly as its configuration has it is refused: a header that is missing, sent twice, or of
// another proxy. Every answer has all headers of the identity, so that none of a client is left.
//
// A new proxy is a row of contracts with its reader (contract.go), an answer (answer.go), a template in folder proxies,
// and its name in Kinds (proxy.go). Package server needs no change.
//
// Packages gateway and gate judge; package server names the services, and has the listener.
//
// # Files
//
//	forward.go           the handler: from a request of a proxy to the answer
//	contract.go, ask.go  how each proxy asks; from its headers to the request to judge
//	answer.go            the answer in the form of each proxy
//	check.go, grpc.go    Envoy over gRPC: the call, and its messages
//	proxy.go             the configuration of a proxy for a service, from a template
//	apache.go, envoy.go  what the templates of Apache and Envoy need
//	alias.go             headers in which other products name the caller
package forward

import (
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/secret"
	"github.com/jeton-auth/jeton/internal/web"
)

// Name is the name of the listener in the route table and in the audit log, for requests without a service.
const Name = "forward"

// Prefix is what the paths of the decisions begin with, but for those that other products have. Every other path is a
// page of a service.
const Prefix = "/authz/"

// Service is a service that another proxy serves.
type Service struct {
	Name string
	URL  string // address that browsers use: scheme and host
	// Judge answers a request by the routes of the service. It sets Passes on the reply if the proxy may pass the
	// request on.
	Judge func(w *web.Reply, r *http.Request)
	// Own answers the paths of Jeton at the service, such as those of a sign-in, which the proxy passes on.
	Own func(w *web.Reply, r *http.Request)
}

// Config is what New needs.
type Config struct {
	Services []Service
	Proxies  web.Proxies // that may ask; a proxy at a Unix socket always may
	Record   func(jeton.Event)
	Log      *slog.Logger
}

// Forward answers other proxies. It is safe for concurrent use.
type Forward struct {
	services map[string]Service // by origin
	proxies  web.Proxies
	record   func(jeton.Event)
	log      *slog.Logger
}

// New returns the answers for services whose addresses have been checked.
func New(c Config) (*Forward, error) {
	f := &Forward{
		services: map[string]Service{},
		proxies:  c.Proxies,
		record:   c.Record,
		log:      c.Log,
	}

	for _, s := range c.Services {
		u, err := url.Parse(s.URL)
		if err != nil {
			return nil, err
		}
		f.services[web.OriginAt(u.Scheme, u.Host, "").String()] = s
	}

	return f, nil
}

// Paths returns the paths at which proxies ask.
func Paths() []string {
	var list []string
	for _, c := range contracts {
		list = append(list, c.path)
	}
	return append(list, checkPath)
}

// Answers reports whether a proxy asks for a decision at a path.
func Answers(path string) bool { return contractAt(path).path != "" }

// ServeHTTP answers a proxy. It sets on the reply where the request came from. For the log it returns the request that
// was judged, and the name of its service or Name.
func (f *Forward) ServeHTTP(w *web.Reply, r *http.Request) (judged *http.Request, service string) {
	switch {
	case isCheck(r):
		return f.serveCheck(w, r)
	case !strings.HasPrefix(r.URL.Path, Prefix) && r.URL.Path != oauth2Path:
		return f.serveOwn(w, r)
	}

	return f.decide(contractAt(r.URL.Path), w, r)
}

// decision is a request that is being judged.
type decision struct {
	inner   web.Reply // to it
	verdict verdict   // which inner is written to
	repeat  [repeatParts]string
}

// decide answers a proxy that asks by a contract.
func (f *Forward) decide(c *contract, w *web.Reply, r *http.Request) (judged *http.Request, service string) {
	a, err := f.ask(c, r)
	if err != nil {
		w.Source = f.proxies.Source(r)
		f.refuse(w, r, a, err)
		answerRefusal(c, w, r, err)

		return r, Name
	}

	// One allocation for all that belongs to a decision.
	d := &decision{verdict: newVerdict(c, w)}
	inner, v := &d.inner, &d.verdict
	inner.Reset(v, w.ID, w.Start, a.source)
	inner.Origin = a.origin
	inner.Client = w.Client
	inner.Repeat = a.repeat(r, &d.repeat)

	a.service.Judge(inner, a.request)

	w.Source = a.source
	w.Decision = inner.Decision
	w.Route = inner.Route
	w.Refused = inner.Refused
	c.answer(w, inner, v)

	return a.request, a.service.Name
}

// serveOwn answers a path of Jeton at a service. The proxy sends where the request arrived in X-Forwarded headers.
func (f *Forward) serveOwn(w *web.Reply, r *http.Request) (judged *http.Request, service string) {
	a := asked{target: r.URL.RequestURI()}
	err := f.readOwn(r, &a)
	if err != nil {
		w.Source, w.Origin = f.proxies.Source(r), f.proxies.Origin(r)
		f.refuse(w, r, a, err)
		web.Fail(w, r, err)

		return r, Name
	}

	w.Source, w.Origin = a.source, a.origin
	a.service.Own(w, r)

	return r, a.service.Name
}

// readOwn reads where a request for a path of Jeton at a service arrived.
func (f *Forward) readOwn(r *http.Request, a *asked) error {
	if err := f.trusts(r); err != nil {
		return err
	}

	err := exactly(r.Header, []string{headerProto, headerHost, headerFor})
	if err != nil {
		return err
	}

	a.method = r.Method
	a.scheme, a.host = r.Header.Get(headerProto), r.Header.Get(headerHost)
	if a.scheme == "" {
		return jeton.WithDetail(jeton.ErrInvalid, headerProto+" is empty")
	}
	if err := checkRequest(r); err != nil {
		return err
	}

	return f.place(r, a)
}

// refuse records why a proxy was refused. The reason is the operator's: it names what to change in the proxy.
func (f *Forward) refuse(w *web.Reply, r *http.Request, a asked, err error) {
	name := Name
	if a.service.Name != "" {
		name = a.service.Name
	}

	path, _, _ := strings.Cut(a.target, "?")
	target := r.URL.Path
	if path != "" && path != target {
		target += " for " + a.method + " " + path
	}

	f.record(jeton.Event{
		Time:    w.Start,
		Request: w.ID,
		Action:  audit.Request,
		Target:  secret.RedactPath(bounded(target)),
		Service: name,
		Outcome: jeton.Code(err),
		Reason:  bounded(err.Error()),
		Source:  web.AddressText(peer(r)),
	})
}

// bounded returns the beginning of a text that the other side chose.
func bounded(text string) string {
	const most = 500
	if len(text) > most {
		text = text[:most]
	}
	return strings.ToValidUTF8(text, "?")
}

// trusts returns jeton.ErrForbidden for a peer that may not ask.
func (f *Forward) trusts(r *http.Request) error {
	from := peer(r)
	if from.IsValid() && !f.proxies.Trusts(from) {
		return jeton.WithDetail(jeton.ErrForbidden, "the peer "+from.String()+" is not in forward.trusted_proxies")
	}
	return nil
}

// peer returns the address of the proxy, or the zero address on a Unix socket.
func peer(r *http.Request) netip.Addr {
	a, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return a.Addr().Unmap().WithZone("")
}
