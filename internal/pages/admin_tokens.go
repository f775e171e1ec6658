package pages

import (
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/token"
	"github.com/jeton-auth/jeton/internal/web"
)

// adminTokensPath is the list of all tokens.
const adminTokensPath = "/admin/tokens"

// adminTokenRoutes returns the routes of the pages of tokens.
func (p *Pages) adminTokenRoutes() []web.Route {
	return []web.Route{
		{Pattern: "GET /admin/tokens", Handle: p.adminTokens},
		{Pattern: "GET /admin/tokens/{accessor}", Handle: p.adminToken},
		{Pattern: "GET /admin/tokens/{accessor}/revoke", Handle: p.adminRevokeTokenPage},
		{Pattern: "POST /admin/tokens/{accessor}/revoke", Handle: p.adminRevokeToken},
	}
}

// adminTokensView is the view of admin/tokens.
type adminTokensView struct {
	User     Field
	Client   Field
	Kind     Select
	Filtered bool
	Tokens   []adminTokenRow
	Pager    Pager
	Empty    Empty
}

// adminTokenRow is a token in the list.
type adminTokenRow struct {
	Name  string // or its accessor
	URL   string
	Tags  []Tag
	Owner Text
	At    string // services that accept it
	Used  time.Time
	Left  Meter
}

// adminTokens answers GET /admin/tokens?user=&client=&parent=&kind=&cursor=.
func (p *Pages) adminTokens(w *web.Reply, r *http.Request) error {
	query := r.URL.Query()
	kept := filters(query, "user", "client", "parent", "kind")
	shown := query.Get("cursor")

	var tokens []jeton.Token
	next, err := p.list(w, r, "/tokens", kept, shown, &tokens)
	if err != nil {
		return err
	}

	return p.show(w, r, http.StatusOK, "admin/tokens", p.adminTokensPage(kept, shown, next, tokens))
}

// adminTokensPage returns a page of the list.
func (p *Pages) adminTokensPage(kept url.Values, shown, next string, tokens []jeton.Token) adminTokensView {
	field := func(name string, label Text) Field {
		return Field{
			Name:         name,
			Label:        label,
			Value:        kept.Get(name),
			Autocomplete: "off",
			NoCapitals:   true,
		}
	}

	v := adminTokensView{
		User:     field("user", text("admin.audit.user")),
		Client:   field("client", text("admin.tokens-of.client")),
		Kind:     kindSelect(kept.Get("kind")),
		Filtered: len(kept) > 0,
		Pager:    pagerOf(adminTokensPath, kept, shown, next, "cursor"),
		Empty:    Empty{Text: text("admin.tokens-of.empty")},
	}
	if v.Filtered {
		v.Empty = Empty{Text: text("admin.tokens-of.none")}
	}

	for _, t := range tokens {
		v.Tokens = append(v.Tokens, p.adminTokenRow(t))
	}

	return v
}

// kindSelect returns the choice of the kind of token.
func kindSelect(chosen string) Select {
	s := Select{Name: "kind", Label: text("admin.tokens-of.kind")}
	for _, c := range []struct {
		kind  token.Kind
		words Text
	}{
		{"", text("admin.tokens-of.every-kind")},
		{token.Personal, text("admin.tag.personal")},
		{token.Approved, text("token.requested")},
		{token.Leased, text("token.job")},
		{token.Exchanged, text("admin.tag.exchanged")},
		{token.Access, text("admin.tag.access")},
	} {
		s.Choices = append(s.Choices, Choice{
			Value:    string(c.kind),
			Text:     c.words,
			Selected: string(c.kind) == chosen,
		})
	}

	return s
}

// adminTokenRow returns a token in the list.
func (p *Pages) adminTokenRow(t jeton.Token) adminTokenRow {
	row := adminTokenRow{
		Name:  t.Name,
		URL:   adminTokenPath(t.Accessor),
		Tags:  p.adminTokenTags(t),
		Owner: tokenOwner(t),
		At:    strings.Join(t.Audience, ", "),
		Used:  t.LastUsed,
		Left:  spanLeft(t.NotBefore, t.Expires, p.Now()),
	}
	if row.Name == "" {
		row.Name = t.Accessor
	}

	// What ends it first is what the list shows.
	if t.UsesRemaining != nil {
		row.Left = usesLeft(t)
	}

	return row
}

// adminTokenPath returns the page of a token.
func adminTokenPath(accessor string) string { return adminTokensPath + "/" + url.PathEscape(accessor) }

// usesLeft shows how many uses of a token are left.
func usesLeft(t jeton.Token) Meter {
	return Meter{
		Text:  text("admin.left.uses", *t.UsesRemaining, t.MaxUses),
		Value: *t.UsesRemaining,
		Max:   max(1, t.MaxUses),
	}
}

// tokenOwner returns whose token it is, in words.
func tokenOwner(t jeton.Token) Text {
	switch {
	case t.User != "" && t.Client != "":
		return text("admin.token-of.user-by", Strong(t.User), Strong(t.Client))
	case t.User != "":
		return text("admin.token-of.user", Strong(t.User))
	}

	return text("admin.token-of.client", Strong(t.Client))
}

