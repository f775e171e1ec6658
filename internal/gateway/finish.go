package gateway

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/config"
	"github.com/jeton-auth/jeton/internal/gate"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/session"
	"github.com/jeton-auth/jeton/internal/signin"
	"github.com/jeton-auth/jeton/internal/web"
)

// start answers GET /.jeton/start?to=PATH: it begins a sign-in, also for a user who has a session.
func (g *Gateway) start(w *web.Reply, r *http.Request) error {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return jeton.WithDetail(jeton.ErrInvalid, "the query is malformed")
	}

	if fromAnotherSite(r) {
		return g.beginUnlessIn(w, r, goalOf(query))
	}

	return g.signIn.begin(w, r, goalOf(query))
}

// beginUnlessIn begins a sign-in, or goes to the page at once if the browser has a session that is enough for it. Where
// another site can have caused the request, it must not use up the logins that the terms permit to a user.
func (g *Gateway) beginUnlessIn(w *web.Reply, r *http.Request, to goal) error {
	live, unmet, err := g.shown(w, r, to.rule)
	switch {
	case err != nil:
		return err
	case live == nil, unmet != nil:
		// The page would send the browser back here, and for ever: Sec-Fetch-Site outlives redirects.
		return g.signIn.begin(w, r, to)
	}

	seeOther(w, g.signIn.origin(w.Origin)+returnTo(to.path))

	return nil
}

// shown returns the session that a browser has at the service, or nil, and *policy.Unmet if its user was not proved as
// a page requires.
func (g *Gateway) shown(
	w *web.Reply,
	r *http.Request,
	rule policy.Require,
) (live *session.Live, unmet, err error) {
	live, err = gate.ShownSession(w, r, g.service)
	if undecided(err) {
		return nil, nil, err
	}
	if live == nil || live.Check(w.Start) != nil {
		return nil, nil, nil
	}

	unmet, err = g.unmet(r.Context(), live, rule, w.Start)
	switch {
	case undecided(err):
		return nil, nil, err
	case err != nil:
		return nil, nil, nil // it ended a moment ago
	}

	return live, unmet, nil
}

// fromAnotherSite reports whether a page of another origin led the browser here.
func fromAnotherSite(r *http.Request) bool {
	site := r.Header.Get("Sec-Fetch-Site")
	return site == "cross-site" || site == "same-site"
}

// finish answers GET /.jeton/finish, to which a browser comes back with a code: it starts the session and redirects to
// the page that was asked for. A sign-in that this browser did not begin, or began too long ago, begins again.
func (g *Gateway) finish(w *web.Reply, r *http.Request) error {
	// Nothing else may start a session or use the code up: a prefetch, a script, a frame.
	if r.Method != http.MethodGet {
		return jeton.ErrMethod
	}
	if web.Navigation(r) != web.Page {
		return jeton.WithDetail(jeton.ErrForbidden, "only a browser that loads this page finishes a sign-in")
	}

	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return jeton.WithDetail(jeton.ErrInvalid, "the query is malformed")
	}

	var p pending
	err = g.signIn.seal.Open(query.Get("state"), &p)
	switch {
	case err != nil:
		return g.beginUnlessIn(w, r, goal{path: "/", round: 1})
	// The first check is against login CSRF: another browser's state would sign this one in as its user.
	case !g.signIn.began(p, r.Header), !w.Start.Before(p.Expires):
		return g.beginUnlessIn(w, r, p.again())
	// RFC 9207, section 2.4: the answer of another authorization server.
	case query.Get("iss") != g.issuer:
		return jeton.WithDetail(jeton.ErrInvalid, "iss is not the authorization server of this service")
	case query.Has("error"):
		return refusedBy(query.Get("error"))
	case !query.Has("code"):
		return g.finished(w, r, p)
	}

	err = g.redeem(w, r, query.Get("code"), p)
	if errors.Is(err, jeton.ErrBadCredential) {
		return g.beginUnlessIn(w, r, p.again())
	}

	return err
}

// redeem starts the session for a code.
func (g *Gateway) redeem(w *web.Reply, r *http.Request, code string, p pending) error {
	previous, err := g.previous(w, r)
	if err != nil {
		return err
	}

	origin := g.signIn.origin(w.Origin)
	started, user, err := g.logins.Code(r.Context(), signin.CodeRequest{
		Code:     code,
		Verifier: p.Verifier,
		Redirect: origin + config.FinishPath,
		Service:  g.conf.Name,
		Terms:    g.terms,
		Allow:    g.allow,
		Source:   w.Source,
		Request:  w.ID,
		Device:   session.Device{Agent: r.UserAgent()},
		Replaces: previous,
	})
	if err != nil {
		return err
	}

	g.cookies.Set(w, started, user.Name)
	g.signIn.rounds.Set(w, strconv.Itoa(g.signIn.succeeded(r.Header)+1), loopTime)

	live, err := g.sessions.Find(r.Context(), started.Secret.Reveal(), g.conf.Name, w.Start)
	if err != nil {
		return err
	}

	unmet, err := g.unmet(r.Context(), live, p.Require, w.Start)
	switch {
	case err != nil:
		return err
	case unmet != nil:
		// The page would send the browser to sign in once more, with the same end. The notice has an address without
		// the code: a second use of it, by a reload, would end the session.
		query := url.Values{"state": {r.URL.Query().Get("state")}, "iss": {g.issuer}}
		seeOther(w, origin+config.FinishPath+"?"+query.Encode())
		return nil
	}

	// With the origin in front, a browser cannot read the path as another one.
	seeOther(w, origin+returnTo(p.Path))

	return nil
}

