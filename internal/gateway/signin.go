package gateway

import (
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/config"
	"github.com/jeton-auth/jeton/internal/factor"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/secret"
	"github.com/jeton-auth/jeton/internal/web"
)

// SignIn is what New needs for a service with login.sign_in.
type SignIn struct {
	// Key seals pending sign-ins; 32 bytes, the same on all nodes.
	Key []byte
	// Origins returns the addresses that browsers use for the service: scheme, host and perhaps a path. There is at
	// least one.
	Origins func() []string
	// Page shows a user what happened.
	Page web.Notices
}

// maxRounds is how many sign-ins may come back one after the other without a session. A browser that sends no cookies
// would otherwise be redirected for ever.
const maxRounds = 3

// loopTime is how long a sign-in that succeeded is remembered. When it is soon followed by another, its session did
// not come back.
const loopTime = 30 * time.Second

// signIn sends browsers to the sign-in page of the authorization server. It is safe for concurrent use.
type signIn struct {
	SignIn
	service   string
	authorize string // address of the authorization endpoint
	seal      secret.Seal
	browser   web.Cookie // that began the sign-in; without it a code is useless
	rounds    web.Cookie // how many sign-ins succeeded just now

	log    *slog.Logger
	warned atomic.Bool // of an address that is not declared
}

// newSignIn returns the sign-in of a service, or nil if it has none.
func newSignIn(c Config) (*signIn, error) {
	if !c.Service.Login.SignIn {
		return nil, nil
	}

	sealed, err := newSeal(c.SignIn.Key, c.Service.Name)
	if err != nil {
		return nil, fmt.Errorf("service %s: %w", c.Service.Name, err)
	}

	// No service has a dot in its name, so none has a session cookie of one of these names.
	name := web.DefaultCookie(c.Service.PlainHTTP) + "-" + c.Service.Name

	return &signIn{
		SignIn:    c.SignIn,
		service:   c.Service.Name,
		authorize: c.Issuer + "/oauth2/authorize",
		seal:      sealed,
		browser:   web.Cookie{Name: name + ".pre", PlainHTTP: c.Service.PlainHTTP},
		rounds:    web.Cookie{Name: name + ".rounds", PlainHTTP: c.Service.PlainHTTP},
		log:       c.Log,
	}, nil
}

// goal is what a sign-in is for.
type goal struct {
	path  string         // of the service, where the browser goes in the end
	rule  policy.Require // how the user has to be proved there
	round int            // how many sign-ins have come back without success
}

// begin redirects a browser to the authorization server, to come back to a path of the service. It returns
// jeton.ErrNoCredential when a sign-in comes back without success again and again.
func (s *signIn) begin(w *web.Reply, r *http.Request, to goal) error {
	if max(to.round, s.succeeded(r.Header)) >= maxRounds {
		// So that the next attempt is not stopped, too.
		s.rounds.Clear(w)
		return errLoop
	}

	browser := s.browserOf(r.Header)
	if browser == "" {
		browser = secret.Random()
	}
	// One for all tabs, so that each can finish its own sign-in.
	s.browser.Set(w, browser, pendingLifetime)

	verifier := secret.Random()
	sum := sha256.Sum256([]byte(browser))
	state, err := s.seal.Close(pending{
		Path:     returnTo(to.path),
		Verifier: verifier,
		Browser:  sum[:],
		Round:    to.round,
		Expires:  w.Start.Add(pendingLifetime),

		Require: to.rule,
	})
	if err != nil {
		return err
	}

	query := url.Values{
		"response_type":         {"code"},
		"client_id":             {s.service},
		"redirect_uri":          {s.origin(w.Origin) + config.FinishPath},
		"state":                 {state},
		"code_challenge":        {secret.Challenge(verifier)},
		"code_challenge_method": {"S256"},
	}

	if to.rule.Factors > 1 {
		query.Set("acr_values", factor.TwoFactors)
	}
	if to.rule.MaxAge > 0 {
		query.Set("max_age", inSeconds(to.rule.MaxAge))
	}

	seeOther(w, s.authorize+"?"+query.Encode())

	return nil
}

// errLoop is a sign-in that was stopped.
var errLoop = jeton.WithDetail(jeton.ErrNoCredential, "the cookie of the sign-in does not come back")

