package pages

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/config"
	"github.com/jeton-auth/jeton/internal/gate"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/secret"
	"github.com/jeton-auth/jeton/internal/session"
	"github.com/jeton-auth/jeton/internal/signin"
	"github.com/jeton-auth/jeton/internal/upstream"
	"github.com/jeton-auth/jeton/internal/web"
)

// Upstream is another provider at which users sign in.
type Upstream struct {
	*upstream.Provider
	Label   string // of its button
	Invited bool   // a session that began with a one-time link may connect an account
	Rules   signin.UpstreamRules
}

// UpstreamPath returns where a sign-in at a provider begins. It comes back below.
func UpstreamPath(name string) string { return "/sign-in/with/" + name }

// upstreamRoutes are open: users come here without a session.
func (p *Pages) upstreamRoutes() []web.Route {
	return []web.Route{
		{Pattern: "GET " + UpstreamPath("{name}"), Access: policy.Open, Handle: p.leave},
		{Pattern: "GET " + UpstreamPath("{name}") + "/callback", Access: policy.Open, Handle: p.comeBack},
	}
}

// upstream returns the provider in the path of a request, or jeton.ErrNotFound.
func (p *Pages) upstream(r *http.Request) (*Upstream, error) {
	at := slices.IndexFunc(p.Upstreams, func(u Upstream) bool { return u.Name == r.PathValue("name") })
	if at < 0 {
		return nil, jeton.ErrNotFound
	}

	return &p.Upstreams[at], nil
}

// wantsFresh reports whether a sign-in has to prove the user again, and not only to find a session at the provider.
func wantsFresh(query url.Values) bool {
	return query.Has("max_age") || slices.Contains(strings.Fields(query.Get("prompt")), "login")
}

// upstreamLinks returns the buttons of the sign-in page. A provider that cannot prove a user again has none if that is
// wanted.
func (p *Pages) upstreamLinks(query url.Values) []Link {
	var list []Link
	for _, u := range p.Upstreams {
		if u.CanProve() || !wantsFresh(query) {
			to := pathWith(UpstreamPath(u.Name), carried(query))
			list = append(list, Link{Text: text("upstream.button", u.Label), URL: to})
		}
	}

	return list
}

// leave answers GET /sign-in/with/{name}: it sends the browser to the provider. It is a link and no form, since a
// browser would apply form-action to the provider and to where that leads.
func (p *Pages) leave(w *web.Reply, r *http.Request) error {
	u, err := p.upstream(r)
	if err != nil {
		return err
	}
	if r.Method != http.MethodGet || web.Navigation(r) != web.Page {
		return jeton.WithDetail(jeton.ErrForbidden, "only a browser that loads this page begins a sign-in")
	}

	query := r.URL.Query()
	if fromOutside(r) {
		live, err := p.live(w, r)
		if err != nil {
			return err
		}
		// A link of another site must not replace the session of the user: the page asks.
		if live != nil {
			return see(w, pathWith("/sign-in", carried(query)))
		}
	}

	to, err := p.beginAt(w, r, u, upstream.Pending{
		Purpose: upstream.SignIn,
		Query:   carried(query).Encode(),
		Fresh:   wantsFresh(query),
	})
	if err != nil {
		return p.upstreamFailed(w, r, u, upstream.Pending{Query: carried(query).Encode()}, err)
	}

	hideFromProvider(w)

	return see(w, to)
}

// fromOutside reports whether a browser says that another site, or another origin of this site, has led to a page.
func fromOutside(r *http.Request) bool {
	site := r.Header.Get("Sec-Fetch-Site")
	return site == "cross-site" || site == "same-site"
}

// leaveByForm is leave for the answer to a form: a page that leads on by itself, or by its link.
func (p *Pages) leaveByForm(w *web.Reply, r *http.Request, u *Upstream, in upstream.Pending) error {
	to, err := p.beginAt(w, r, u, in)
	if err != nil {
		return p.upstreamFailed(w, r, u, in, err)
	}

	hideFromProvider(w)
	w.Header().Set("Refresh", "0;url="+to)

	return p.show(w, r, http.StatusOK, "sign-in/continue", goOnView{URL: to, Service: Strong(u.Label)})
}

// hideFromProvider keeps the address of the page, which has a state of a relying party in it, from the provider.
func hideFromProvider(w http.ResponseWriter) { w.Header().Set("Referrer-Policy", "no-referrer") }

