package server_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/jeton-auth/jeton/internal/api"
	"github.com/jeton-auth/jeton/internal/test/authenticator"
	"github.com/jeton-auth/jeton/jetontest"
)

func TestAUserConnectsAnAccountAfterAProof(t *testing.T) {
	f := startFederation(t, "existing", "")
	f.below.AddUser("anna", right)
	f.below.AddUser("ben", right)

	stranger := f.visitor(t, "diane")
	wantShown(t, "not connected", stranger.with("/sign-in/with/company"), 403, "Your account at Acme is not connected")

	v := f.visitor(t, "diane")
	v.signIn("anna")
	wantShown(t, "not connected yet", v.get(f.below.Issuer()+"/account/security"), 200, "not connected")
	a := f.below.Send(
		v.client, http.MethodPost, f.below.Issuer()+"/account/security/connect/company", "",
		"Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site",
	)
	if a.Status != http.StatusForbidden {
		t.Errorf("a form of another site = %d, want 403", a.Status)
	}

	wantShown(t, "connected", v.viaForm("/account/security/connect/company", ""), 200, "<span>diane</span>")
	wantShown(t, "with it", stranger.with("/sign-in/with/company"), 200, "anna")
	if e := f.lastEvent("user.connect"); !strings.Contains(e, `"actor":"user:anna"`) {
		t.Errorf("event = %s, want anna as the actor", e)
	}

	// One account of the provider is of one user, and one user has one.
	other := f.visitor(t, "diane")
	other.signIn("ben")
	const connect = "/account/security/connect/company"
	wantShown(t, "of another user", other.viaForm(connect, ""), 403, "It is connected already")
	v.there.signIn("eric")
	wantShown(t, "a second one", v.viaForm(connect, ""), 403, "It is connected already")

	// The session that began with it ends, the other stays.
	a = v.post("/account/security/disconnect", "issuer", f.above.Issuer())
	if a.Header.Get("Location") != "/account/security?done=disconnected" {
		t.Fatalf(
			"disconnect = %d %s to %q, want the page Security with a notice",
			a.Status, plain(a.Body), a.Header.Get("Location"),
		)
	}
	if got := stranger.get(f.below.Issuer() + "/account").Status; got != http.StatusSeeOther {
		t.Errorf("the session that began with the account: %d, want 303 to sign in", got)
	}
	wantShown(t, "the session with the password", v.get(f.below.Issuer()+"/account"), 200, "anna")
	wantShown(t, "after it", stranger.with("/sign-in/with/company"), 403, "is not connected")
}

// TestAConnectionNeedsAProofThatIsRecent has a user whose session began at the provider: that is no proof.
func TestAConnectionNeedsAProofThatIsRecent(t *testing.T) {
	f := startFederation(t, "create", "")
	v := f.visitor(t, "diane")
	v.with("/sign-in/with/company")

	const disconnect = "/account/security/disconnect"
	a := v.post("/account/security/connect/github")
	if !strings.HasPrefix(a.Header.Get("Location"), "/prove?") {
		t.Fatalf("connect = %d to %q, want the proof first", a.Status, a.Header.Get("Location"))
	}
	a = v.post(disconnect, "issuer", f.above.Issuer())
	if !strings.HasPrefix(a.Header.Get("Location"), "/prove?") {
		t.Fatalf("disconnect = %d to %q, want the proof first", a.Status, a.Header.Get("Location"))
	}

	// The provider proves the user again, and not another one.
	wantShown(t, "the page", v.get(f.below.Issuer()+"/prove?to=%2Faccount%2Fsecurity"), 200, "Confirm with Acme")
	prove := "/prove/with/company?to=" + url.QueryEscape("/account/security")
	wantShown(t, "another user", v.viaForm(prove, "eric"), 403, "This is another account")
	wantShown(t, "the user", v.viaForm(prove, "diane"), 200, "<h1>Security</h1>")

	a = v.post(disconnect, "issuer", f.above.Issuer())
	wantShown(t, "the only way to sign in", a, http.StatusConflict, "the only way in which you can sign in")

	// After the proof, another provider can be connected, and the first one is not the only one any more.
	a = v.post("/account/security/connect/github")
	to := strings.TrimPrefix(a.Header.Get("Refresh"), "0;url=")
	state := mustQuery(t, to).Get("state")
	v.open(f.below.Issuer() + "/sign-in/with/github/callback?code=c&state=" + state)
	a = v.post(disconnect, "issuer", f.above.Issuer())
	if a.Header.Get("Location") != "/account/security?done=disconnected" {
		t.Errorf("disconnect = %d %s, want success", a.Status, plain(a.Body))
	}
}

