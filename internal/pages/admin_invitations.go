package pages

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/web"
)

// invitationsPath is the list of invitations.
const invitationsPath = "/admin/invitations"

// adminInvitationRoutes returns the routes of the pages of invitations.
func (p *Pages) adminInvitationRoutes() []web.Route {
	return []web.Route{
		{Pattern: "GET /admin/invitations", Handle: p.invitations},
		{Pattern: "GET /admin/invitations/new", Handle: p.newInvitationPage},
		{Pattern: "POST /admin/invitations/new", Handle: p.newInvitation},
		{Pattern: "GET /admin/invitations/{id}/end", Handle: p.endInvitationPage},
		{Pattern: "POST /admin/invitations/{id}/end", Handle: p.endInvitation},
	}
}

// invitation is an invitation as the API returns it.
type invitation struct {
	ID      string    `json:"id"`
	Note    string    `json:"note"`
	Email   string    `json:"email"`
	Groups  []string  `json:"groups"`
	By      string    `json:"created_by"`
	Most    int64     `json:"max_uses"`
	Used    int64     `json:"uses"`
	Created time.Time `json:"created_at"`
	Expires time.Time `json:"expires_at"`
	URL     string    `json:"url"` // of one that was just made, unless it was sent
}

// invitationsView is the view of admin/invitations.
type invitationsView struct {
	Invitations []invitationRow
	Empty       Empty
}

// invitationRow is an invitation in the list.
type invitationRow struct {
	Name    string // note, address or id
	By      Text
	Groups  []string
	State   Tag // Name and Text are empty for one that can be used
	Left    Meter
	Expires time.Time
	End     string // URL
}

// invitations answers GET /admin/invitations.
func (p *Pages) invitations(w *web.Reply, r *http.Request) error {
	var list []invitation
	if err := p.call(w, r, http.MethodGet, "/invitations", nil, nil, &list); err != nil {
		return err
	}

	return p.show(w, r, http.StatusOK, "admin/invitations", invitationsPage(list, w.Start))
}

// invitationsPage returns the page of invitations.
func invitationsPage(list []invitation, now time.Time) invitationsView {
	v := invitationsView{Empty: Empty{
		Text:   text("admin.invitations.empty"),
		Action: &Link{Text: text("admin.invitations.new"), URL: invitationsPath + "/new"},
	}}

	for _, inv := range list {
		row := invitationRow{
			Name:   inv.name(),
			By:     actorText(inv.By),
			Groups: inv.Groups,
			Left: Meter{
				Text:  text("admin.invitations.left", inv.Most-inv.Used, inv.Most),
				Value: inv.Most - inv.Used,
				Max:   inv.Most,
			},
			Expires: inv.Expires,
			End:     invitationsPath + "/" + url.PathEscape(inv.ID) + "/end",
		}
		switch {
		case inv.Used >= inv.Most:
			row.State = Tag{Kind: "plain", Text: text("admin.tag.used-up")}
		case !now.Before(inv.Expires):
			row.State = Tag{Kind: Bad, Text: text("admin.tag.expired")}
		}

		v.Invitations = append(v.Invitations, row)
	}

	return v
}

// name returns what an administrator knows the invitation by.
func (inv invitation) name() string {
	switch {
	case inv.Note != "":
		return inv.Note
	case inv.Email != "":
		return inv.Email
	}

	return inv.ID
}

// newInvitationView is the view of admin/invitation-new.
type newInvitationView struct {
	Note     *Note
	Label    Field
	Email    Field
	Groups   Field
	Uses     Field
	Lifetime Select
}

// invitationLifetimes are the lifetimes that the form offers, in seconds.
var invitationLifetimes = []struct {
	seconds string
	text    Text
}{
	{"1800", text("admin.invitation.minutes", 30)},
	{"14400", text("admin.invitation.hours", 4)},
	{"86400", text("admin.invitation.days", 1)},
	{"604800", text("admin.invitation.days", 7)},
}

// newInvitationPage answers GET /admin/invitations/new. The password is asked for before the form is filled, not after.
func (p *Pages) newInvitationPage(w *web.Reply, r *http.Request) error {
	if err := p.provedLately(w, r); err != nil {
		return err
	}

	return p.show(w, r, http.StatusOK, "admin/invitation-new", p.newInvitationForm(url.Values{"uses": {"1"}}))
}

