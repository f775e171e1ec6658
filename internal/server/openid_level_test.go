package server_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/jetontest"
)

const mfa = "https://refeds.org/profile/mfa"

// claimsFor returns the parameter claims for the claim acr.
func claimsFor(acr string) string {
	return `{"id_token": {"acr": ` + acr + `}, "userinfo": {"name": null}}`
}

// startLevels starts a server whose service notes requires two factors, with a browser in which max has signed in with
// a password, and one in which diane has with a code of an authenticator app, too.
func startLevels(t *testing.T) (s *jetontest.Server, c *heldClock, one, two *browser) {
	t.Helper()
	text := strings.Replace(resources, "max_uses: 3}", "}\n    accept: [token]\n    require: {factors: 2}", 1)
	c = newHeldClock()
	s = jetontest.Start(t, text, jetontest.Clock(c.now))
	s.AddUser("diane", right, "staff")
	s.AddUser("max", right, "staff")

	one, two = newBrowser(t, s), newBrowser(t, s)
	one.signIn("max")
	two.signIn("diane")
	secret, _ := two.enrol(c.now())
	c.move(2 * time.Minute)
	a := two.post("/prove", "password", right, "code", otp(t, secret, c.now()))
	if a.Status != http.StatusSeeOther {
		t.Fatalf("the proof: got %d %s, want 303", a.Status, a.Body)
	}

	return s, c, one, two
}

// TestALevelThatIsNeededIsReachedOrRefused asks without a page.
func TestALevelThatIsNeededIsReachedOrRefused(t *testing.T) {
	s, _, one, two := startLevels(t)

	for _, tc := range []struct {
		name     string
		by       *browser
		resource string // "": no service
		acr      string // acr_values
		claims   string
		want     string // error, or "" for a code
		level    string // acr of the ID token
	}{
		{"a wish that is not reached", one, "", mfa, "", "", ""},
		{"a claim that is not essential", one, "", "", claimsFor(`{"values": ["phr"]}`), "", ""},
		{"a higher wish than is reached", two, "", "phr", "", "", mfa},
		{"an essential claim of any value", one, "", "", claimsFor(`{"essential": true}`), "", ""},
		{"no value", one, "", "", claimsFor(`null`), "", ""},
		{"an essential claim", two, "", "", claimsFor(`{"essential": true, "values": ["x", "` + mfa + `"]}`), "", mfa},
		{"an essential value", two, "", "phr", claimsFor(`{"essential": true, "value": "` + mfa + `"}`), "", mfa},
		{"a service whose rule is reached", two, "notes", "", "", "", mfa},
		{"a wish for a service", two, "staff", "phr " + mfa, "", "", mfa},

		{
			"an essential claim that another sign-in may reach", one, "", "",
			claimsFor(`{"essential": true, "values": ["` + mfa + `"]}`), "login_required", "",
		},
		{
			"a higher essential claim", two, "", mfa,
			claimsFor(`{"essential": true, "value": "phr"}`), "login_required", "",
		},
		{"a service whose rule is not reached", one, "notes", "", "", "login_required", ""},
		{
			"an unknown level and a service whose rule is not reached", one, "notes", "",
			claimsFor(`{"values": ["gold"]}`), "login_required", "",
		},
		{
			"an unknown level and a service whose rule is reached", two, "notes", "",
			claimsFor(`{"value": "gold"}`), "", mfa,
		},
		{
			"an unknown level that is needed for a service", two, "notes", "gold", "",
			"unmet_authentication_requirements", "",
		},
		{"a lower wish than the rule of a service", one, "notes", "1", "", "unmet_authentication_requirements", ""},
		{"a higher wish than the rule of a service", two, "notes", "phr", "", "login_required", ""},
		{"a wish for a service without a rule", one, "staff", mfa, "", "login_required", ""},
		{
			"an essential claim that nothing reaches", two, "", mfa,
			claimsFor(`{"essential": true, "values": ["gold"]}`), "unmet_authentication_requirements", "",
		},
		{"claims that are no JSON", two, "", "", "acr", "invalid_request", ""},
		{"a claim that is no object", two, "", "", claimsFor(`"phr"`), "invalid_request", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.by.t = t
			got := tc.by.redirected(desktopAsks(
				s, "prompt", "none", "scope", "openid",
				"resource", tc.resource, "acr_values", tc.acr, "claims", tc.claims,
			))
			if got.Get("error") != tc.want || got.Has("code") != (tc.want == "") {
				t.Fatalf("got %v, want error %q", got, tc.want)
			}
			if tc.want != "" {
				return
			}

			level, _ := claimsOf(t, desktopRedeems(t, s, got.Get("code")).ID)["acr"].(string)
			if level != tc.level {
				t.Errorf("got acr %q, want %q", level, tc.level)
			}
		})
	}
}

