package forward_test

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// TestAStolenCodeIsUselessBehindAProxy shows the address that ends a sign-in to browsers that did not begin it.
func TestAStolenCodeIsUselessBehindAProxy(t *testing.T) {
	behindEach(t, programs(t), keepsCodes)
}

func keepsCodes(t *testing.T, p *proxied) {
	t.Helper()
	const page = "/reports/7?a=b"
	user, thief, other := p.client(), p.client(), p.client()
	p.signInAtIssuer(user, "diane")
	p.signInAtIssuer(other, "max")
	finish := p.codeFor(user, page)
	query := queryOf(t, finish)
	with := func(name, value string) string {
		changed := maps.Clone(query)
		changed.Set(name, value)
		return p.at("/.jeton/finish") + "?" + changed.Encode()
	}

	ahead := append([]string{"Sec-Purpose", "prefetch"}, loading...)
	again := p.Issuer() + "/oauth2/authorize?"

	for _, tc := range []struct {
		name    string
		client  *http.Client
		address string
		header  []string
		want    int
		to      string // the beginning of where the response leads
	}{
		{"a browser that knows the address", thief, finish, loading, 303, again},
		{"the browser of another user", other, finish, loading, 303, again},
		{"a script", user, finish, nil, 403, ""},
		{"a page that is fetched ahead", user, finish, ahead, 403, ""},
		{"a state that was changed", user, with("state", "x"+query.Get("state")), loading, 303, again},
		{"another authorization server", user, with("iss", "https://evil.example"), loading, 400, ""},
	} {
		a := p.Send(tc.client, http.MethodGet, tc.address, "", tc.header...)
		to := a.Header.Get("Location")
		if a.Status != tc.want || !strings.HasPrefix(to, tc.to) || tc.to == "" && to != "" {
			t.Errorf("%s: got %d to %q, want %d to %q", tc.name, a.Status, to, tc.want, tc.to)
		}
		if sets := a.Header.Values("Set-Cookie"); startsSession(sets) {
			t.Errorf("%s: got the cookies %q, want no session", tc.name, sets)
		}
		a = p.Send(tc.client, http.MethodGet, p.at(page), "")
		if a.Status != http.StatusUnauthorized {
			t.Errorf("after %s: the page = %d %s, want 401", tc.name, a.Status, a.Body)
		}
	}

	a, _ := p.open(user, finish)
	if want := "GET " + page + " as diane"; a.Status != http.StatusOK || a.Body != want {
		t.Fatalf("the browser that began: got %d %s, want 200 %q", a.Status, a.Body, want)
	}
	for _, r := range p.backend.last() {
		if strings.HasPrefix(r.RequestURI, "/.jeton/") {
			t.Errorf("the backend got %s, want nothing of a sign-in", r.RequestURI)
		}
	}

	// A second use, in a sign-in that the thief began, ends the session of the first (RFC 6749, section 4.1.2).
	begun := p.location(other, p.at("/.jeton/start?to=/"))
	a = p.Send(other, http.MethodGet, with("state", queryOf(t, begun).Get("state")), "", loading...)
	if startsSession(a.Header.Values("Set-Cookie")) || !strings.HasPrefix(a.Header.Get("Location"), p.Issuer()) {
		t.Errorf("the code in another sign-in: got %d %v, want no session", a.Status, a.Header)
	}
	a = p.Send(user, http.MethodGet, p.at(page), "")
	if a.Status != http.StatusUnauthorized {
		t.Errorf("after a second use of the code: the page = %d %s, want 401", a.Status, a.Body)
	}
}

// startsSession reports whether a response sets the cookie of a session, and not only those of a sign-in.
func startsSession(sets []string) bool {
	return slices.ContainsFunc(sets, func(set string) bool {
		name, rest, _ := strings.Cut(set, "=")
		return !strings.HasSuffix(name, ".pre") && !strings.HasSuffix(name, ".rounds") && !strings.HasPrefix(rest, ";")
	})
}

// signInAtIssuer signs a browser in at the authorization server.
func (p *proxied) signInAtIssuer(c *http.Client, name string) {
	p.t.Helper()
	form := url.Values{"username": {name}, "password": {right}}.Encode()
	header := append([]string{"Content-Type", "application/x-www-form-urlencoded"}, loading...)
	a := p.Send(c, http.MethodPost, p.Issuer()+"/sign-in", form, header...)
	if a.Status != http.StatusSeeOther {
		p.t.Fatalf("sign in as %s: got %d %s, want 303", name, a.Status, a.Body)
	}
}

// location returns where a page leads.
func (p *proxied) location(c *http.Client, address string) string {
	p.t.Helper()
	a := p.Send(c, http.MethodGet, address, "", loading...)
	to := a.Header.Get("Location")
	if a.Status != http.StatusSeeOther || to == "" {
		p.t.Fatalf("%s: got %d %s, want 303 to a page", address, a.Status, a.Body)
	}

	return resolve(p.t, address, to)
}

// codeFor returns the address with a code to which the authorization server sends a browser that opens a page.
func (p *proxied) codeFor(c *http.Client, path string) string {
	p.t.Helper()
	authorize := p.location(c, p.location(c, p.at(path)))
	finish := p.location(c, authorize)
	if !strings.HasPrefix(finish, p.at("/.jeton/finish")+"?") || !queryOf(p.t, finish).Has("code") {
		p.t.Fatalf("%s leads to %q, want /.jeton/finish with a code", path, finish)
	}

	return finish
}

func queryOf(t *testing.T, address string) url.Values {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}

	return u.Query()
}
