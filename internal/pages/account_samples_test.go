package pages

import (
	"maps"
	"net/url"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/factor"
	"github.com/jeton-auth/jeton/internal/factor/passkey"
	"github.com/jeton-auth/jeton/internal/openid"
	"github.com/jeton-auth/jeton/internal/signin"
)

// accountSamples are the view models of templates/account.
func applicationSamples() []any {
	return []any{
		newApplications(nil),
		newApplications([]jeton.Application{
			{
				Client:   "wiki",
				Scopes:   []string{"openid"},
				Created:  noon,
				LastUsed: noon,
			},
			{
				Client:   hostile,
				Scopes:   append(openid.Scopes(), "service: reports", "read"),
				Agreed:   noon,
				Created:  noon,
				LastUsed: noon,
			},
		}),
	}
}

func accountSamples() map[string][]any {
	all := map[string][]any{
		"account/profile":      profileSamples(),
		"account/sessions":     sessionSamples(),
		"account/sessions-all": {endAllView{SignIns: 1}, endAllView{SignIns: 2, Services: 3}},
		"account/security":     securitySamples(),
		"account/passkeys":     passkeySamples(),
		"account/activity":     activitySamples(),
		"account/applications": applicationSamples(),
	}
	maps.Copy(all, tokenSamples())
	maps.Copy(all, requestSamples())
	all["account/jobs"] = jobSamples()

	return all
}

// jobSamples are no jobs; and jobs of a session, of a job, of an application and of a token that is not known, two
// agents, and two services.
func jobSamples() []any {
	counted := sampleToken("t_1", hostile, time.Minute)
	counted.Kind, counted.Source = "leased", "192.0.2.7"
	counted.MaxUses, counted.UsesRemaining = 20, new(int64(7))
	counted.Allows = []string{"GET /reports/*", hostile}
	child := sampleToken("t_2", "nightly.sh", time.Minute)
	child.Kind, child.Parent = "leased", "t_1"
	issued := child
	issued.Accessor, issued.Parent = "t_3", "t_9"
	unknown := child
	unknown.Accessor, unknown.Parent = "t_6", "t_8"
	agent := sampleToken("t_4", hostile, 8*time.Hour)
	agent.Kind, agent.Source = "approved", "192.0.2.7"
	spent := agent
	spent.Accessor, spent.MaxUses, spent.UsesRemaining = "t_5", 20, new(int64)

	service := agent
	service.Kind, service.Accessor, service.Actors = "exchanged", "t_7", []string{hostile}
	chain := service
	chain.Accessor, chain.Actors = "t_8", []string{"billing", hostile, "gateway"}

	full := newJobs(
		[]jeton.Token{counted, child, issued, unknown, agent, spent, service, chain},
		map[string]jeton.Token{"t_1": counted, "t_9": {Kind: "access"}},
		[]ownService{{Name: "reports", URL: "https://reports.example"}},
		noon,
	)
	full.Waiting = &Note{
		Text: text("jobs.waiting", int64(2)),
		Link: &Link{Text: text("jobs.waiting.show"), URL: requestsPath},
	}
	full.Pager = Pager{First: jobsPath, Next: jobsPath + "?cursor=c1"}

	return []any{newJobs(nil, nil, nil, noon), full}
}

func requestSamples() map[string][]any {
	small := jeton.WaitingRequest{
		ID:      "r_1",
		Service: "reports",
		By:      "user:diane",
		Token:   "t_1",
		Created: noon,
		Expires: noon.Add(10 * time.Minute),
	}
	small.Name = "nightly"
	small.Seconds = 3600

	full := small
	full.By = "client:" + hostile
	full.Source = "192.0.2.7"
	full.Name, full.Reason = hostile, hostile
	full.Allows = []string{"GET /reports/*", hostile}
	full.Scopes = []string{"read", hostile}
	full.MaxUses = 20
	wrong := newRequestView(full, url.Values{"uses": {"x"}})
	wrong.read(url.Values{})
	wrong.Note = badNote()

	session := small
	session.Token = ""

	return map[string][]any{
		"account/requests": {newRequests(nil), newRequests([]jeton.WaitingRequest{full, small, session})},
		"account/request":  {newRequestView(small, nil), newRequestView(full, nil), wrong},
	}
}

// badNote is a note about an error.
func badNote() *Note {
	return &Note{
		Kind:    Bad,
		Text:    text("error.invalid_request"),
		More:    text("error.invalid_request.do"),
		Detail:  hostile,
		Request: "r1",
	}
}

