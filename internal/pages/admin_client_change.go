package pages

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/web"
)

// changeClient answers POST /admin/clients/{name}: what the buttons of the page do.
func (p *Pages) changeClient(w *web.Reply, r *http.Request) error {
	form, err := adminForm(w, r)
	if err != nil {
		return err
	}

	if form.Get("do") == "secret" {
		return p.newClientSecret(w, r)
	}

	done, err := p.changeClientBy(w, r, form)
	if keepsForm(err) {
		return p.clientAgain(w, r, form, err)
	}
	if err != nil {
		return err
	}

	return see(w, donePath(clientPath(clientOf(r)), done))
}

// changeClientBy does what one button does, and returns the key of what to say then.
func (p *Pages) changeClientBy(w *web.Reply, r *http.Request, form url.Values) (done string, err error) {
	path := "/clients/" + url.PathEscape(r.PathValue("name"))

	switch form.Get("do") {
	case "terms":
		return "client-saved", p.call(w, r, http.MethodPut, path+"/terms", nil, map[string]any{
			"services":    append([]string{}, form["services"]...),
			"introspects": append([]string{}, form["introspects"]...),
			"scopes":      words(form.Get("scopes")),
		}, nil)
	case "addresses":
		return "addresses-saved", p.call(w, r, http.MethodPut, path+"/addresses", nil, map[string]any{
			"redirect_uris":             append([]string{}, strings.Fields(form.Get("redirects"))...),
			"post_logout_redirect_uris": append([]string{}, strings.Fields(form.Get("logouts"))...),
			"backchannel_logout_uri":    strings.TrimSpace(form.Get("backchannel")),
		}, nil)
	case "enable":
		in := map[string]any{"disabled": false}
		return "client-enabled", p.call(w, r, http.MethodPut, path+"/disabled", nil, in, nil)
	case "remove-secret":
		return "secret-removed", p.call(w, r, http.MethodDelete, path+"/secret", nil, nil, nil)
	case "add-key":
		in := map[string]any{"key": strings.TrimSpace(form.Get("key"))}
		return "key-added", p.call(w, r, http.MethodPost, path+"/keys", nil, in, nil)
	case "retire-key":
		kid := url.PathEscape(form.Get("kid"))
		return "key-retired", p.call(w, r, http.MethodDelete, path+"/keys/"+kid, nil, nil, nil)
	}

	return "", errDo
}

// clientAgain shows the page of a client again with why a change was refused.
func (p *Pages) clientAgain(w *web.Reply, r *http.Request, form url.Values, refused error) error {
	v, err := p.readClient(w, r)
	if err != nil {
		return err
	}

	v.Note = p.noteOf(w, refused)
	v.Key.Value = form.Get("key")
	if form.Get("do") == "addresses" && v.Party != nil {
		v.Party.Addresses = newAddressFields(form)
	}
	if form.Get("do") == "terms" {
		v.Terms = p.clientTerms(form["services"], form["introspects"], form.Get("scopes"))
	}

	return p.again(w, r, "admin/client", v, refused)
}

// newClientSecret gives a client a new secret, which no other response has. The old one is refused from then on.
func (p *Pages) newClientSecret(w *web.Reply, r *http.Request) error {
	name := clientOf(r)

	var made struct {
		Secret string `json:"secret"`
	}
	err := p.call(w, r, http.MethodPost, "/clients/"+url.PathEscape(r.PathValue("name"))+"/secret", nil, nil, &made)
	if keepsForm(err) {
		return p.clientAgain(w, r, nil, err)
	}
	if err != nil {
		return err
	}

	return p.show(w, r, http.StatusOK, "admin/secret", clientSecretPage(name, made.Secret))
}

// disableClientPage answers GET /admin/clients/{name}/disable.
func (p *Pages) disableClientPage(w *web.Reply, r *http.Request) error {
	return p.confirmClient(w, r, disableClientView)
}

// deleteClientPage answers GET /admin/clients/{name}/delete.
func (p *Pages) deleteClientPage(w *web.Reply, r *http.Request) error {
	return p.confirmClient(w, r, deleteClientView)
}

// confirmClient shows what is about to happen to a client.
func (p *Pages) confirmClient(w *web.Reply, r *http.Request, view func(adminClientView, Text) confirmView) error {
	if err := p.provedLately(w, r); err != nil {
		return err
	}

	v, err := p.readClient(w, r)
	if err != nil {
		return err
	}

	ends, err := p.clientEnds(w, r)
	if err != nil {
		return err
	}

	return p.show(w, r, http.StatusOK, "admin/confirm", view(v, ends))
}

