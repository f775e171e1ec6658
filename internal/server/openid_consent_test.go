package server_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jeton-auth/jeton/jetontest"
)

const strangerDone = "https://stranger.example/done"

// strangerAsks returns an authorization request of a client of another organisation.
func strangerAsks(s *jetontest.Server, changes ...string) string {
	return wikiAsks(s, append([]string{"client_id", "stranger", "redirect_uri", strangerDone}, changes...)...)
}

// consent answers the page that asks the user, and returns where that leads.
func (b *browser) consent(answer string) string {
	b.t.Helper()
	header := append([]string{"Content-Type", "application/x-www-form-urlencoded", "Origin", b.s.Issuer()}, loading...)
	a := b.s.Send(b.client, http.MethodPost, b.at(), "answer="+answer, header...)
	to := a.Header.Get("Location")
	if a.Status != http.StatusSeeOther || !strings.HasPrefix(to, "/sign-in/continue?") {
		b.t.Fatalf("answer %s: got %d to %q, want the page that leads on", answer, a.Status, to)
	}

	return b.s.Issuer() + strings.Replace(to, "/sign-in/continue?", "/oauth2/authorize?", 1)
}

// isAsked loads an authorization request and fails the test unless the user is asked for consent.
func (b *browser) isAsked(address string) jetontest.Answer {
	b.t.Helper()
	a := b.open(address)
	if a.Status != http.StatusOK || !strings.HasPrefix(b.at(), b.s.Issuer()+"/consent?") {
		b.t.Fatalf("%s: got %d at %q, want the page that asks for consent", address, a.Status, b.at())
	}

	return a
}

// TestAClientOfAnotherOrganisationNeedsConsent asks once for each set of scopes.
func TestAClientOfAnotherOrganisationNeedsConsent(t *testing.T) {
	c := newHeldClock()
	s := startRelying(t, jetontest.Clock(c.now))
	b := newBrowser(t, s)
	b.signIn("diane")
	few := strangerAsks(s, "scope", "openid email")

	silent := strangerAsks(s, "scope", "openid email", "prompt", "none")
	if got := b.redirected(silent).Get("error"); got != "consent_required" {
		t.Errorf("prompt none: got error %q, want consent_required", got)
	}

	if a := b.isAsked(few); !strings.Contains(a.Body, "stranger") || !strings.Contains(a.Body, "your e-mail address") {
		t.Errorf("the page shows %q, want the client and what it gets", a.Body)
	}
	if got := b.redirected(b.consent("deny")).Get("error"); got != "access_denied" {
		t.Errorf("refused: got error %q, want access_denied", got)
	}

	// Another site cannot agree, and cannot say that the user has.
	form := append([]string{
		"Content-Type", "application/x-www-form-urlencoded", "Origin", "https://evil.example",
	}, loading...)
	b.isAsked(few)
	if a := s.Send(b.client, http.MethodPost, b.at(), "answer=allow", form...); a.Status != http.StatusForbidden {
		t.Errorf("a form of another site: got %d, want 403", a.Status)
	}
	b.isAsked(few + "&consent=allow")

	b.isAsked(few)
	if got := b.codeFor(b.consent("allow")); got == "" {
		t.Error("agreed: got no code, want one")
	}
	if got := b.codeFor(silent); got == "" {
		t.Error("prompt none afterwards: got no code, want one")
	}
	if got := b.codeFor(strangerAsks(s, "scope", "openid")); got == "" {
		t.Error("fewer scopes: got no code, want one")
	}

	// More than the user has agreed to, and a client that wants the user to be asked.
	b.isAsked(strangerAsks(s, "scope", "openid groups"))
	if got := b.codeFor(b.consent("allow")); got == "" {
		t.Error("agreed to more: got no code, want one")
	}
	if got := b.codeFor(silent); got == "" {
		t.Error("what was agreed to before: got no code, want one")
	}

	c.move(time.Minute)
	b.isAsked(wikiAsks(s, "prompt", "consent"))
	back := strings.Replace(b.at(), "/consent?", "/oauth2/authorize?", 1)
	b.isAsked(back)
	if got := b.codeFor(b.consent("allow")); got == "" {
		t.Error("prompt consent, agreed: got no code, want one")
	}

	other := newBrowser(t, s)
	other.signIn("max")
	other.isAsked(few)
}