func profileSamples() []any {
	full := newProfile(ownUser{sampleUser(), hostile}, url.Values{"email": {hostile}})
	full.Note = badNote()

	declared := sampleUser()
	declared.Declared = true

	return []any{
		newProfile(ownUser{User: jeton.User{Name: "diane"}}, nil),
		full,
		newProfile(ownUser{User: declared}, nil),
	}
}

// sampleUser is a user with everything.
func sampleUser() jeton.User {
	return jeton.User{
		Name:    hostile,
		Email:   "diane@example.org",
		First:   "Diane",
		Last:    hostile,
		Groups:  []string{"staff", hostile},
		Service: "reports",
		Created: noon.Add(-400 * day),
	}
}

// The User-Agent of two browsers.
const (
	firefoxLinux = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
	safariPhone  = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) " +
		"Version/18.5 Mobile/15E148 Safari/604.1"
)

// sampleSession is a session that began some time before noon.
func sampleSession(id, parent, service string, age time.Duration) ownSession {
	return ownSession{Session: jeton.Session{
		ID:       id,
		Parent:   parent,
		User:     "diane",
		Service:  service,
		Created:  noon.Add(-age),
		LastUsed: noon.Add(-age / 2),
		Expires:  noon.Add(12*time.Hour - age),
		Source:   "192.0.2.7",
		Agent:    firefoxLinux,
		AMR:      []string{"pwd"},
	}}
}

// sampleSessions are two sign-ins, three sessions below the first, and one that began at a service; newest first.
func sampleSessions() []ownSession {
	phone := sampleSession("s5", "", "issuer", 11*time.Hour+20*time.Minute)
	phone.Agent, phone.Source, phone.AMR = safariPhone, "198.51.100.7", []string{"link"}
	current := sampleSession("s1", "", "issuer", 3*time.Hour)
	current.Current = true
	alone := sampleSession("s6", "", hostile, 30*time.Hour)
	alone.Agent = "git/2.39.5"

	return []ownSession{
		sampleSession("s4", "s5", "wiki", 5*time.Minute),
		sampleSession("s3", "s1", "wiki", 20*time.Minute),
		sampleSession("s2", "s1", "reports", 2*time.Hour),
		phone,
		current,
		alone,
	}
}

func sessionSamples() []any {
	full := newSessions(sampleSessions(), noon)
	full.Idle = time.Hour
	full.Pager = Pager{First: "/account/sessions", Next: "/account/sessions?cursor=c1"}

	one := newSessions(sampleSessions()[4:5], noon)
	one.Idle = time.Hour

	return []any{one, full}
}

func securitySamples() []any {
	full := newSecurity(hostile, false, 15)
	full.Factors = factorsSample()
	full.Note = badNote()
	full.Passkeys = passkeysPath
	full.filled(url.Values{"new": {"x"}})
	full.With = []connection{
		{
			Provider: hostile,
			Account:  hostile,
			Issuer:   "https://login.example",
			Since:    noon.Add(-day),
		},
		{Provider: "GitHub", Issuer: "https://github.com", Action: "/account/security/connect/github"},
	}

	return []any{newSecurity("diane", false, 15), full, newSecurity("diane", true, 15)}
}

func passkeySamples() []any {
	key := func(id, name string, used time.Time, eligible bool) signin.Passkey {
		return signin.Passkey{
			Factor: factor.Factor{
				ID:      id,
				Name:    name,
				Created: noon.Add(-day),
				Used:    used,
			},
			Key: passkey.Key{ID: []byte(id), Eligible: eligible},
		}
	}

	full := newPasskeys([]signin.Passkey{key("f_1", hostile, noon, true), key("f_2", "laptop", time.Time{}, false)})
	full.Note = badNote()
	full.Add = addPasskeyForm()
	full.Signal = `{"signalUnknownCredential":[{"rpId":"login.example","credentialId":"AQ"}]}`

	return []any{passkeysView{Add: addPasskeyForm()}, full, passkeysView{Prove: provePath(passkeysPath)}}
}

func activitySamples() []any {
	events := []jeton.Event{
		{
			Seq:     9,
			Time:    noon,
			Action:  "login",
			Actor:   "user:diane",
			Outcome: "ok",
			Source:  "192.0.2.7",
			Service: "issuer",
		},
		{
			Seq:     8,
			Time:    noon.Add(-time.Hour),
			Action:  "token.create",
			Actor:   "user:diane",
			Outcome: "ok",
			Request: "r8",
		},
		{
			Seq:     7,
			Time:    noon.Add(-2 * time.Hour),
			Action:  "request",
			Actor:   "user:diane",
			Target:  "GET /" + hostile,
			Service: "reports",
			Outcome: "insufficient_scope",
			Request: "r7",
		},
		{
			Seq:     6,
			Time:    noon.Add(-day),
			Action:  "user.change",
			Actor:   "operator",
			Outcome: "ok",
		},
		{
			Seq:     5,
			Time:    noon.Add(-2 * day),
			Action:  hostile,
			Outcome: hostile,
		},
	}
	full := newActivity(events, "diane")
	full.Pager = Pager{First: "/account/activity", Next: "/account/activity?before=5"}

	return []any{newActivity(nil, "diane"), full}
}

