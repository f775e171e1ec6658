package token

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/test/need"
)

// generator makes parents, requests for children, and requests to services, from few values so that they often meet.
type generator struct{ *rand.Rand }

// narrowNoon is the time around which the tokens are valid.
var narrowNoon = time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)

// some returns some elements of a list, perhaps none.
func some[T any](g generator, list []T) []T {
	var out []T
	for _, one := range list {
		if g.IntN(3) == 0 {
			out = append(out, one)
		}
	}

	return out
}

func (g generator) rule() policy.Rule {
	methods := []string{"*", "GET", "POST"}
	paths := []string{"/*", "/a", "/a/*", "/a/b", "/a/b/*", "/ab", "/b/*"}
	return policy.Rule{Method: methods[g.IntN(len(methods))], Path: paths[g.IntN(len(paths))]}
}

func (g generator) limits() policy.Limits {
	var l policy.Limits
	for range g.IntN(3) {
		l.Allows = append(l.Allows, g.rule())
	}
	l.Networks = some(g, []netip.Prefix{
		netip.MustParsePrefix("10.0.0.0/8"),
		netip.MustParsePrefix("10.1.0.0/16"),
		netip.MustParsePrefix("10.1.2.3/32"),
		netip.MustParsePrefix("2001:db8::/32"),
	})

	return l
}

// moment returns a time, or zero.
func (g generator) moment() time.Time {
	if g.IntN(4) == 0 {
		return time.Time{}
	}
	return narrowNoon.Add(time.Duration(g.IntN(12)-3) * time.Minute)
}

// draft returns a request for a token.
func (g generator) draft() Draft {
	return Draft{
		Name:      "child",
		Audience:  some(g, []string{"reports", "shop", "wiki"}),
		Scopes:    some(g, []string{"read", "write", "admin"}),
		Limits:    g.limits(),
		MaxUses:   int64(g.IntN(3)),
		NotBefore: g.moment(),
		Expires:   g.moment(),
		leased:    g.IntN(2) == 0,
		shared:    g.IntN(2) == 0,
	}
}

// childOf returns a request for a child: what the parent has, but for a field here and there.
func (g generator) childOf(parent *Live) Draft {
	d := g.draft()
	d.Parent = parent
	if g.IntN(5) > 0 {
		d.Audience = some(g, parent.Audience)
	}
	if g.IntN(5) > 0 {
		d.Scopes = some(g, parent.Scopes)
	}
	if g.IntN(5) > 0 {
		d.Limits = parent.Limits
		d.Limits.Allows = append(slices.Clone(d.Limits.Allows), some(g, []policy.Rule{g.rule()})...)
	}
	if g.IntN(5) > 0 {
		d.NotBefore = parent.Window.Opens
		d.Expires = parent.Window.Closes.Add(-time.Duration(g.IntN(3)) * time.Minute)
	}

	return d
}

// parent returns a token that others are derived from.
func (g generator) parent() *Live {
	d := g.draft()
	d.Audience = []string{"reports", "shop"}
	d.Expires = narrowNoon.Add(time.Duration(1+g.IntN(8)) * time.Minute)
	d.MaxUses = int64(max(g.IntN(8)-6, 0)) // most are not counted: a counted one has few children
	r := d.record(Owner{Kind: jeton.KindUser, ID: 7, Name: "diane"}, narrowNoon)
	r.Number = 70
	if g.IntN(4) == 0 {
		r.Kind = Access
	}

	return &Live{Record: r}
}

// ask is a request to a service, at a time.
type ask struct {
	service string
	at      time.Time
	request policy.Request
}

func (g generator) ask() ask {
	methods := []string{"GET", "POST", "DELETE"}
	paths := []string{"/", "/a", "/a/b", "/a/b/c", "/ab", "/b/c"}
	sources := []string{"10.0.0.1", "10.1.9.9", "10.1.2.3", "192.0.2.1", "2001:db8::1"}
	services := []string{"reports", "shop", "wiki"}

	return ask{
		service: services[g.IntN(len(services))],
		at:      narrowNoon.Add(time.Duration(g.IntN(26)-6) * 30 * time.Second),
		request: policy.Request{
			Method: methods[g.IntN(len(methods))],
			Path:   paths[g.IntN(len(paths))],
			Source: netip.MustParseAddr(sources[g.IntN(len(sources))]),
			Scopes: some(g, []string{"read", "write", "admin"}),
		},
	}
}

// admits reports whether a token opens a request, as the gate judges it.
func (l *Live) admits(a ask) bool {
	return slices.Contains(l.Audience, a.service) && l.Check(a.at) == nil && l.Permits(a.request) == nil
}

// TestNoChildIsWiderThanItsParent generates requests for a child token: 100,000 in a long run. Whatever a child opens
// that is not refused, its parent opens as well.
func TestNoChildIsWiderThanItsParent(t *testing.T) {
	requests := 20_000
	if need.Soaking() {
		requests = 100_000
	}
	g := generator{rand.New(rand.NewPCG(19, 2026))}

	made, opened, shared := 0, 0, 0
	for range requests {
		parent := g.parent()
		d := g.childOf(parent)
		child := d.record(Owner{Kind: jeton.KindClient, ID: 1, Name: "other"}, narrowNoon)
		if within(child, parent) != nil {
			continue
		}
		made++

		counted := parent.MaxUses != policy.Unlimited
		if counted && (child.Kind != Leased || len(child.Shares) != 1 || child.Shares[0].Token != parent.Number) {
			t.Fatalf("child %+v of the counted %+v: want a token for a job that takes its uses", child, parent)
		}
		if counted {
			shared++
		}

		if child.Owner.ID != parent.Owner.ID || child.Parent != parent.Number {
			t.Fatalf("child %+v of %+v: want its owner and its number", child, parent)
		}
		for range 20 {
			a := g.ask()
			if !(&Live{Record: child}).admits(a) {
				continue
			}
			opened++
			if !parent.admits(a) {
				t.Fatalf("child %+v opens %+v, which its parent %+v does not", child, a, parent)
			}
		}
	}

	// Otherwise the test would hold without having seen a child.
	if made < requests/10 || opened < requests/100 || shared < requests/1000 {
		t.Errorf("%d children were made, %d of counted ones, and opened %d requests: want more", made, shared, opened)
	}
}