// TestAProofAtAProviderNeedsTheSecondFactor has a user with an authenticator app, whom the provider proves afresh.
func TestAProofAtAProviderNeedsTheSecondFactor(t *testing.T) {
	f := startFederation(t, "create", "")
	v := f.visitor(t, "diane")
	v.with("/sign-in/with/company")
	prove := "/prove/with/company?to=" + url.QueryEscape("/account/security")
	wantShown(t, "before the app", v.viaForm(prove, "diane"), 200, "<h1>Security</h1>")
	key, _ := v.enrol(time.Now())

	const page = "/sign-in/factor?to=%2Faccount%2Fsecurity"
	byCode := func() bool {
		return strings.Contains(v.get(f.below.Issuer()+"/api/v1/users/me/sessions").Body, `"otp"`)
	}
	wantShown(t, "the provider alone", v.viaForm(prove, "diane"), 200, `action="`+page+`"`)
	if byCode() {
		t.Error("with the provider alone, the session is proved by a code, want it not to be")
	}

	// The session stays, and the ticket of the proof is of no use without it.
	other := newBrowser(t, f.below)
	at, err := url.Parse(f.below.Issuer())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range v.client.Jar.Cookies(at) {
		if strings.HasSuffix(c.Name, ".factor") {
			c.Secure, c.Path = true, "/"
			other.client.Jar.SetCookies(at, []*http.Cookie{c})
		}
	}

	code := otp(t, key, time.Now().Add(30*time.Second)) // that of the enrolment is used up
	for _, tc := range []struct {
		name   string
		b      *browser
		code   string
		status int
	}{
		{"a wrong code", v.browser, "000000", http.StatusUnauthorized},
		{"a code in a browser without the session", other, code, http.StatusUnauthorized},
		{"a code", v.browser, code, http.StatusSeeOther},
	} {
		if a := tc.b.post(page, "code", tc.code); a.Status != tc.status {
			t.Errorf("%s: got %d %s, want %d", tc.name, a.Status, plain(a.Body), tc.status)
		}
	}
	if !byCode() {
		t.Error("with a code, the session is not proved by it, want it to be")
	}
}

// mustQuery returns the query of an address.
func mustQuery(t *testing.T, address string) url.Values {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}

	return u.Query()
}

// TestAnInvitationIsAProof has a user without a password, who follows the one-time link of an operator.
func TestAnInvitationIsAProof(t *testing.T) {
	f := startFederation(t, "existing", "")
	f.below.AddUser("anna", right)

	for _, tc := range []struct {
		users string
		want  bool
	}{
		{"existing", false},
		{"invited", true},
	} {
		t.Run(tc.users, func(t *testing.T) {
			if err := f.below.Reload(fmt.Sprintf(below, tc.users, "")); err != nil {
				t.Fatal(err)
			}
			var link struct {
				URL string `json:"url"`
			}
			f.below.MustControl("POST", "/api/v1/users/anna/sign-in-link", nil, &link)

			v := f.visitor(t, "diane")
			v.post(strings.TrimPrefix(link.URL, f.below.Issuer()))
			if !tc.want {
				a := v.post("/account/security/connect/company")
				if !strings.HasPrefix(a.Header.Get("Location"), "/prove?") {
					t.Errorf("got %d to %q, want the proof first", a.Status, a.Header.Get("Location"))
				}
				return
			}

			wantShown(t, "connected", v.viaForm("/account/security/connect/company", ""), 200, "<span>diane</span>")
			wantShown(t, "with it", f.visitor(t, "diane").with("/sign-in/with/company"), 200, "anna")
		})
	}
}

