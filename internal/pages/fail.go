package pages

import (
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/config"
	"github.com/jeton-auth/jeton/internal/gate"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/web"
)

// failure is the view of sign-in/error: a page for an error.
type failure struct {
	Title   Text
	Text    Text
	Detail  string // of the server, in English
	Request string
	Links   []Link
}

// Fail answers an error with a page that says what happened and what to do. A page that needs a session sends a user
// without one to sign in, and back afterwards. It is the Refuse of every route.
func (p *Pages) Fail(w *web.Reply, r *http.Request, err error) {
	if web.Navigation(r) == web.Program {
		challenge.Set(w, r, err)
		web.Fail(w, r, err)

		return
	}

	read := r.Method == http.MethodGet || r.Method == http.MethodHead
	switch jeton.Outcome(err) {
	case jeton.ErrNoCredential, jeton.ErrBadCredential, jeton.ErrExpired:
		if p.underWay(r) {
			web.Mark(w, err)
			sendAgain(w, r)

			return
		}
		if read {
			web.Mark(w, err)
			_ = see(w, signInPath(r.URL))

			return
		}
	case jeton.ErrProof:
		p.askProof(w, r, err)
		return
	}

	p.failed(w, r, err)
}

// askProof answers a refusal of a user who can prove more with the page for that, which leads back.
func (p *Pages) askProof(w *web.Reply, r *http.Request, err error) {
	to := r.URL
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		to = &url.URL{Path: r.URL.Path} // the form again, not what was sent
	}

	web.Mark(w, err)
	_ = see(w, provePathBy(to.RequestURI(), policy.RequiredBy(err)))
}

// underWay reports whether a request was sent before a proof in another tab replaced the secret that it shows.
func (p *Pages) underWay(r *http.Request) bool {
	shown, n := p.cookie.Find(r.Header)
	return n == 1 && p.Sessions.Replaced(shown)
}

// repeatAfter is how long a browser has to receive the response to the proof, before it repeats what it sent.
const repeatAfter = 200 * time.Millisecond

// sendAgain has a browser repeat a request, with its body (RFC 9110, section 15.4.8), and with the cookie that it has
// by then. Nothing was done, so nothing is done twice.
func sendAgain(w *web.Reply, r *http.Request) {
	// The proof is answered after every node knows of it. A browser that repeated at once would show the previous
	// secret again, and give up after 20 redirects.
	select {
	case <-time.After(repeatAfter):
	case <-r.Context().Done():
	}

	w.Header().Set("Location", r.URL.RequestURI())
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusTemporaryRedirect)
}

// failed shows the page of an error.
func (p *Pages) failed(w *web.Reply, r *http.Request, err error) {
	challenge.Set(w, r, err)
	problem := web.Mark(w, err)

	view := failure{
		Title:   text("error." + problem.Code),
		Text:    text("error." + problem.Code + ".do"),
		Detail:  problem.Detail,
		Request: w.ID,
		Links:   []Link{{Text: text("error.start"), URL: "/account"}},
	}
	if problem.Status == http.StatusUnauthorized {
		view.Links = []Link{{Text: text("error.sign-in"), URL: "/sign-in"}}
	}

	who := p.reader(w, r)
	if p.showTo(w, r, who, problem.Status, errorPage(r.URL.Path, who), view) != nil {
		web.Fail(w, r, err) // without the page there is still the refusal
	}
}

// reader returns the user who reads the page of an error, or the zero principal. No gate has judged a request for an
// address that does not exist.
func (p *Pages) reader(w *web.Reply, r *http.Request) jeton.Principal {
	who := gate.From(w).Principal()
	if who.Name != "" || !config.IsPagePath(r.URL.Path) {
		return who
	}

	live, err := p.live(w, r)
	if err != nil || live == nil {
		return jeton.Principal{}
	}

	return live.Principal()
}

// errorPage returns the template for an error at a path: with the navigation of its section, if that is for the user.
func errorPage(path string, who jeton.Principal) string {
	below := func(section string) bool { return path == section || strings.HasPrefix(path, section+"/") }

	switch {
	case who.Name == "":
		return "sign-in/error"
	case below("/admin") && isAdmin(who):
		return "admin/error"
	case below("/admin"), below("/account"):
		return "account/error"
	}

	return "sign-in/error"
}

// challenge is what a refused browser may prove itself with (RFC 9110, section 11.6.1).
var challenge = web.Challenge{Realm: "issuer", Login: "/sign-in"}

// again shows the page of a form again with a note about an error, and returns the error, which is logged like any
// other. The view has what was typed, without secrets.
func (p *Pages) again(w *web.Reply, r *http.Request, name string, view any, err error) error {
	challenge.Set(w, r, err)
	problem := web.Mark(w, err)
	if err := p.show(w, r, problem.Status, name, view); err != nil {
		return err
	}

	return err
}

// noteOf returns the note about an error, for a page that is shown again.
func (p *Pages) noteOf(w *web.Reply, err error) *Note {
	code := web.Problem(err).Code
	n := &Note{
		Kind:    Bad,
		Text:    text("error." + code),
		More:    text("error." + code + ".do"),
		Detail:  jeton.Detail(err),
		Request: w.ID,
		Focus:   true,
	}

	known := detailText(n.Detail)
	if known.Key != "" {
		n.More, n.Detail = known, ""
	}

	wait, ok := jeton.RetryAfter(err)
	if ok {
		n.More = text("error.wait", p.Now().Add(wait), wait)
	}

	return n
}
