package server_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/jetontest"
)

const grantDevice = "urn:ietf:params:oauth:grant-type:device_code"

// deviceCodes is an answer of the device authorization endpoint.
type deviceCodes struct {
	Status   int    `json:"-"`
	Error    string `json:"error"`
	Code     string `json:"device_code"`
	UserCode string `json:"user_code"`
	Page     string `json:"verification_uri"`
	Complete string `json:"verification_uri_complete"`
	Expires  int    `json:"expires_in"`
	Interval int    `json:"interval"`
}

// beginDevice requests a device code of wiki, in which fields of the form are changed in turn.
func beginDevice(t *testing.T, s *jetontest.Server, changes ...string) deviceCodes {
	t.Helper()
	form := url.Values{"client_id": {"wiki"}, "client_secret": {"s3cret"}, "scope": {"openid email"}}
	for i := 0; i+1 < len(changes); i += 2 {
		form.Set(changes[i], changes[i+1])
	}

	a := s.Send(
		s.Client(), http.MethodPost, s.Issuer()+"/oauth2/device_authorization", form.Encode(),
		"Content-Type", "application/x-www-form-urlencoded",
	)

	out := deviceCodes{Status: a.Status}
	if err := json.Unmarshal([]byte(a.Body), &out); err != nil {
		t.Fatalf("device authorization: %d %q: %v", a.Status, a.Body, err)
	}

	return out
}

// poll asks for the tokens of a device code of wiki.
func poll(t *testing.T, s *jetontest.Server, code string, changes ...string) relied {
	t.Helper()
	return exchange(t, s, append([]string{"grant_type", grantDevice, "device_code", code}, changes...)...)
}

// device sends the form of the page for devices: without an answer, only the code.
func (b *browser) device(code, answer, origin string) jetontest.Answer {
	b.t.Helper()
	form := url.Values{"user_code": {code}}
	if answer != "" {
		form.Set("answer", answer)
	}
	header := append([]string{"Content-Type", "application/x-www-form-urlencoded", "Origin", origin}, loading...)

	return b.s.Send(b.client, http.MethodPost, b.s.Issuer()+"/device", form.Encode(), header...)
}

// answers answers for a device and fails the test unless that leads to the end of the page.
func (b *browser) answers(code, answer, want string) {
	b.t.Helper()
	a := b.device(code, answer, b.s.Issuer())
	if to := a.Header.Get("Location"); a.Status != http.StatusSeeOther || to != "/device?done="+want {
		b.t.Fatalf("answer %s: got %d to %q, want /device?done=%s", answer, a.Status, to, want)
	}
}