// TestAnAnswerOfAProviderIsForOneSignIn has the attacks on the way back.
func TestAnAnswerOfAProviderIsForOneSignIn(t *testing.T) {
	f := startFederation(t, "create", "")
	v, victim := f.visitor(t, "diane"), f.visitor(t, "eric")
	late := "This sign-in has expired"
	begin := func(v *visitor) string { return v.pass(v.leave(f.below.Issuer() + "/sign-in/with/company")) }

	answer := begin(v)
	victim.leave(f.below.Issuer() + "/sign-in/with/company")
	wantShown(t, "in another browser, which began one, too", victim.open(answer), 401, late)
	wantShown(t, "in a browser that began none", f.visitor(t, "").open(answer), 401, late)
	wantShown(t, "without a state", v.open(f.below.Issuer()+"/sign-in/with/company/callback?code=x"), 401, late)

	// The answer of one provider at the address of another (mix-up).
	wrong := strings.Replace(answer, "/with/company/", "/with/github/", 1)
	wantShown(t, "at another provider", v.open(wrong), 401, late)
	gitHub := mustQuery(t, v.leave(f.below.Issuer()+"/sign-in/with/github"))
	code := mustQuery(t, answer).Get("code")
	mixed := f.below.Issuer() + "/sign-in/with/company/callback?code=" + code + "&state=" + gitHub.Get("state")
	wantShown(t, "the state of another provider", v.open(mixed), 401, late)

	changed := func(name, value string) string {
		q := mustQuery(t, answer)
		q.Set(name, value)
		return f.below.Issuer() + "/sign-in/with/company/callback?" + q.Encode()
	}
	for _, tc := range []struct {
		name, address string
		status        int
		text          string
	}{
		{"iss of another provider", changed("iss", "https://evil.example"), 401, "has failed"},
		{"cancelled", changed("error", "access_denied"), 403, "was cancelled"},
		{"an error", changed("error", "<b>x"), 400, "has failed"},
		{"the provider has a fault", changed("error", "server_error"), 502, "does not answer"},
		{"two codes", answer + "&code=x", 400, "code is there twice"},
		{"no such provider", f.below.Issuer() + "/sign-in/with/none", 404, "nothing here"},
		{"the right one", answer, 200, "diane"},
		{"once more", answer, 401, "has failed"},
	} {
		a := v.open(tc.address)
		wantShown(t, tc.name, a, tc.status, tc.text)
		if strings.Contains(a.Body, "<b>x") {
			t.Errorf("%s: page = %s, want nothing that the address says", tc.name, a.Body)
		}
	}

	// A code of another sign-in fails by its nonce or its verifier.
	other := mustQuery(t, begin(victim)).Get("code")
	q := mustQuery(t, begin(v))
	q.Set("code", other)
	injected := f.below.Issuer() + "/sign-in/with/company/callback?" + q.Encode()
	wantShown(t, "a code that was injected", v.open(injected), 401, "has failed")
	if e := f.lastEvent("login"); !strings.Contains(e, "does not accept the code") {
		t.Errorf("event = %s, want why the code was refused", e)
	}

	// A link of another site replaces no session, and begins a sign-in in a browser that has none.
	for _, tc := range []struct {
		name string
		v    *visitor
		to   string
	}{
		{"with a session", v, "/sign-in?to="},
		{"without one", f.visitor(t, ""), f.above.Issuer() + "/oauth2/authorize?"},
	} {
		link := f.below.Issuer() + "/sign-in/with/company?to=%2Faccount%2Fsecurity"
		header := append([]string{"Sec-Fetch-Site", "cross-site"}, loading...)
		a := f.below.Send(tc.v.client, http.MethodGet, link, "", header...)
		if to := a.Header.Get("Location"); !strings.HasPrefix(to, tc.to) {
			t.Errorf("a link of another site, in a browser %s: got to %q, want %s", tc.name, to, tc.to)
		}
	}

	prefetch := f.below.Send(
		v.client, http.MethodGet, begin(v), "", append([]string{"Sec-Purpose", "prefetch"}, loading...)...,
	)
	if prefetch.Status != http.StatusForbidden {
		t.Errorf("a prefetch = %d, want 403", prefetch.Status)
	}

	readLogInGerman(t, f.below)
}

// TestAnAddressOpensNoAccountThatItsUserChose has users who wait, with the address of another user, for that one.
func TestAnAddressOpensNoAccountThatItsUserChose(t *testing.T) {
	f := startFederation(t, "existing", "")
	hash := f.hash()
	user := func(name, email string) string {
		return "  - {name: " + name + ", email: " + email + ", password_hash: '" + hash + "'}\n"
	}
	// What the file says is verified; what a user of the provider says is not.
	f.configureAbove("users:\n" + user("paula", "paula@example.org") + user("quinn", "quinn@example.org") +
		user("rosa", "rosa@elsewhere.example") + user("sharp", "straße@example.org"))

	add := func(name, email string) {
		in := map[string]any{"name": name, "email": email, "password": right}
		f.below.MustControl("POST", "/api/v1/users", in, nil)
	}
	add("mallory", "paula@example.org") // as if mallory had changed her address
	add("rosa", "rosa@elsewhere.example")
	f.below.MustControl("POST", "/api/v1/users/import", map[string]any{"users": []map[string]any{
		{"name": "q", "email": "Quinn@Example.org"},
		{"name": "s", "email": "strasse@example.org"},
		{"name": "e", "email": "eric@example.org"},
	}}, nil)
	f.above.MustControl("PUT", "/api/v1/users/eric", map[string]any{"email": "eric@example.org"}, nil)

	for _, tc := range []struct {
		name, who string
		status    int
		text      string
	}{
		{"a user with a password, who may have chosen the address", "paula", 403, "is not connected"},
		{"a domain that is not listed", "rosa", 403, "is not connected"},
		{"an address that is not verified", "eric", 403, "is not connected"},
		{"an address that is folded to that of another user", "sharp", 403, "is not connected"},
		{"a user without a password, whom an operator has made", "quinn", 200, ">q<"},
	} {
		wantShown(t, tc.name, f.visitor(t, tc.who).with("/sign-in/with/company"), tc.status, tc.text)
	}
}

