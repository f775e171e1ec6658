package pages

import (
	"net/http"
	"net/url"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/web"
)

// adminKeysPath is the list of signing keys.
const adminKeysPath = "/admin/keys"

// adminKeyRoutes returns the routes of the pages of signing keys.
func (p *Pages) adminKeyRoutes() []web.Route {
	return []web.Route{
		{Pattern: "GET /admin/keys", Handle: p.signingKeys},
		{Pattern: "POST /admin/keys", Handle: p.rotateKeys},
		{Pattern: "GET /admin/keys/{kid}/revoke", Handle: p.revokeKeyPage},
		{Pattern: "POST /admin/keys/{kid}/revoke", Handle: p.revokeKey},
	}
}

// signingKeysView is the view of admin/keys.
type signingKeysView struct {
	Note  *Note
	Keys  []signingKeyRow
	Empty Empty
}

// signingKeyRow is a signing key in the list.
type signingKeyRow struct {
	ID        string
	Algorithm string
	Kind      string
	State     Tag
	When      Text
	Created   time.Time
	Revoke    string // URL; "": it is revoked
}

// signingKeys answers GET /admin/keys.
func (p *Pages) signingKeys(w *web.Reply, r *http.Request) error {
	v, err := p.readSigningKeys(w, r)
	if err != nil {
		return err
	}

	return p.show(w, r, http.StatusOK, "admin/keys", v)
}

// readSigningKeys returns the view of the list.
func (p *Pages) readSigningKeys(w *web.Reply, r *http.Request) (signingKeysView, error) {
	var keys []jeton.SigningKey
	if err := p.call(w, r, http.MethodGet, "/keys", nil, nil, &keys); err != nil {
		return signingKeysView{}, err
	}

	return signingKeysPage(keys), nil
}

// signingKeysPage returns the page of signing keys.
func signingKeysPage(keys []jeton.SigningKey) signingKeysView {
	v := signingKeysView{Empty: Empty{Text: text("admin.keys.empty")}}
	for _, k := range keys {
		row := signingKeyRow{
			ID:        k.ID,
			Algorithm: k.Algorithm,
			Kind:      k.Kind,
			Created:   k.Created,
			Revoke:    adminKeysPath + "/" + url.PathEscape(k.ID) + "/revoke",
		}

		switch k.Status {
		case "next":
			row.State, row.When = Tag{Kind: Warn, Text: text("admin.key.next")}, text("admin.key.signs-from", k.Signs)
		case "current":
			row.State = Tag{Kind: Good, Text: text("admin.key.current")}
			if !k.Retires.IsZero() {
				row.When = text("admin.key.signs-until", k.Retires)
			}
		case "retired":
			row.State = Tag{Kind: "plain", Text: text("admin.key.retired")}
			row.When = text("admin.key.verifies-until", k.Withdrawn)
		default:
			row.State, row.Revoke = Tag{Kind: Bad, Text: text("admin.key.revoked")}, ""
		}

		v.Keys = append(v.Keys, row)
	}

	return v
}

// rotateKeys answers POST /admin/keys.
func (p *Pages) rotateKeys(w *web.Reply, r *http.Request) error {
	form, err := adminForm(w, r)
	if err != nil {
		return err
	}

	in := map[string]any{}
	switch form.Get("do") {
	case "rotate":
	case "rotate-now":
		in["now"] = true
	default:
		return errDo
	}

	err = p.call(w, r, http.MethodPost, "/keys/rotate", nil, in, nil)
	if keepsForm(err) {
		v, readErr := p.readSigningKeys(w, r)
		if readErr != nil {
			return readErr
		}
		v.Note = p.noteOf(w, err)

		return p.again(w, r, "admin/keys", v, err)
	}
	if err != nil {
		return err
	}

	return see(w, donePath(adminKeysPath, "keys-rotated"))
}

// revokeKeyPage answers GET /admin/keys/{kid}/revoke.
func (p *Pages) revokeKeyPage(w *web.Reply, r *http.Request) error {
	if err := p.provedLately(w, r); err != nil {
		return err
	}

	return p.show(w, r, http.StatusOK, "admin/confirm", revokeKeyView(r.PathValue("kid")))
}

// revokeKeyView returns what revoking a signing key does.
func revokeKeyView(kid string) confirmView {
	return confirmView{
		Title:  text("admin.revoke-key.title"),
		Text:   text("admin.revoke-key.text", Code(kid)),
		Ends:   []Text{text("admin.ends.key-tokens")},
		Action: adminKeysPath + "/" + url.PathEscape(kid) + "/revoke",
		Name:   nameField(kid),
		Reason: &Field{
			Name:         "reason",
			Label:        text("admin.revoke-key.reason"),
			Hint:         text("admin.revoke-key.reason.hint"),
			Autocomplete: "off",
		},
		Button: text("admin.revoke-key.button"),
		Cancel: adminKeysPath,
	}
}

// revokeKey answers POST /admin/keys/{kid}/revoke.
func (p *Pages) revokeKey(w *web.Reply, r *http.Request) error {
	form, err := adminForm(w, r)
	if err != nil {
		return err
	}

	kid := r.PathValue("kid")
	v := revokeKeyView(kid)
	v.Reason.Value = form.Get("reason")
	if form.Get("confirm") != kid {
		return p.mistyped(w, r, v, form.Get("confirm"), kid)
	}

	query := url.Values{"reason": {form.Get("reason")}}
	err = p.call(w, r, http.MethodDelete, "/keys/"+url.PathEscape(kid), query, nil, nil)
	if keepsForm(err) {
		return p.confirmAgain(w, r, v, err)
	}
	if err != nil {
		return err
	}

	return see(w, donePath(adminKeysPath, "key-revoked"))
}
