package oauth_test

import (
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/api"
	"github.com/jeton-auth/jeton/internal/jose"
	"github.com/jeton-auth/jeton/jetontest"
)

// get requests a public document from the authorization server.
func (f *fixture) get(path string, header ...string) jetontest.Answer {
	f.t.Helper()
	return f.Send(f.plain, "GET", f.Issuer()+path, "", header...)
}

// published checks the headers of a document that any client may cache, and that the
// server confirms a current copy with 304.
func (f *fixture) published(path, kind string) string {
	f.t.Helper()
	a := f.get(path)
	h := a.Header
	if a.Status != 200 || h.Get("Content-Type") != kind || h.Get("Cache-Control") != "public, max-age=300" ||
		h.Get("ETag") == "" ||
		h.Get("X-Content-Type-Options") != "nosniff" ||
		h.Get("Set-Cookie") != "" {
		f.t.Errorf("%s: got %d %v, want 200", path, a.Status, h)
	}

	if b := f.get(
		path, "If-None-Match", h.Get("ETag"),
	); b.Status != 304 || b.Body != "" || b.Header.Get("ETag") != h.Get("ETag") {
		f.t.Errorf("%s with its tag: got %d %q, want 304", path, b.Status, b.Body)
	}
	if b := f.get(path, "If-None-Match", `"another"`); b.Status != 200 || b.Body != a.Body {
		f.t.Errorf("%s with another tag: %d", path, b.Status)
	}

	b := f.Send(f.plain, "HEAD", f.Issuer()+path, "")
	if b.Status != 200 || b.Body != "" || b.Header.Get("ETag") != h.Get("ETag") ||
		b.Header.Get("Content-Length") != h.Get("Content-Length") {
		f.t.Errorf("HEAD %s: got %d %q %v, want 200", path, b.Status, b.Body, b.Header)
	}

	return a.Body
}

// kids reads a JWK Set, in which nothing may be private.
func kids(t *testing.T, text string) []string {
	t.Helper()
	var set struct{ Keys []map[string]any }
	if err := json.Unmarshal([]byte(text), &set); err != nil || set.Keys == nil {
		t.Fatalf("keys = %s, %v; want a set", text, err)
	}

	list := []string{}
	for _, k := range set.Keys {
		for name := range k {
			if !slices.Contains([]string{"kty", "crv", "x", "y", "n", "e", "kid", "alg", "use"}, name) {
				t.Errorf("a published key has the member %s, want only public ones", name)
			}
		}

		if k["use"] != "sig" || k["alg"] == "" {
			t.Errorf("key = %v, want its use sig and its alg", k)
		}

		list = append(list, k["kid"].(string))
	}

	return list
}