func TestADeviceSignsAUserIn(t *testing.T) {
	c := newHeldClock()
	s := startRelying(t, jetontest.Clock(c.now))
	b := newBrowser(t, s)

	begun := beginDevice(t, s)
	if begun.Status != http.StatusOK || begun.Page != s.Issuer()+"/device" || begun.Expires != 600 ||
		begun.Interval != 5 || begun.Complete != begun.Page+"?user_code="+begun.UserCode {
		t.Fatalf("got %+v, want codes and the page", begun)
	}

	// The page leads through the sign-in and back, with the code filled in and no button that allows.
	b.open(begun.Complete)
	if !strings.HasPrefix(b.at(), s.Issuer()+"/sign-in?") {
		t.Fatalf("without a session: got %s, want the sign-in page", b.at())
	}
	b.signIn("diane")
	a := b.open(begun.Complete)
	if a.Status != http.StatusOK || !strings.Contains(a.Body, begun.UserCode) || strings.Contains(a.Body, "allow") {
		t.Errorf("the page: got %d %q, want the code filled in alone", a.Status, a.Body)
	}

	if got := poll(t, s, begun.Code); got.Error != "authorization_pending" {
		t.Errorf("before the answer: got %+v, want authorization_pending", got)
	}
	if got := poll(t, s, begun.Code); got.Error != "slow_down" {
		t.Errorf("at once again: got %+v, want slow_down", got)
	}
	c.move(5 * time.Second)
	if got := poll(t, s, begun.Code); got.Error != "authorization_pending" {
		t.Errorf("after the interval: got %+v, want authorization_pending", got)
	}

	typed := strings.ToLower(strings.ReplaceAll(begun.UserCode, "-", " "))
	a = b.device(typed, "", s.Issuer())
	for _, want := range []string{"wiki", "your e-mail address", "Did you start this yourself", begun.UserCode} {
		if !strings.Contains(a.Body, want) {
			t.Errorf("the question has no %q: %d %q", want, a.Status, a.Body)
		}
	}
	if a := b.device(typed, "allow", "https://evil.example"); a.Status != http.StatusForbidden {
		t.Errorf("a form of another site: got %d, want 403", a.Status)
	}

	b.answers(typed, "allow", "allowed")
	if a := b.device(typed, "deny", s.Issuer()); a.Status != http.StatusNotFound {
		t.Errorf("a second answer: got %d, want 404", a.Status)
	}
	if got := poll(t, s, begun.Code, "client_id", "old"); got.Error != "invalid_grant" {
		t.Errorf("another client: got %+v, want invalid_grant", got)
	}

	got := poll(t, s, begun.Code)
	if got.Status != http.StatusOK || got.Scope != "email openid" || got.ID == "" {
		t.Fatalf("after the answer: got %+v, want tokens", got)
	}
	if claims, a := userinfo(s, http.MethodGet, got.Access); a.Status != http.StatusOK || claims["sub"] == nil {
		t.Errorf("userinfo: got %d %v, want the claims of diane", a.Status, claims)
	}

	// A second use ends what came of the first, and the code is used for good.
	for _, which := range []string{"second", "third"} {
		if again := poll(t, s, begun.Code); again.Error != "invalid_grant" {
			t.Errorf("a %s use: got %+v, want invalid_grant", which, again)
		}
	}
	if _, a := userinfo(s, http.MethodGet, got.Access); a.Status != http.StatusUnauthorized {
		t.Errorf("userinfo after a second use: got %d, want 401", a.Status)
	}

	var actions []string
	for _, e := range s.Events() {
		actions = append(actions, e.Action)
	}
	for _, action := range []string{audit.DeviceBegin, audit.DeviceAllow, audit.TokenIssue, audit.TokenRevoke} {
		if !slices.Contains(actions, action) {
			t.Errorf("the audit log has %q, want %s in it", actions, action)
		}
	}
}

// TestAnUnreadableClientAtTheDeviceEndpointIsInTheAuditLog guesses there as at the token endpoint.
func TestAnUnreadableClientAtTheDeviceEndpointIsInTheAuditLog(t *testing.T) {
	s := startRelying(t)
	a := s.Send(
		s.Client(), http.MethodPost, s.Issuer()+"/oauth2/device_authorization", "scope=openid",
		"Content-Type", "application/x-www-form-urlencoded", "Authorization", "Basic !",
	)
	if a.Status != http.StatusUnauthorized {
		t.Errorf("got %d %q, want 401", a.Status, a.Body)
	}

	recorded := func(e jeton.Event) bool { return e.Action == audit.DeviceBegin && e.Outcome == "bad_credential" }
	if events := s.Events(); !slices.ContainsFunc(events, recorded) {
		t.Errorf("got events %v, want a refused %s", events, audit.DeviceBegin)
	}
}