// adminTokenTags returns what stands out about a token.
func (p *Pages) adminTokenTags(t jeton.Token) []Tag {
	var tags []Tag
	switch token.Kind(t.Kind) {
	case token.Personal:
		tags = append(tags, Tag{Text: text("admin.tag.personal")})
	case token.Approved:
		tags = append(tags, Tag{Text: text("token.requested")})
	case token.Leased:
		tags = append(tags, Tag{Text: text("token.job")})
	case token.Exchanged:
		tags = append(tags, Tag{Text: text("admin.tag.exchanged")})
	default:
		tags = append(tags, Tag{Kind: "plain", Text: text("admin.tag.access")})
	}

	now := p.Now()
	switch {
	case !now.Before(t.Expires):
		tags = append(tags, Tag{Kind: Bad, Text: text("admin.tag.expired")})
	case t.UsesRemaining != nil && *t.UsesRemaining == 0:
		tags = append(tags, Tag{Kind: Bad, Text: text("admin.tag.spent")})
	case now.Before(t.NotBefore):
		tags = append(tags, Tag{Kind: Warn, Text: text("admin.tag.early")})
	}

	return tags
}

// storedToken is a token with what is revoked with it, as the API returns it.
type storedToken struct {
	jeton.Token
	Derived int64 `json:"derived"`
}

// adminTokenView is the view of admin/token.
type adminTokenView struct {
	Token    storedToken
	Name     string
	Tags     []Tag
	Owner    Text
	Uses     *Meter // nil: not counted
	Time     Meter
	Parent   string // URL, or ""
	Children string // URL of the list
	Revoke   string // URL
	Events   string // URL
}

// adminToken answers GET /admin/tokens/{accessor}.
func (p *Pages) adminToken(w *web.Reply, r *http.Request) error {
	t, err := p.readToken(w, r)
	if err != nil {
		return err
	}

	return p.show(w, r, http.StatusOK, "admin/token", p.adminTokenPage(t))
}

// readToken returns the token in the path.
func (p *Pages) readToken(w *web.Reply, r *http.Request) (t storedToken, err error) {
	err = p.call(w, r, http.MethodGet, "/tokens/"+url.PathEscape(r.PathValue("accessor")), nil, nil, &t)
	return t, err
}

// adminTokenPage returns the page of a token.
func (p *Pages) adminTokenPage(t storedToken) adminTokenView {
	v := adminTokenView{
		Token:    t,
		Name:     t.Name,
		Tags:     p.adminTokenTags(t.Token),
		Owner:    tokenOwner(t.Token),
		Time:     spanLeft(t.NotBefore, t.Expires, p.Now()),
		Children: pathWith(adminTokensPath, url.Values{"parent": {t.Accessor}}),
		Revoke:   adminTokenPath(t.Accessor) + "/revoke",
	}
	if v.Name == "" {
		v.Name = t.Accessor
	}
	if t.UsesRemaining != nil {
		uses := usesLeft(t.Token)
		v.Uses = &uses
	}
	if t.Parent != "" {
		v.Parent = adminTokenPath(t.Parent)
	}
	if t.User != "" {
		v.Events = pathWith("/admin/audit", url.Values{"user": {t.User}})
	}

	return v
}

// Starts reports whether the token is not valid from the moment at which it was created.
func (v adminTokenView) Starts() bool { return v.Token.NotBefore.Sub(v.Token.Created) > time.Second }

// adminRevokeTokenPage answers GET /admin/tokens/{accessor}/revoke.
func (p *Pages) adminRevokeTokenPage(w *web.Reply, r *http.Request) error {
	if err := p.provedLately(w, r); err != nil {
		return err
	}

	t, err := p.readToken(w, r)
	if err != nil {
		return err
	}

	return p.show(w, r, http.StatusOK, "admin/confirm", revokeTokenView(p.adminTokenPage(t)))
}

// revokeTokenView returns what revoking a token does.
func revokeTokenView(v adminTokenView) confirmView {
	return confirmView{
		Title:  text("admin.revoke-token.title", v.Name),
		Text:   text("admin.revoke-token.text", Strong(v.Name)),
		Ends:   []Text{text("admin.ends.this-token"), text("admin.ends.children", v.Token.Derived)},
		Action: v.Revoke,
		Button: text("admin.revoke-token.button"),
		Cancel: adminTokenPath(v.Token.Accessor),
	}
}

// adminRevokeToken answers POST /admin/tokens/{accessor}/revoke.
func (p *Pages) adminRevokeToken(w *web.Reply, r *http.Request) error {
	if _, err := adminForm(w, r); err != nil {
		return err
	}

	path := "/tokens/" + url.PathEscape(r.PathValue("accessor"))
	if err := p.call(w, r, http.MethodDelete, path, nil, nil, nil); err != nil {
		return err
	}

	return see(w, donePath(adminTokensPath, "token-revoked"))
}
