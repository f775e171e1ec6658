package server_test

import (
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/jetontest"
)

// wikiLogout is where wiki gets logout tokens.
type wikiLogout struct {
	url    string
	status atomic.Int32 // that it answers with
	tokens chan string
}

func newWikiLogout(t *testing.T, status int) *wikiLogout {
	t.Helper()
	l := &wikiLogout{tokens: make(chan string, 1000)}
	l.status.Store(int32(status))

	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(io.LimitReader(r.Body, 8<<10))
		form, err := url.ParseQuery(string(body))
		if err != nil || r.Header.Get("Content-Type") != "application/x-www-form-urlencoded" {
			t.Errorf("got %q %q, want a form", r.Header.Get("Content-Type"), body)
		}

		l.tokens <- form.Get("logout_token")
		w.WriteHeader(int(l.status.Load()))
	}))
	t.Cleanup(s.Close)
	l.url = s.URL + "/logout"

	return l
}

// next returns the next logout token for the session of an ID token, and its claims. One of an earlier session may
// come again, if its answer was late.
func (l *wikiLogout) next(t *testing.T, id map[string]any) (text string, claims map[string]any) {
	t.Helper()
	for text := range l.tokens {
		claims := claimsOf(t, text)
		if claims["sid"] == id["sid"] {
			return text, claims
		}
	}

	return "", nil
}

// signInAtWiki signs diane in at wiki in a new browser, and returns the claims of her ID token.
func signInAtWiki(t *testing.T, s *jetontest.Server) (*browser, map[string]any) {
	t.Helper()
	b := newBrowser(t, s)
	b.signIn("diane")

	return b, claimsOf(t, redeem(t, s, b.codeFor(wikiAsks(s))).ID)
}

// TestARelyingPartyLearnsOfTheEndOfASession ends the session of a user in each way.
func TestARelyingPartyLearnsOfTheEndOfASession(t *testing.T) {
	wiki := newWikiLogout(t, http.StatusOK)
	s := startRelying(t, jetontest.Env("WIKI_LOGOUT", wiki.url))

	for _, tc := range []struct {
		name string
		end  func(b *browser)
	}{
		{"a sign-out", func(b *browser) {
			header := append([]string{"Origin", s.Issuer()}, loading...)
			s.Send(b.client, http.MethodPost, s.Issuer()+"/sign-out", "", header...)
		}},
		{"an administrator ends it", func(*browser) {
			s.MustControl(http.MethodDelete, "/api/v1/sessions?user=diane", nil, nil)
		}},
		{"the user is disabled", func(*browser) {
			for _, disabled := range []bool{true, false} {
				in := map[string]bool{"disabled": disabled}
				s.MustControl(http.MethodPut, "/api/v1/users/diane/disabled", in, nil)
			}
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b, id := signInAtWiki(t, s)
			tc.end(b)

			_, got := wiki.next(t, id)
			for _, name := range []string{"iss", "aud", "sub"} {
				if got[name] != id[name] {
					t.Errorf("%s = %v, want that of the ID token, %v", name, got[name], id[name])
				}
			}

			events, _ := got["events"].(map[string]any)
			if events["http://schemas.openid.net/event/backchannel-logout"] == nil || got["nonce"] != nil ||
				got["jti"] == nil || got["iat"] == nil || got["exp"] == nil {
				t.Errorf("logout token = %v, want the event, jti, iat and exp, and no nonce", got)
			}
		})
	}
}

// TestALogoutTokenIsNoOtherToken shows one wherever another token is accepted.
func TestALogoutTokenIsNoOtherToken(t *testing.T) {
	wiki := newWikiLogout(t, http.StatusOK)
	s := startRelying(t, jetontest.Env("WIKI_LOGOUT", wiki.url))
	_, id := signInAtWiki(t, s)
	s.MustControl(http.MethodDelete, "/api/v1/sessions?user=diane", nil, nil)
	text, _ := wiki.next(t, id)

	head, _ := base64.RawURLEncoding.DecodeString(strings.Split(text, ".")[0])
	if !strings.Contains(string(head), `"typ":"logout+jwt"`) || !strings.Contains(string(head), `"alg":"ES256"`) {
		t.Errorf("header = %s, want typ logout+jwt and the algorithm of the client", head)
	}
	if _, a := userinfo(s, http.MethodGet, text); a.Status != http.StatusUnauthorized {
		t.Errorf("userinfo = %d, want 401", a.Status)
	}

	b := newBrowser(t, s)
	b.signIn("diane")
	got := b.redirected(wikiAsks(s, "prompt", "none", "id_token_hint", text)).Get("error")
	if got != "login_required" {
		t.Errorf("as a hint: got error %q, want login_required", got)
	}
}

// TestALogoutIsSentUntilItIsAccepted refuses it, stops the server, and starts it again.
func TestALogoutIsSentUntilItIsAccepted(t *testing.T) {
	wiki := newWikiLogout(t, http.StatusBadRequest)
	c := newHeldClock()
	options := []jetontest.Option{
		jetontest.Env("WIKI_LOGOUT", wiki.url), jetontest.Clock(c.now), jetontest.DataDir(t.TempDir()),
	}
	s := startRelying(t, options...)
	_, id := signInAtWiki(t, s)
	s.MustControl(http.MethodDelete, "/api/v1/sessions?user=diane", nil, nil)

	_, first := wiki.next(t, id)
	s.Stop()
	wiki.status.Store(http.StatusNoContent)
	c.move(time.Minute)
	s = jetontest.Start(t, relying, options...)

	if _, second := wiki.next(t, id); second["jti"] == first["jti"] {
		t.Errorf("jti = %v, sent twice, want another one", second["jti"])
	}

	// After an hour it is given up, with an event for the operator. Nothing to end makes the server look for work.
	wiki.status.Store(http.StatusFound)
	signInAtWiki(t, s)
	s.MustControl(http.MethodDelete, "/api/v1/sessions?user=diane", nil, nil)
	for {
		i := slices.IndexFunc(s.Events(), func(e jeton.Event) bool { return e.Action == "logout.send" })
		if i >= 0 {
			e := s.Events()[i]
			// One in progress when the clock moves is tried again.
			var tries int
			_, err := fmt.Sscanf(e.Reason, "no logout token was accepted in %d tries: status 302 Found", &tries)
			if err != nil || tries < 13 || e.Outcome != "unavailable" || e.Actor != "client:wiki" {
				t.Errorf("got %+v, want 13 tries or more that failed", e)
			}
			break
		}

		c.move(11 * time.Minute)
		s.MustControl(http.MethodDelete, "/api/v1/sessions?user=max", nil, nil)
	}
}