// beginAt returns the address at the provider, and makes sure that the browser has the cookie that the sign-in is
// bound to.
func (p *Pages) beginAt(w *web.Reply, r *http.Request, u *Upstream, in upstream.Pending) (string, error) {
	browser := p.browserOf(r.Header)
	if browser == "" {
		browser = secret.Random()
	}

	to, err := u.Authorize(r.Context(), in, browser)
	if err != nil {
		return "", err
	}

	// One for all tabs, so that each can finish its own sign-in.
	p.browserCookie.Set(w, browser, browserLifetime)

	return to, nil
}

// browserLifetime is how long a browser can finish what it began.
const browserLifetime = upstream.Lifetime

// browserOf returns the value of the cookie of a browser that began a sign-in, or "".
func (p *Pages) browserOf(h http.Header) string {
	value, n := p.browserCookie.Find(h)
	if n != 1 || len(value) != secret.RandomLen {
		return ""
	}

	return value
}

// comeBack answers GET /sign-in/with/{name}/callback, to which the provider sends the browser. Each provider has an
// address of its own, so that the answer of one is not taken for that of another (RFC 9700, section 4.4.2).
func (p *Pages) comeBack(w *web.Reply, r *http.Request) error {
	hideFromProvider(w)

	u, err := p.upstream(r)
	if err != nil {
		return err
	}
	// Nothing else may use the code up: a prefetch, a script, a frame.
	if r.Method != http.MethodGet || web.Navigation(r) != web.Page {
		return jeton.WithDetail(jeton.ErrForbidden, "only a browser that loads this page finishes a sign-in")
	}

	query := r.URL.Query()
	for _, name := range []string{"state", "code", "iss", "error"} {
		if len(query[name]) > 1 {
			return jeton.WithDetail(jeton.ErrInvalid, name+" is there twice")
		}
	}

	in, err := u.Open(query.Get("state"), p.browserOf(r.Header))
	if err != nil {
		return p.upstreamFailed(w, r, u, upstream.Pending{}, jeton.WithDetail(jeton.ErrExpired, err.Error()))
	}
	if query.Has("error") {
		return p.upstreamFailed(w, r, u, in, refusedThere(query.Get("error")))
	}

	switch in.Purpose {
	case upstream.SignIn:
		err = p.signInAt(w, r, u, in)
	case upstream.Connect:
		err = p.connectAt(w, r, u, in)
	case upstream.Prove:
		err = p.proveAt(w, r, u, in)
	}
	if err != nil {
		return p.upstreamFailed(w, r, u, in, err)
	}

	return nil
}

// refusedThere returns the error for one of a provider (RFC 6749, section 4.1.2.1). Its description is not shown:
// an attacker can write one into a link.
func refusedThere(code string) error {
	switch code {
	case "access_denied":
		return jeton.WithDetail(jeton.ErrForbidden, "the sign-in was cancelled at the provider")
	case "temporarily_unavailable", "server_error":
		return jeton.ErrUpstream
	}

	return jeton.WithDetail(jeton.ErrInvalid, "the provider refused the request of this server")
}

// upstreamRequest returns what package signin needs to finish a sign-in.
func (p *Pages) upstreamRequest(
	w *web.Reply,
	r *http.Request,
	u *Upstream,
	in upstream.Pending,
) signin.UpstreamRequest {
	query := r.URL.Query()

	return signin.UpstreamRequest{
		Rules:   u.Rules,
		Redeem:  u.Redeeming(in, query.Get("code"), query.Get("iss")),
		Fresh:   in.Fresh,
		Service: config.IssuerName,
		Terms:   p.Terms(),
		Source:  w.Source,
		Request: w.ID,
		Device:  p.thisDevice(r),
	}
}

// signInAt starts the session.
func (p *Pages) signInAt(w *web.Reply, r *http.Request, u *Upstream, in upstream.Pending) error {
	previous, err := p.previous(w, r)
	if err != nil {
		return err
	}

	req := p.upstreamRequest(w, r, u, in)
	req.Replaces = previous
	query, err := url.ParseQuery(in.Query)
	if err != nil {
		return err // it was encoded here
	}

	started, _, err := p.Logins.Upstream(r.Context(), req)
	if p.awaitFactor(w, query, err) {
		return nil
	}
	if err != nil {
		return err
	}

	p.keep(w, started)

	// By a page, also here: the provider may have a form-action of its own that names this server alone.
	return see(w, goOnPath(query))
}