// TestAUserWhoCannotReachALevelIsAskedOnce has a user without a second factor sign in again.
func TestAUserWhoCannotReachALevelIsAskedOnce(t *testing.T) {
	s, c, b, _ := startLevels(t)

	for _, tc := range []struct {
		name    string
		changes []string
		want    string
	}{
		{"a wish", []string{"resource", "", "scope", "openid", "acr_values", "phr"}, ""},
		{
			"an essential claim",
			[]string{"resource", "", "scope", "openid", "claims", claimsFor(`{"essential": true, "value": "phr"}`)},
			"unmet_authentication_requirements",
		},
		{"the rule of a service", nil, "unmet_authentication_requirements"},
		{"another wish than the rule", []string{"acr_values", "phr"}, "unmet_authentication_requirements"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b.t = t
			c.move(time.Second) // after the sign-in of the case before
			page, back := b.shown(desktopAsks(s, tc.changes...))
			if to := b.get(back).Header.Get("Location"); !strings.HasPrefix(to, "/sign-in?") {
				t.Errorf("without another sign-in: got to %q, want the sign-in page", to)
			}

			b.send(page, "max")
			if got := b.redirected(back); got.Get("error") != tc.want || got.Has("code") != (tc.want == "") {
				t.Errorf("after another sign-in: got %v, want error %q", got, tc.want)
			}
		})
	}

	var last jeton.Event
	for _, e := range s.Events() {
		if e.Outcome == "insufficient_user_authentication" {
			last = e
		}
	}
	want := jeton.Check{Name: "second factor", Value: "pwd", Result: "fail"}
	if last.Actor != "user:max" || last.Service != "desktop" || len(last.Checks) != 1 || last.Checks[0] != want {
		t.Errorf("the last refusal is %+v, want one of max at desktop with %+v", last, want)
	}
}

// TestACodeStandsForTheSignInItWasIssuedFor has a user show a second factor between the authorization, or the answer
// for a device, and the token request.
func TestACodeStandsForTheSignInItWasIssuedFor(t *testing.T) {
	c := newHeldClock()
	s := startRelying(t, jetontest.Clock(c.now))
	b := newBrowser(t, s)
	b.signIn("diane")
	key, _ := b.enrol(c.now())

	begun := c.now()
	code := b.codeFor(wikiAsks(s, "acr_values", mfa, "prompt", "none"))
	device := beginDevice(t, s)
	b.answers(device.UserCode, "allow", "allowed")

	c.move(31 * time.Second) // another code of the app, and the authorization code is valid for a minute
	a := b.post("/prove", "password", right, "code", otp(t, key, c.now()))
	if a.Status != http.StatusSeeOther {
		t.Fatalf("the proof: got %d %s, want 303", a.Status, a.Body)
	}

	for name, got := range map[string]relied{"code": redeem(t, s, code), "device": poll(t, s, device.Code)} {
		if got.ID == "" {
			t.Fatalf("%s: got %+v, want an ID token", name, got)
		}
		claims := claimsOf(t, got.ID)
		at, _ := claims["auth_time"].(float64)
		if claims["acr"] != nil || len(claims["amr"].([]any)) != 1 || int64(at) != begun.Unix() {
			t.Errorf("%s: got acr %v, amr %v, auth_time %v, want those of the authorization at %d",
				name, claims["acr"], claims["amr"], claims["auth_time"], begun.Unix())
		}
	}

	after := claimsOf(t, redeem(t, s, b.codeFor(wikiAsks(s, "prompt", "none"))).ID)
	if after["acr"] != mfa {
		t.Errorf("the next authorization: got acr %v, want %s", after["acr"], mfa)
	}
}
