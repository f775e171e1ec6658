package pages

import (
	"fmt"
	"net/url"
	"time"

	"github.com/jeton-auth/jeton"
)

// adminSamples are the view models of templates/admin.
func adminSamples() map[string][]any {
	all := map[string][]any{}
	for _, part := range []map[string][]any{
		adminOverviewSamples(),
		adminUserSamples(),
		adminInvitationSamples(),
		adminSessionSamples(),
		adminTokenSamples(),
		adminClientSamples(),
		adminServiceSamples(),
		adminKeySamples(),
		adminAuditSamples(),
	} {
		for name, views := range part {
			all[name] = append(all[name], views...)
		}
	}

	return all
}

// sampleNote is an error of an administrator.
var sampleNote = &Note{
	Kind:    Bad,
	Text:    text("error.conflict"),
	More:    text("error.conflict.do"),
	Detail:  hostile,
	Request: "r1",
	Focus:   true,
}

// sampleUsers returns users of which some stand out.
func sampleUsers(n int) []jeton.User {
	var list []jeton.User
	for i := range n {
		u := jeton.User{
			ID:      fmt.Sprintf("00000000-0000-4000-8000-%012d", i),
			Name:    fmt.Sprintf("user%03d", i),
			Email:   fmt.Sprintf("user%03d@example.org", i),
			First:   "Diane",
			Last:    "Example",
			Groups:  []string{"staff", "wiki-editors"},
			Created: noon.Add(-time.Duration(i) * 30 * time.Hour),
			Updated: noon,
		}
		switch i % 7 {
		case 1:
			u.Groups = []string{AdminGroup}
		case 2:
			u.Disabled = true
		case 3:
			u.Declared, u.First, u.Last, u.Email, u.Groups = true, "", "", "", nil
		case 4:
			u.Name, u.First = hostile, hostile
		}
		list = append(list, u)
	}

	return list
}

func adminUserSamples() map[string][]any {
	p := samplePages()
	users := sampleUsers(7)
	who := jeton.Principal{Kind: jeton.KindUser, Name: users[1].Name}
	full := p.userPage(users[4], impact{Sessions: 3, Tokens: 12345}, who)
	full.Pending = hostile
	refused := full
	refused.Note = sampleNote

	typed := p.newUserForm(url.Values{"name": {hostile}, "groups": {hostile}, "email": {hostile}})
	typed.Note = sampleNote

	mistyped := deleteUserView(full)
	mistyped.Name.Value = hostile
	mistyped.Name.Error = text("admin.confirm.mistyped", Strong(hostile))
	mistyped.Note = sampleNote
	mistyped.Hidden = []hidden{{"user", hostile}}

	return map[string][]any{
		"admin/users": {
			usersPage(url.Values{}, "", "", nil),
			usersPage(url.Values{"search": {hostile}}, "", "", nil),
			usersPage(url.Values{"search": {hostile}, "in": {searchParts}}, "", "", nil),
			usersPage(url.Values{"search": {"user"}}, "c1", "c2", sampleUsers(50)),
		},
		"admin/user-new": {p.newUserForm(url.Values{}), typed},
		"admin/user": {
			full,
			refused,
			p.userPage(users[1], impact{Sessions: 1}, who),
			p.userPage(users[2], impact{}, who),
			p.userPage(users[3], impact{}, who),
			(&Pages{}).userPage(users[0], impact{}, who),
		},
		"admin/confirm": {
			disableUserView(full),
			deleteUserView(full),
			endTokensView(full),
			mistyped,
			resetFactorsView(full, usersFactors{CodesLeft: 9}),
		},
		"admin/secret": {
			madeRecoveryPage(full, madeLink{URL: "https://auth.example/recover/jtn_t_x", Expires: noon.Add(time.Hour)}),
			madeLinkPage(full, madeLink{URL: "https://auth.example/link/jeton_ticket_1", Expires: noon.Add(time.Hour)}),
		},
	}
}

func adminAuditSamples() map[string][]any {
	p := samplePages()
	refused := jeton.Event{
		Seq:     2,
		Time:    noon.Add(-time.Minute),
		Request: "v5mfydssbxgz",
		Actor:   "user:diane",
		Action:  "request",
		Target:  "POST /exports",
		Service: "reports",
		Outcome: "spent",
		Reason:  "the token has no uses left: 50 of 50 are used",
		Source:  "198.51.100.7",
		Checks: []jeton.Check{
			{Name: "route", Value: "POST /exports: session or token", Result: "pass"},
			{Name: "credential", Value: `token "build agent" of diane`, Result: "pass"},
			{Name: "window", Value: "now 12:00:00Z, valid until 22:40:00Z", Result: "pass"},
			{Name: "scope", Result: "pass"},
			{Name: "uses", Value: "none of 50 left", Result: "fail"},
			{Name: "signature", Result: "skip"},
		},
	}
	events := []jeton.Event{
		{
			Seq:     1,
			Time:    noon.Add(-time.Hour),
			Action:  "server.start",
			Outcome: "ok",
		},
		refused,
		{
			Seq:     3,
			Time:    noon,
			Actor:   "operator",
			Action:  "user.add",
			Target:  "user:" + hostile,
			Outcome: "ok",
			Request: "r3",
		},
		{
			Seq:     4,
			Time:    noon,
			Actor:   "client:nightly",
			Action:  "token.issue",
			Outcome: "ok",
			Service: "issuer",
		},
		{
			Seq:     5,
			Time:    noon,
			Actor:   hostile,
			Action:  hostile,
			Target:  hostile,
			Outcome: hostile,
			Reason:  hostile,
		},
	}

	unknown := explainForm(hostile)
	unknown.ID.Error, unknown.ID.Invalid = text("admin.explain.unknown"), true

	decided := explainForm("v5mfydssbxgz")
	decided.Decisions = explained([]jeton.Event{refused, events[0], events[4]})

	invalid := p.auditPage(url.Values{"user": {hostile}, "outcome": {hostile}, "since": {"x"}}, "7", nil)
	invalid.Note = sampleNote

	return map[string][]any{
		"admin/audit": {
			p.auditPage(url.Values{}, "", nil),
			p.auditPage(url.Values{"action": {"login"}, "service": {"reports"}}, "", events),
			invalid,
		},
		"admin/explain": {explainForm(""), unknown, decided},
		"admin/error":   {failure{Title: text("error.not_found"), Text: text("error.not_found.do"), Detail: hostile}},
		"account/error": {failure{Title: text("error.not_found"), Text: text("error.not_found.do"), Request: "r1"}},
	}
}
