package wallet

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/jeton-auth/jeton"
)

// TestHostileService logs in at a service that names what it likes. Without a confirmation, the issuer must not be
// reached at all.
func TestHostileService(t *testing.T) {
	const other = "https://other.example"

	for _, tc := range []struct {
		name      string
		wellKnown string // ISSUER and ORIGIN are those of the pair
		login     Login  // Issuer and Audience
		confirms  bool   // by the user, who is asked if there is no flag
		asked     bool
		want      error
	}{
		{"its own, without a user to ask", `"issuer":"ISSUER","audience":"app"`, Login{}, false, false, ErrUnconfirmed},
		{"its own, confirmed", `"issuer":"ISSUER","audience":"app"`, Login{}, true, true, nil},
		{"its own, refused", `"issuer":"ISSUER","audience":"app"`, Login{}, false, true, ErrUnconfirmed},
		{
			"its own, named",
			`"issuer":"ISSUER","audience":"app"`,
			Login{Issuer: "ISSUER", Audience: "app"},
			false,
			false,
			nil,
		},
		{
			"the audience of another service, only the issuer named",
			`"issuer":"ISSUER","audience":"payments"`,
			Login{Issuer: "ISSUER"},
			false,
			false,
			ErrUnconfirmed,
		},
		{
			"the audience of another service",
			`"issuer":"ISSUER","audience":"payments"`,
			Login{Issuer: "ISSUER", Audience: "app"},
			true,
			false,
			ErrUnconfirmed,
		},
		{
			"another issuer",
			`"issuer":"ISSUER","audience":"app"`,
			Login{Issuer: other, Audience: "app"},
			true,
			false,
			ErrUnconfirmed,
		},
		{
			"its origin as the audience",
			`"issuer":"ISSUER","audience":"ORIGIN"`,
			Login{Issuer: "ISSUER"},
			false,
			false,
			nil,
		},
		{"no audience", `"issuer":"ISSUER"`, Login{Issuer: "ISSUER"}, false, false, nil},
		{
			"its resource",
			`"issuer":"ISSUER","audience":"app","resource":"ORIGIN/"`,
			Login{Issuer: "ISSUER", Audience: "app"},
			false,
			false,
			nil,
		},
		{
			"the resource of another service",
			`"issuer":"ISSUER","audience":"app","resource":"` + other + `"`,
			Login{Issuer: "ISSUER", Audience: "app"},
			true,
			false,
			jeton.ErrInvalid,
		},
		{
			"an audience that writes to the terminal",
			`"issuer":"ISSUER","audience":"app\u001b[2J"`,
			Login{},
			true,
			false,
			jeton.ErrInvalid,
		},
		{
			"an audience without end",
			`"issuer":"ISSUER","audience":"` + strings.Repeat("a", 257) + `"`,
			Login{},
			true,
			false,
			jeton.ErrInvalid,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := newPair(t)
			w, in := p.login(t)
			fill := strings.NewReplacer("ISSUER", p.issuer.URL, "ORIGIN", p.service.URL)
			p.wellKnown = "{" + fill.Replace(tc.wellKnown) + "}"
			in.Issuer, in.Audience = fill.Replace(tc.login.Issuer), fill.Replace(tc.login.Audience)

			asked := false
			w.confirmPairing = nil
			if tc.confirms || tc.asked {
				w.confirmPairing = func(_ context.Context, pairing Pairing) (bool, error) {
					asked = true
					if pairing.Issuer != p.issuer.URL || string(pairing.Service) != p.service.URL {
						t.Errorf("asked about %+v, want %s at %s", pairing, p.service.URL, p.issuer.URL)
					}
					return tc.confirms, nil
				}
			}

			_, err := w.Login(t.Context(), in)
			if !errors.Is(err, tc.want) || asked != tc.asked {
				t.Errorf("Login = %v, asked %t, want %v, asked %t", err, asked, tc.want, tc.asked)
			}
			if n := p.reached.Load(); tc.want != nil && n > 0 {
				t.Errorf("the issuer got %d requests, want none", n)
			}
		})
	}
}

// TestPairingIsAskedOnce logs in again, lets the service change its mind, and logs in at another one.
func TestPairingIsAskedOnce(t *testing.T) {
	p := newPair(t)
	w, in := p.login(t)
	asked := []Pairing{}
	w.confirmPairing = func(_ context.Context, pairing Pairing) (bool, error) {
		asked = append(asked, pairing)
		return true, nil
	}

	login := func(what string, in Login, want int) {
		t.Helper()
		asked = asked[:0]
		mustLogin(t, w, in)
		if len(asked) != want {
			t.Errorf("%s: asked %d times, want %d", what, len(asked), want)
		}
	}

	login("the first login", in, 1)
	login("the second", in, 0)
	second := in
	second.As, second.Username = "ci2", "ci"
	login("another identity at the same service", second, 0)

	p.wellKnown = strings.Replace(p.wellKnown, `"app"}`, `"payments"}`, 1)
	login("another audience", in, 1)

	hostile := newPair(t)
	hostile.wellKnown = fmt.Sprintf(`{"service":"app","issuer":%q,"audience":"payments"}`, p.issuer.URL)
	elsewhere := in
	elsewhere.URL = hostile.service.URL
	login("the same at another service", elsewhere, 1)

	if len(asked) == 1 && string(asked[0].Other) != p.service.URL {
		t.Errorf("Other = %q, want %q: the audience is that of a known service", asked[0].Other, p.service.URL)
	}
}

// TestServiceThatIssuesItsOwnTokens logs in where one server is the service and the issuer. What it gets is of use
// nowhere else, so no confirmation is needed. Another port is another server.
func TestServiceThatIssuesItsOwnTokens(t *testing.T) {
	for _, tc := range []struct {
		name     string
		issuer   string // "": the service itself
		audience string // of the login
		want     error
	}{
		{"the origin of the service", "", "", nil},
		{"another port of its host", "https://127.0.0.1:1", "", ErrUnconfirmed},
		{"its origin, and the login names another audience", "", "payments", ErrUnconfirmed},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := newPair(t)
			w, in := p.login(t)
			w.confirmPairing = nil
			p.wellKnown = fmt.Sprintf(`{"service":"app","issuer":%q,"audience":"app"}`, cmp.Or(tc.issuer, p.issuer.URL))
			in.URL, in.Audience = p.issuer.URL, tc.audience

			_, err := w.Login(t.Context(), in)
			if !errors.Is(err, tc.want) {
				t.Errorf("Login = %v, want %v", err, tc.want)
			}
		})
	}
}