// seeOther redirects a browser. The address has secrets of the sign-in, which no cache keeps and no other site gets.
func seeOther(w *web.Reply, to string) {
	h := w.Header()
	h["Cache-Control"] = noStore
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Location", to)
	w.WriteHeader(http.StatusSeeOther)
}

// origin returns the address that the browser uses for the service. The session cookie belongs to it, so it is the
// one that the request came to, if that is declared.
func (s *signIn) origin(arrived web.Origin) string {
	list := s.Origins()
	at := arrived.String() + arrived.Prefix
	// It is empty for a service that a reload is just removing.
	if len(list) == 0 || slices.Contains(list, at) {
		return at
	}

	if !s.warned.Swap(true) { // once, since every request may have another name
		s.log.Warn(
			"sign-ins at an address that is not one of the service return to another one; "+
				"if it is right, name it in url, host or hosts of the service",
			"service", s.service, "address", at, "returns_to", list[0],
		)
	}

	return list[0]
}

// browserOf returns the secret of the browser that a request shows, or "".
func (s *signIn) browserOf(h http.Header) string {
	value, n := s.browser.Find(h)
	if n != 1 || len(value) != secret.RandomLen {
		return ""
	}
	return value
}

// began reports whether the browser of a request began a sign-in.
func (s *signIn) began(p pending, h http.Header) bool {
	sum := sha256.Sum256([]byte(s.browserOf(h)))
	return subtle.ConstantTimeCompare(sum[:], p.Browser) == 1
}

// succeeded returns how many sign-ins succeeded just now. The number is the browser's own: it only stops a loop.
func (s *signIn) succeeded(h http.Header) int {
	value, _ := s.rounds.Find(h)
	n, err := strconv.Atoi(value)
	if err != nil || n < 0 || n > maxRounds {
		return 0
	}

	return n
}

// returnTo returns the path that a sign-in returns to. Never to one of its own: that would begin another.
func returnTo(path string) string {
	path = web.ReturnPath(path)
	if strings.HasPrefix(path, "/.jeton/") {
		return "/"
	}
	return path
}

// The parameters of the address that begins a sign-in.
const (
	toParam      = "to"
	factorsParam = "factors"
	maxAgeParam  = "max_age" // in seconds
)

// startAt returns the address that begins a sign-in, for a link in a page.
func startAt(w *web.Reply, path string, rule policy.Require) string {
	query := url.Values{toParam: {returnTo(path)}}
	if rule.Factors > 1 {
		query.Set(factorsParam, strconv.Itoa(rule.Factors))
	}
	if rule.MaxAge > 0 {
		query.Set(maxAgeParam, inSeconds(rule.MaxAge))
	}

	return w.Origin.Prefix + config.StartPath + "?" + query.Encode()
}

// goalOf reads the parameters of startAt. What is invalid in them requires nothing: the page itself does.
func goalOf(query url.Values) goal {
	factors, _ := strconv.Atoi(query.Get(factorsParam))
	age, _ := strconv.ParseInt(query.Get(maxAgeParam), 10, 64)

	rule := policy.Require{Factors: min(max(factors, 1), 2)}
	if age > 0 {
		// No configuration requires less, and more than a duration holds would be negative.
		const shortest, longest = 60, 1 << 31 // seconds
		rule.MaxAge = time.Duration(min(max(age, shortest), longest)) * time.Second
	}

	return goal{path: query.Get(toParam), rule: rule}
}

// inSeconds returns a time as authorization requests have it.
func inSeconds(d time.Duration) string { return strconv.FormatInt(int64(d/time.Second), 10) }

// pathOf returns the path and the query of a request, as they were sent.
func pathOf(u *url.URL) string {
	path := web.RawPath(u)
	if u.RawQuery != "" || u.ForceQuery {
		path += "?" + u.RawQuery
	}
	return path
}

// pageOf returns the path of the page of the service that a header of a request names, or "/".
func (s *signIn) pageOf(w *web.Reply, r *http.Request, header string) string {
	u, err := url.Parse(r.Header.Get(header))
	if err != nil || u.Scheme+"://"+u.Host != w.Origin.String() {
		return "/"
	}

	path, ok := strings.CutPrefix(pathOf(u), w.Origin.Prefix)
	if !ok {
		return "/"
	}

	return path
}
