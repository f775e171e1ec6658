package pages

import (
	"net/http"
	"net/url"

	"github.com/jeton-auth/jeton/internal/web"
)

// usersFactors is the second factors of a user, as the API returns them.
type usersFactors struct {
	Factors   []struct{} `json:"factors"`
	CodesLeft int64      `json:"recovery_codes_left"`
}

// recoveryLink shows a link with which the user sets a password. No other response has it.
func (p *Pages) recoveryLink(w *web.Reply, r *http.Request) error {
	v, err := p.readUser(w, r)
	if err != nil {
		return err
	}

	var made madeLink
	path := "/users/" + url.PathEscape(v.User.ID) + "/recovery-link"
	err = p.call(w, r, http.MethodPost, path, nil, nil, &made)
	if keepsForm(err) {
		return p.userAgain(w, r, nil, err)
	}
	if err != nil {
		return err
	}

	return p.show(w, r, http.StatusOK, "admin/secret", madeRecoveryPage(v, made))
}

// madeRecoveryPage returns the page that shows a link to set a password.
func madeRecoveryPage(v userView, made madeLink) adminSecretView {
	page := madeLinkPage(v, made)
	page.Title = text("admin.user-recovery.title", v.User.Name)
	page.Text = text("admin.user-recovery.text", Strong(v.User.Name))

	return page
}

// resetFactorsPage answers GET /admin/users/{id}/reset-factors. The password is asked for before, not after.
func (p *Pages) resetFactorsPage(w *web.Reply, r *http.Request) error {
	if err := p.provedLately(w, r); err != nil {
		return err
	}

	v, err := p.readResetFactors(w, r)
	if err != nil {
		return err
	}

	return p.show(w, r, http.StatusOK, "admin/confirm", v)
}

// readResetFactors returns what the reset of the factors of the user in the path does.
func (p *Pages) readResetFactors(w *web.Reply, r *http.Request) (confirmView, error) {
	v, err := p.readUser(w, r)
	if err != nil {
		return confirmView{}, err
	}

	var has usersFactors
	path := "/users/" + url.PathEscape(v.User.ID) + "/factors"
	if err := p.call(w, r, http.MethodGet, path, nil, nil, &has); err != nil {
		return confirmView{}, err
	}

	return resetFactorsView(v, has), nil
}

// resetFactorsView returns what the reset of the factors of a user does.
func resetFactorsView(v userView, has usersFactors) confirmView {
	return confirmView{
		Title: text("admin.reset-factors.title", v.User.Name),
		Text:  text("admin.reset-factors.text", Strong(v.User.Name)),
		Ends: []Text{
			text("admin.reset-factors.factors", int64(len(has.Factors))),
			text("admin.reset-factors.codes", has.CodesLeft),
			text("admin.ends.sessions", v.Impact.Sessions),
		},
		Action: v.Path + "/reset-factors",
		Reason: &Field{
			Name:         "reason",
			Label:        text("admin.revoke-key.reason"),
			Hint:         text("admin.revoke-key.reason.hint"),
			Autocomplete: "off",
			Required:     true,
			Focus:        true,
		},
		Button: text("admin.reset-factors.button"),
		Cancel: v.Path,
	}
}

// resetFactors answers POST /admin/users/{id}/reset-factors.
func (p *Pages) resetFactors(w *web.Reply, r *http.Request) error {
	form, err := adminForm(w, r)
	if err != nil {
		return err
	}

	path := "/users/" + url.PathEscape(r.PathValue("id")) + "/factors"
	err = p.call(w, r, http.MethodDelete, path, url.Values{"reason": {form.Get("reason")}}, nil, nil)
	if keepsForm(err) {
		v, readErr := p.readResetFactors(w, r)
		if readErr != nil {
			return readErr
		}

		return p.confirmAgain(w, r, v, err)
	}
	if err != nil {
		return err
	}

	return see(w, donePath(userPath(r.PathValue("id")), "factors-reset"))
}
