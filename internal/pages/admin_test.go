package pages

import (
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/factor/passkey"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/token"
)

func TestEveryPageOfAdministratorsNeedsTheirGroup(t *testing.T) {
	p := newPages(t)
	routes := p.adminRoutes()
	if len(routes) < 30 {
		t.Errorf("got %d routes, want all", len(routes))
	}

	for _, rt := range routes {
		a := rt.Access
		if a.IsOpen() || a.Accept != policy.BySession || a.Allow == nil || rt.Refuse == nil {
			t.Errorf("%s has the access %s, want a session of the group %s", rt.Pattern, a, AdminGroup)
			continue
		}
		if a.Allow.AnyUser || !slices.Equal(a.Allow.Groups, []string{AdminGroup}) || len(a.Allow.Users) > 0 {
			t.Errorf("%s allows %s, want the group %s", rt.Pattern, a.Allow, AdminGroup)
		}
	}
}

// A service whose address the pages share gets the requests that are not theirs.
func TestEveryPageIsOfThePages(t *testing.T) {
	p := newPages(t)
	p.Party = &passkey.Party{}

	for _, rt := range p.Routes() {
		_, path, _ := strings.Cut(rt.Pattern, " ")
		if path != "/{$}" && !p.Owns(path) {
			t.Errorf("%s belongs to the service of the same address, want the pages", rt.Pattern)
		}
	}
}

func TestWordsOfAField(t *testing.T) {
	for _, tc := range []struct {
		name, field string
		want        []string
	}{
		{"nothing", " , \n", []string{}},
		{"commas and spaces", "staff,wiki editors", []string{"editors", "staff", "wiki"}},
		{"twice", "staff, staff", []string{"staff"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := words(tc.field)
			if got == nil || !slices.Equal(got, tc.want) {
				t.Errorf("words(%q) = %#v, want %#v", tc.field, got, tc.want)
			}
		})
	}
}

func TestDaysOfTheAuditLogAreWhole(t *testing.T) {
	got, err := auditQuery(url.Values{"since": {"2026-02-28"}, "until": {"2026-02-28"}, "user": {"diane"}})
	want := url.Values{
		"since": {"2026-02-28T00:00:00Z"},
		"until": {"2026-03-01T00:00:00Z"},
		"user":  {"diane"},
	}
	if err != nil || got.Encode() != want.Encode() {
		t.Errorf("auditQuery = %v, %v, want %v", got, err, want)
	}

	_, err = auditQuery(url.Values{"until": {"tomorrow"}})
	if jeton.Outcome(err) != jeton.ErrInvalid {
		t.Errorf("auditQuery of a day that is none = %v, want %v", err, jeton.ErrInvalid)
	}
}

func TestAccessRulesInWords(t *testing.T) {
	p := newPages(t)

	for _, tc := range []struct {
		name  string
		route serviceRoute
		want  []string
	}{
		{"open", serviceRoute{Open: true, Accepts: []string{"session"}}, []string{"everybody, without signing in"}},
		{
			"every subject",
			serviceRoute{Accepts: []string{"session"}},
			[]string{"every user and client", "with a session"},
		},
		{
			"a group, by three kinds",
			serviceRoute{
				Accepts: []string{"session", "token", "password"},
				Allow:   &allowed{Groups: []string{"staff", "wiki"}},
			},
			[]string{"members of: <strong>staff, wiki</strong>", "with a session, token or password"},
		},
		{"an empty list", serviceRoute{Allow: &allowed{}}, []string{"no user and no client"}},
		{
			"scopes and uses",
			serviceRoute{Allow: &allowed{AnyUser: true}, Scopes: []string{"a", "b"}, MaxUses: 3},
			[]string{"every user", "a token needs <code>a b</code>", "at most 3 uses"},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var got []string
			for _, text := range ruleTexts(tc.route) {
				words, err := p.languages[0].translate(text)
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, string(words))
			}
			if !slices.Equal(got, tc.want) {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

func TestTheStateOfAKeyOfAClient(t *testing.T) {
	hour := time.Hour
	for _, tc := range []struct {
		name string
		key  jeton.ClientKey
		want string
	}{
		{"without times", jeton.ClientKey{}, "admin.key.valid"},
		{"within its times", jeton.ClientKey{NotBefore: noon, NotAfter: noon.Add(hour)}, "admin.key.valid"},
		{"before", jeton.ClientKey{NotBefore: noon.Add(hour)}, "admin.tag.early"},
		{"at its end", jeton.ClientKey{NotAfter: noon}, "admin.tag.expired"},
		{"retired", jeton.ClientKey{Retired: true, NotAfter: noon}, "admin.key.retired"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := clientKey(tc.key, noon).State.Text.Key; got != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
		})
	}
}

// TestEachKindOfTokenHasATag: as a tag of a token, and as a choice of the list.
func TestEachKindOfTokenHasATag(t *testing.T) {
	p := newPages(t)
	for kind, want := range map[token.Kind]string{
		token.Access:    "admin.tag.access",
		token.Personal:  "admin.tag.personal",
		token.Approved:  "token.requested",
		token.Leased:    "token.job",
		token.Exchanged: "admin.tag.exchanged",
	} {
		t.Run(string(kind), func(t *testing.T) {
			tags := p.adminTokenTags(jeton.Token{Kind: string(kind), Expires: p.Now().Add(time.Hour)})
			if len(tags) != 1 || tags[0].Text.Key != want {
				t.Errorf("got tags %+v, want %s", tags, want)
			}

			var chosen []string
			for _, c := range kindSelect(string(kind)).Choices {
				if c.Selected {
					chosen = append(chosen, c.Text.Key)
				}
			}
			if !slices.Equal(chosen, []string{want}) {
				t.Errorf("got choices %q, want %s", chosen, want)
			}
		})
	}
}

// TestThePageOfAClientOffersWhatCanBeChanged: what the file or a document says would be changed back.
func TestThePageOfAClientOffersWhatCanBeChanged(t *testing.T) {
	p := newPages(t)
	party := &jeton.RelyingParty{RedirectURIs: []string{"https://wiki.example/return"}}
	buttons := regexp.MustCompile(`name="do" value="([a-z-]+)"`)

	for _, tc := range []struct {
		name   string
		client jeton.Client
		want   []string
	}{
		{"a registered client", jeton.Client{Name: "wiki", OpenID: party}, []string{
			"terms", "addresses", "add-key", "secret",
		}},
		{"one of the configuration file", jeton.Client{Name: "wiki", OpenID: party, Declared: true}, nil},
		{"one that a document describes", jeton.Client{Name: "https://wiki.example/one.json", OpenID: party}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l := p.languages[0]
			view := p.adminClientPage(tc.client)
			r := get("/admin/clients/wiki", l.code)
			body, err := p.render(l, "admin/client", p.frame(r, jeton.Principal{}, l, "admin/client", view))
			if err != nil {
				t.Fatal(err)
			}

			var got []string
			for _, found := range buttons.FindAllStringSubmatch(string(body), -1) {
				got = append(got, found[1])
			}
			if !slices.Equal(got, tc.want) {
				t.Errorf("the page offers %q, want %q", got, tc.want)
			}
		})
	}
}
