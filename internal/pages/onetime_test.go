package pages_test

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/jetontest"
)

// action is where the form of a page goes.
var action = regexp.MustCompile(`action="([^"]*)"`)

func TestTheFirstAdministratorIsAddedByALink(t *testing.T) {
	s := jetontest.Start(t, yaml)
	path, ok := strings.CutPrefix(s.SetupLink(), s.Issuer())
	if !ok || !strings.HasPrefix(path, "/setup/jtn_t_") {
		t.Fatalf("the link is %q, want one of the issuer", s.SetupLink())
	}

	b := newBrowser(t, s)
	for range 2 {
		wantPage(t, b.get(path), http.StatusOK, "Make the first account")
	}

	a := b.post(path, url.Values{"username": {"root"}, "password": {"short"}})
	wantPage(t, a, http.StatusBadRequest, "The account was not created.")
	if !strings.Contains(a.Body, "at least 15 characters") || !strings.Contains(a.Body, `value="root"`) {
		t.Errorf("the form has %s, want the reason and the name", words(a.Body))
	}

	// The link was used, and the form has another one.
	wantPage(t, b.get(path), http.StatusGone, "This link does not work any more")
	path = action.FindStringSubmatch(a.Body)[1]

	wantRedirect(t, b.post(path, url.Values{"username": {"root"}, "password": {right}}), "/admin?done=setup")
	wantPage(t, b.get("/admin?done=setup"), http.StatusOK, "You are the first administrator.")

	a = b.post(path, url.Values{"username": {"other"}, "password": {right}})
	wantPage(t, a, http.StatusGone, "This link does not work any more")
}

func TestOneOfManyBecomesTheFirstAdministrator(t *testing.T) {
	s := jetontest.Start(t, yaml)
	path := strings.TrimPrefix(s.SetupLink(), s.Issuer())

	var wg sync.WaitGroup
	answers := make([]jetontest.Answer, 8)
	for i := range answers {
		b := newBrowser(t, s)
		wg.Go(func() {
			name := "root" + string(rune('a'+i))
			answers[i] = b.post(path, url.Values{"username": {name}, "password": {right}})
		})
	}
	wg.Wait()

	won := 0
	for _, a := range answers {
		if a.Status == http.StatusSeeOther {
			won++
		}
	}

	var users []jeton.User
	s.MustControl("GET", "/api/v1/users", nil, &users)
	if won != 1 || len(users) != 1 {
		t.Errorf("%d forms of %d added a user, and there are %d, want 1", won, len(answers), len(users))
	}
}

func TestASetupLinkEndsWithTheFirstUserAndWithTime(t *testing.T) {
	var later atomic.Int64
	now := func() time.Time { return time.Now().Add(time.Duration(later.Load())) }
	s := jetontest.Start(t, yaml, jetontest.Clock(now))
	path := strings.TrimPrefix(s.SetupLink(), s.Issuer())
	b := newBrowser(t, s)

	later.Store(int64(61 * time.Minute))
	wantPage(t, b.get(path), http.StatusGone, "This link does not work any more")

	later.Store(int64(time.Minute))
	s.AddUser("diane", right)
	wantPage(t, b.get(path), http.StatusGone, "There is an account already.")
	a := b.post(path, url.Values{"username": {"eve"}, "password": {right}})
	wantPage(t, a, http.StatusGone, "There is an account already.")
}

func TestAServerWithUsersHasNoSetupLink(t *testing.T) {
	s := start(t, yaml)
	dir := s.Dir()
	s.Stop()

	s = jetontest.Start(t, yaml, jetontest.DataDir(dir))
	if s.SetupLink() != "" {
		t.Errorf("the link is %q, want none", s.SetupLink())
	}
}

func TestProve(t *testing.T) {
	s := start(t, yaml)
	b := newBrowser(t, s)
	b.mustSignIn("diane")

	a := b.get("/prove?to=%2Faccount%2Fsecurity")
	wantPage(t, a, http.StatusOK, "Confirm that it is you")
	path := action.FindAllStringSubmatch(a.Body, -1)[0][1]

	a = b.post(path, url.Values{"username": {"eric"}, "password": {"wrong"}})
	wantPage(t, a, http.StatusUnauthorized, "The password is not right.")

	// An attacker has copied the cookie, or has planted it: the proof is not for them.
	issuer, err := url.Parse(s.Issuer())
	if err != nil {
		t.Fatal(err)
	}
	thief := newBrowser(t, s)
	thief.client.Jar.SetCookies(issuer, b.client.Jar.Cookies(issuer))
	wantPage(t, thief.get("/account"), http.StatusOK, "diane")

	a = b.post(path, url.Values{"username": {"eric"}, "password": {right}})
	wantRedirect(t, a, "/account/security")
	wantPage(t, b.get("/account"), http.StatusOK, "diane")
	if a := thief.get("/account"); a.Status == http.StatusOK || len(a.Header.Values("Set-Cookie")) > 0 {
		t.Errorf("GET /account with the secret before the proof = %d, want a refusal", a.Status)
	}

	for _, e := range s.Events() {
		if e.Action == "session.prove" && e.Actor != "user:diane" {
			t.Errorf("event %+v, want one of user:diane", e)
		}
	}
}

