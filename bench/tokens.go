package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"time"

	"github.com/jeton-auth/jeton/internal/jose"
)

// tokens measures what it costs to issue a signed token, and to look at one for the
// first time.
func (b *bench) tokens(ctx context.Context) error {
	if err := b.issue(ctx); err != nil {
		return err
	}
	if err := b.exchange(ctx); err != nil {
		return err
	}
	if err := b.swap(ctx); err != nil {
		return err
	}
	return b.measureFirstChecks(ctx)
}

// issue measures tokens for a client that proves itself with a secret.
func (b *bench) issue(ctx context.Context) error {
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

	answers, err := os.MkdirTemp(b.dir, "answers-")
	if err != nil {
		return err
	}

	services := map[jose.Alg]string{jose.EdDSA: service, jose.ES256: "es256", jose.RS256: "rs256"}
	ours := map[jose.Alg]load{}
	for _, alg := range algs {
		text, err := jeton.ask(ctx, http.DefaultClient, "/oauth2/token", wishForm(services[alg]))
		if err != nil {
			return err
		}
		if err := os.WriteFile(bareAnswer(answers, string(alg)), text, 0o600); err != nil {
			return err
		}

		ours[alg], err = b.posts("/oauth2/token", formHead(), 1, always(wishForm(services[alg])))
		if err != nil {
			return err
		}
	}

	bare, err := b.bareSignUp(ctx, answers, at)
	if err != nil {
		return err
	}
	defer bare.stop()

	var subjects []subject
	for _, alg := range algs {
		theirs := ours[alg]
		theirs.Path = "/" + string(alg)
		subjects = append(subjects, b.get(bare, at, theirs), b.get(jeton.issuer, at, ours[alg]))
	}

	all, err := b.rounds(ctx, subjects...)
	if err != nil {
		return err
	}

	b.report.block("Issuing a signed token to a client with a secret, " + at.name)

	for i, alg := range algs {
		b.report.add(row{
			what:   "bare, HTTP and the raw " + string(alg) + " signature",
			unit:   "req/s",
			sample: middle(all[2*i]),
		})
		r := ratios(all[2*i+1], all[2*i])
		b.report.add(row{
			what:   "jeton, token by " + string(alg),
			unit:   "tokens/s",
			sample: middle(all[2*i+1]),
			ratio:  r,
			aim:    ">= 0.80 of bare",
			met:    met(r >= .80),
		})
	}
	b.report.headline("token, "+string(algs[0]), "raw signature", all[1], all[0])

	return nil
}

// exchange measures tokens for software that shows the token of a platform, which it may show again.
func (b *bench) exchange(ctx context.Context) error {
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

	issuer := "http://" + jeton.issuer.addr
	form, err := client.exchangeForm(issuer)
	if err != nil {
		return err
	}
	text, err := posted(ctx, http.DefaultClient, issuer+"/oauth2/token", "", formType, form)
	if err != nil {
		return err
	}

	answers, err := os.MkdirTemp(b.dir, "answers-")
	if err != nil {
		return err
	}
	if err := os.WriteFile(bareAnswer(answers, "exchange"), text, 0o600); err != nil {
		return err
	}

	ours, err := b.posts("/oauth2/token", "Content-Type: "+formType, 1, always(form))
	if err != nil {
		return err
	}

	return b.compareExchange(ctx, jeton, answers, at, exchanges{
		block: "Exchanging a token of another issuer (RS256) for one of a client (EdDSA), ",
		what:  "jeton, exchange",
		path:  "/exchange",
		posts: ours,
	})
}

