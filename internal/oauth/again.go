package oauth

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/client"
	"github.com/jeton-auth/jeton/internal/openid"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/session"
	"github.com/jeton-auth/jeton/internal/signin"
	"github.com/jeton-auth/jeton/internal/web"
)

// askedParam says when an authorization request sent the browser to the sign-in page, sealed: that page was the answer
// to prompt and max_age. Without it, a request whose prompt was removed on the way would do.
const askedParam = "asked"

const (
	// askedFor is how long the sign-in page may stay open.
	askedFor = time.Hour
	// answeredFor is how long its answer counts, from the sign-in, or from when a user was asked who only chose.
	answeredFor = 5 * time.Minute
)

// codeValid is as long as an authorization code is valid, at most.
const codeValid = time.Minute

// browserCookie returns the cookie of a browser that was sent to the sign-in page. It has a value of its own, for a
// session may not have started yet, and another one may follow it.
func browserCookie(session web.Cookie) web.Cookie {
	// No service has a dot in its name, so none has a session cookie of this name.
	return web.Cookie{Name: session.Name + ".asked", PlainHTTP: session.PlainHTTP}
}

// browserOf returns the value of the cookie of a browser, or "".
func (s *Server) browserOf(h http.Header) string {
	value, n := s.browser.Find(h)
	if n != 1 {
		return ""
	}
	return value
}

// mark adds askedParam to a request, bound to the browser: what the browser of another user was given does not count.
func (s *Server) mark(w *web.Reply, r *http.Request, a authorization) {
	browser := s.browserOf(r.Header)
	if browser == "" {
		browser = rand.Text()
	}
	// One for all tabs, so that each can finish its own request.
	s.browser.Set(w, browser, askedFor)

	a.query.Set(askedParam, s.asked(a, browser, w.Start))
}

// asked returns the value of askedParam for a request of a browser.
func (s *Server) asked(a authorization, browser string, now time.Time) string {
	b := binary.BigEndian.AppendUint64(nil, uint64(now.UnixMilli()))
	return base64.RawURLEncoding.EncodeToString(append(b, s.seal(a, browser, b)...))
}

// seal returns the code that authenticates a time of a request of a browser.
func (s *Server) seal(a authorization, browser string, at []byte) []byte {
	sealed := url.Values{"browser": {browser}}
	for _, name := range openid.SealedParams() {
		sealed[name] = a.query[name]
	}
	// The page that asks for consent names it in another way than the client.
	if a.resource != nil {
		sealed.Set("resource", a.resource.Service)
	}

	m := hmac.New(sha256.New, s.key)
	m.Write(at)
	m.Write([]byte(sealed.Encode()))

	return m.Sum(nil)
}

// askedAt returns when a request sent this browser to the sign-in page, or the zero time.
func (s *Server) askedAt(a authorization, browser string, now time.Time) time.Time {
	b, err := base64.RawURLEncoding.DecodeString(a.query.Get(askedParam))
	if err != nil || browser == "" || len(b) != 8+sha256.Size || !hmac.Equal(b[8:], s.seal(a, browser, b[:8])) {
		return time.Time{}
	}

	at := time.UnixMilli(int64(binary.BigEndian.Uint64(b)))
	if now.Sub(at) > askedFor {
		return time.Time{}
	}

	return at
}

// maxAge returns the max_age of a request, -1 for none, and whether it is valid.
func maxAge(q url.Values) (age time.Duration, ok bool) {
	text := q.Get("max_age")
	if text == "" {
		return -1, true
	}

	const longest = 1 << 31 // seconds
	n, err := strconv.ParseInt(text, 10, 64)

	return time.Duration(min(n, longest)) * time.Second, err == nil && n >= 0
}

// age returns how long ago the user may have been proved for a request, -1 for any time: its max_age, or less if the
// service of the tokens requires that.
func (a authorization) age() time.Duration {
	age, _ := maxAge(a.query)
	limit := a.requires().MaxAge
	if limit > 0 && (age < 0 || limit < age) {
		age = limit
	}

	return age
}

// forUser returns the request of the user of a session, nil for none: what the service requires may depend on the user.
func (a authorization) forUser(ctx context.Context, live *session.Live, now time.Time) (authorization, error) {
	if a.resource == nil || live == nil {
		return a, nil
	}

	target := *a.resource
	a.resource = &target

	var err error
	target.Require, err = target.RequireOf(ctx, live.Principal(), now)

	return a, err
}

// requires returns what the service of the tokens requires.
func (a authorization) requires() policy.Require {
	if a.resource == nil {
		return policy.Require{}
	}

	return a.resource.Require
}

// offlineFor returns how long ago the user may have signed in for a request of refresh tokens, -1 for any time: those
// of an older sign-in would be expired once the code is used.
func (a authorization) offlineFor() time.Duration {
	if a.party.client == nil || !slices.Contains(a.scopes(), openid.ScopeOffline) {
		return -1
	}

	return max(0, client.RefreshLifetime(a.party.client.OpenID)-codeValid)
}

// chooses reports whether the user must choose the account. The address of a public client may be any port of the
// user's computer, where any program can wait for the code of a session that is there (RFC 8252, section 8.6).
func (a authorization) chooses() bool {
	public := a.party.client != nil && a.party.client.OpenID.Public
	return public || slices.Contains(a.prompts(), "select_account")
}

