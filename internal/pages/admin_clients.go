package pages

import (
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/naming"
	"github.com/jeton-auth/jeton/internal/web"
)

// adminClientsPath is the list of clients.
const adminClientsPath = "/admin/clients"

// newClientPath is not below the list: a client may be called new.
const newClientPath = "/admin/new-client"

// adminClientRoutes returns the routes of the pages of clients.
func (p *Pages) adminClientRoutes() []web.Route {
	return []web.Route{
		{Pattern: "GET /admin/clients", Handle: p.adminClients},
		{Pattern: "GET /admin/new-client", Handle: p.newClientPage},
		{Pattern: "POST /admin/new-client", Handle: p.newClient},
		{Pattern: "GET /admin/clients/{name}", Handle: p.adminClient},
		{Pattern: "POST /admin/clients/{name}", Handle: p.changeClient},
		{Pattern: "GET /admin/clients/{name}/claims", Handle: p.adminClaims},
		{Pattern: "GET /admin/clients/{name}/disable", Handle: p.disableClientPage},
		{Pattern: "POST /admin/clients/{name}/disable", Handle: p.disableClient},
		{Pattern: "GET /admin/clients/{name}/end-tokens", Handle: p.endClientTokensPage},
		{Pattern: "POST /admin/clients/{name}/end-tokens", Handle: p.endClientTokens},
		{Pattern: "GET /admin/clients/{name}/delete", Handle: p.deleteClientPage},
		{Pattern: "POST /admin/clients/{name}/delete", Handle: p.deleteClient},
	}
}

// adminClientsView is the view of admin/clients.
type adminClientsView struct {
	Search   Field
	Filtered bool
	Clients  []clientRow
	Pager    Pager
	Empty    Empty
}

// clientRow is a client in the list.
type clientRow struct {
	Name     string
	URL      string
	Tags     []Tag
	Services string
	Proof    Text // how it proves itself
}

// adminClients answers GET /admin/clients?search=&cursor=.
func (p *Pages) adminClients(w *web.Reply, r *http.Request) error {
	query := r.URL.Query()
	kept := filters(query, "search")

	var clients []jeton.Client
	next, err := p.list(w, r, "/clients", prefixed(kept), query.Get("cursor"), &clients)
	if err != nil {
		return err
	}

	v := adminClientsPage(kept, query.Get("cursor"), next, clients)

	return p.show(w, r, http.StatusOK, "admin/clients", v)
}

// prefixed returns the query of the API for names that begin with the search.
func prefixed(kept url.Values) url.Values {
	if !kept.Has("search") {
		return url.Values{}
	}
	return url.Values{"prefix": {kept.Get("search")}}
}

// adminClientsPage returns a page of the list.
func adminClientsPage(kept url.Values, shown, next string, clients []jeton.Client) adminClientsView {
	v := adminClientsView{
		Search: Field{
			Name:         "search",
			Label:        text("admin.clients.search"),
			Value:        kept.Get("search"),
			Type:         "search",
			Autocomplete: "off",
			NoCapitals:   true,
			MaxLength:    256,
		},
		Filtered: len(kept) > 0,
		Empty: Empty{
			Text:   text("admin.clients.empty"),
			Action: &Link{Text: text("admin.clients.new"), URL: newClientPath},
		},
	}
	if v.Filtered {
		v.Empty = Empty{Text: text("admin.clients.none", Strong(kept.Get("search")))}
	}

	for _, c := range clients {
		v.Clients = append(v.Clients, newClientRow(c))
	}
	v.Pager = pagerOf(adminClientsPath, kept, shown, next, "cursor")

	return v
}

// newClientRow returns a client in the list.
func newClientRow(c jeton.Client) clientRow {
	row := clientRow{
		Name:     c.Name,
		URL:      clientPath(c.Name),
		Tags:     clientTags(c),
		Services: strings.Join(c.Services, ", "),
	}

	keys := 0
	for _, k := range c.Keys {
		if !k.Retired {
			keys++
		}
	}

	switch {
	case c.OpenID != nil && c.OpenID.Public:
		row.Proof = text("admin.client.by-nothing")
	case c.KeySource != "":
		row.Proof = text("admin.client.by-source")
	case c.Secret && keys > 0:
		row.Proof = text("admin.client.by-both", keys)
	case c.Secret:
		row.Proof = text("admin.client.by-secret")
	default:
		row.Proof = text("admin.client.by-keys", keys)
	}

	return row
}

