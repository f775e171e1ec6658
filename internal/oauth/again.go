package oauth

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/jeton-auth/jeton/internal/openid"
	"github.com/jeton-auth/jeton/internal/session"
)

// askedParam says when an authorization request sent the browser to the sign-in page, sealed: a sign-in after that time
// satisfies prompt=login and max_age. Without it, a request whose prompt was removed on the way would do.
const askedParam = "asked"

// askedFor is how long such a time counts.
const askedFor = time.Hour

// sealedParams are the parameters that the time is sealed with: those that differ between any two requests, and those
// that say where an answer goes.
var sealedParams = []string{
	"client_id", "redirect_uri", "scope", "state", "nonce", "code_challenge", "prompt", "max_age",
}

// asked returns the value of askedParam for a request.
func (s *Server) asked(a authorization, now time.Time) string {
	b := binary.BigEndian.AppendUint64(nil, uint64(now.UnixMilli()))
	return base64.RawURLEncoding.EncodeToString(append(b, s.seal(a, b)...))
}

// seal returns the code that authenticates a time of a request.
func (s *Server) seal(a authorization, at []byte) []byte {
	sealed := url.Values{}
	for _, name := range sealedParams {
		sealed[name] = a.query[name]
	}

	m := hmac.New(sha256.New, s.key)
	m.Write(at)
	m.Write([]byte(sealed.Encode()))

	return m.Sum(nil)
}

// askedAt returns when a request sent the browser to the sign-in page, or the zero time.
func (s *Server) askedAt(a authorization, now time.Time) time.Time {
	b, err := base64.RawURLEncoding.DecodeString(a.query.Get(askedParam))
	if err != nil || len(b) != 8+sha256.Size || !hmac.Equal(b[8:], s.seal(a, b[:8])) {
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

// suffices reports whether a sign-in session answers a request without the sign-in page.
func (s *Server) suffices(
	ctx context.Context,
	a authorization,
	live *session.Live,
	now time.Time,
) (bool, error) {
	asked := s.askedAt(a, now)
	prompts := a.prompts()

	// The page was shown, and the user chose.
	if slices.Contains(prompts, "select_account") && asked.IsZero() {
		return false, nil
	}

	age, _ := maxAge(a.query)
	login := slices.Contains(prompts, "login")
	if login || age >= 0 {
		proved, err := s.provedAt(ctx, live)
		if err != nil {
			return false, err
		}

		// A sign-in that this request has caused is recent enough, however long the way back took.
		caused := !asked.IsZero() && !proved.Before(asked)
		if !caused && (login || now.Sub(proved) > age) {
			return false, nil
		}
	}

	return s.hinted(ctx, a, live)
}

// provedAt returns when the user of a session was last proved.
func (s *Server) provedAt(ctx context.Context, live *session.Live) (time.Time, error) {
	proved, err := s.sessions.Proved(ctx, live.ID)
	if proved.Before(live.Created) {
		proved = live.Created
	}

	return proved, err
}

// hinted reports whether the user of a session is the one of id_token_hint, if a request has one (OpenID Connect Core
// 1.0, section 3.1.2.1). A hint that is none of ours names no user of ours.
func (s *Server) hinted(ctx context.Context, a authorization, live *session.Live) (bool, error) {
	hint := a.query.Get("id_token_hint")
	if hint == "" || a.party.client == nil {
		return true, nil
	}

	t, err := openid.ReadHint(ctx, s.ring, s.conf.URL, hint)
	if err != nil {
		return false, nil
	}

	acct, err := s.accounts.Find(ctx, live.Name)
	if err != nil {
		return false, err
	}

	return acct.UUID == t.Subject, nil
}
