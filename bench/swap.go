package main

import (
	"context"
	"net/http"
	"os"
)

// swapped is how many signed tokens are exchanged, each many times.
const swapped = 64

// swap measures a service that exchanges the tokens of its callers for those of the next service (RFC 8693). Each new
// token is on disk before the answer; the bare server has no disk.
func (b *bench) swap(ctx context.Context) error {
	at := pinned
	client, err := newKeyPair(clientRSA)
	if err != nil {
		return err
	}
	jeton, err := b.authorityUp(ctx, stored{}, client, at)
	if err != nil {
		return err
	}
	defer jeton.stop()

	tokens, err := jeton.signedTokens(ctx, swapped)
	if err != nil {
		return err
	}
	issuer := "http://" + jeton.issuer.addr
	text, err := posted(
		ctx, http.DefaultClient, issuer+"/oauth2/token", basic(acting, clientSecret()), formType, swapForm(tokens[0]),
	)
	if err != nil {
		return err
	}

	answers, err := os.MkdirTemp(b.dir, "answers-")
	if err != nil {
		return err
	}
	if err := os.WriteFile(bareAnswer(answers, "swap"), text, 0o600); err != nil {
		return err
	}

	ours, err := b.posts("/oauth2/token", partyHead(acting), swapped, func(i int) (string, error) {
		return swapForm(tokens[i]), nil
	})
	if err != nil {
		return err
	}

	return b.compareExchange(ctx, jeton, answers, at, exchanges{
		block: "Exchanging an access token for one of the next service, each on disk, ",
		what:  "jeton, exchange of an access token",
		path:  "/swap",
		posts: ours,
	})
}

// exchanges are the requests by which tokens are exchanged, in one way.
type exchanges struct {
	block string // its name in the report
	what  string
	path  string // at the bare server
	posts load
}

// compareExchange measures exchanges beside a bare server that checks one raw signature and makes one.
func (b *bench) compareExchange(ctx context.Context, jeton *authority, answers string, at place, e exchanges) error {
	bare, err := b.bareSignUp(ctx, answers, at)
	if err != nil {
		return err
	}
	defer bare.stop()

	theirs := e.posts
	theirs.Path = e.path
	all, err := b.rounds(ctx, b.get(bare, at, theirs), b.get(jeton.issuer, at, e.posts))
	if err != nil {
		return err
	}

	b.report.block(e.block + at.name)
	b.report.add(row{what: "bare, HTTP, one raw check and one raw signature", unit: "req/s", sample: middle(all[0])})
	r := ratios(all[1], all[0])
	b.report.add(row{
		what:   e.what,
		unit:   "tokens/s",
		sample: middle(all[1]),
		ratio:  r,
		aim:    ">= 0.70 of bare",
		met:    met(r >= .70),
	})

	return nil
}
