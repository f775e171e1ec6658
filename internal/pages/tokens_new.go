package pages

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/token"
	"github.com/jeton-auth/jeton/internal/web"
)

// ownService is a service as the API shows it to its user.
type ownService struct {
	Name   string   `json:"name"`
	URL    string   `json:"url"`
	Tokens bool     `json:"tokens"`
	Scopes []string `json:"scopes"`
}

// tokenFormView is the view of account/token-new.
type tokenFormView struct {
	Note     *Note
	Name     Field
	Services Checks
	Scopes   Checks
	Lasts    Select
	Until    Field
	Uses     Field
	Allows   Area
	Networks Area
	More     bool // the limits that few tokens need are open
	Empty    Empty
}

// Area is a field of several lines: {{template "area" .Field}}.
type Area struct {
	Field
	Rows int
}

// tokenRequest is a token to create, as the API reads it.
type tokenRequest struct {
	Name     string    `json:"name"`
	Services []string  `json:"services"`
	Scopes   []string  `json:"scopes,omitempty"`
	Allows   []string  `json:"allows,omitempty"`
	Networks []string  `json:"networks,omitempty"`
	MaxUses  int64     `json:"max_uses,omitempty"`
	Expires  time.Time `json:"expires_at"`
}

// madeToken is a token with its secret.
type madeToken struct {
	jeton.Token
	Secret string `json:"token"`
}

// tokenFields are the fields of the form.
var tokenFields = []string{"name", "service", "scope", "lasts", "until", "uses", "allows", "networks"}

// lifetimes are the lifetimes that the form offers. The last day of a choice is not that of MaxPersonal: the request
// arrives a moment after the page was made.
var lifetimes = []struct {
	value string
	lasts time.Duration
}{
	{"1h", time.Hour},
	{"1d", day},
	{"7d", 7 * day},
	{"30d", 30 * day},
	{"90d", 90 * day},
	{"365d", 365 * day},
}

const (
	day             = 24 * time.Hour
	defaultLifetime = "30d"
	untilDate       = "date" // the choice of a day
)

// newTokenPage answers GET /account/tokens/new, which a form that waited for a proof comes back to. It asks for the
// password before the form is filled, not after.
func (p *Pages) newTokenPage(w *web.Reply, r *http.Request) error {
	typed, err := p.provedForm(w, r)
	if err != nil {
		return err
	}

	services, err := p.ownServices(w, r)
	if err != nil {
		return err
	}

	view := newTokenForm(services, typed, web.AddressText(w.Source), w.Start)

	return p.show(w, r, http.StatusOK, "account/token-new", view)
}

// ownServices returns the services for which the user can have tokens.
func (p *Pages) ownServices(w *web.Reply, r *http.Request) ([]ownService, error) {
	var list []ownService
	err := p.API.Call(w, r, http.MethodGet, ownAPI+"/services", nil, &list)

	return slices.DeleteFunc(list, func(s ownService) bool { return !s.Tokens }), err
}

// newTokenForm returns the form with what was typed.
func newTokenForm(services []ownService, typed url.Values, source string, now time.Time) tokenFormView {
	v := tokenFormView{
		Name: Field{
			Name:         "name",
			Label:        text("new-token.name"),
			Hint:         text("new-token.name.hint"),
			Value:        typed.Get("name"),
			Autocomplete: "off",
			Required:     true,
			MaxLength:    128,
		},
		Services: Checks{
			Name:  "service",
			Label: text("new-token.services"),
			Hint:  text("new-token.services.hint"),
		},
		Scopes: Checks{
			Name:    "scope",
			Label:   text("new-token.scopes"),
			Hint:    text("new-token.scopes.hint"),
			Choices: scopeChoices(services, typed["scope"]),
		},
		Lasts: Select{
			Name:    "lasts",
			Label:   text("new-token.lasts"),
			Choices: lifetimeChoices(typed.Get("lasts")),
		},
		More:  typed.Get("allows") != "" || typed.Get("networks") != "",
		Empty: Empty{Text: text("new-token.empty")},
	}

	for _, s := range services {
		chosen := slices.Contains(typed["service"], s.Name) || len(services) == 1
		v.Services.Choices = append(v.Services.Choices, Choice{Value: s.Name, Label: s.Name, Selected: chosen})
	}
	v.limit(typed, source, now)

	return v
}