// lack is what a sign-in session lacks for a request.
type lack struct {
	code  string // that answers a request with prompt=none; "": nothing
	final bool   // the user was asked already, and the sign-in page would not help
	spent bool   // the session has no use left at the client: only another one helps
	proof bool   // the user has to be proved again, or by more
	// methods (amr) of a user whose new proof does not reach what the request needs: for codeUnmet.
	methods []string
}

// lacks returns what a sign-in session, nil for none, lacks to answer a request without the sign-in page. asked is when
// the request sent the browser there, or the zero time.
func (s *Server) lacks(
	ctx context.Context,
	a authorization,
	live *session.Live,
	asked, now time.Time,
) (lack, error) {
	if live == nil {
		return lack{code: codeLoginRequired}, nil
	}

	var p proof
	if a.needsProof() || !asked.IsZero() {
		var err error
		p, err = s.proofOf(ctx, live, asked, now)
		if err != nil {
			return lack{}, err
		}
		if !p.suffices(a, asked, now) || !p.reaches(a, asked) {
			return lack{code: codeLoginRequired, proof: true}, nil
		}
		if !a.levels().sufficed(p.methods) {
			return lack{code: codeUnmet, methods: p.methods}, nil
		}
	}

	if a.party.client != nil {
		err := s.logins.SignInLeft(ctx, live.Login, *a.party.client)
		if errors.Is(err, jeton.ErrSpent) {
			return lack{code: codeLoginRequired, spent: true}, nil
		}
		if err != nil {
			return lack{}, err
		}
	}

	ok, err := s.hinted(ctx, a, live)
	switch {
	case err != nil:
		return lack{}, err
	case !ok:
		return lack{code: codeLoginRequired, final: p.answered}, nil
	case a.chooses() && !p.answered:
		return lack{code: codeInteraction}, nil
	}

	return lack{}, nil
}

// needsProof reports whether it matters for a request when the user was proved.
func (a authorization) needsProof() bool {
	return a.age() >= 0 || a.offlineFor() >= 0 || slices.Contains(a.prompts(), "login") || len(a.levels().wanted) > 0
}

// proof is when the user of a sign-in session was proved.
type proof struct {
	began    time.Time // the session, or the last proof after that
	proved   time.Time // as signin.ProvedAt
	methods  []string  // amr
	answered bool      // the sign-in page that the request led to was answered a short time ago
}

// proofOf returns the proof of a session.
func (s *Server) proofOf(ctx context.Context, live *session.Live, asked, now time.Time) (proof, error) {
	list, _, err := s.sessions.List(ctx, session.Which{Login: live.Login}, 1)
	if err != nil {
		return proof{}, err
	}
	if len(list) == 0 {
		return proof{}, jeton.ErrBadCredential
	}

	p := proof{began: live.Created, proved: signin.ProvedAt(list[0]), methods: list[0].AMR}
	if p.proved.After(p.began) {
		p.began = p.proved
	}

	from := asked
	if !asked.IsZero() && !p.began.Before(asked) {
		from = p.began
	}
	p.answered = !asked.IsZero() && now.Sub(from) <= answeredFor

	return p, nil
}

// suffices reports whether a proof is recent enough for a request. A sign-in that the request has caused is. But for
// max_age and prompt=login, one at another provider that did not prove the user afresh is none, however late it was.
func (p proof) suffices(a authorization, asked, now time.Time) bool {
	age := a.age()
	login := slices.Contains(a.prompts(), "login")
	caused := p.caused(asked)
	reproved := caused && !p.proved.Before(asked)

	if !reproved && (login || age >= 0 && now.Sub(p.proved) > age) {
		return false
	}

	limit := a.offlineFor()

	return limit < 0 || caused || now.Sub(p.began) <= limit
}

// reaches reports whether a proof reaches a level that a request wants, or no more is asked of the user: who has signed
// in for the request may have no second factor, and without a page only what the request needs is looked at.
func (p proof) reaches(a authorization, asked time.Time) bool {
	l := a.levels()
	return l.reached(p.methods) || p.caused(asked) || a.silent() && l.sufficed(p.methods)
}

// caused reports whether the sign-in page that a request led to was answered by this proof, a short time ago.
func (p proof) caused(asked time.Time) bool { return p.answered && !p.began.Before(asked) }

// hinted reports whether the user of a session is the one of id_token_hint, if a request has one (OpenID Connect Core
// 1.0, section 3.1.2.1). A hint that is none of ours names no user of ours: it counts only where no page is shown.
func (s *Server) hinted(ctx context.Context, a authorization, live *session.Live) (bool, error) {
	hint := a.query.Get("id_token_hint")
	if hint == "" || a.party.client == nil {
		return true, nil
	}

	t, err := openid.ReadHint(ctx, s.ring, s.conf.URL, hint)
	switch {
	case errors.Is(err, jeton.ErrInvalid):
		return !a.silent(), nil
	case err != nil:
		return false, err
	}

	acct, err := s.accounts.Find(ctx, live.Name)
	if err != nil {
		return false, err
	}
	subject, err := s.subjects.Of(ctx, *a.party.client, acct.UUID)

	return subject == t.Subject, err
}
