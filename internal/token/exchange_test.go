package token

import (
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/client"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/test/need"
)

// exchange returns a request to exchange a token, whose rule and scopes are often wider than the token.
func (g generator) exchange(subject *Live) ExchangeRequest {
	uses := []int64{policy.Unlimited, 1, 3, 9}
	lifetimes := []time.Duration{0, time.Minute, 5 * time.Minute, time.Hour}
	x := ExchangeRequest{
		Subject: subject,
		By:      client.Client{ID: int64(1 + g.IntN(3)), Name: []string{"reports", "archive", "shop"}[g.IntN(3)]},
		Rule: policy.ExchangeRule{
			From:       "reports",
			To:         "archive",
			Scopes:     some(g, []string{"read", "write", "admin", "delete"}),
			Lifetime:   lifetimes[g.IntN(len(lifetimes))],
			MaxUses:    uses[g.IntN(len(uses))],
			SharedUses: g.IntN(2) == 0,
			Allows:     g.limits().Allows,
		},
		Wish: policy.ExchangeWish{
			Lifetime:   lifetimes[g.IntN(len(lifetimes))],
			MaxUses:    int64(g.IntN(5)),
			SharedUses: g.IntN(4) == 0,
		},
		Terms: policy.TokenTerms{
			Format:   policy.JWT,
			Audience: "archive",
			Lifetime: time.Duration(1+g.IntN(10)) * time.Minute,
			Delay:    time.Duration(g.IntN(2)) * time.Minute,
			MaxUses:  uses[g.IntN(len(uses))],
		},
	}
	x.Scopes = some(g, subject.Scopes)
	if g.IntN(2) == 0 {
		x.Scopes = some(g, x.Rule.Granted(subject.Scopes))
	}

	return x
}

// subject returns a token to exchange, and how many uses it has left.
func (g generator) subject() (*Live, int64) {
	l := g.parent()
	if g.IntN(3) == 0 {
		l.Actors = []Actor{{Client: "gateway", ID: 9, From: "front"}}
	}
	if l.MaxUses == policy.Unlimited {
		return l, policy.Unlimited
	}
	l.MaxUses += int64(g.IntN(9))
	if len(l.Actors) > 0 {
		l.Shares = []Share{{Token: 90, Max: 3}}
	}

	return l, l.MaxUses - int64(g.IntN(int(l.MaxUses)+1))
}

// widerThan returns what of an exchanged token exceeds its subject or its rule, or "".
func (x ExchangeRequest) widerThan(r Record, left int64) string {
	s := x.Subject
	counted := left != policy.Unlimited
	shared := func(h Share) bool { return h.Token == s.Record.Number && h.Max == s.MaxUses }

	switch {
	case counted && left < 1:
		return "count: no use is left"
	case !slices.Equal(r.Audience, []string{"archive"}):
		return "audience"
	case r.Owner.ID != s.Owner.ID || r.Parent != s.Record.Number:
		return "owner or parent"
	case r.Format != policy.Opaque:
		return "format"
	case policy.Lacking(s.Scopes, r.Scopes) != "" || policy.Lacking(x.Rule.Scopes, r.Scopes) != "":
		return "scopes"
	case r.Window.Opens.Before(s.Window.Opens) || r.Window.Closes.After(s.Window.Closes):
		return "window"
	case r.Window.Closes.After(narrowNoon.Add(x.Terms.Lifetime)):
		return "lifetime of the service"
	case x.Rule.Lifetime > 0 && r.Window.Closes.After(narrowNoon.Add(x.Rule.Lifetime)):
		return "lifetime of the rule"
	case x.Wish.Lifetime > 0 && r.Window.Closes.After(narrowNoon.Add(x.Wish.Lifetime)):
		return "lifetime of the request"
	case x.Wish.MaxUses > 0 && exceeds(r.MaxUses, x.Wish.MaxUses):
		return "uses of the request"
	case exceeds(r.MaxUses, x.Rule.MaxUses) || exceeds(r.MaxUses, x.Terms.MaxUses) || exceeds(r.MaxUses, left):
		return "uses"
	case counted && !slices.Equal(r.Shares[max(0, len(r.Shares)-len(s.Shares)):], s.Shares):
		return "shared uses of the subject"
	case counted && (x.Rule.SharedUses || x.Wish.SharedUses) && !slices.ContainsFunc(r.Shares, shared):
		return "shared uses"
	case len(r.Actors) != len(s.Actors)+1 || r.Actors[0].Client != x.By.Name || !slices.Equal(r.Actors[1:], s.Actors):
		return "actors"
	}

	return ""
}