// finished answers finish without a code, to which redeem sends a browser whose new session is not enough for the page.
func (g *Gateway) finished(w *web.Reply, r *http.Request, p pending) error {
	live, unmet, err := g.shown(w, r, p.Require)
	switch {
	case err != nil:
		return err
	case live == nil:
		return g.signIn.begin(w, r, p.again())
	case unmet == nil:
		seeOther(w, g.signIn.origin(w.Origin)+returnTo(p.Path))
		return nil
	}

	notice := web.Notice{Kind: web.NoticeFactor, Link: g.issuer + "/account/security"}
	if onlyOld(unmet) {
		notice = web.Notice{Kind: web.NoticeProof, Link: startAt(w, p.Path, p.Require)}
	}
	g.notice(w, r, unmet, notice)

	return nil
}

// onlyOld reports whether a newer proof, by the same factors, is all that is required.
func onlyOld(err error) bool {
	var unmet *policy.Unmet
	return errors.As(err, &unmet) && unmet.Old
}

// unmet returns *policy.Unmet if the user of a session was not proved as a page requires, or nil.
func (g *Gateway) unmet(
	ctx context.Context,
	live *session.Live,
	rule policy.Require,
	now time.Time,
) (unmet, err error) {
	if rule.IsZero() {
		return nil, nil
	}

	proof, err := g.sessions.Proof(ctx, live)
	if err != nil {
		return nil, err
	}

	return signin.Meets(rule, proof, now), nil
}

// refusedBy returns the error for one of the authorization server (RFC 6749, section 4.1.2.1). Its description is not
// shown: an attacker can write one into a link.
func refusedBy(code string) error {
	switch code {
	case "access_denied":
		return jeton.WithDetail(jeton.ErrForbidden, "the sign-in was cancelled or refused")
	case "temporarily_unavailable", "server_error":
		return jeton.ErrUnavailable
	}

	return jeton.WithDetail(jeton.ErrInvalid, "the authorization server refused the request of this service")
}

// visit returns what answers the refusals of a route that accepts sessions. required is what the route requires of a
// user.
func (g *Gateway) visit(required policy.Require) func(*web.Reply, *http.Request, error) {
	return func(w *web.Reply, r *http.Request, err error) {
		// A caller that shows another credential is a program, whatever it accepts.
		if r.Header.Get("Authorization") != "" {
			g.refuse(w, r, err)
			return
		}

		// Also of a browser without a session, which would be led to sign in a second time otherwise.
		g.refuseVisit(w, r, err, required.And(policy.RequiredBy(err)))
	}
}

// refuseVisit answers a refusal of a caller that shows no credential but a session. A browser without one is sent to
// sign in by the rule, and a browser that is refused otherwise gets a page.
func (g *Gateway) refuseVisit(w *web.Reply, r *http.Request, err error, rule policy.Require) {
	visit := web.Navigation(r)
	switch {
	case web.Problem(err).Status != http.StatusUnauthorized && visit == web.Page:
		g.notice(w, r, err, web.Notice{Kind: web.NoticeDenied})
	case web.Problem(err).Status != http.StatusUnauthorized:
		g.refuse(w, r, err)
	case visit == web.Page && g.conf.Forwarded():
		g.visitPassed(w, r, rule)
	case visit == web.Page:
		err = g.signIn.begin(w, r, goal{path: pathOf(r.URL), rule: rule})
		if err != nil {
			g.refuseSignIn(w, r, err)
		}
	case visit == web.Fragment:
		// htmx leaves the page for it. It would put a redirect, or a page, into the page.
		w.Header().Set("HX-Redirect", startAt(w, g.fragmentPage(w, r), rule))
		g.refuse(w, r, err)
	case visit == web.Frame:
		g.notice(w, r, err, web.Notice{Kind: web.NoticeFrame, Link: startAt(w, pathOf(r.URL), rule)})
	case visit == web.Form:
		// Back to the page with the form. The form itself is never sent again.
		link := startAt(w, g.signIn.pageOf(w, r, "Referer"), rule)
		g.notice(w, r, err, web.Notice{Kind: web.NoticeForm, Link: link})
	default:
		g.refuse(w, r, err)
	}
}

// fragmentPage returns the path of the page that a request of htmx belongs to.
func (g *Gateway) fragmentPage(w *web.Reply, r *http.Request) string {
	// A boosted link is a page of its own.
	if r.Method == http.MethodGet && r.Header.Get("HX-Boosted") == "true" {
		return pathOf(r.URL)
	}
	return g.signIn.pageOf(w, r, "HX-Current-URL")
}

// refuseSignIn answers an error of start and finish, or of a sign-in that was stopped.
func (g *Gateway) refuseSignIn(w *web.Reply, r *http.Request, err error) {
	if web.Navigation(r) != web.Page {
		g.refuse(w, r, err)
		return
	}

	kind := web.NoticeFailed
	switch {
	case errors.Is(err, errLoop):
		kind = web.NoticeLoop
	case errors.Is(err, jeton.ErrForbidden):
		kind = web.NoticeRefused
	}

	g.notice(w, r, err, web.Notice{Kind: kind, Link: startAt(w, "/", policy.Require{})})
}

// notice answers a refusal with a page.
func (g *Gateway) notice(w *web.Reply, r *http.Request, err error, n web.Notice) {
	g.challenge(g.schemes).Set(w, r, err)
	n.Service = g.conf.Name
	n.Problem = web.Mark(w, err)
	n.Wait, _ = jeton.RetryAfter(err)
	g.signIn.Page(w, r, n.Problem.Status, n)
}
