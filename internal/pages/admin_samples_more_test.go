package pages

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/openid"
)

// samplePages returns pages that know two services.
func samplePages() *Pages {
	return &Pages{Config: Config{
		Services: []Service{{Name: "reports"}, {Name: "wiki"}},
		Now:      func() time.Time { return noon },
	}}
}

// firefox is the User-Agent of a browser.
const firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:153.0) Gecko/20100101 Firefox/153.0"

func adminSessionSamples() map[string][]any {
	p := samplePages()
	who := jeton.Principal{Kind: jeton.KindUser, Name: "diane", Session: "s0"}

	var sessions []jeton.Session
	for i := range 6 {
		sessions = append(sessions, jeton.Session{
			ID:       fmt.Sprintf("s%d", i),
			User:     fmt.Sprintf("user%d", i),
			Service:  []string{"issuer", "reports", "wiki"}[i%3],
			Created:  noon.Add(-time.Duration(i) * time.Hour),
			LastUsed: noon.Add(-time.Duration(i) * time.Minute),
			Expires:  noon.Add(time.Duration(11-2*i) * time.Hour),
			Source:   "198.51.100.7",
			Agent:    firefox,
		})
	}
	sessions[1].Parent = "s0"
	sessions[3].AMR = []string{"link"}
	sessions[4].User, sessions[4].Agent, sessions[4].Source = hostile, hostile, hostile

	byUser := url.Values{"user": {hostile}}

	return map[string][]any{
		"admin/sessions": {
			p.adminSessionsPage(url.Values{}, "", "", nil, who),
			p.adminSessionsPage(byUser, "", "", nil, who),
			p.adminSessionsPage(url.Values{"service": {"reports"}}, "c1", "c2", sessions, who),
		},
		"admin/confirm": {
			endSessionsView(byUser, 1, false),
			endSessionsView(url.Values{"service": {"issuer"}}, 2, false),
			endSessionsView(url.Values{"service": {"reports"}}, 1000, true),
			endSessionsView(url.Values{"service": {"reports"}, "user": {"diane"}}, 0, false),
		},
	}
}

func adminTokenSamples() map[string][]any {
	p := samplePages()
	uses := []int64{17, 0, 2}

	var tokens []jeton.Token
	for i := range 6 {
		t := jeton.Token{
			Accessor:  fmt.Sprintf("a%024d", i),
			Format:    "opaque",
			Kind:      "personal",
			Name:      fmt.Sprintf("nightly export %d", i),
			User:      "diane",
			Audience:  []string{"reports", "wiki"},
			Scopes:    []string{"read", "write"},
			Allows:    []string{"GET /reports/*"},
			Networks:  []string{"10.0.0.0/8"},
			Created:   noon.Add(-24 * time.Hour),
			NotBefore: noon.Add(-24 * time.Hour),
			Expires:   noon.Add(time.Duration(i*100-90) * time.Hour),
		}
		if i < len(uses) {
			t.MaxUses, t.UsesRemaining = 50, &uses[i]
			t.LastUsed = noon.Add(-time.Hour)
		}
		tokens = append(tokens, t)
	}
	tokens[3].Name, tokens[3].Kind, tokens[3].User, tokens[3].Client = "", "access", "", "nightly"
	tokens[4].Name, tokens[4].NotBefore, tokens[4].Client = hostile, noon.Add(time.Hour), hostile
	tokens[5].Parent = tokens[0].Accessor

	bare := jeton.Token{Accessor: "a1", Client: hostile, Expires: noon}

	return map[string][]any{
		"admin/tokens": {
			p.adminTokensPage(url.Values{}, "", "", nil),
			p.adminTokensPage(url.Values{"client": {hostile}}, "", "", nil),
			p.adminTokensPage(url.Values{"user": {"diane"}}, "c1", "c2", tokens),
		},
		"admin/token": {
			p.adminTokenPage(storedToken{tokens[0], 3}),
			p.adminTokenPage(storedToken{tokens[5], 0}),
			p.adminTokenPage(storedToken{tokens[4], 1}),
			p.adminTokenPage(storedToken{bare, 0}),
		},
		"admin/confirm": {revokeTokenView(p.adminTokenPage(storedToken{tokens[4], 12}))},
	}
}

