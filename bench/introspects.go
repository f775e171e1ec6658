package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
)

// introspects measures introspection with no token stored and with many.
func (b *bench) introspects(ctx context.Context) error {
	at := pinned
	client, err := newKeyPair(clientRSA)
	if err != nil {
		return err
	}

	busy := b.sessions
	// The same load at two servers: one stores nothing else, the other very many tokens.
	// Their ratio shows whether a look-up depends on the size of the store.
	empty, err := b.authorityUp(ctx, stored{}, client, at)
	if err != nil {
		return err
	}
	defer empty.stop()

	full, err := b.authorityUp(ctx, stored{tokens: b.many}, client, at)
	if err != nil {
		return err
	}
	defer full.stop()

	signed := map[*authority]load{}
	for _, a := range []*authority{empty, full} {
		signed[a], err = b.looks(ctx, a, busy)
		if err != nil {
			return err
		}
	}

	opaque, err := b.posts("/oauth2/introspect", formHead(), busy, func(i int) (string, error) {
		text, err := personal(i)
		return lookForm(text), err
	})
	if err != nil {
		return err
	}
	if err := b.warmWith(ctx, full.issuer, opaque); err != nil {
		return err
	}

	answers, err := os.MkdirTemp(b.dir, "answers-")
	if err != nil {
		return err
	}

	text, err := personal(0)
	if err != nil {
		return err
	}

	// The bare server sends this very answer: both write the same bytes.
	answer, err := full.ask(ctx, http.DefaultClient, "/oauth2/introspect", lookForm(text))
	if err != nil {
		return err
	}
	if err := isActive(answer); err != nil {
		return err
	}

	if err := os.WriteFile(bareAnswer(answers, "introspect"), answer, 0o600); err != nil {
		return err
	}

	bare, err := b.bareSignUp(ctx, answers, at)
	if err != nil {
		return err
	}
	defer bare.stop()

	bareOpaque, bareSigned := opaque, signed[full]
	bareOpaque.Path, bareSigned.Path = "/introspect", "/introspect"

	all, err := b.rounds(ctx,
		b.get(bare, at, bareOpaque), b.get(full.issuer, at, opaque),
		b.get(bare, at, bareSigned), b.get(empty.issuer, at, signed[empty]), b.get(full.issuer, at, signed[full]))
	if err != nil {
		return err
	}

	b.report.block(fmt.Sprintf("Introspection, %s; %s tokens busy", at.name, grouped(busy)))
	b.report.add(row{what: "bare, reads the form", unit: "req/s", sample: middle(all[0])})
	// Against the bare server of the same form: a JWT is many times as long as an opaque token,
	// and reading the form is a part of the cost.
	r := ratios(all[1], all[0])
	b.report.add(row{
		what:   "jeton, opaque, " + grouped(b.many) + " stored",
		unit:   "req/s",
		sample: middle(all[1]),
		ratio:  r,
		aim:    ">= 0.80 of bare",
		met:    met(r >= .80),
	})
	b.report.headline("introspection", "net/http, form", all[1], all[0])
	b.report.add(row{what: "bare, reads a form with a JWT", unit: "req/s", sample: middle(all[2])})

	r = ratios(all[3], all[2])
	b.report.add(row{
		what:   "jeton, JWT, none stored",
		unit:   "req/s",
		sample: middle(all[3]),
		ratio:  r,
		aim:    ">= 0.80 of bare",
		met:    met(r >= .80),
	})
	r = ratios(all[4], all[3])
	b.report.add(row{
		what:   "jeton, JWT, " + grouped(b.many) + " others stored",
		unit:   "req/s",
		sample: middle(all[4]),
		ratio:  r,
		aim:    ">= 0.95 of none stored",
		met:    met(r >= .95),
	})

	return nil
}

// looks is a load of introspections of n signed tokens, each of which was checked before.
func (b *bench) looks(ctx context.Context, a *authority, n int) (load, error) {
	texts, err := a.signedTokens(ctx, n)
	if err != nil {
		return load{}, err
	}

	l, err := b.posts("/oauth2/introspect", formHead(), n, func(i int) (string, error) {
		return lookForm(texts[i]), nil
	})
	if err != nil {
		return load{}, err
	}

	answer, err := a.ask(ctx, http.DefaultClient, "/oauth2/introspect", lookForm(texts[0]))
	if err != nil {
		return load{}, err
	}
	if err := isActive(answer); err != nil {
		return load{}, err
	}

	return l, b.warmWith(ctx, a.issuer, l)
}

// isActive looks at an answer before many like it are measured: a token that is not good is
// answered with a 200, too.
func isActive(answer []byte) error {
	var in struct{ Active bool }
	if err := json.Unmarshal(answer, &in); err != nil {
		return err
	}
	if !in.Active {
		return fmt.Errorf("a token for introspection is not active: %s", answer)
	}

	return nil
}