// measureFirstChecks measures the first check of a token without HTTP: from then on its text is
// remembered, so that a request does not show it.
func (b *bench) measureFirstChecks(ctx context.Context) error {
	b.report.block("The first look at a signed token (reading it, its signature, its claims), one core, without HTTP")

	for _, alg := range algs {
		var whole, plain, times []float64
		for range b.options.rounds {
			l, err := b.firstCheck(ctx, alg)
			if err != nil {
				return err
			}
			whole, plain, times = append(whole, l.Whole), append(plain, l.Raw), append(times, l.Raw/l.Whole)
		}

		b.report.add(row{what: string(alg) + ", the signature alone", value: median(plain), unit: "checks/s"})
		r := median(times)
		b.report.add(row{
			what:  string(alg) + ", the token (ratio of times)",
			value: median(whole),
			unit:  "checks/s",
			ratio: r,
			aim:   "<= 1.25 x the signature",
			met:   met(r <= 1.25),
		})
	}

	return nil
}

// firstCheck measures in a process of its own, whose heap is small as a server's is.
func (b *bench) firstCheck(ctx context.Context, alg jose.Alg) (firstChecks, error) {
	self, err := os.Executable()
	if err != nil {
		return firstChecks{}, err
	}

	cmd := exec.CommandContext(ctx, self, "role-verify", "-alg", string(alg), "-run", b.run.String())
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return firstChecks{}, fmt.Errorf("look at tokens: %w", err)
	}

	var l firstChecks
	return l, json.Unmarshal(out, &l)
}

// basicUsers is the number of users who send their password with every request. Each is
// hashed once, and again after five minutes.
const basicUsers = 200

// credentials measures every kind of credential, beside a session.
func (b *bench) credentials(ctx context.Context) error {
	at := pinned
	client, err := newKeyPair(clientRSA)
	if err != nil {
		return err
	}

	n := b.sessions
	jeton, err := b.authorityUp(ctx, stored{sessions: n, tokens: n}, client, at)
	if err != nil {
		return err
	}
	defer jeton.stop()

	jwts, err := jeton.signedTokens(ctx, n)
	if err != nil {
		return err
	}

	signed := func(i int) (string, error) { return jwts[i], nil }
	const aim = .95

	list := []struct {
		what  string
		n     int
		value func(i int) (string, error)
		least float64
	}{
		{
			"Basic, a password",
			basicUsers,
			func(i int) (string, error) { return basic(userName(i), password), nil },
			.90,
		},
		{"Bearer, opaque", n, in(personal, func(t string) string { return "Bearer " + t }), aim},
		{"Basic, opaque as the password", n, in(personal, func(t string) string { return basic("x", t) }), aim},
		{"Basic, opaque as the name", n, in(personal, func(t string) string { return basic(t, "x") }), aim},
		{"Bearer, JWT seen before", n, in(signed, func(t string) string { return "Bearer " + t }), aim},
		{"Basic, JWT as the password", n, in(signed, func(t string) string { return basic("x", t) }), aim},
		{"Basic, JWT as the name", n, in(signed, func(t string) string { return basic(t, "x") }), aim},
	}

	if err := b.warmUp(ctx, jeton.process, n); err != nil {
		return err
	}

	subjects := []subject{b.get(jeton.process, at, check(n))}
	for _, d := range list {
		l, err := b.shown(d.n, d.value)
		if err != nil {
			return err
		}
		if err := b.warmWith(ctx, jeton.process, l); err != nil {
			return fmt.Errorf("%s: %w", d.what, err)
		}

		subjects = append(subjects, b.get(jeton.process, at, l))
	}

	all, err := b.rounds(ctx, subjects...)
	if err != nil {
		return err
	}

	b.report.block("Every kind of credential, " + at.name)
	b.report.add(row{what: "session (cookie)", unit: "req/s", sample: middle(all[0])})

	for i, d := range list {
		r := ratios(all[i+1], all[0])
		b.report.add(row{
			what:   d.what,
			unit:   "req/s",
			sample: middle(all[i+1]),
			ratio:  r,
			aim:    fmt.Sprintf(">= %.2f of session", d.least),
			met:    met(r >= d.least),
		})
	}

	// The positions in all, which begins with the session.
	const opaque, jwt = 2, 5
	r := ratios(all[jwt], all[opaque])
	b.report.add(row{
		what:  "Bearer, JWT seen before, beside opaque",
		unit:  "req/s",
		value: middle(all[jwt]).rate,
		ratio: r,
		aim:   ">= 0.85 of opaque",
		met:   met(r >= .85),
	})

	return nil
}