// sampleToken is a token that was made some days before noon, for 30 days.
func sampleToken(accessor, name string, age time.Duration) jeton.Token {
	return jeton.Token{
		Accessor:  accessor,
		Kind:      "personal",
		Name:      name,
		Audience:  []string{"reports"},
		Created:   noon.Add(-age),
		NotBefore: noon.Add(-age),
		Expires:   noon.Add(30*day - age),
	}
}

// sampleTokens are four tokens, of which one derives from another.
func sampleTokens() []jeton.Token {
	counted := func(t jeton.Token, left, of int64) jeton.Token {
		t.UsesRemaining, t.MaxUses = &left, of
		return t
	}

	nightly := counted(sampleToken("t1", "nightly export", 4*day), 17, 20)
	nightly.LastUsed = noon.Add(-5 * time.Hour)
	nightly.Allows = []string{"GET /reports/*"}
	nightly.Networks = []string{"10.0.0.0/8"}
	nightly.Scopes = []string{"reports:read"}

	agent := counted(sampleToken("t2", "build agent", 29*day+21*time.Hour), 2, 50)
	agent.Audience = []string{"registry", "wiki"}
	child := counted(sampleToken("t3", "", 2*day), 0, 5)
	child.Parent, child.Kind = "t2", "access"

	early := sampleToken("t4", hostile, 0)
	early.NotBefore = noon.Add(day)

	return []jeton.Token{early, child, nightly, agent}
}

func tokenSamples() map[string][]any {
	now := noon
	list := sampleTokens()
	services := []ownService{
		{
			Name:   "reports",
			URL:    "https://reports.example",
			Tokens: true,
			Scopes: []string{"reports:read", "reports:write"},
		},
		{Name: hostile, Tokens: true, Scopes: []string{"reports:read"}},
	}

	one := oneToken{Token: list[3], Derived: 1}
	one.Parent = "t9"
	left := int64(17)
	tested := newTokenView(one, services, now, url.Values{"method": {"POST"}, "url": {hostile}})
	tested.Verdict = newVerdict(one, tokenTest{"POST", hostile}, testedToken{
		Code: "insufficient_scope",
		Left: &left,
		Checks: []jeton.Check{
			{Name: "route", Value: "POST /exports", Result: "pass"},
			{Name: "scope", Value: hostile, Result: "fail"},
			{Name: "uses", Result: "skip"},
		},
	})
	allowed := newTokenView(oneToken{Token: list[0]}, nil, now, url.Values{})
	allowed.Verdict = newVerdict(
		oneToken{Token: list[2]},
		tokenTest{"GET", "https://x.example/"},
		testedToken{Allowed: true, Service: "reports", Checks: []jeton.Check{
			{Name: "credential", Value: "t1", Result: "pass"},
			{Name: "window", Value: "now", Result: "pass"},
			{Name: "uses", Result: "pass"},
		}},
	)
	wrong := newTokenView(one, services, now, url.Values{})
	wrong.Note, wrong.Address.Error, wrong.Address.Invalid = badNote(), text("try.bad"), true

	typed := url.Values{"name": {hostile}, "allows": {hostile}, "networks": {"x"}}
	form := newTokenForm(services, typed, "192.0.2.7", now)
	form.read(url.Values{}, now)
	form.Note = badNote()

	row := newTokens(list, now).Tokens

	return map[string][]any{
		"account/tokens": {newTokens(nil, now), newTokens(list, now)},
		"account/token":  {newTokenView(oneToken{Token: list[0]}, nil, now, nil), tested, allowed, wrong},
		"account/token-new": {
			newTokenForm(nil, nil, "192.0.2.7", now),
			newTokenForm(services, nil, "192.0.2.7", now),
			form,
		},
		"account/token-secret": {
			secretView{Token: row[0], Secret: "jtn_p_x", Curl: "curl 'https://reports.example/'"},
			secretView{
				Token:   row[1],
				Secret:  hostile,
				Curl:    hostile,
				Rotated: true,
			},
		},
		"account/token-rotate": {rotateView{Token: row[1]}, rotateView{Token: tokenRow{Derived: 2}}},
		"account/token-revoke": {
			revokeView{Token: row[0]},
			revokeView{
				Token:    tokenRow{Name: hostile, Derived: 12},
				Children: row,
				More:     8,
			},
		},
	}
}
