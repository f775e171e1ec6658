package forward

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Alias is a header in which another product names the caller to a service.
type Alias struct {
	Name string
	Of   string // user, groups, name or email; "": the header is removed
}

// products are the aliases of each product that a service may have been behind before.
var products = map[string][]Alias{
	// The names of Authelia are those of Jeton.
	"authelia": nil,
	// The separator of authentik's groups is another one, and its uid is not known here.
	"authentik": {
		{"X-authentik-username", "user"},
		{"X-authentik-name", "name"},
		{"X-authentik-email", "email"},
		{"X-authentik-groups", ""},
		{"X-authentik-uid", ""},
		{"X-authentik-jwt", ""},
		{"X-authentik-entitlements", ""},
		{"X-authentik-meta-jwks", ""},
		{"X-authentik-meta-outpost", ""},
		{"X-authentik-meta-provider", ""},
		{"X-authentik-meta-app", ""},
		{"X-authentik-meta-version", ""},
	},
	"oauth2-proxy": {
		{"X-Forwarded-User", "user"},
		{"X-Forwarded-Preferred-Username", "user"},
		{"X-Forwarded-Groups", "groups"},
		{"X-Forwarded-Email", "email"},
		{"X-Forwarded-Access-Token", ""},
		{"X-Auth-Request-User", "user"},
		{"X-Auth-Request-Preferred-Username", "user"},
		{"X-Auth-Request-Groups", "groups"},
		{"X-Auth-Request-Email", "email"},
		{"X-Auth-Request-Access-Token", ""},
	},
}

// Products returns the names that AliasesOf knows.
func Products() []string { return slices.Sorted(maps.Keys(products)) }

// AliasesOf returns the headers in which a product names the caller to a service. Without a product it returns none.
func AliasesOf(product string) ([]Alias, error) {
	list, ok := products[product]
	if !ok && product != "" {
		return nil, fmt.Errorf("unknown product %.40q: want one of %s", product, strings.Join(Products(), ", "))
	}
	return list, nil
}

// Foreign returns the headers in which other products name the caller, and this service gets none: applications that
// were behind such a product may still believe them.
func (p Proxied) Foreign() []string {
	var list []string
	for _, product := range Products() {
		for _, a := range products[product] {
			mine := func(own Alias) bool { return own.Name == a.Name }
			if !slices.ContainsFunc(p.Aliases, mine) {
				list = append(list, a.Name)
			}
		}
	}

	return list
}