func TestKeyserver(t *testing.T) {
	f := newFixture(t, many)
	ci := f.client("ci")
	first, firstPEM := signerOf(ci).Key().ID, string(signerOf(ci).Key().PEM())
	f.client("disabled")
	f.MustControl("PUT", "/api/v1/clients/disabled/disabled", map[string]bool{"disabled": true}, nil)

	f.client("removed")
	f.MustControl("DELETE", "/api/v1/clients/removed", nil, nil)
	f.MustControl("POST", "/api/v1/clients", api.NewClient{Name: "keyless", Secret: true}, nil)
	k := f.client("retired")
	f.MustControl("DELETE", "/api/v1/clients/retired/keys/"+signerOf(k).Key().ID, nil, nil)

	f.MustControl("POST", "/api/v1/clients", api.NewClient{Name: "timed", Keys: []api.NewClientKey{
		{
			Key:       string(newSigner(t, "EdDSA", "a").Key().PEM()),
			ID:        "a",
			NotBefore: noon.Add(time.Minute),
		}, {Key: string(newSigner(t, "EdDSA", "b").Key().PEM()), ID: "b", NotAfter: noon},
	}}, nil)

	t.Run("one key of one client", func(t *testing.T) {
		f := f.on(t)
		if got := f.published("/getkey?identity=ci", "application/x-pem-file"); got != firstPEM {
			t.Errorf("got %s, want %s", got, firstPEM)
		}
		if got := f.published("/getkey?other=x&identity=ci", "application/x-pem-file"); got != firstPEM {
			t.Errorf("got %s, want %s", got, firstPEM)
		}
	})

	t.Run("the newest valid key, at once", func(t *testing.T) {
		f := f.on(t)
		f.clock.move(time.Second)
		defer f.clock.set(noon)

		second := newSigner(t, jose.ES256, "second").Key()
		f.MustControl("POST", "/api/v1/clients/ci/keys", api.NewClientKey{Key: string(second.PEM()), ID: "second"}, nil)

		if got := f.published("/getkey?identity=ci", "application/x-pem-file"); got != string(second.PEM()) {
			t.Errorf("got %s, want %s", got, second.PEM())
		}
		if got := kids(
			t,
			f.published("/oauth2/clients/ci/jwks.json", "application/jwk-set+json"),
		); !slices.Equal(got, []string{
			"second",
			first,
		}) {
			t.Errorf("keys %v, want second and %s", got, first)
		}

		f.MustControl("DELETE", "/api/v1/clients/ci/keys/second", nil, nil)
		if got := f.get("/getkey?identity=ci").Body; got != firstPEM {
			t.Errorf("got %s, want %s", got, firstPEM)
		}
		if got := kids(t, f.get("/oauth2/clients/ci/jwks.json").Body); !slices.Equal(got, []string{first}) {
			t.Errorf("keys %v, want %s alone", got, first)
		}
	})

	t.Run("no such client or key", func(t *testing.T) {
		f := f.on(t)
		want := ""
		for _, name := range []string{
			"unknown", "disabled", "removed", "keyless", "retired", "timed", "CI", "ci ", " ci", "a&b",
			"../x", "../ci", "ci/../ci", "ci\x00", "\x00", "ci\r\nX: y", "ci%00", "ci#", "ci?", "*", "%", "' OR '1'='1",
			"http://localhost/", "file:///etc/passwd", "c\u0456", "\xff", strings.Repeat(
				"n",
				5000,
			), "-----BEGIN PUBLIC KEY-----",
		} {
			a := f.get("/getkey?identity=" + url.QueryEscape(name))
			if a.Status != 404 || a.Header.Get("Content-Type") != "text/plain; charset=utf-8" ||
				a.Header.Get("Cache-Control") != "no-store" ||
				a.Header.Get("X") != "" {
				t.Errorf("%.40q: got %d %s %v, want 404", name, a.Status, a.Body, a.Header)
			}
			if want == "" {
				want = a.Body
			}

			if a.Body != want {
				t.Errorf("%.40q: %q, and another %q", name, a.Body, want)
			}

			b := f.get("/oauth2/clients/" + url.PathEscape(name) + "/jwks.json")
			if b.Status != 404 && b.Status != 400 {
				t.Errorf("the set of %.40q: got %d %s, want 404 or 400", name, b.Status, b.Body)
			}
		}
	})

	t.Run("identity not given exactly once", func(t *testing.T) {
		f := f.on(t)
		for _, query := range []string{
			"",
			"?",
			"?identity",
			"?identity=",
			"?identity=ci&identity=ci",
			"?identity=ci&identity=other",
			"?identity=&identity=ci",
			"?Identity=ci",
			"?id=ci",
			"?identity=ci;x",
			"?identity=%zz",
		} {
			if a := f.get("/getkey" + query); a.Status != 400 || a.Body != "name one identity: ?identity=NAME\n" {
				t.Errorf("%s: got %d %s, want 400", query, a.Status, a.Body)
			}
		}

		if a := f.Send(
			f.plain, "POST", f.Issuer()+"/getkey", "identity=ci", "Content-Type", formType,
		); a.Status != 405 {
			t.Errorf("POST: got %d, want 405", a.Status)
		}
	})

	t.Run("a client that is enabled again", func(t *testing.T) {
		f := f.on(t)
		f.MustControl("PUT", "/api/v1/clients/disabled/disabled", map[string]bool{"disabled": false}, nil)
		if a := f.get("/getkey?identity=disabled"); a.Status != 200 {
			t.Errorf("got %d %s, want 200", a.Status, a.Body)
		}
	})

	t.Run("keys by their own times", func(t *testing.T) {
		f := f.on(t)
		defer f.clock.set(noon)

		f.clock.move(time.Minute - 1)
		if a := f.get("/getkey?identity=timed"); a.Status != 404 {
			t.Errorf("too early: %d, want 404", a.Status)
		}

		f.clock.move(1)
		if got := kids(t, f.get("/oauth2/clients/timed/jwks.json").Body); !slices.Equal(got, []string{"a"}) {
			t.Errorf("keys %v, want a alone", got)
		}
	})

	t.Run("no keyserver unless it is configured", func(t *testing.T) {
		g := newFixture(t, strings.Replace(many, "  keyserver: /getkey\n", "", 1))
		g.client("ci")
		if a := g.get("/getkey?identity=ci"); a.Status != 404 || strings.Contains(a.Body, "PUBLIC") {
			t.Errorf("got %d %s, want 404", a.Status, a.Body)
		}
	})

	t.Run("no JWK Set of a client unless that is configured", func(t *testing.T) {
		g := newFixture(t, strings.Replace(many, "  publish_client_keys: true\n", "", 1))
		g.client("ci")

		for _, name := range []string{"ci", "absent"} {
			a := g.get("/oauth2/clients/" + name + "/jwks.json")
			if a.Status != 404 || a.Code() != "not_found" {
				t.Errorf("%s: %d %s, want 404 not_found", name, a.Status, a.Code())
			}
		}
	})
}