// clientTags returns what stands out about a client.
func clientTags(c jeton.Client) []Tag {
	var tags []Tag
	if c.Disabled {
		tags = append(tags, Tag{Kind: Bad, Text: text("admin.tag.disabled")})
	}
	if c.Declared {
		tags = append(tags, Tag{Kind: "plain", Text: text("admin.tag.declared")})
	}
	if describedClient(c) {
		tags = append(tags, Tag{Kind: "plain", Text: text("admin.tag.described")})
	}
	if c.OpenID != nil {
		tags = append(tags, Tag{Text: text("admin.tag.party")})
	}

	return tags
}

// describedClient reports whether a document describes a client, which has its addresses.
func describedClient(c jeton.Client) bool { return strings.HasPrefix(c.Name, naming.DocumentPrefix) }

// clientPath returns the page of a client.
func clientPath(name string) string {
	return adminClientsPath + "/" + url.PathEscape(naming.ClientInPath(name))
}

// newClientView is the view of admin/client-new.
type newClientView struct {
	Note   *Note
	Name   Field
	Terms  clientTerms
	Key    Area
	Secret Choice
	Party  partyFields
}

// clientTerms are the fields of what a client may have tokens for.
type clientTerms struct {
	Services    Checks
	Introspects Checks
	Scopes      Field
}

// newClientPage answers GET /admin/new-client.
func (p *Pages) newClientPage(w *web.Reply, r *http.Request) error {
	if err := p.provedLately(w, r); err != nil {
		return err
	}

	return p.show(w, r, http.StatusOK, "admin/client-new", p.newClientForm(url.Values{"secret": {"1"}}))
}

// newClientForm returns the form with what was typed.
func (p *Pages) newClientForm(typed url.Values) newClientView {
	return newClientView{
		Name: Field{
			Name:         "name",
			Label:        text("admin.client.name"),
			Hint:         text("admin.client.name.hint"),
			Value:        typed.Get("name"),
			Autocomplete: "off",
			NoCapitals:   true,
			Required:     true,
			Focus:        true,
		},
		Terms:  p.clientTerms(typed["services"], typed["introspects"], typed.Get("scopes")),
		Key:    keyArea(typed.Get("key")),
		Secret: Choice{Value: "1", Text: text("admin.client.make-secret"), Selected: typed.Get("secret") != ""},
		Party:  newPartyFields(typed),
	}
}

// clientTerms returns the fields with what is chosen.
func (p *Pages) clientTerms(services, introspects []string, scopes string) clientTerms {
	return clientTerms{
		Services: Checks{
			Name:    "services",
			Label:   text("admin.client.services"),
			Hint:    text("admin.client.services.hint"),
			Choices: p.serviceChecks(services),
		},
		Introspects: Checks{
			Name:    "introspects",
			Label:   text("admin.client.introspects"),
			Hint:    text("admin.client.introspects.hint"),
			Choices: p.serviceChecks(introspects),
		},
		Scopes: Field{
			Name:         "scopes",
			Label:        text("admin.client.scopes"),
			Hint:         text("admin.client.scopes.hint"),
			Value:        scopes,
			Autocomplete: "off",
			NoCapitals:   true,
		},
	}
}

// serviceChecks returns the services with those that are chosen, also if the configuration has them no more.
func (p *Pages) serviceChecks(chosen []string) []Choice {
	var list []Choice
	names := map[string]bool{}
	for _, s := range p.Services {
		names[s.Name] = true
		list = append(list, Choice{Value: s.Name, Label: s.Name})
	}
	for _, name := range chosen {
		if !names[name] {
			names[name] = true
			list = append(list, Choice{Value: name, Label: name})
		}
	}

	for i := range list {
		for _, name := range chosen {
			list[i].Selected = list[i].Selected || list[i].Value == name
		}
	}

	return list
}

// keyArea returns the field of a public key.
func keyArea(value string) Area {
	return Area{
		Field: Field{
			Name:       "key",
			Label:      text("admin.client.key"),
			Hint:       text("admin.client.key.hint"),
			Value:      value,
			NoCapitals: true,
		},
		Rows: 4,
	}
}

// madeClient is a client with its secret, as the API returns it once.
type madeClient struct {
	Client jeton.Client `json:"client"`
	Secret string       `json:"secret"`
}