// TestADeviceGetsNoTokens has what a device and its user are refused.
func TestADeviceGetsNoTokens(t *testing.T) {
	c := newHeldClock()
	s := startRelying(t, jetontest.Clock(c.now))
	diane, max := newBrowser(t, s), newBrowser(t, s)
	diane.signIn("diane")
	max.signIn("max")

	for _, tc := range []struct {
		name    string
		changes []string
		want    string
	}{
		{"a client without device_grant", []string{"client_id", "brief"}, "unauthorized_client"},
		{"a wrong secret", []string{"client_secret", "wrong"}, "invalid_client"},
		{"no scope openid", []string{"scope", "email"}, "invalid_scope"},
		{"an unknown resource", []string{"resource", "https://shop.example"}, "invalid_target"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := beginDevice(t, s, tc.changes...); got.Error != tc.want {
				t.Errorf("got %+v, want %s", got, tc.want)
			}
		})
	}

	t.Run("the user refuses", func(t *testing.T) {
		begun := beginDevice(t, s)
		diane.answers(begun.UserCode, "deny", "denied")
		if got := poll(t, s, begun.Code); got.Error != "access_denied" {
			t.Errorf("got %+v, want access_denied", got)
		}
	})

	t.Run("a user who may not sign in at the client", func(t *testing.T) {
		begun := beginDevice(t, s, "client_id", "old")
		if a := max.device(begun.UserCode, "allow", s.Issuer()); a.Status != http.StatusForbidden {
			t.Errorf("max allows: got %d, want 403", a.Status)
		}
		diane.answers(begun.UserCode, "allow", "allowed")
		if got := poll(t, s, begun.Code, "client_id", "old"); got.Status != http.StatusOK {
			t.Errorf("diane allows: got %+v, want tokens", got)
		}
	})

	t.Run("another client before an answer", func(t *testing.T) {
		begun := beginDevice(t, s)
		if got := poll(t, s, begun.Code, "client_id", "old"); got.Error != "invalid_grant" {
			t.Errorf("got %+v, want invalid_grant", got)
		}
	})

	t.Run("an answer is the consent", func(t *testing.T) {
		begun := beginDevice(t, s, "client_id", "stranger")
		diane.answers(begun.UserCode, "allow", "allowed")
		silent := strangerAsks(s, "scope", "openid email", "prompt", "none")
		if got := diane.codeFor(silent); got == "" {
			t.Error("prompt none afterwards: got no code, want one")
		}
	})

	t.Run("a public client", func(t *testing.T) {
		begun := beginDevice(t, s, "client_id", "cli", "client_secret", "")
		diane.answers(begun.UserCode, "allow", "allowed")
		if got := poll(t, s, begun.Code, "client_id", "cli", "client_secret", ""); got.Status != http.StatusOK {
			t.Errorf("got %+v, want tokens", got)
		}
	})

	t.Run("what is no device code", func(t *testing.T) {
		if got := poll(t, s, "x"); got.Error != "invalid_grant" {
			t.Errorf("got %+v, want invalid_grant", got)
		}
	})

	t.Run("the user signs out after the answer", func(t *testing.T) {
		begun, b := beginDevice(t, s), newBrowser(t, s)
		b.signIn("diane")
		b.answers(begun.UserCode, "allow", "allowed")
		header := append([]string{"Origin", s.Issuer()}, loading...)
		s.Send(b.client, http.MethodPost, s.Issuer()+"/sign-out", "", header...)

		for _, which := range []string{"first", "second"} {
			if got := poll(t, s, begun.Code); got.Error != "expired_token" {
				t.Errorf("the %s question: got %+v, want expired_token", which, got)
			}
		}
	})

	t.Run("an expired code", func(t *testing.T) {
		begun := beginDevice(t, s)
		c.move(10*time.Minute + time.Second)
		if got := poll(t, s, begun.Code); got.Error != "expired_token" {
			t.Errorf("the device: got %+v, want expired_token", got)
		}
		if a := diane.device(begun.UserCode, "allow", s.Issuer()); a.Status != http.StatusNotFound {
			t.Errorf("the user: got %d, want 404", a.Status)
		}
	})

	t.Run("an old proof for a refresh token", func(t *testing.T) {
		c.move(20 * time.Minute)
		begun := beginDevice(t, s, "client_id", "short", "scope", "openid offline_access")
		a := diane.device(begun.UserCode, "allow", s.Issuer())
		if to := a.Header.Get("Location"); to != "/prove?to=%2Fdevice" {
			t.Errorf("got %d to %q, want the page that proves the user", a.Status, to)
		}
	})

	// Last: the limit is of the network, too.
	t.Run("too many wrong user codes", func(t *testing.T) {
		begun := beginDevice(t, s)
		status := 0
		for range 100 {
			status = max.device("BBBB-BBBB", "", s.Issuer()).Status
			if status != http.StatusNotFound {
				break
			}
		}
		if status != http.StatusTooManyRequests {
			t.Errorf("wrong codes: got %d, want 429", status)
		}
		if a := max.device(begun.UserCode, "allow", s.Issuer()); a.Status != http.StatusTooManyRequests {
			t.Errorf("a right code after them: got %d, want 429", a.Status)
		}
	})

	t.Run("too many device codes", func(t *testing.T) {
		last := deviceCodes{}
		for range 100 {
			last = beginDevice(t, s)
			if last.Status != http.StatusOK {
				break
			}
		}
		if last.Status != http.StatusTooManyRequests {
			t.Errorf("got %+v, want 429", last)
		}
	})

	readLogInGerman(t, s)
}
