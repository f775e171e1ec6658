package wallet

import (
	"context"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/jeton-auth/jeton"
)

// byDevice returns a login with a code, which is put into shown.
func (p *openID) byDevice(shown *DeviceCode) Login {
	in := p.login()
	in.SignIn = &SignIn{ClientID: "cli", Device: func(_ context.Context, code DeviceCode) error {
		*shown = code
		return nil
	}}
	p.meta = func(m map[string]any) { m["device_authorization_endpoint"] = p.URL + "/device" }

	return in
}

// TestAUserSignsInWithACode asks until the user has answered.
func TestAUserSignsInWithACode(t *testing.T) {
	for _, tc := range []struct {
		name    string
		outcome error // that a server of ours names beside the code
	}{
		{"at another provider", nil},
		{"at a server of ours", jeton.ErrTooEarly},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			p := newOpenID(t)
			p.outcome = tc.outcome
			signInWithCode(t, p)
		})
	}
}

// signInWithCode signs in with a code whose user answers between two requests.
func signInWithCode(t *testing.T, p *openID) {
	t.Helper()
	var shown DeviceCode
	in := p.byDevice(&shown)

	asked := 0
	p.token = func(url.Values) *string {
		asked++
		if asked == 1 {
			return new("authorization_pending")
		}
		return nil
	}

	id := mustLogin(t, openWallet(t, t.TempDir()), in)
	if id.Name() != "ada" || id.Info().Kind != KindSignIn {
		t.Errorf("Info = %+v, want the sign-in of ada", id.Info())
	}
	if shown.Code != "BCDF-GHJK" || shown.URL != p.URL+"/enter" {
		t.Errorf("shown %+v, want the code and the page", shown)
	}
	if scope := strings.Fields(p.asked.Get("scope")); !slices.Contains(scope, "openid") {
		t.Errorf("asked for %v, want the scope openid", p.asked)
	}
	if asked != 2 {
		t.Errorf("asked %d times, want 2", asked)
	}
	mustGet(t, id, p.URL+"/api", "ada")
}

// TestACodeThatIsRefusedSignsNobodyIn has answers of issuers that end the sign-in.
func TestACodeThatIsRefusedSignsNobodyIn(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(*openID)
		want   string // in the error
	}{
		{"an issuer without the grant", func(p *openID) { p.meta = func(map[string]any) {} }, "no device grant"},
		{"an endpoint without TLS", func(p *openID) {
			p.meta = func(m map[string]any) { m["device_authorization_endpoint"] = "http://evil.example/" }
		}, "device_authorization_endpoint"},
		{"no code", func(p *openID) {
			p.codes = func(m map[string]any) { delete(m, "user_code") }
		}, "invalid device codes"},
		{"a code that rewrites the terminal", func(p *openID) {
			p.codes = func(m map[string]any) { m["user_code"] = "\x1b[2J" }
		}, "invalid device codes"},
		{"an address that is a script", func(p *openID) {
			p.codes = func(m map[string]any) { m["verification_uri"] = "javascript:alert(1)" }
		}, "invalid address"},
		{"a user who refuses", func(p *openID) {
			p.token = func(url.Values) *string { return new("access_denied") }
		}, "access_denied"},
		{"a code that has expired", func(p *openID) {
			p.token = func(url.Values) *string { return new("expired_token") }
		}, "expired_token"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			p := newOpenID(t)
			var shown DeviceCode
			in := p.byDevice(&shown)
			tc.change(p)

			_, err := openWallet(t, t.TempDir()).Login(t.Context(), in)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want an error with %q", err, tc.want)
			}
		})
	}
}
