package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"slices"
	"strings"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/account"
	"github.com/jeton-auth/jeton/internal/balance"
	"github.com/jeton-auth/jeton/internal/config"
	"github.com/jeton-auth/jeton/internal/gate"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/web"
)

// upstream forwards requests to the upstream of one route.
type upstream struct {
	conf     config.Upstream
	paths    web.Paths // how the upstream reads them
	accounts *account.Accounts
	cookies  []string // names of those of all services
	pass     []string // canonical names of headers that are not removed
	trace    bool     // the trace of every client passes
	access   policy.Access
	assert   asserting
	gate     *gate.Gate
	service  *gate.Service
	proxy    *httputil.ReverseProxy
	log      *slog.Logger
}

// upstream returns the handler that forwards requests.
func (g *Gateway) upstream(c config.Upstream, access policy.Access, dataDir string) (web.Handler, error) {
	s, err := newSender(c, dataDir)
	if err != nil {
		return nil, err
	}

	s.pool, err = g.pool(c, dataDir)
	if err != nil {
		return nil, err
	}

	u := &upstream{
		conf:     c,
		paths:    g.conf.Paths.Reading(),
		accounts: g.accounts,
		cookies:  g.ours,
		access:   access,
		assert:   g.assertFor(c, s.pool.Servers[0].URL),
		gate:     g.gate,
		service:  g.service,
		log:      g.log,
	}
	for _, name := range c.PassHeaders {
		u.pass = append(u.pass, http.CanonicalHeaderKey(name))
	}
	u.trace = slices.Contains(u.pass, web.HeaderTraceParent)

	u.proxy = &httputil.ReverseProxy{
		Transport: s,
		Rewrite:   u.rewrite,
		ModifyResponse: func(r *http.Response) error {
			cleanResponse(r.Header, u.cookies, c.ClearData)
			u.publish(r)
			forgetPage(r)
			err := checkSwitch(r)
			applyHeaders(r.Header, &u.conf.Response)
			return err
		},
		BufferPool:   g.buffers,
		ErrorHandler: u.failed,
		ErrorLog:     web.ErrorLog(g.log.With("service", g.conf.Name)),
	}

	return u.serve, nil
}

// serve forwards a request and delivers the response.
func (u *upstream) serve(w *web.Reply, r *http.Request) error {
	if gate.From(w).Free() {
		// A HEAD that took no use gets nothing that a use pays for.
		w.WriteHeader(http.StatusOK)
		return nil
	}

	path, err := u.paths.Strip(web.RawPath(r.URL), u.conf.StripPrefix)
	if err != nil {
		return err
	}

	contact, err := contactOf(r.Context(), u.accounts, gate.From(w).Principal())
	if err != nil {
		return err
	}

	assertion, err := u.assert(w, r, path, contact)
	if err != nil {
		return err
	}

	if !isWebSocket(r) {
		r.Header.Del("Upgrade")
	}

	// net/http would guess a type for a response without one, also where the upstream forbids it.
	w.Header()["Content-Type"] = nil

	if u.conf.MaxBody > 0 && r.Body != nil {
		r.Body = http.MaxBytesReader(w, r.Body, u.conf.MaxBody)
	}

	ctx, cancel := context.WithCancelCause(r.Context())
	defer cancel(nil)
	if u.conf.Total > 0 {
		total, stop := context.WithTimeout(ctx, u.conf.Total.Std())
		defer stop()
		ctx = total
	}

	in := &forwarded{
		Context:   ctx,
		upstream:  u,
		reply:     w,
		request:   r,
		end:       cancel,
		path:      path,
		contact:   contact,
		assertion: assertion,
	}
	in.watch()
	defer in.unwatch()
	defer in.done()

	u.proxy.ServeHTTP(w, r.WithContext(in))

	return nil
}

// forwarded is a request in progress, and the context in which the hooks of the proxy find it. It is all of that in one
// since each would be an allocation of every request.
type forwarded struct {
	context.Context

	upstream  *upstream
	reply     *web.Reply
	request   *http.Request // as it arrived
	end       context.CancelCauseFunc
	path      string          // for the upstream, encoded as it was sent
	contact   account.Contact // of the caller
	assertion string          // "": the upstream gets none
	server    *balance.Server // where the request is in progress; nil: nowhere
	watched   watched
}

// Value implements context.Context.
func (in *forwarded) Value(key any) any {
	if key == (forwardedKey{}) {
		return in
	}
	return in.Context.Value(key)
}

// choose makes a server the one where the request is in progress.
func (in *forwarded) choose(s *balance.Server) {
	in.server = s
	in.reply.Upstream = s.URL.Host
}

// done ends the request at its server.
func (in *forwarded) done() {
	if in.server != nil {
		in.server.Done()
		in.server = nil
	}
}