// TestAClientThatMustAskFromNowOnGetsNoTokensOfGrantsFromBefore turns ask_consent on.
func TestAClientThatMustAskFromNowOnGetsNoTokensOfGrantsFromBefore(t *testing.T) {
	dir := jetontest.DataDir(t.TempDir())
	s := startRelying(t, dir, jetontest.Env("STRANGER_ASKS", "false"))
	b := newBrowser(t, s)
	b.signIn("diane")
	stranger := []string{"client_id", "stranger", "redirect_uri", strangerDone}
	before := redeem(t, s, b.codeFor(strangerAsks(s, "scope", "openid offline_access")), stranger...)
	before = refresh(t, s, before.Refresh, stranger...)
	if before.Refresh == "" {
		t.Fatalf("without ask_consent: got %+v, want a refresh token", before)
	}

	s.Stop()
	s = jetontest.Start(t, relying, dir)
	if got := refresh(t, s, before.Refresh, stranger...); got.Error != "invalid_grant" {
		t.Errorf("with ask_consent: got %+v, want invalid_grant", got)
	}

	b = newBrowser(t, s)
	b.signIn("diane")
	b.isAsked(strangerAsks(s, "scope", "openid offline_access"))
	after := redeem(t, s, b.codeFor(b.consent("allow")), stranger...)
	if got := refresh(t, s, after.Refresh, stranger...); got.Status != http.StatusOK {
		t.Errorf("once the user has agreed: got %+v, want tokens", got)
	}

	readLogInGerman(t, s)
}

// TestConsentIsForOneService has a client with tokens for two services.
func TestConsentIsForOneService(t *testing.T) {
	c := newHeldClock()
	text := strings.Replace(resources, "openid: {", "openid: {ask_consent: true, ", 1)
	s := jetontest.Start(t, text, jetontest.Clock(c.now))
	s.AddUser("diane", right, "staff")
	b := newBrowser(t, s)
	b.signIn("diane")

	agree := func(changes ...string) {
		t.Helper()
		b.isAsked(desktopAsks(s, changes...))
		if got := b.codeFor(b.consent("allow")); got == "" {
			t.Errorf("%q, agreed: got no code, want one", changes)
		}
	}
	agree("resource", "notes", "scope", "openid notes:write")
	agree("resource", "staff", "scope", "openid notes:read")
	agree("resource", "staff", "scope", "openid notes:write")
	if got := b.codeFor(desktopAsks(s, "resource", "staff", "scope", "openid notes:write")); got == "" {
		t.Error("agreed to before: got no code, want one")
	}

	// The page names the service by its name, and the client by its address.
	c.move(time.Minute)
	agree("resource", s.URL("notes"), "prompt", "consent")

	unknown := b.get(s.Issuer() + "/consent?client_id=desktop&scope=openid&resource=nothing+at+all")
	if unknown.Status != http.StatusNotFound {
		t.Errorf("consent for what is no service of the client = %d, want 404", unknown.Status)
	}
}

// TestAUserEndsTheAccessOfAnApplication shows applications on the account page, and ends one.
func TestAUserEndsTheAccessOfAnApplication(t *testing.T) {
	s := startRelying(t)
	b := newBrowser(t, s)
	b.signIn("diane")
	asks := strangerAsks(s, "scope", "openid offline_access")
	b.isAsked(asks)
	code := b.codeFor(b.consent("allow"))
	stranger := []string{"client_id", "stranger", "redirect_uri", strangerDone}
	got := redeem(t, s, code, stranger...)
	unused := b.codeFor(asks)
	wiki := redeem(t, s, b.codeFor(wikiAsks(s, "scope", "openid offline_access")))

	a := b.get(s.Issuer() + "/account/applications")
	for _, want := range []string{"stranger", "wiki", "access while you are away", "/account/applications/stranger"} {
		if !strings.Contains(a.Body, want) {
			t.Errorf("the page shows %d %q, want %q in it", a.Status, a.Body, want)
		}
	}

	header := append([]string{"Content-Type", "application/x-www-form-urlencoded", "Origin", s.Issuer()}, loading...)
	a = s.Send(b.client, http.MethodPost, s.Issuer()+"/account/applications/stranger", "", header...)
	if to := a.Header.Get("Location"); to != "/account/applications?done=application-ended" {
		t.Fatalf("end access: got %d to %q, want the page again", a.Status, to)
	}

	if again := refresh(t, s, got.Refresh, "client_id", "stranger"); again.Error != "invalid_grant" {
		t.Errorf("refresh: got %d %q, want invalid_grant", again.Status, again.Error)
	}
	if _, a := userinfo(s, http.MethodGet, got.Access); a.Status != http.StatusUnauthorized {
		t.Errorf("userinfo = %d, want 401", a.Status)
	}
	if late := redeem(t, s, unused, stranger...); late.Error != "invalid_grant" {
		t.Errorf("a code from before: got %d %q, want invalid_grant", late.Status, late.Error)
	}
	if still := refresh(t, s, wiki.Refresh); still.Status != http.StatusOK {
		t.Errorf("refresh of another client: got %d %q, want 200", still.Status, still.Error)
	}
	b.isAsked(asks)

	var actions []string
	for _, e := range s.Events() {
		if strings.HasPrefix(e.Action, "consent.") && e.Actor == "user:diane" && e.Target == "client:stranger" {
			actions = append(actions, e.Action)
		}
	}
	slices.Sort(actions)
	if !slices.Equal(actions, []string{"consent.end", "consent.give"}) {
		t.Errorf("events %q, want that the user agreed, and ended it", actions)
	}
}