func adminClientSamples() map[string][]any {
	p := samplePages()
	c := jeton.Client{
		Name:        "nightly",
		Services:    []string{"reports", "gone"},
		Scopes:      []string{"read"},
		Introspects: []string{"wiki"},
		Secret:      true,
		Keys: []jeton.ClientKey{
			{ID: "k1", Algorithm: "EdDSA", Created: noon},
			{
				ID:        "k2",
				Algorithm: "ES256",
				Retired:   true,
				Created:   noon,
			},
			{
				ID:        "k3",
				Algorithm: "ES256",
				NotBefore: noon.Add(time.Hour),
				Created:   noon,
			},
			{
				ID:        hostile,
				Algorithm: "ES256",
				NotAfter:  noon,
				Created:   noon,
			},
			{
				ID:        "k5",
				Algorithm: "ES256",
				NotAfter:  noon.Add(time.Hour),
				Created:   noon,
			},
		},
		Created: noon,
		Updated: noon,
	}

	declared := jeton.Client{
		Name:      "declared",
		Declared:  true,
		KeySource: "https://keys.example/jwks",
		Disabled:  true,
	}
	declared.Keys = c.Keys[:1]
	odd := jeton.Client{
		Name:     hostile,
		Disabled: true,
		Scopes:   []string{hostile},
		Services: []string{hostile},
	}
	only := jeton.Client{Name: "only", Secret: true}

	party := jeton.Client{Name: "wiki", OpenID: &jeton.RelyingParty{
		RedirectURIs:           []string{"https://wiki.example/return", hostile},
		PostLogoutRedirectURIs: []string{hostile},
		PKCEOptional:           true,
		Allow:                  &jeton.AllowedUsers{Groups: []string{hostile}, Users: []string{"diane"}},
	}}
	program := jeton.Client{Name: "program", OpenID: &jeton.RelyingParty{
		RedirectURIs:     []string{"http://127.0.0.1/"},
		Public:           true,
		RequirePAR:       true,
		SubjectType:      "pairwise",
		SectorIdentifier: hostile,
		MaxUses:          1,
		RefreshMaxUses:   2,
		ActivationDelay:  3,
	}}

	described := jeton.Client{
		Name:   "https://app.example/" + strings.Repeat("long/", 40) + "client.json",
		OpenID: &jeton.RelyingParty{RedirectURIs: []string{"http://127.0.0.1/"}, Public: true},
	}

	refused := p.adminClientPage(c)
	refused.Note = sampleNote
	refused.Key.Value = hostile

	typed := p.newClientForm(url.Values{
		"name":      {hostile},
		"scopes":    {hostile},
		"key":       {hostile},
		"redirects": {hostile},
	})
	typed.Note = sampleNote

	return map[string][]any{
		"admin/clients": {
			adminClientsPage(url.Values{}, "", "", nil),
			adminClientsPage(url.Values{"search": {hostile}}, "", "", nil),
			adminClientsPage(url.Values{}, "a", "b", []jeton.Client{declared, c, only, odd, party, program, described}),
		},
		"admin/client-new": {p.newClientForm(url.Values{"secret": {"1"}}), typed},
		"admin/client": {
			p.adminClientPage(c), refused, p.adminClientPage(declared), p.adminClientPage(odd), p.adminClientPage(only),
			p.adminClientPage(party), p.adminClientPage(program), p.adminClientPage(described),
		},
		"admin/claims": claimsSamples(program),
		"admin/confirm": {
			disableClientView(refused, text("admin.ends.stored-tokens", 1)),
			endClientTokensView(refused, text("admin.ends.stored-tokens", 3)),
			deleteClientView(p.adminClientPage(odd), text("admin.ends.many-tokens", 1000)),
		},
		"admin/secret": {clientSecretPage(hostile, "jeton_secret_1")},
	}
}

// claimsSamples are the view models of admin/claims.
func claimsSamples(c jeton.Client) []any {
	unknown := claimsForm(c, hostile, nil)
	unknown.User.Invalid, unknown.User.Error = true, text("admin.claims.unknown")

	shown := claimsForm(c, "diane", previewScopes)
	value := json.RawMessage(`"` + hostile + `"`)
	shown.Result = newClaimsResult(claimsPreview{
		User:     hostile,
		Allowed:  true,
		Scopes:   []string{"openid", hostile},
		Subject:  "pairwise",
		IDToken:  map[string]json.RawMessage{"sub": value},
		UserInfo: map[string]json.RawMessage{"sub": value, "groups": json.RawMessage(`["staff"]`)},
	}, c)

	refused := claimsForm(c, "diane", []string{openid.ScopeEmail})
	refused.Result = newClaimsResult(claimsPreview{
		User:    "diane",
		Subject: "public",
		Checks: []jeton.Check{
			{Name: "client", Value: "wiki", Result: "pass"},
			{Name: "user", Value: "account is disabled", Result: "fail"},
		},
	}, c)

	return []any{claimsForm(c, "", previewScopes), unknown, shown, refused}
}