// forwardedOf returns what the hooks of the proxy find of a request. It is nil only for one that did not come by serve.
func forwardedOf(ctx context.Context) *forwarded {
	in, _ := ctx.Value(forwardedKey{}).(*forwarded)
	return in
}

// forwardedKey is the key of what upstream.go passes on in the context of a request.
type forwardedKey struct{}

// rewrite makes the request that the upstream gets.
func (u *upstream) rewrite(pr *httputil.ProxyRequest) {
	dropHeaders(pr.Out.Header, u.pass)
	dropCookies(pr.Out.Header, u.cookies)
	applyHeaders(pr.Out.Header, &u.conf.Request)
	pr.Out.Trailer = nil // it could have headers that are removed above

	// An upstream that refuses before it has asked for the body gets none, and the client keeps it. To use the
	// connection again, the transport would have to send the body (RFC 9110, section 10.1.1).
	if pr.Out.Header.Get("Expect") != "" {
		pr.Out.Close = true
	}

	pr.Out.URL.RawQuery = pr.In.URL.RawQuery // httputil has removed the parameters that it cannot parse
	if !u.conf.PassHost {
		pr.Out.Host = "" // the host of the URL
	}

	in := forwardedOf(pr.In.Context())
	if in != nil {
		u.keepTrace(pr.Out.Header, in.reply)
		set := newHeaderSetter(pr.Out.Header)
		identify(set, gate.From(in.reply).Principal(), in.contact)
		set.orDelete(web.HeaderAssertion, in.assertion)
		forward(set, in.reply)
	}
}

// keepTrace removes the trace of a client that no trusted proxy has sent, unless the configuration passes it: with it,
// a client could choose which requests are recorded, and under which id. What is invalid is removed in any case. The
// span of a request that is traced here replaces its parent.
func (u *upstream) keepTrace(h http.Header, w *web.Reply) {
	if w.Span.Traced() {
		if !w.Trusted {
			web.DropTrace(h)
		}
		h[web.HeaderTraceParent] = []string{w.Span.Traceparent()}

		return
	}

	switch {
	case w.Trusted:
	case u.trace:
		w.TraceID = web.KeepTrace(h)
	default:
		web.DropTrace(h)
	}
}

// contactOf returns how a caller is addressed: only users are.
func contactOf(ctx context.Context, accounts *account.Accounts, who jeton.Principal) (account.Contact, error) {
	if who.Kind != jeton.KindUser {
		return account.Contact{}, nil
	}
	return accounts.Contact(ctx, who.Name)
}

// identify sets the headers with the identity of the caller, and removes those that are not known.
func identify(set *headerSetter, who jeton.Principal, contact account.Contact) {
	set.to(headerUser, who.Name)
	set.to(headerGroups, strings.Join(who.Groups, ","))
	set.orDelete(headerName, contact.Name)
	set.orDelete(headerEmail, contact.Email)
}

// forward sets the headers with the client's address and the address that it sent the request to.
func forward(set *headerSetter, w *web.Reply) {
	set.to(jeton.HeaderRequestID, w.ID)
	set.to("X-Forwarded-Proto", w.Origin.Scheme)
	set.to("X-Forwarded-Host", w.Origin.Host)
	set.to("X-Forwarded-Port", w.Origin.Port)
	set.orDelete("X-Forwarded-Prefix", w.Origin.Prefix)

	source := ""
	if w.Source.IsValid() && w.Source != policy.UnknownSource {
		source = w.Source.String()
	}
	set.orDelete("X-Forwarded-For", source)
}

// failed answers when the upstream did not. A use that was taken stays taken: whether the
// upstream acted is unknown.
func (u *upstream) failed(w http.ResponseWriter, r *http.Request, err error) {
	reply, ok := w.(*web.Reply)
	if !ok {
		w.WriteHeader(http.StatusBadGateway)
		return
	}

	ended := ofCredential(r.Context())
	if ended != nil {
		web.Fail(reply, r, ended)
		return
	}

	if errors.Is(err, context.Canceled) && r.Context().Err() != nil {
		// The client has gone. Without this, net/http would write an empty 200.
		panic(http.ErrAbortHandler)
	}

	var large *http.MaxBytesError
	if errors.As(err, &large) {
		web.Fail(reply, r, web.TooLarge(large.Limit))
		return
	}

	if reply.BodyFailed() {
		web.Fail(reply, r, jeton.WithDetail(jeton.ErrInvalid, "the body is malformed, incomplete or too slow"))
		return
	}

	err = fmt.Errorf("%w: %w", jeton.ErrUpstream, err)
	web.Log(reply, u.log, r, err)
	web.Fail(reply, r, err)
}