// TestAProofRefusesNoRequestOfAnotherTab has the other tab send what it sends before it learns of the new secret.
func TestAProofRefusesNoRequestOfAnotherTab(t *testing.T) {
	began := time.Now()
	var passed atomic.Int64
	s := start(t, yaml, jetontest.Clock(func() time.Time { return began.Add(time.Duration(passed.Load())) }))
	b := newBrowser(t, s)
	b.mustSignIn("diane")

	issuer, err := url.Parse(s.Issuer())
	if err != nil {
		t.Fatal(err)
	}
	late := newBrowser(t, s)
	late.client.Jar.SetCookies(issuer, b.client.Jar.Cookies(issuer))
	wantRedirect(t, b.post("/prove?to=%2Faccount", url.Values{"password": {right}}), "/account")

	form := url.Values{"first_name": {"Diane"}}
	for _, tc := range []struct {
		name   string
		answer jetontest.Answer
		want   string
	}{
		{"a page", late.get("/account/sessions?x=1"), "/account/sessions?x=1"},
		{"a form", late.post("/account", form), "/account"},
	} {
		to := tc.answer.Header.Get("Location")
		if tc.answer.Status != http.StatusTemporaryRedirect || to != tc.want {
			t.Errorf("%s: %d to %q, want 307 to %q", tc.name, tc.answer.Status, to, tc.want)
		}
	}

	// The browser repeats the form with the cookie that it has by now.
	wantRedirect(t, b.post("/account", form), "/account?done=profile-changed")

	passed.Store(int64(11 * time.Second))
	a := late.get("/account")
	if a.Status != http.StatusSeeOther || !strings.HasPrefix(a.Header.Get("Location"), "/sign-in") {
		t.Errorf("eleven seconds later: %d to %q, want 303 to the sign-in", a.Status, a.Header.Get("Location"))
	}
}

// signInLink returns the path of a new link that signs a user in.
func signInLink(t *testing.T, s *jetontest.Server, name string) string {
	t.Helper()

	var link struct{ URL string }
	s.MustControl("POST", "/api/v1/users/"+name+"/sign-in-link", nil, &link)

	return strings.TrimPrefix(link.URL, s.Issuer())
}

func TestALinkSignsAUserInOnce(t *testing.T) {
	s := start(t, yaml)
	path := signInLink(t, s, "eric")

	b := newBrowser(t, s)
	for range 2 {
		wantPage(t, b.get(path), http.StatusOK, "Sign in as eric")
	}
	wantRedirect(t, b.get("/account"), "/sign-in") // looking at it signs no user in

	wantRedirect(t, b.post(path, nil), "/account")
	wantPage(t, b.get("/account"), http.StatusOK, "eric")

	again := newBrowser(t, s)
	wantPage(t, again.post(path, nil), http.StatusGone, "This link does not work any more")
	wantPage(t, again.get(path), http.StatusGone, "Ask an administrator for another one")
	wantPage(t, b.get("/account"), http.StatusOK, "eric") // a second use ends nothing

	var sessions []jeton.Session
	s.MustControl("GET", "/api/v1/sessions?user=eric", nil, &sessions)
	if len(sessions) != 1 || len(sessions[0].AMR) != 1 || sessions[0].AMR[0] != "link" || !sessions[0].Proved.IsZero() {
		t.Errorf("sessions are %+v, want one by link that was never proved", sessions)
	}
}

func TestALinkEnds(t *testing.T) {
	s := start(t, yaml)
	b := newBrowser(t, s)

	older := signInLink(t, s, "eric")
	newer := signInLink(t, s, "eric")
	wantPage(t, b.post(older, nil), http.StatusGone, "This link does not work any more")
	wantPage(t, b.get(newer), http.StatusOK, "Sign in as eric")

	s.MustControl("PUT", "/api/v1/users/eric/disabled", map[string]bool{"disabled": true}, nil)
	wantPage(t, b.get(newer), http.StatusGone, "This link does not work any more")
	wantPage(t, b.post(newer, nil), http.StatusGone, "This link does not work any more")
}

func TestALinkForAnotherUserNamesBoth(t *testing.T) {
	s := start(t, yaml)
	b := newBrowser(t, s)
	b.mustSignIn("diane")

	path := signInLink(t, s, "eric")
	wantPage(t, b.get(path), http.StatusOK, "In this browser, diane is signed in.")
	wantPage(t, b.get("/account"), http.StatusOK, "diane")
	wantRedirect(t, b.post(path, nil), "/account")
	wantPage(t, b.get("/account"), http.StatusOK, "eric")
}

func TestAPageWithASecretInItsAddressSendsItNowhere(t *testing.T) {
	s := jetontest.Start(t, yaml)
	b := newBrowser(t, s)
	setup := strings.TrimPrefix(s.SetupLink(), s.Issuer())

	page := b.get(setup)
	again := b.post(setup, url.Values{"username": {"root"}, "password": {"short"}})
	s.AddUser("eric", right)
	link := signInLink(t, s, "eric")

	for _, tc := range []struct {
		name   string
		answer jetontest.Answer
	}{
		{"the page that adds the first administrator", page},
		{"that page again, after a mistake", again},
		{"the page of a link", b.get(link)},
		{"the redirect of a link that was used", b.post(link, nil)},
		{"the page of a link that is dead", b.get(link)},
	} {
		if got := tc.answer.Header.Get("Referrer-Policy"); got != "strict-origin" {
			t.Errorf("%s: Referrer-Policy is %q, want strict-origin", tc.name, got)
		}
	}
}