// newClient answers POST /admin/new-client.
func (p *Pages) newClient(w *web.Reply, r *http.Request) error {
	form, err := adminForm(w, r)
	if err != nil {
		return err
	}

	in := map[string]any{
		"name":        strings.TrimSpace(form.Get("name")),
		"services":    form["services"],
		"introspects": form["introspects"],
		"scopes":      words(form.Get("scopes")),
		"secret":      form.Get("secret") != "",
	}
	key := strings.TrimSpace(form.Get("key"))
	if key != "" {
		in["keys"] = []any{map[string]any{"key": key}}
	}

	party := readParty(form)
	if party != nil {
		in["openid"] = party
		in["secret"] = form.Get("secret") != "" && !party.Public
	}

	var made madeClient
	err = p.call(w, r, http.MethodPost, "/clients", nil, in, &made)
	if keepsForm(err) {
		v := p.newClientForm(form)
		v.Note = p.noteOf(w, err)

		return p.again(w, r, "admin/client-new", v, err)
	}
	if err != nil {
		return err
	}

	if made.Secret == "" {
		return see(w, donePath(clientPath(made.Client.Name), "client-added"))
	}

	return p.show(w, r, http.StatusOK, "admin/secret", clientSecretPage(made.Client.Name, made.Secret))
}

// clientSecretPage returns the page that shows the secret of a client.
func clientSecretPage(name, secret string) adminSecretView {
	return adminSecretView{
		Title:  text("admin.client-secret.title", name),
		Text:   text("admin.client-secret.text", Strong(name)),
		Label:  text("admin.client-secret.label"),
		Secret: secret,
		Back:   Link{Text: text("admin.user-link.back"), URL: clientPath(name)},
	}
}

// adminClientView is the view of admin/client.
type adminClientView struct {
	Note      *Note
	Client    jeton.Client
	Described bool // by a document at the address that is its name
	Path      string
	Tags      []Tag
	Terms     clientTerms
	Keys      []clientKeyRow
	Key       Area
	Party     *partyView // nil: it signs no users in
	Tokens    string     // URL
}

// clientKeyRow is a key of a client.
type clientKeyRow struct {
	ID        string
	Algorithm string
	State     Tag
	When      Text
	Created   time.Time
	Retired   bool
}

// clientOf returns the name of the client in the path of a request.
func clientOf(r *http.Request) string { return naming.ClientOfPath(r.PathValue("name")) }

// readClient returns the view of the client in the path.
func (p *Pages) readClient(w *web.Reply, r *http.Request) (adminClientView, error) {
	var c jeton.Client
	path := "/clients/" + url.PathEscape(r.PathValue("name"))
	if err := p.call(w, r, http.MethodGet, path, nil, nil, &c); err != nil {
		return adminClientView{}, err
	}

	return p.adminClientPage(c), nil
}

// adminClientPage returns the page of a client.
func (p *Pages) adminClientPage(c jeton.Client) adminClientView {
	v := adminClientView{
		Client:    c,
		Described: describedClient(c),
		Path:      clientPath(c.Name),
		Tags:      clientTags(c),
		Terms:     p.clientTerms(c.Services, c.Introspects, strings.Join(c.Scopes, ", ")),
		Key:       keyArea(""),
		Party:     p.newPartyView(c),
		Tokens:    pathWith(adminTokensPath, url.Values{"client": {c.Name}}),
	}
	for _, k := range c.Keys {
		v.Keys = append(v.Keys, clientKey(k, p.Now()))
	}

	return v
}

// clientKey returns a key with its state.
func clientKey(k jeton.ClientKey, now time.Time) clientKeyRow {
	row := clientKeyRow{
		ID:        k.ID,
		Algorithm: k.Algorithm,
		Created:   k.Created,
		Retired:   k.Retired,
	}

	switch {
	case k.Retired:
		row.State = Tag{Kind: "plain", Text: text("admin.key.retired")}
	case now.Before(k.NotBefore):
		row.State, row.When = Tag{Kind: Warn, Text: text("admin.tag.early")}, text("admin.key.from", k.NotBefore)
	case !k.NotAfter.IsZero() && !now.Before(k.NotAfter):
		row.State, row.When = Tag{Kind: Bad, Text: text("admin.tag.expired")}, text("admin.key.until", k.NotAfter)
	default:
		row.State = Tag{Kind: Good, Text: text("admin.key.valid")}
		if !k.NotAfter.IsZero() {
			row.When = text("admin.key.until", k.NotAfter)
		}
	}

	return row
}

// adminClient answers GET /admin/clients/{name}.
func (p *Pages) adminClient(w *web.Reply, r *http.Request) error {
	v, err := p.readClient(w, r)
	if err != nil {
		return err
	}

	return p.show(w, r, http.StatusOK, "admin/client", v)
}
