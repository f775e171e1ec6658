package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"sync/atomic"
)

// The relying parties of the configuration. The grants of one do not count among those of the other.
const (
	exchanger = "exchanger"
	refresher = "refresher"
)

// The paths of the bare server.
const (
	pathCode          = "/code"
	pathCodeKept      = "/code-on-disk"
	pathRefresh       = "/refresh"
	pathRefreshSigned = "/refresh-signed"
	pathRefreshKept   = "/refresh-on-disk"
)

// partyDone is where browsers come back to; nothing is sent there.
const partyDone = "https://wiki.example.org/done"

// codesOfUser is how many codes a user gets: a user and a client have at most 100 grants, and the step that adds one
// more ends another.
const codesOfUser = 80

// maxCodes bounds the codes of a turn: they are valid for one minute.
const maxCodes = 1000

// openid measures what a relying party asks for: to exchange a code, to refresh, and the claims of a user.
func (b *bench) openid(ctx context.Context) error {
	client, err := newKeyPair(clientRSA)
	if err != nil {
		return err
	}

	n := min(b.sessions, maxCodes)
	jeton, err := b.authorityUp(ctx, stored{sessions: n, tokens: n}, client, pinned)
	if err != nil {
		return err
	}
	defer jeton.stop()

	parties := &parties{authority: jeton}
	if err := b.userinfo(ctx, parties, n); err != nil {
		return err
	}

	return b.exchanges(ctx, parties, n)
}

// userinfo measures the claims of a user beside a check of an opaque token by the same server.
func (b *bench) userinfo(ctx context.Context, p *parties, n int) error {
	granted, err := p.redeem(ctx, refresher, n)
	if err != nil {
		return err
	}

	claims, err := b.shown(n, func(i int) (string, error) { return "Bearer " + granted[i].Access, nil })
	if err != nil {
		return err
	}
	claims.Path = "/oauth2/userinfo"
	check, err := b.shown(n, in(personal, func(t string) string { return "Bearer " + t }))
	if err != nil {
		return err
	}

	err = errors.Join(b.warmWith(ctx, p.process, check), b.warmWith(ctx, p.issuer, claims))
	if err != nil {
		return err
	}
	all, err := b.rounds(ctx, b.get(p.process, pinned, check), b.get(p.issuer, pinned, claims))
	if err != nil {
		return err
	}

	b.report.block(fmt.Sprintf("Claims of a user, %s; %s tokens busy", pinned.name, grouped(n)))
	b.report.add(row{what: "jeton, check of an opaque token", unit: "req/s", sample: middle(all[0])})
	r := ratios(all[1], all[0])
	b.report.add(row{
		what:   "jeton, userinfo",
		unit:   "req/s",
		sample: middle(all[1]),
		ratio:  r,
		aim:    ">= 0.85 of the check",
		met:    met(r >= .85),
	})

	return nil
}

// exchanges measures codes and refreshes beside a server that reads the same forms, and answers the same bytes.
func (b *bench) exchanges(ctx context.Context, p *parties, n int) error {
	answers, err := os.MkdirTemp(b.dir, "answers-")
	if err != nil {
		return err
	}

	codes, err := b.exchangeLoad(ctx, p, n)
	if err != nil {
		return err
	}
	refreshes, err := b.refreshLoad(ctx, p, n)
	if err != nil {
		return err
	}
	if err := p.keepAnswers(ctx, answers); err != nil {
		return err
	}

	bare, err := b.bareSignUp(ctx, answers, pinned)
	if err != nil {
		return err
	}
	defer bare.stop()

	at := func(path string, l load) subject {
		l.Path = path
		return b.get(bare, pinned, l)
	}
	all, err := b.rounds(ctx,
		at(pathCode, codes), at(pathCodeKept, codes), b.once(p.issuer, func(ctx context.Context) (load, error) {
			return b.exchangeLoad(ctx, p, n)
		}),
		at(pathRefresh, refreshes), at(pathRefreshSigned, refreshes), at(pathRefreshKept, refreshes),
		b.once(p.issuer, func(ctx context.Context) (load, error) {
			return b.refreshLoad(ctx, p, n)
		}),
	)
	if err != nil {
		return err
	}

	b.report.block("Tokens of a relying party, each answer on disk, " + pinned.name)
	b.reportGrant("jeton, code for tokens and an ID token by ES256", "codes/s", .75, []string{
		"bare, reads a code, two raw ES256 signatures",
		"bare, reads a code, one raw ES256 signature, on disk",
	}, all[:3])
	b.reportGrant("jeton, refresh with an ID token by ES256", "refreshes/s", .40, []string{
		"bare, reads a refresh token",
		"bare, reads a refresh token, one raw ES256 signature",
		"bare, reads a refresh token, one raw ES256 signature, on disk",
	}, all[3:])
	b.report.headline("code for tokens, on disk", "two raw signatures", all[2], all[0])
	b.report.headline("refresh, on disk", "net/http, form", all[6], all[3])

	return nil
}

// reportGrant adds the rows of one grant: the bare servers, and jeton, which is last, beside each of them. The aim is
// about the first.
func (b *bench) reportGrant(what, unit string, aim float64, bare []string, all [][]sample) {
	for i, name := range bare {
		b.report.add(row{what: name, unit: "req/s", sample: middle(all[i])})
	}

	ours := all[len(bare)]
	for i, name := range bare {
		line := row{
			what:   what + ", beside " + name,
			unit:   unit,
			sample: middle(ours),
			ratio:  ratios(ours, all[i]),
		}
		if i == 0 {
			line.aim = fmt.Sprintf(">= %.2f of bare", aim)
			line.met = met(line.ratio >= aim)
		}
		b.report.add(line)
	}
}

