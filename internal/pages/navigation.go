package pages

import (
	"net/http"
	"slices"
	"strings"

	"github.com/jeton-auth/jeton"
)

// accountNav is the pages of an account, in the order of the navigation.
var accountNav = []Link{
	{Text: text("nav.profile"), URL: "/account"},
	{Text: text("nav.sessions"), URL: "/account/sessions"},
	{Text: text("nav.tokens"), URL: "/account/tokens"},
	{Text: text("nav.jobs"), URL: jobsPath},
	{Text: text("nav.requests"), URL: requestsPath},
	{Text: text("nav.applications"), URL: "/account/applications"},
	{Text: text("nav.security"), URL: "/account/security"},
	{Text: text("nav.activity"), URL: "/account/activity"},
}

// adminNav is the pages of administrators, in the order of the navigation.
var adminNav = []Link{
	{Text: text("nav.overview"), URL: "/admin"},
	{Text: text("nav.users"), URL: "/admin/users"},
	{Text: text("nav.invitations"), URL: "/admin/invitations"},
	{Text: text("nav.admin-sessions"), URL: "/admin/sessions"},
	{Text: text("nav.admin-tokens"), URL: "/admin/tokens"},
	{Text: text("nav.clients"), URL: "/admin/clients"},
	{Text: text("nav.services"), URL: "/admin/services"},
	{Text: text("nav.keys"), URL: "/admin/keys"},
	{Text: text("nav.audit"), URL: "/admin/audit"},
	{Text: text("nav.explain"), URL: "/admin/explain"},
}

// navigate sets the navigation of a page for a user.
func (f *frame) navigate(path string, who jeton.Principal) {
	switch f.Section {
	case sectionAccount:
		f.Nav = mark(accountNav, path)
	case sectionAdmin:
		f.Nav = mark(adminNav, path)
	default:
		return
	}

	if isAdmin(who) {
		f.Sections = []Link{
			{Text: text("nav.account"), URL: "/account", Current: f.Section == sectionAccount},
			{Text: text("nav.admin"), URL: "/admin", Current: f.Section == sectionAdmin},
		}
	}
}

// isAdmin reports whether the pages of administrators are for a user. What the user may do there is for package api.
func isAdmin(who jeton.Principal) bool {
	return who.Kind == jeton.KindUser && slices.Contains(who.Groups, AdminGroup)
}

// mark returns links of which the one of a page is marked: the longest that the path begins with.
func mark(nav []Link, path string) []Link {
	list := slices.Clone(nav)
	best := -1

	for i, link := range list {
		below := path == link.URL || strings.HasPrefix(path, link.URL+"/")
		if below && (best < 0 || len(link.URL) > len(list[best].URL)) {
			best = i
		}
	}

	if best >= 0 {
		list[best].Current = true
	}

	return list
}

// doneNotes are what a page says after a change, by the key in its address: ?done=signed-out. No free text of an
// address is ever shown.
var doneNotes = map[string]Text{
	"setup":  text("done.setup"),
	"proved": text("done.proved"),

	"profile-changed":   text("done.profile-changed"),
	"address-sent":      text("done.address-sent"),
	"address-cancelled": text("done.address-cancelled"),
	"session-ended":     text("done.session-ended"),
	"sessions-ended":    text("done.sessions-ended"),
	"token-revoked":     text("done.token-revoked"),
	"job-ended":         text("done.job-ended"),
	"jobs-ended":        text("done.jobs-ended"),
	"agents-ended":      text("done.agents-ended"),
	"services-ended":    text("done.services-ended"),
	"request-approved":  text("done.request-approved"),
	"request-denied":    text("done.request-denied"),
	"password-changed":  text("done.password-changed"),
	"disconnected":      text("done.disconnected"),
	"passkey-added":     text("done.passkey-added"),
	"passkey-renamed":   text("done.passkey-renamed"),
	"passkey-removed":   text("done.passkey-removed"),
	"application-ended": text("done.application-ended"),
	"factor-added":      text("done.factor-added"),
	"factor-removed":    text("done.factor-removed"),
}

// done returns the note of the key in an address, or nil. Another site may not choose it: no page says that something
// was done because of a link elsewhere. Browsers without Fetch Metadata are believed, and so are reloads.
func done(r *http.Request) *Note {
	key := r.URL.Query().Get("done")
	from := r.Header.Get("Sec-Fetch-Site")
	if key == "" || from != "" && from != "same-origin" {
		return nil
	}

	t, ok := doneNotes[key]
	if !ok {
		t, ok = adminDone[key]
	}
	if !ok {
		return nil
	}

	return &Note{Kind: Good, Text: t}
}
