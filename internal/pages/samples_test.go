package pages

import (
	"maps"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/openid"
	"github.com/jeton-auth/jeton/internal/web"
)

// noon is the time at which the pages of these tests are made.
var noon = time.Date(2026, time.November, 30, 12, 0, 0, 0, time.UTC)

// samples are view models by template: of each at least one that is full, with an error where there can be one, and one
// that is empty.
func samples() map[string][]any {
	all := map[string][]any{}
	maps.Copy(all, signInSamples())
	maps.Copy(all, factorSamples())
	maps.Copy(all, accountSamples())
	maps.Copy(all, adminSamples())

	return all
}

// hostile is text of a user that is markup if it is not escaped.
const hostile = `"><b onclick='x'>&amp;</b>{{.}}`

func signInSamples() map[string][]any {
	note := &Note{
		Kind:    Bad,
		Text:    text("error.wait", noon, 90*time.Second),
		More:    text("sign-in.wrong.do"),
		Detail:  hostile,
		Request: "r1",
		Link:    &Link{Text: text("error.sign-in"), URL: "/sign-in"},
		Focus:   true,
	}
	field := Field{Name: "username", Label: text("sign-in.name")}
	secret := Field{Name: "password", Label: text("sign-in.password"), Type: "password"}
	code := codeField()
	full := Field{
		Name:         "password",
		Label:        text("sign-in.password"),
		Hint:         text("sign-in.wrong"),
		Error:        text("sign-in.wrong"),
		Value:        hostile,
		Type:         "password",
		Autocomplete: "current-password webauthn",
		InputMode:    "text",
		Rules:        "minlength: 15;",
		Required:     true,
		ReadOnly:     true,
		Invalid:      true,
		NoCapitals:   true,
		NoteBelongs:  true,
		MaxLength:    100,
	}

	return map[string][]any{
		"sign-in/sign-in": {
			signInView{Action: "/sign-in", Name: field, Password: secret},
			signInView{
				Action:   "/sign-in?client_id=reports",
				Service:  "reports",
				Note:     note,
				Name:     field,
				Password: full,
				Passkey: passkeyForm{
					Kind:    "autofill",
					Action:  "/sign-in/passkey?client_id=reports",
					Options: "/sign-in/passkey/options",
					Button:  text("passkey.sign-in"),
					Failed:  text("passkey.cancelled"),
					Plain:   true,
				},
				With: []Link{
					{Text: text("upstream.button", hostile), URL: "/sign-in/with/company?client_id=reports"},
					{Text: text("upstream.button", "GitHub"), URL: "/sign-in/with/github?client_id=reports"},
				},
				Lifetime: 12 * time.Hour,
				Idle:     time.Hour,
			},
		},
		"sign-in/choose": {
			chooseView{Name: "diane", Continue: "/account", Other: "/sign-in?other=1"},
			chooseView{
				Service:  "reports",
				Name:     hostile,
				Initial:  "<",
				Continue: "/sign-in/continue?client_id=reports",
				Other:    "/sign-in?client_id=reports&other=1",
			},
		},
		"sign-in/continue": {
			goOnView{URL: "/account"},
			goOnView{URL: "/oauth2/authorize?client_id=reports&state=x", Service: "reports"},
		},
		"sign-in/sign-out": {
			signOutView{Action: "/sign-out", Name: "diane"},
			signOutView{Action: "/sign-out?client_id=a", Name: hostile, Services: []string{"reports", "wiki"}},
		},
		"sign-in/signed-out": {
			signedOutView{},
			signedOutView{Next: "/oauth2/logout?client_id=wiki"},
			signedOutView{Forget: []string{"https://wiki.example/.jeton/signed-out"}},
			signedOutView{Services: []Service{{Name: "reports"}, {Name: "wiki", URL: "https://wiki.example"}}},
		},
		"sign-in/consent": {
			consentView{Action: "/consent?client_id=wiki", Client: "wiki", Name: "diane"},
			consentView{
				Action: "/consent?client_id=wiki",
				Client: "wiki",
				Name:   hostile,
				Scopes: consentScopes(append(openid.Scopes(), "service: reports", "service: reports: read")),
			},
			consentView{
				Action:    "/consent?client_id=a",
				Client:    "https://app.example.org/client.json",
				Name:      "diane",
				Described: true,
				Host:      "app.example.org",
			},
			consentView{
				Action:    "/consent?client_id=a",
				Client:    Strong(hostile),
				Name:      hostile,
				Described: true,
				Host:      Strong(hostile),
				Return:    Strong(hostile),
			},
		},
		"sign-in/device": {
			deviceView{Action: "/device", Code: Field{Name: "user_code", Label: text("at-device.code")}},
			deviceView{Action: "/device", Note: note, Code: field},
			deviceView{Note: &Note{Kind: Good, Text: text("at-device.allowed")}, Done: true},
		},
		"sign-in/device-answer": {
			deviceAnswerView{
				Action: "/device",
				Code:   "BCDF-GHJK",
				Client: "tv",
				Name:   "diane",
			},
			deviceAnswerView{
				Action: "/device",
				Code:   "BCDF-GHJK",
				Client: Strong(hostile),
				Name:   hostile,
				Scopes: consentScopes([]string{"openid", "service: reports", "read"}),
			},
		},
		"sign-in/setup": {
			credentialsView{
				Action:   "/setup/jtn_t_x",
				Name:     field,
				Password: secret,
				Button:   text("setup.button"),
			},
			credentialsView{
				Action:   "/setup/jtn_t_x",
				Note:     note,
				Name:     Field{Name: "username", Label: text("setup.name"), Value: hostile},
				Password: full,
				Button:   text("setup.button"),
			},
		},
		"sign-in/invite": {
			credentialsView{
				Action:   "/invite/jtn_t_x",
				Name:     field,
				Password: secret,
				Button:   text("setup.button"),
			},
			credentialsView{
				Action:   "/invite/jtn_t_x",
				Email:    hostile,
				Note:     note,
				Name:     Field{Name: "username", Label: text("setup.name"), Value: hostile},
				Password: full,
				Button:   text("setup.button"),
			},
		},
		"sign-in/recover-ask": {
			askRecoveryView{Name: field},
			askRecoveryView{Mail: true, Note: note, Name: Field{Name: "username", Value: hostile}},
			askRecoveryView{Mail: true, Done: true},
		},
		"sign-in/recover": {
			credentialsView{
				Action:   "/recover/jtn_t_x",
				Name:     field,
				Password: secret,
				Button:   text("recover.button"),
			},
			credentialsView{
				Action:   "/recover/jtn_t_x",
				Note:     note,
				Name:     Field{Name: "username", Value: hostile, ReadOnly: true},
				Password: full,
				Button:   text("setup.button"),
			},
		},
		"sign-in/link": {
			linkView{Action: "/link/jtn_t_x", Name: "diane"},
			linkView{Action: "/link/jtn_t_x", Name: hostile, Current: "eric"},
		},
		"sign-in/not-me": {
			notMeView{},
			notMeView{Action: "/not-me/jtn_t_x", Name: hostile},
			notMeView{Done: true},
			notMeView{Done: true, Recovery: true},
		},
		"sign-in/verify": {
			verifyView{},
			verifyView{Action: "/verify/jtn_t_x", Name: hostile, Address: "diane@example.org"},
		},
		"sign-in/prove": {
			proveView{
				Action:   "/prove?to=/account",
				Cancel:   "/account",
				Name:     field,
				Password: secret,
				Lasts:    proofAge,
			},
			proveView{
				Action:   "/prove?to=/account",
				Cancel:   "/account",
				Note:     note,
				Name:     Field{Name: "username", Label: text("prove.name"), ReadOnly: true},
				Password: full,
				With:     []Link{{Text: text("prove.with", hostile), URL: "/prove/with/company?to=%2Faccount"}},
				Lasts:    proofAge,
			},
			proveView{
				Action:   "/prove?to=/sign-in/continue",
				Cancel:   "/account",
				Name:     field,
				Password: secret,
				Code:     &code,
				Service:  hostile,
				Factor:   true,
				Other:    "/sign-in?other=1",
			},
			proveView{Cancel: "/account", Service: "reports", Factor: true},
			proveView{Cancel: "/account", Factor: true},
			proveView{
				Action:   "/prove?factors=2&to=/admin",
				Cancel:   "/account",
				Name:     field,
				Password: secret,
				Code:     &code,
				Factor:   true,
			},
		},
		"sign-in/notice": {
			newNotice(web.Notice{Kind: web.NoticeFrame, Service: hostile, Link: "/.jeton/start"}, noon),
			newNotice(web.Notice{
				Kind:    web.NoticeRefused,
				Service: "reports",
				User:    hostile,
				Link:    "/sign-in?prompt=select_account",
				Problem: jeton.Problem{Detail: hostile, Request: "r1"},
			}, noon),
			newNotice(web.Notice{Kind: web.NoticeFactor, Service: hostile, Link: "/account/security"}, noon),
			newNotice(web.Notice{Kind: web.NoticeProof, Service: hostile, Link: "/.jeton/start?to=%2F"}, noon),
			newNotice(web.Notice{Kind: web.NoticeSignOut, Link: "/sign-out"}, noon),
			newNotice(web.Notice{Kind: web.NoticeSignedOut, Service: hostile, Link: "/.jeton/start?to=%2F"}, noon),
			newNotice(web.Notice{
				Kind:    web.NoticeFailed,
				Service: "reports",
				Problem: jeton.Problem{Code: "relogin_refused", Request: "r1"},
				Wait:    time.Hour,
			}, noon),
		},
		"sign-in/error": {
			failure{Title: text("error.not_found"), Text: text("error.not_found.do")},
			failure{
				Title:   text("error.forbidden"),
				Text:    text("error.forbidden.do"),
				Detail:  hostile,
				Request: "r1",
				Links:   []Link{{Text: text("error.start"), URL: "/account"}},
			},
		},
	}
}
