package server_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/jeton-auth/jeton/jetontest"
)

// fapi is what the modules of the FAPI 2.0 security profile share: a server, a client that must push its requests, and
// a browser in which diane has signed in.
type fapi struct {
	*testing.T
	s  *jetontest.Server
	c  *heldClock
	in *browser
}

// fapiModules has the modules of the plan that concern what is supported here, by the end of their name. Those on
// sender-constrained tokens (DPoP, mutual TLS) and signed requests are not among them.
var fapiModules = map[string]func(m fapi){
	"happy-flow": func(m fapi) {
		back := m.in.redirected(pushed(m.T, m.s, "bank", bankAsks(m.s)))
		got := bankRedeems(m.T, m.s, back.Get("code"))
		if got.Status != http.StatusOK || back.Get("iss") != m.s.Issuer() {
			m.Errorf("got %+v after %v, want tokens after a redirect with iss", got, back)
		}
	},
	"par-attempt-reuse-request_uri": func(m fapi) {
		asks := pushed(m.T, m.s, "bank", bankAsks(m.s))
		m.in.codeFor(asks)
		m.in.wantRefused(asks)
	},
	"par-attempt-to-use-expired-request_uri": func(m fapi) {
		asks := pushed(m.T, m.s, "bank", bankAsks(m.s))
		m.c.move(time.Minute)
		m.in.wantRefused(asks)
	},
	"par-attempt-to-use-request_uri-for-different-client": func(m fapi) {
		asks := pushed(m.T, m.s, "bank", bankAsks(m.s))
		m.in.wantRefused(strings.Replace(asks, "client_id=bank", "client_id=wiki", 1))
	},
	"par-authorization-request-containing-request_uri": func(m fapi) {
		m.pushRefused("invalid_request", "request_uri", pushedURI)
	},
	"par-ensure-pkce-required": func(m fapi) {
		m.pushRefused("invalid_request", "code_challenge", "", "code_challenge_method", "")
	},
	"par-plain-pkce-rejected": func(m fapi) { m.pushRefused("invalid_request", "code_challenge_method", "plain") },
	"ensure-unsigned-authorization-request-without-using-par-fails": func(m fapi) {
		if got := m.in.redirected(bankAsks(m.s)); got.Get("error") != "invalid_request" || got.Has("code") {
			m.Errorf("got %v, want invalid_request", got)
		}
	},
	"ensure-redirect-uri-in-authorization-request": func(m fapi) {
		m.pushRefused("invalid_request", "redirect_uri", "")
	},
	"ensure-registered-redirect-uri": func(m fapi) {
		m.pushRefused("invalid_request", "redirect_uri", bankDone+"/other")
	},
	"ensure-response-type-token-fails": func(m fapi) {
		m.pushRefused("unsupported_response_type", "response_type", "token")
	},
	"ensure-authorization-code-is-bound-to-client": func(m fapi) {
		code := m.in.codeFor(pushed(m.T, m.s, "bank", bankAsks(m.s)))
		if got := redeem(m.T, m.s, code, "redirect_uri", bankDone); got.Error != "invalid_grant" {
			m.Errorf("another client: got %d %q, want invalid_grant", got.Status, got.Error)
		}
	},
	"attempt-reuse-authorization-code-after-one-second": func(m fapi) {
		code := m.in.codeFor(pushed(m.T, m.s, "bank", bankAsks(m.s)))
		bankRedeems(m.T, m.s, code)
		m.c.move(time.Second)
		if got := bankRedeems(m.T, m.s, code); got.Error != "invalid_grant" {
			m.Errorf("again: got %d %q, want invalid_grant", got.Status, got.Error)
		}
	},
	"ensure-client-id-in-token-endpoint": func(m fapi) {
		code := m.in.codeFor(pushed(m.T, m.s, "bank", bankAsks(m.s)))
		got := redeem(m.T, m.s, code, "client_id", "", "redirect_uri", bankDone)
		if got.Error != "invalid_client" {
			m.Errorf("a client without a name: got %d %q, want invalid_client", got.Status, got.Error)
		}
	},
}

// pushedURI is a reference as the server gives them.
const pushedURI = "urn:ietf:params:oauth:request_uri:x"

// pushRefused fails the module unless a changed request is refused when it is pushed.
func (m fapi) pushRefused(want string, changes ...string) {
	m.Helper()
	if got := push(m.T, m.s, bankAsks(m.s), changes...); got.Error != want || got.RequestURI != "" {
		m.Errorf("got %+v, want %s", got, want)
	}
}

// TestTheModulesOfTheFAPIPlanPass runs each with a client that has require_par.
func TestTheModulesOfTheFAPIPlanPass(t *testing.T) {
	c := newHeldClock()
	s := startRelying(t, jetontest.Clock(c.now))
	in := newBrowser(t, s)
	in.signIn("diane")

	for name, run := range fapiModules {
		t.Run(name, func(t *testing.T) {
			in.t = t
			run(fapi{
				T:  t,
				s:  s,
				c:  c,
				in: in,
			})
		})
	}
}