// limit sets the fields that limit a token.
func (v *tokenFormView) limit(typed url.Values, source string, now time.Time) {
	v.Until = Field{
		Name:  "until",
		Label: text("new-token.until"),
		Hint:  text("new-token.until.hint"),
		Value: typed.Get("until"),
		Type:  "date",
		Min:   now.UTC().Format(time.DateOnly),
		Max:   now.UTC().Add(token.MaxPersonal - day).Format(time.DateOnly),
	}
	v.Uses = Field{
		Name:         "uses",
		Label:        text("new-token.uses"),
		Hint:         text("new-token.uses.hint"),
		Value:        typed.Get("uses"),
		InputMode:    "numeric",
		Autocomplete: "off",
		Pattern:      "[0-9]*",
		MaxLength:    9,
	}
	v.Allows = Area{Rows: 3, Field: Field{
		Name:       "allows",
		Label:      text("new-token.allows"),
		Hint:       text("new-token.allows.hint", Code("GET /reports/*"), Code("* /orders/7")),
		Value:      typed.Get("allows"),
		NoCapitals: true,
	}}
	v.Networks = Area{Rows: 3, Field: Field{
		Name:       "networks",
		Label:      text("new-token.networks"),
		Hint:       text("new-token.networks.hint", Code("10.0.0.0/8"), Code(source)),
		Value:      typed.Get("networks"),
		NoCapitals: true,
	}}
}

// scopeChoices returns the scopes that the user has, each with the services where it counts.
func scopeChoices(services []ownService, chosen []string) []Choice {
	at := map[string][]string{}
	var scopes []string
	for _, s := range services {
		for _, scope := range s.Scopes {
			if at[scope] == nil {
				scopes = append(scopes, scope)
			}
			at[scope] = append(at[scope], s.Name)
		}
	}
	slices.Sort(scopes)

	var list []Choice
	for _, scope := range scopes {
		list = append(list, Choice{
			Value:    scope,
			Label:    scope,
			Hint:     text("new-token.scope.at", strings.Join(at[scope], ", ")),
			Selected: slices.Contains(chosen, scope),
		})
	}

	return list
}

// lifetimeChoices returns the choices of how long a token lasts.
func lifetimeChoices(chosen string) []Choice {
	if chosen == "" {
		chosen = defaultLifetime
	}

	var list []Choice
	for _, l := range lifetimes {
		list = append(list, Choice{
			Value:    l.value,
			Text:     text("new-token.for", l.lasts),
			Selected: l.value == chosen,
		})
	}

	return append(list, Choice{
		Value:    untilDate,
		Text:     text("new-token.date"),
		Selected: chosen == untilDate,
	})
}

// newToken answers POST /account/tokens/new with the token and its secret, which no other response has.
func (p *Pages) newToken(w *web.Reply, r *http.Request) error {
	form, err := accountForm(w, r)
	if err != nil {
		return err
	}

	typed := url.Values{}
	for _, name := range tokenFields {
		if form.Has(name) {
			typed[name] = form[name]
		}
	}

	services, err := p.ownServices(w, r)
	if err != nil {
		return err
	}

	v := newTokenForm(services, typed, web.AddressText(w.Source), w.Start)
	in, ok := v.read(typed, w.Start)
	if !ok {
		return p.again(w, r, "account/token-new", v, jeton.ErrInvalid)
	}

	var made madeToken
	err = p.API.Call(w, r, http.MethodPost, ownAPI+"/tokens", in, &made)
	switch jeton.Outcome(err) {
	case nil:
		if err != nil {
			return err
		}
		return p.showSecret(w, r, made, false)
	case jeton.ErrProof:
		return p.proveFirst(w, r, "/account/tokens/new", typed, p.unproved(w, r, in.Services, err))
	case jeton.ErrInvalid, jeton.ErrScope, jeton.ErrForbidden, jeton.ErrTokensFull, jeton.ErrBusy:
		v.Note = p.noteOf(w, err)
		return p.again(w, r, "account/token-new", v, err)
	}

	return err
}