// in puts each text into a form.
func in(text func(int) (string, error), form func(string) string) func(int) (string, error) {
	return func(i int) (string, error) {
		t, err := text(i)
		return form(t), err
	}
}

// floodBasic measures the effect of wrong passwords with every request on sessions.
func (b *bench) floodBasic(ctx context.Context) error {
	client, err := newKeyPair(clientRSA)
	if err != nil {
		return err
	}

	jeton, err := b.authorityUp(ctx, stored{sessions: b.sessions}, client, shared)
	if err != nil {
		return err
	}
	defer jeton.stop()

	const each = 10 // guesses at one account
	guesses, err := b.shown(each*users, func(i int) (string, error) {
		return basic(userName(i%users), fmt.Sprint("wrong-", i)), nil
	})
	if err != nil {
		return err
	}

	return b.floodWith(ctx, jeton.process, guesses, "guess passwords with Basic")
}

// againstPyJWT measures jeton against the teaching server of timed tokens that it replaces.
func (b *bench) againstPyJWT(ctx context.Context) error {
	versions, err := pyJWTVersions(ctx)
	if err != nil {
		b.report.note("Not measured against Flask and PyJWT: " + err.Error() + ".")
		return nil
	}

	at := pinned
	client, err := newKeyPair(clientRSA)
	if err != nil {
		return err
	}

	flask, err := b.startPyJWT(ctx, client, at.server)
	if err != nil {
		return err
	}
	defer flask.stop()

	jeton, err := b.authorityUp(ctx, stored{}, client, at)
	if err != nil {
		return err
	}
	defer jeton.stop()

	assertion, err := client.assertion()
	if err != nil {
		return err
	}

	login, err := b.posts("/login", "", 1, always(assertion))
	if err != nil {
		return err
	}

	var subjects []subject
	for _, p := range []*process{flask, jeton.timed} {
		const many = 16
		texts, err := manyOf(many, func(c *http.Client) (string, error) {
			text, err := posted(ctx, c, "http://"+p.addr+"/login", "", "text/plain", assertion)
			return string(text), err
		})
		if err != nil {
			return err
		}

		asks, err := b.posts("/", "", many, func(i int) (string, error) { return texts[i], nil })
		if err != nil {
			return err
		}

		// A login of the other program takes so long that three seconds see few of them.
		slow := *b
		slow.run, slow.warm = 2*b.run, max(b.warm, time.Second)
		subjects = append(subjects, b.get(p, at, asks), slow.get(p, at, login))
	}

	all, err := b.rounds(ctx, subjects...)
	if err != nil {
		return err
	}

	b.report.block("Timed tokens against Flask (" + versions + "; 1 worker, 4 threads), RS256, the servers' keys of " +
		fmt.Sprint(jose.OwnRSA) +
		" bits, " +
		at.name)

	for i, pair := range []struct {
		theirs, ours string
		least        float64
	}{
		{"Flask, a token as the body", "jeton, a token as the body", 60},
		{"Flask, login by assertion", "jeton, login by assertion", 70},
	} {
		b.report.add(row{what: pair.theirs, unit: "req/s", sample: middle(all[i])})
		r := ratios(all[i+2], all[i])
		b.report.add(row{
			what:   pair.ours,
			unit:   "req/s",
			sample: middle(all[i+2]),
			ratio:  r,
			aim:    fmt.Sprintf(">= %.0f x Flask", pair.least),
			met:    met(r >= pair.least),
		})
	}

	return nil
}
