package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// pagePath is the page that everyone who signs in meets first.
const pagePath = "/sign-in"

// pages measures the sign-in page, and a sign-in at a service by a browser that is signed in.
func (b *bench) pages(ctx context.Context) error {
	client, err := newKeyPair(clientRSA)
	if err != nil {
		return err
	}

	jeton, err := b.authorityUp(ctx, stored{sessions: b.sessions}, client, pinned)
	if err != nil {
		return err
	}
	defer jeton.stop()

	if err := b.signInPage(ctx, jeton); err != nil {
		return err
	}

	return b.signIns(ctx, jeton)
}

// signInPage measures the page beside a server that sends the same bytes.
func (b *bench) signInPage(ctx context.Context, jeton *authority) error {
	file := filepath.Join(b.dir, "sign-in.html")
	if err := download(ctx, "http://"+jeton.issuer.addr+pagePath, file); err != nil {
		return err
	}

	bare, err := b.bareUp(ctx, 0, pinned, "-page", file)
	if err != nil {
		return err
	}
	defer bare.stop()

	page := load{Kind: kindPlain, Path: pagePath}
	all, err := b.rounds(ctx, b.get(bare, pinned, page), b.get(jeton.issuer, pinned, page))
	if err != nil {
		return err
	}

	b.report.block("Sign-in page, " + pinned.name)
	b.report.add(row{what: "bare, the same bytes", unit: "req/s", sample: middle(all[0])})
	r := ratios(all[1], all[0])
	b.report.add(row{
		what:   "jeton",
		unit:   "req/s",
		sample: middle(all[1]),
		ratio:  r,
		aim:    ">= 0.50 of bare",
		met:    met(r >= .50),
	})
	b.report.headline("sign-in page", "the same bytes", all[1], all[0])

	return nil
}

// download writes the body of an answer, which must be a 200, to a file.
func download(ctx context.Context, address, file string) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return err
	}

	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()

	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return err
	}
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: %s", address, answer.Status)
	}

	return os.WriteFile(file, text, 0o600)
}

// signIns measures what a sign-in costs at a service, one after the other over open connections.
// The password is checked once before.
func (b *bench) signIns(ctx context.Context, jeton *authority) error {
	browser := &browser{http: &http.Client{CheckRedirect: stay}}
	form := url.Values{"username": {userName(0)}, "password": {password}}
	signedIn, err := browser.post(ctx, "http://"+jeton.issuer.addr+pagePath, form)
	if err != nil {
		return err
	}

	var took []float64
	// Uncounted, so that connections and caches are as in a server that has been up for a while.
	const warm = 20

	for i := range b.signInCount() + warm {
		started, err := browser.get(ctx, "http://"+jeton.addr+"/check", nil)
		if err != nil {
			return err
		}

		began := time.Now()
		code, err := browser.get(ctx, started.to, signedIn.cookies)
		if err != nil {
			return err
		}
		if _, err := browser.get(ctx, code.to, started.cookies); err != nil {
			return err
		}
		if i >= warm {
			took = append(took, float64(time.Since(began).Microseconds())/1000)
		}
	}

	slices.Sort(took)
	middle := took[len(took)/2]
	sync, err := syncTime(b.dir)
	if err != nil {
		return err
	}

	b.report.block(fmt.Sprintf("Sign-in at a service, one connection; fdatasync %d us", sync.Microseconds()))
	b.report.add(row{
		what:  "jeton, authorize to finish, p50",
		value: middle,
		unit:  "ms",
		aim:   "<= 3 ms",
		met:   met(middle <= 3),
	})

	return nil
}

// signInCount returns how many sign-ins are measured.
func (b *bench) signInCount() int {
	if b.quick {
		return 20
	}
	return 500
}

// browser follows redirects by hand and keeps no cookies, so that each sign-in is a first one.
type browser struct{ http *http.Client }

// redirect is an answer that sends a browser on.
type redirect struct {
	to      string
	cookies []*http.Cookie
}

func (b *browser) get(ctx context.Context, address string, cookies []*http.Cookie) (redirect, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return redirect{}, err
	}

	r.Header.Set("Accept", "text/html")
	for _, c := range cookies {
		r.AddCookie(c)
	}

	return b.do(r)
}

func (b *browser) post(ctx context.Context, address string, form url.Values) (redirect, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, address, strings.NewReader(form.Encode()))
	if err != nil {
		return redirect{}, err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")

	return b.do(r)
}

// do sends a request, whose answer must be a 303.
func (b *browser) do(r *http.Request) (redirect, error) {
	answer, err := b.http.Do(r)
	if err != nil {
		return redirect{}, err
	}
	defer answer.Body.Close()

	if _, err := io.Copy(io.Discard, answer.Body); err != nil {
		return redirect{}, err
	}
	if answer.StatusCode != http.StatusSeeOther {
		return redirect{}, fmt.Errorf("%s %s: %s, want 303", r.Method, r.URL.Path, answer.Status)
	}

	return redirect{to: answer.Header.Get("Location"), cookies: answer.Cookies()}, nil
}
