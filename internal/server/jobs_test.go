package server_test

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/jetontest"
)

// lease makes a token for a job with the credential of a program.
func (p program) lease(name string) jeton.Lease {
	p.t.Helper()
	body := `{"lease_seconds":600,"max_uses":20,"name":"` + name + `"}`
	header, value := "Authorization", "Bearer "+p.credential
	if strings.Contains(p.credential, "=") {
		header, value = "Cookie", p.credential
	}

	a := p.s.Send(
		p.s.Client(), "POST", p.s.URL(p.service)+"/.jeton/leases", body,
		header, value, "Content-Type", "application/json",
	)
	var made jeton.Lease
	if err := json.Unmarshal([]byte(a.Body), &made); err != nil || a.Status != http.StatusCreated {
		p.t.Fatalf("token for a job = %d %s, want 201", a.Status, a.Body)
	}

	return made
}

// listed returns the page of jobs and agents.
func (b *browser) listed() string {
	b.t.Helper()
	a := b.s.Send(b.client, "GET", b.s.Issuer()+"/account/jobs", "")
	if a.Status != http.StatusOK {
		b.t.Fatalf("page of jobs = %d, want 200", a.Status)
	}

	return a.Body
}

// ends sends a form of the page of jobs and agents.
func (b *browser) ends(path string, form url.Values, want int) {
	b.t.Helper()
	a := b.s.Send(
		b.client, "POST", b.s.Issuer()+"/account/jobs"+path, form.Encode(),
		"Origin", b.s.Issuer(), "Content-Type", "application/x-www-form-urlencoded",
	)
	if a.Status != want {
		b.t.Errorf("POST /account/jobs%s = %d, want %d", path, a.Status, want)
	}
}

// opens checks the status of a request with a token.
func opens(t *testing.T, s *jetontest.Server, what, secret string, want int) {
	t.Helper()
	a := s.Send(s.Client(), "GET", s.URL("reports")+"/reports/1", "", "Authorization", "Bearer "+secret)
	if a.Status != want {
		t.Errorf("%s: request = %d, want %d", what, a.Status, want)
	}
}

func TestAUserSeesJobsAndAgentsAndEndsThem(t *testing.T) {
	s, _ := startAsking(t)
	b := newBrowser(t, s)
	b.signIn("diane")
	keep := b.client.CheckRedirect
	b.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	defer func() { b.client.CheckRedirect = keep }()

	if page := b.listed(); !strings.Contains(page, "jeton run --for "+s.URL("reports")) {
		t.Error("the page without a job has no command that makes one")
	}

	maker := s.AddToken(jetontest.NewToken{User: "diane", Name: "scheduler", Services: []string{"reports"}})
	other := s.AddToken(jetontest.NewToken{User: "eshana", Name: "hers", Services: []string{"reports"}})
	byToken := program{t, s, "reports", maker.Secret}
	bySession := session(t, s)
	hourly, nightly, weekly := byToken.lease("hourly"), bySession.lease("nightly"), bySession.lease("weekly")
	hers := program{t, s, "reports", other.Secret}.lease("elsewhere")

	poll := bySession.ask(oneHour())
	if page := b.listed(); !strings.Contains(page, "1 program asks for a token") {
		t.Error("the page does not say that a request waits")
	}
	b.decides(poll.ID, "approve", "", http.StatusNoContent)
	agent := bySession.polls(poll, http.StatusOK)

	page := b.listed()
	for _, want := range []string{
		"hourly", "started with <strong>scheduler</strong>", "nightly", "started with a session of yours",
		"weekly report", "20 of 20 uses left", "unless it is renewed", "127.0.0.1",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page does not have %q", want)
		}
	}
	if strings.Contains(page, "elsewhere") {
		t.Error("the page shows the job of another user")
	}

	b.ends("/"+nightly.Accessor, nil, http.StatusSeeOther)
	opens(t, s, "a job after its end", nightly.Secret, http.StatusUnauthorized)
	opens(t, s, "another job", weekly.Secret, http.StatusOK)
	b.ends("/"+nightly.Accessor, nil, http.StatusSeeOther) // it has ended, which is what was wanted
	b.ends("/"+hers.Accessor, nil, http.StatusSeeOther)
	opens(t, s, "the job of another user", hers.Secret, http.StatusOK)

	b.ends("", url.Values{"kind": {"leased"}}, http.StatusSeeOther)
	for what, secret := range map[string]string{"hourly": hourly.Secret, "weekly": weekly.Secret} {
		opens(t, s, what+" after the end of all jobs", secret, http.StatusUnauthorized)
	}
	opens(t, s, "the agent", agent.Secret, http.StatusOK)
	opens(t, s, "the job of another user", hers.Secret, http.StatusOK)

	b.ends("", url.Values{"kind": {"approved"}}, http.StatusSeeOther)
	opens(t, s, "the agent after its end", agent.Secret, http.StatusUnauthorized)
	opens(t, s, "the token that made a job", maker.Secret, http.StatusOK)

	b.ends("", url.Values{"kind": {"personal"}}, http.StatusBadRequest)
	b.ends("", nil, http.StatusBadRequest)
}

// TestAUserSeesServicesThatActAndEndsThem exchanges a token: the page shows which client acts, and ends it.
func TestAUserSeesServicesThatActAndEndsThem(t *testing.T) {
	hash := fmt.Sprintf("%x", sha256.Sum256([]byte("a secret")))
	s := jetontest.Start(t, strings.Replace(exchanging, "${HASH}", hash, 1))
	s.AddUser("diane", right)
	b := newBrowser(t, s)
	b.signIn("diane")
	b.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

	maker := s.AddToken(jetontest.NewToken{User: "diane", Name: "scheduler", Services: []string{"reports"}})
	got := s.Post(
		"/oauth2/token", "grant_type", "urn:ietf:params:oauth:grant-type:token-exchange", "client_id", "reports",
		"client_secret", "a secret", "subject_token", maker.Secret,
		"subject_token_type", "urn:ietf:params:oauth:token-type:access_token", "audience", "archive",
	)
	var made struct {
		Token string `json:"access_token"`
	}
	if err := json.Unmarshal([]byte(got.Body), &made); err != nil || made.Token == "" {
		t.Fatalf("exchange: got %d %s", got.Status, got.Body)
	}
	checks := func(what, service, token string, want int) {
		t.Helper()
		if got := s.Ask("GET", service, "/who", "Authorization", "Bearer "+token); got.Status != want {
			t.Errorf("%s: got %d %s, want %d", what, got.Status, got.Body, want)
		}
	}

	checks("the exchanged token", "archive", made.Token, http.StatusOK)
	if page := b.listed(); !strings.Contains(page, "exchanged by <strong>reports</strong>") {
		t.Error("the page does not show the client that acts")
	}

	b.ends("", url.Values{"kind": {"exchanged"}}, http.StatusSeeOther)
	checks("the exchanged token after its end", "archive", made.Token, http.StatusUnauthorized)
	checks("the token that was exchanged", "reports", maker.Secret, http.StatusOK)
}