// once measures a load whose requests are each good once: they are prepared for each turn, and sent over 64
// connections.
func (b *bench) once(p *process, prepare func(context.Context) (load, error)) subject {
	return func(ctx context.Context) (sample, error) {
		l, err := prepare(ctx)
		if err != nil {
			return sample{}, err
		}
		l.PIDs = []int{p.pid()}

		result, err := b.sendEach(ctx, p, pinned.client, l)
		if err != nil {
			return sample{}, err
		}
		settle(ctx, l.PIDs...)

		return result.sample(http.StatusOK), nil
	}
}

// parties are the relying parties of an authorization server, and their users.
type parties struct {
	*authority
	users []partyUser
}

// partyUser is a user who has signed in.
type partyUser struct {
	cookies []*http.Cookie
	codes   map[string]int // by client
}

// granted is the answer to a code.
type granted struct {
	Access  string `json:"access_token"`
	Refresh string `json:"refresh_token"`
}

// exchangeLoad is a load of new codes.
func (b *bench) exchangeLoad(ctx context.Context, p *parties, n int) (load, error) {
	codes, err := p.codes(ctx, exchanger, n)
	if err != nil {
		return load{}, err
	}

	return b.posts("/oauth2/token", partyHead(exchanger), n, func(i int) (string, error) {
		return codeForm(codes[i]), nil
	})
}

// refreshLoad is a load of refresh tokens, each of another grant.
func (b *bench) refreshLoad(ctx context.Context, p *parties, n int) (load, error) {
	granted, err := p.redeem(ctx, refresher, n)
	if err != nil {
		return load{}, err
	}

	return b.posts("/oauth2/token", partyHead(refresher), n, func(i int) (string, error) {
		return refreshForm(granted[i].Refresh), nil
	})
}

// keepAnswers writes what the bare server sends: an answer to a code, and one to a refresh token.
func (p *parties) keepAnswers(ctx context.Context, dir string) error {
	codes, err := p.codes(ctx, refresher, 1)
	if err != nil {
		return err
	}

	form := codeForm(codes[0])
	for _, name := range []string{"code", "refresh"} {
		text, err := p.post(ctx, http.DefaultClient, refresher, form)
		if err != nil {
			return err
		}
		if err := os.WriteFile(bareAnswer(dir, name), text, 0o600); err != nil {
			return err
		}

		var got granted
		if err := json.Unmarshal(text, &got); err != nil {
			return err
		}
		form = refreshForm(got.Refresh)
	}

	return nil
}

// redeem gets n codes and exchanges them.
func (p *parties) redeem(ctx context.Context, client string, n int) ([]granted, error) {
	codes, err := p.codes(ctx, client, n)
	if err != nil {
		return nil, err
	}

	var next atomic.Int64
	texts, err := manyOf(n, func(c *http.Client) (string, error) {
		text, err := p.post(ctx, c, client, codeForm(codes[next.Add(1)-1]))
		return string(text), err
	})
	if err != nil {
		return nil, err
	}

	list := make([]granted, n)
	for i, text := range texts {
		if err := json.Unmarshal([]byte(text), &list[i]); err != nil {
			return nil, err
		}
	}

	return list, nil
}

// user returns the cookies of a user who gets one more code of a client. Only new users sign in: that costs a hash.
func (p *parties) user(ctx context.Context, client string) ([]*http.Cookie, error) {
	for _, u := range p.users {
		if u.codes[client] < codesOfUser {
			u.codes[client]++
			return u.cookies, nil
		}
	}

	b := &browser{http: &http.Client{CheckRedirect: stay}}
	form := url.Values{"username": {userName(len(p.users))}, "password": {password}}
	signedIn, err := b.post(ctx, "http://"+p.issuer.addr+pagePath, form)
	if err != nil {
		return nil, err
	}
	p.users = append(p.users, partyUser{signedIn.cookies, map[string]int{client: 1}})

	return signedIn.cookies, nil
}

// codes gets n codes of users who have not reached the limit of grants.
func (p *parties) codes(ctx context.Context, client string, n int) ([]string, error) {
	cookies := make([][]*http.Cookie, n)
	for i := range cookies {
		var err error
		cookies[i], err = p.user(ctx, client)
		if err != nil {
			return nil, err
		}
	}

	asks := "http://" + p.issuer.addr + "/oauth2/authorize?" + url.Values{
		"response_type": {"code"},
		"client_id":     {client},
		"redirect_uri":  {partyDone},
		"scope":         {"openid profile email groups" + map[string]string{refresher: " offline_access"}[client]},
		"nonce":         {"n"},
	}.Encode()

	var next atomic.Int64
	return manyOf(n, func(c *http.Client) (string, error) {
		c = &http.Client{Transport: c.Transport, CheckRedirect: stay}
		back, err := (&browser{http: c}).get(ctx, asks, cookies[next.Add(1)-1])
		if err != nil {
			return "", err
		}

		at, err := url.Parse(back.to)
		if err != nil || at.Query().Get("code") == "" {
			return "", errors.Join(err, fmt.Errorf("no code in %q", back.to))
		}

		return at.Query().Get("code"), nil
	})
}

// post asks the token endpoint as a relying party.
func (p *parties) post(ctx context.Context, c *http.Client, client, form string) ([]byte, error) {
	return posted(
		ctx, c, "http://"+p.issuer.addr+"/oauth2/token", basic(client, clientSecret()),
		formType, form,
	)
}

// stay leaves redirects to the caller.
func stay(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// codeForm exchanges a code.
func codeForm(code string) string {
	return url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {partyDone}}.Encode()
}

// refreshForm exchanges a refresh token.
func refreshForm(text string) string {
	return url.Values{"grant_type": {"refresh_token"}, "refresh_token": {text}}.Encode()
}