// clientEnds returns how many tokens of a client end. Signed tokens that are not counted are not stored, and end, too.
func (p *Pages) clientEnds(w *web.Reply, r *http.Request) (Text, error) {
	query := url.Values{"client": {clientOf(r)}, "limit": {"1000"}}

	var tokens []jeton.Token
	next, err := p.API.Page(w, r, pathWith(apiPath+"/tokens", query), &tokens)
	if next != "" {
		return text("admin.ends.many-tokens", len(tokens)), err
	}

	return text("admin.ends.stored-tokens", len(tokens)), err
}

// disableClientView returns what disabling a client does.
func disableClientView(v adminClientView, ends Text) confirmView {
	return confirmView{
		Title:  text("admin.disable.title", v.Client.Name),
		Text:   text("admin.disable-client.text", Strong(v.Client.Name)),
		Ends:   []Text{ends},
		Action: v.Path + "/disable",
		Button: text("admin.disable-client.button"),
		Cancel: v.Path,
	}
}

// deleteClientView returns what deleting a client does.
func deleteClientView(v adminClientView, ends Text) confirmView {
	return confirmView{
		Title:  text("admin.delete.title", v.Client.Name),
		Text:   text("admin.delete-client.text", Strong(v.Client.Name)),
		Ends:   []Text{ends},
		Action: v.Path + "/delete",
		Name:   nameField(v.Client.Name),
		Button: text("admin.delete-client.button"),
		Cancel: v.Path,
	}
}

// endClientTokensView returns what revoking all tokens of a client does.
func endClientTokensView(v adminClientView, ends Text) confirmView {
	return confirmView{
		Title:  text("admin.end-tokens.title", v.Client.Name),
		Text:   text("admin.end-tokens.text", Strong(v.Client.Name)),
		Ends:   []Text{ends},
		Action: v.Path + "/end-tokens",
		Button: text("admin.user.end-tokens"),
		Cancel: v.Path,
	}
}

// endClientTokensPage answers GET /admin/clients/{name}/end-tokens.
func (p *Pages) endClientTokensPage(w *web.Reply, r *http.Request) error {
	return p.confirmClient(w, r, endClientTokensView)
}

// endClientTokens answers POST /admin/clients/{name}/end-tokens.
func (p *Pages) endClientTokens(w *web.Reply, r *http.Request) error {
	if _, err := adminForm(w, r); err != nil {
		return err
	}

	return p.endClient(w, r, endClientTokensView, func(path string) (string, error) {
		done := donePath(clientPath(clientOf(r)), "tokens-revoked")
		return done, p.call(w, r, http.MethodPost, path+"/end-tokens", nil, nil, nil)
	})
}

// disableClient answers POST /admin/clients/{name}/disable.
func (p *Pages) disableClient(w *web.Reply, r *http.Request) error {
	if _, err := adminForm(w, r); err != nil {
		return err
	}

	return p.endClient(w, r, disableClientView, func(path string) (string, error) {
		in := map[string]any{"disabled": true}
		done := donePath(clientPath(clientOf(r)), "client-disabled")

		return done, p.call(w, r, http.MethodPut, path+"/disabled", nil, in, nil)
	})
}

// deleteClient answers POST /admin/clients/{name}/delete.
func (p *Pages) deleteClient(w *web.Reply, r *http.Request) error {
	form, err := adminForm(w, r)
	if err != nil {
		return err
	}

	name := clientOf(r)
	typed := strings.TrimSpace(form.Get("confirm"))
	if typed != name {
		v, err := p.readClient(w, r)
		if err != nil {
			return err
		}
		ends, err := p.clientEnds(w, r)
		if err != nil {
			return err
		}

		return p.mistyped(w, r, deleteClientView(v, ends), typed, name)
	}

	return p.endClient(w, r, deleteClientView, func(path string) (string, error) {
		return donePath(adminClientsPath, "client-deleted"), p.call(w, r, http.MethodDelete, path, nil, nil, nil)
	})
}

// endClient calls the API, and shows the confirmation again if that was refused.
func (p *Pages) endClient(
	w *web.Reply,
	r *http.Request,
	view func(adminClientView, Text) confirmView,
	do func(path string) (done string, err error),
) error {
	done, refused := do("/clients/" + url.PathEscape(r.PathValue("name")))
	if refused == nil {
		return see(w, done)
	}
	if !keepsForm(refused) {
		return refused
	}

	v, err := p.readClient(w, r)
	if err != nil {
		return err
	}

	ends, err := p.clientEnds(w, r)
	if err != nil {
		return err
	}

	return p.confirmAgain(w, r, view(v, ends), refused)
}