// newInvitationForm returns the form with what was typed.
func (p *Pages) newInvitationForm(typed url.Values) newInvitationView {
	field := func(name string, label, hint Text) Field {
		return Field{
			Name:         name,
			Label:        label,
			Hint:         hint,
			Value:        typed.Get(name),
			Autocomplete: "off",
			NoCapitals:   true,
		}
	}

	v := newInvitationView{
		Label:  field("about", text("admin.invitation.note"), text("admin.invitation.note.hint")),
		Groups: field("groups", text("admin.user.groups"), text("admin.user.groups.hint", Code(AdminGroup))),
		Uses:   field("uses", text("admin.invitation.uses"), text("admin.invitation.uses.hint")),
		Lifetime: Select{
			Name:  "lifetime",
			Label: text("admin.invitation.lifetime"),
		},
	}
	v.Label.Focus = true
	v.Uses.InputMode = "numeric"
	v.Uses.Required = true
	if p.Mail {
		v.Email = field("email", text("admin.user.email"), text("admin.invitation.email.hint"))
		v.Email.Type = "email"
	}

	for _, l := range invitationLifetimes {
		v.Lifetime.Choices = append(v.Lifetime.Choices, Choice{
			Value:    l.seconds,
			Text:     l.text,
			Selected: typed.Get("lifetime") == l.seconds,
		})
	}

	return v
}

// newInvitation answers POST /admin/invitations/new.
func (p *Pages) newInvitation(w *web.Reply, r *http.Request) error {
	form, err := adminForm(w, r)
	if err != nil {
		return err
	}

	again := func(err error) error {
		v := p.newInvitationForm(form)
		v.Note = p.noteOf(w, err)

		return p.again(w, r, "admin/invitation-new", v, err)
	}

	uses, err := strconv.ParseInt(strings.TrimSpace(form.Get("uses")), 10, 64)
	lifetime, invalid := strconv.ParseInt(form.Get("lifetime"), 10, 64)
	if err != nil || invalid != nil || uses < 1 {
		return again(jeton.WithDetail(jeton.ErrInvalid, "invalid number of uses: want 1 to 1000"))
	}

	in := map[string]any{
		"note":       strings.TrimSpace(form.Get("about")),
		"email":      strings.TrimSpace(form.Get("email")),
		"groups":     words(form.Get("groups")),
		"max_uses":   uses,
		"lifetime_s": lifetime,
	}

	var made invitation
	err = p.call(w, r, http.MethodPost, "/invitations", nil, in, &made)
	switch {
	case keepsForm(err):
		return again(err)
	case err != nil:
		return err
	case made.URL == "":
		return see(w, donePath(invitationsPath, "invitation-sent"))
	}

	return p.show(w, r, http.StatusOK, "admin/secret", madeInvitationPage(made))
}

// madeInvitationPage returns the page that shows the link of an invitation. No other response has it.
func madeInvitationPage(made invitation) adminSecretView {
	return adminSecretView{
		Title:  text("admin.invitation.title"),
		Text:   text("admin.invitation.text", made.Most),
		Label:  text("admin.user-link.label"),
		Secret: made.URL,
		After:  text("admin.invitation.ends", made.Expires),
		Back:   Link{Text: text("admin.user-link.back"), URL: invitationsPath},
	}
}

// endInvitationPage answers GET /admin/invitations/{id}/end.
func (p *Pages) endInvitationPage(w *web.Reply, r *http.Request) error {
	if err := p.provedLately(w, r); err != nil {
		return err
	}

	v, err := p.readInvitation(w, r)
	if err != nil {
		return err
	}

	return p.show(w, r, http.StatusOK, "admin/confirm", endInvitationView(v))
}

// readInvitation returns the invitation in the path.
func (p *Pages) readInvitation(w *web.Reply, r *http.Request) (invitation, error) {
	var list []invitation
	if err := p.call(w, r, http.MethodGet, "/invitations", nil, nil, &list); err != nil {
		return invitation{}, err
	}

	i := slices.IndexFunc(list, func(inv invitation) bool { return inv.ID == r.PathValue("id") })
	if i < 0 {
		return invitation{}, jeton.ErrNotFound
	}

	return list[i], nil
}

// endInvitationView returns what the end of an invitation does.
func endInvitationView(inv invitation) confirmView {
	return confirmView{
		Title:  text("admin.end-invitation.title"),
		Text:   text("admin.end-invitation.text", Strong(inv.name()), inv.Used),
		Ends:   []Text{text("admin.end-invitation.ends", inv.Most-inv.Used)},
		Action: invitationsPath + "/" + url.PathEscape(inv.ID) + "/end",
		Button: text("admin.end-invitation.button"),
		Cancel: invitationsPath,
	}
}

// endInvitation answers POST /admin/invitations/{id}/end.
func (p *Pages) endInvitation(w *web.Reply, r *http.Request) error {
	if _, err := adminForm(w, r); err != nil {
		return err
	}

	path := "/invitations/" + url.PathEscape(r.PathValue("id"))
	if err := p.call(w, r, http.MethodDelete, path, nil, nil, nil); err != nil {
		return err
	}

	return see(w, donePath(invitationsPath, "invitation-ended"))
}