// connectAt connects the account at the provider to the user of the session that asked for it.
func (p *Pages) connectAt(w *web.Reply, r *http.Request, u *Upstream, in upstream.Pending) error {
	live, err := p.sessionOf(w, r, in)
	if err == nil {
		err = p.Logins.Connect(r.Context(), live, p.upstreamRequest(w, r, u, in))
	}
	if err != nil {
		return err
	}

	return see(w, securityPath)
}

// proveAt proves the user of the session again.
func (p *Pages) proveAt(w *web.Reply, r *http.Request, u *Upstream, in upstream.Pending) error {
	live, err := p.sessionOf(w, r, in)
	if err != nil {
		return err
	}

	query, err := url.ParseQuery(in.Query)
	if err != nil {
		return err // it was encoded here
	}

	renewed, err := p.Logins.ProveUpstream(r.Context(), live, p.upstreamRequest(w, r, u, in))
	if p.awaitFactor(w, query, err) {
		return nil
	}
	if err != nil {
		return err
	}

	p.keep(w, renewed)

	return see(w, localPage(query.Get(toParam)))
}

// sessionOf returns the session that a sign-in at a provider is for. It returns jeton.ErrExpired if the browser does
// not show it any more.
func (p *Pages) sessionOf(w *web.Reply, r *http.Request, in upstream.Pending) (*session.Live, error) {
	live, err := p.live(w, r)
	if err != nil {
		return nil, err
	}
	if live == nil || live.Login != in.Login {
		return nil, jeton.WithDetail(jeton.ErrExpired, "the session that asked for it has ended")
	}

	return live, nil
}

// upstreamFailed shows why a sign-in at a provider has failed, and where to go on.
func (p *Pages) upstreamFailed(w *web.Reply, r *http.Request, u *Upstream, in upstream.Pending, err error) error {
	problem := web.Mark(w, err)
	title, what := upstreamFailure(err, u.Label)
	view := failure{
		Title:   title,
		Text:    what,
		Request: w.ID,
		Links:   []Link{{Text: text("error.sign-in"), URL: "/sign-in"}},
	}

	wait, ok := jeton.RetryAfter(err)
	if ok {
		view.Text = text("error.wait", p.Now().Add(wait), wait)
	}

	// What another site wrote into a state was not opened, so the query is ours.
	query, parseErr := url.ParseQuery(in.Query)
	switch {
	case in.Purpose == upstream.Connect:
		view.Links = []Link{{Text: text("upstream.back"), URL: securityPath}}
	case in.Purpose == upstream.Prove && parseErr == nil:
		view.Links = []Link{{Text: text("upstream.back"), URL: provePath(query.Get(toParam))}}
	case parseErr == nil:
		view.Links[0].URL = pathWith("/sign-in", carried(query))
	}

	shown := p.showTo(w, r, gate.From(w).Principal(), problem.Status, "sign-in/error", view)
	if shown != nil {
		return shown
	}

	return err
}

// upstreamFailure returns the title and the text of a failure.
func upstreamFailure(err error, label string) (title, what Text) {
	title = text("upstream.failed", label)

	switch signin.ReasonOf(err) {
	case signin.NotConnected:
		return text("upstream.unknown", label), text("upstream.unknown.do", label)
	case signin.NoNewUser, signin.ReservedName:
		return text("upstream.taken"), text("upstream.taken.do", label)
	case signin.NotAllowed:
		return text("upstream.denied"), text("upstream.denied.do", label)
	case signin.Disabled, signin.UnknownUser:
		return text("upstream.disabled"), text("upstream.disabled.do")
	case signin.OtherUser:
		return text("upstream.other"), text("upstream.other.do", label)
	case signin.AlreadyHasOne:
		return text("upstream.connected"), text("upstream.connected.do", label)
	}

	switch jeton.Outcome(err) {
	case jeton.ErrExpired:
		return text("upstream.late"), text("upstream.late.do")
	case jeton.ErrUpstream, jeton.ErrUnavailable, jeton.ErrBusy:
		return text("upstream.down", label), text("upstream.down.do")
	case jeton.ErrForbidden:
		return text("upstream.cancelled"), text("upstream.cancelled.do")
	case jeton.ErrSessionsFull, jeton.ErrRelogin, jeton.ErrTooMany:
		code := jeton.Code(err)
		return text("error." + code), text("error." + code + ".do")
	}

	return title, text("upstream.failed.do")
}