func adminServiceSamples() map[string][]any {
	s := shownService{
		Name:    "reports",
		URL:     "https://reports.example",
		Accepts: []string{"session", "token", "password", "client", hostile},
		Allow:   &allowed{Groups: []string{"staff", hostile}, Users: []string{"diane"}},
		Session: &sessionTerms{IdleTimeout: 3600, Lifetime: 43200, MaxSessions: 3},
		Scopes:  []string{"read", hostile},
		Routes: []serviceRoute{
			{Match: "GET /", Open: true},
			{
				Match:   "GET /reports/{rest...}",
				Accepts: []string{"session", "token"},
				Scopes:  []string{"read"},
				MaxUses: 3,
			},
			{Match: "POST /exports", Accepts: []string{"session"}, Allow: &allowed{Groups: []string{"staff"}}},
			{Match: "GET /any", Accepts: []string{"token"}, Allow: &allowed{AnyUser: true, Clients: []string{"robot"}}},
			{Match: "GET /" + hostile, Allow: &allowed{}},
		},
	}

	return map[string][]any{
		"admin/services": {adminServicesPage(nil), adminServicesPage([]shownService{s, {Name: hostile}})},
		"admin/service":  {adminServicePage(s), adminServicePage(shownService{Name: hostile})},
	}
}

func adminKeySamples() map[string][]any {
	keys := []jeton.SigningKey{
		{
			ID:        "k3",
			Kind:      "access",
			Algorithm: "EdDSA",
			Status:    "next",
			Created:   noon,
			Signs:     noon.Add(time.Hour),
		},
		{
			ID:        "k2",
			Kind:      "access",
			Algorithm: "EdDSA",
			Status:    "current",
			Created:   noon,
			Retires:   noon.Add(time.Hour),
		},
		{
			ID:        "k2b",
			Kind:      "access",
			Algorithm: "ES256",
			Status:    "current",
			Created:   noon,
		},
		{
			ID:        "k1",
			Kind:      "access",
			Algorithm: "EdDSA",
			Status:    "retired",
			Created:   noon,
			Withdrawn: noon.Add(time.Hour),
		},
		{
			ID:        hostile,
			Kind:      hostile,
			Algorithm: hostile,
			Status:    "revoked",
			Created:   noon,
		},
	}
	refused := signingKeysPage(keys)
	refused.Note = sampleNote

	return map[string][]any{
		"admin/keys":    {signingKeysPage(nil), signingKeysPage(keys), refused},
		"admin/confirm": {revokeKeyView("k2"), revokeKeyView(hostile)},
	}
}

func adminInvitationSamples() map[string][]any {
	p := samplePages()
	mailing := samplePages()
	mailing.Mail = true
	typed := mailing.newInvitationForm(url.Values{"about": {hostile}, "email": {hostile}, "lifetime": {"86400"}})
	typed.Note = sampleNote

	one := invitation{
		ID:      "i_1",
		Note:    hostile,
		Groups:  []string{"staff", hostile},
		By:      "user:" + hostile,
		Most:    20,
		Used:    3,
		Expires: noon.Add(time.Hour),
	}
	sent := invitation{
		ID:      "i_2",
		Email:   "diane@example.org",
		By:      "operator",
		Most:    1,
		Expires: noon.Add(-time.Hour),
	}
	spent := invitation{
		ID:      "i_3",
		By:      "operator",
		Most:    1,
		Used:    1,
		Expires: noon.Add(time.Hour),
		URL:     "https://auth.example/invite/jtn_t_x",
	}

	return map[string][]any{
		"admin/invitations": {
			invitationsPage(nil, noon),
			invitationsPage([]invitation{one, sent, spent}, noon),
		},
		"admin/invitation-new": {p.newInvitationForm(url.Values{}), typed},
		"admin/confirm":        {endInvitationView(one), endInvitationView(sent)},
		"admin/secret":         {madeInvitationPage(spent), madeInvitationPage(one)},
	}
}