// exceeds reports whether a number of uses is more than a limit.
func exceeds(uses, limit int64) bool {
	return limit != policy.Unlimited && (uses == policy.Unlimited || uses > limit)
}

// TestNoExchangedTokenIsWiderThanItsSubject generates exchanges: 100,000 in a long run. Whatever the new token opens at
// its service, both the token and the rule permit.
func TestNoExchangedTokenIsWiderThanItsSubject(t *testing.T) {
	requests := 20_000
	if need.Soaking() {
		requests = 100_000
	}
	g := generator{rand.New(rand.NewPCG(19, 8693))}

	made, opened := 0, 0
	for range requests {
		subject, left := g.subject()
		x := g.exchange(subject)
		r, err := x.record(narrowNoon, left)
		if err != nil {
			continue
		}
		made++

		if what := x.widerThan(r, left); what != "" {
			t.Fatalf("exchange %+v of %+v with %d uses: %+v has another %s", x.Rule, subject.Record, left, r, what)
		}
		for range 20 {
			a := g.ask()
			a.service = "archive"
			if !(&Live{Record: r}).admits(a) {
				continue
			}
			opened++

			a.service = subject.Audience[0]
			if !subject.admits(a) || (policy.Limits{Allows: x.Rule.Allows}).Check(a.request) != nil {
				t.Fatalf("exchange %+v of %+v: %+v opens %+v", x.Rule, subject.Record, r, a)
			}
		}
	}

	// Otherwise the test would hold without having seen a token.
	if made < requests/20 || opened < requests/100 {
		t.Errorf("%d tokens were made, and opened %d requests: want more", made, opened)
	}
}

func TestAChainOfActorsEnds(t *testing.T) {
	chain := func(names ...string) []Actor {
		var list []Actor
		for i, name := range names {
			list = append(list, Actor{Client: name, ID: int64(10 + i), From: "at " + name})
		}
		return list
	}

	for _, tc := range []struct {
		name   string
		owner  Owner
		actors []Actor
		want   error
	}{
		{"the first client", Owner{Kind: jeton.KindUser, ID: 1}, nil, nil},
		{"the fifth", Owner{Kind: jeton.KindUser, ID: 1}, chain("a", "b", "c", "d"), nil},
		{"the sixth", Owner{Kind: jeton.KindUser, ID: 1}, chain("a", "b", "c", "d", "e"), errDepth},
		{"the same client again", Owner{Kind: jeton.KindUser, ID: 1}, chain("a", "reports"), errLoop},
		{"a service that the chain began at", Owner{}, []Actor{{Client: "a", ID: 3, From: "archive"}}, errLoop},
		{"the owner itself", Owner{Kind: jeton.KindClient, ID: 1}, chain("a"), errLoop},
		{"a user with the number of the client", Owner{Kind: jeton.KindUser, ID: 1}, chain("a"), nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l := &Live{Record: Record{Owner: tc.owner, Actors: tc.actors}}
			err := l.CheckActors(client.Client{ID: 1, Name: "reports"}, "archive")
			if !errors.Is(err, tc.want) {
				t.Errorf("CheckActors = %v, want %v", err, tc.want)
			}
		})
	}
}