// TestAnAddressOpensNoAccountWithAFactor has a user who lost the provider, and kept an app.
func TestAnAddressOpensNoAccountWithAFactor(t *testing.T) {
	f := startFederation(t, "create", "")
	v := f.visitor(t, "diane")
	v.with("/sign-in/with/company")
	v.viaForm("/prove/with/company?to="+url.QueryEscape("/account/security"), "diane")
	v.enrol(time.Now())
	v.addKey(authenticator.New(t)) // or the provider would be the only way to sign in
	issuer := url.QueryEscape(f.above.Issuer())
	var list []struct{ Issuer, Provider string }
	f.below.MustControl("GET", "/api/v1/users/diane/identities", nil, &list)
	if len(list) != 1 || list[0].Issuer != f.above.Issuer() || list[0].Provider != "company" {
		t.Errorf("identities of diane = %+v, want the one at company", list)
	}
	f.below.MustControl("DELETE", "/api/v1/users/diane/identities?issuer="+issuer, nil, nil)
	f.below.MustControl("GET", "/api/v1/users/diane/identities", nil, &list)
	if len(list) != 0 {
		t.Errorf("identities of diane = %+v after the removal, want none", list)
	}
	f.below.MustControl("PUT", "/api/v1/users/diane", map[string]any{"email": "paula@example.org"}, nil)

	f.configureAbove(fmt.Sprintf(
		"users:\n  - {name: paula, email: paula@example.org, password_hash: '%s'}\n", f.hash(),
	))
	paula := f.visitor(t, "paula")
	wantShown(t, "the owner of the address", paula.with("/sign-in/with/company"), 403, "is not connected")
}

// hash returns the hash of the password right, which is cheap to check.
func (f *federation) hash() string {
	f.t.Helper()
	var list api.Exported
	f.above.MustControl("GET", "/api/v1/users/export", nil, &list)

	return list.Users[0].Hash
}

func TestWhoMaySignInAtAProvider(t *testing.T) {
	f := startFederation(t, "create", "")

	for _, tc := range []struct {
		name, allow, who string
		status           int
		text             string
	}{
		{"in the group", "allow: {groups: [staff, x]}", "diane", 200, "diane"},
		{"not in the group", "allow: {groups: [staff]}", "eric", 403, "You may not sign in here"},
		{"without a verified address", "allow: {domains: [example.org]}", "diane", 403, "You may not sign in here"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if err := f.below.Reload(fmt.Sprintf(below, "create", tc.allow)); err != nil {
				t.Fatal(err)
			}
			wantShown(t, tc.name, f.visitor(t, tc.who).with("/sign-in/with/company"), tc.status, tc.text)
		})
	}
}

func TestGitHubSignsAUserIn(t *testing.T) {
	f := startFederation(t, "create", "")
	in := func() jetontest.Answer {
		v := f.visitor(t, "")
		state := mustQuery(t, v.leave(f.below.Issuer()+"/sign-in/with/github")).Get("state")
		return v.open(f.below.Issuer() + "/sign-in/with/github/callback?code=c&state=" + state)
	}

	wantShown(t, "the first sign-in", in(), 200, "octocat")
	id := f.user("octocat").ID

	// The name was changed, and taken by another user.
	renamed, other := `{"id":1,"login":"monalisa"}`, `{"id":2,"login":"octocat"}`
	f.gitHub.Store(&renamed)
	wantShown(t, "after a change of the name", in(), 200, "octocat")
	f.gitHub.Store(&other)
	wantShown(t, "another user with the old name", in(), 403, "There is an account with")
	if f.user("octocat").ID != id {
		t.Error("the user is another one, want the same")
	}
}