// TestSigningKeys checks what is published about the keys that sign tokens.
func TestSigningKeys(t *testing.T) {
	f := newFixture(
		t,
		strings.Replace(
			many, "tokens: {max_uses: 3, lifetime: 1m}",
			"tokens: {max_uses: 3, lifetime: 1m, algorithm: RS256}", 1,
		),
	)
	ci := f.client("ci")
	const path, kind = "/.well-known/jwks.json", "application/jwk-set+json"
	before := kids(t, f.published(path, kind))
	if len(before) != 2 {
		t.Fatalf("keys %v, want one of EdDSA and one of RS256", before)
	}

	for _, service := range []string{"reports", "counted"} {
		token := f.Token(ci, "audience", service)
		var header struct{ Kid string }
		if err := json.Unmarshal(
			[]byte(unb64(t, strings.Split(token, ".")[0])),
			&header,
		); err != nil || !slices.Contains(before, header.Kid) {
			t.Errorf("kid of a token of %s = %q, want one of %v", service, header.Kid, before)
		}

		a := f.bearer(service, "/who", token)
		if a.Status != 200 {
			t.Errorf("%s: got %d %s, want 200", service, a.Status, a.Code())
		}
	}

	var next []jeton.SigningKey
	f.MustControl("POST", "/api/v1/keys/rotate", map[string]any{"alg": "EdDSA"}, &next)
	after := kids(t, f.published(path, kind))
	if len(next) != 1 || len(after) != 3 || !slices.Contains(after, next[0].ID) {
		t.Errorf("keys after a rotation = %v, want 3 with the next one, %+v", after, next)
	}

	f.MustControl("DELETE", "/api/v1/keys/"+next[0].ID, nil, nil)
	if got := kids(t, f.published(path, kind)); !slices.Equal(got, before) {
		t.Errorf("keys %v after revoking it, want %v", got, before)
	}

	f.restart()
	if got := kids(t, f.published(path, kind)); !slices.Equal(got, before) {
		t.Errorf("keys %v after a restart, want %v", got, before)
	}
}
