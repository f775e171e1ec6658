package oauth_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"hash"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/jeton-auth/jeton/internal/api"
	"github.com/jeton-auth/jeton/internal/jose"
	"github.com/jeton-auth/jeton/jetontest"
)

// forgery is a text that looks like a genuine JWT and was not signed by its key.
type forgery struct{ name, text string }

// target is a genuine JWT that forgeries are made of.
type target struct {
	header, payload, signature string
	key                        jose.Key // that has signed it
}

func parts(t *testing.T, text string, key jose.Key) target {
	t.Helper()
	p := strings.Split(text, ".")
	if len(p) != 3 {
		t.Fatalf("%d parts of %q, want the 3 of a JWT", len(p), text)
	}

	return target{p[0], p[1], p[2], key}
}

func unb64(t *testing.T, text string) string {
	t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}

	return string(b)
}

// forgeries returns every forgery of a target that we know of. canary is an address that
// offers the attacker's keys; the server must never request it.
func forgeries(t *testing.T, g target, canary string) []forgery {
	t.Helper()
	var list []forgery
	add := func(name, text string) { list = append(list, forgery{name, text}) }
	var header map[string]any
	if err := json.Unmarshal([]byte(unb64(t, g.header)), &header); err != nil {
		t.Fatal(err)
	}

	head := func(changes map[string]any) string { return b64(object(t, with(header, changes))) }
	whole := g.header + "." + g.payload + "." + g.signature

	// Libraries that refused none have accepted other spellings of it.
	for _, none := range []string{"none", "None", "NONE", "nOnE", "none ", " none", "noneno", "n\u00f6ne", "null"} {
		h := head(map[string]any{"alg": none})
		add("alg "+none+" without a signature", h+"."+g.payload+".")
		add("alg "+none+" with the genuine signature", h+"."+g.payload+"."+g.signature)
		add("alg "+none+" with a signature of nothing", h+"."+g.payload+".AA")
	}

	// Where r and s are not checked, zeros are a valid signature of any text by any key
	// (CVE-2022-21449).
	null := func(n int) string { return base64.RawURLEncoding.EncodeToString(make([]byte, n)) }
	for _, n := range []int{0, 1, 32, 63, 64, 65, 96, 132, 256} {
		add(fmt.Sprintf("a signature of %d zeros", n), g.header+"."+g.payload+"."+null(n))
		add(fmt.Sprintf("ES256 with a signature of %d zeros", n), head(map[string]any{
			"alg": "ES256",
		})+"."+g.payload+"."+null(n))
	}

	block, _ := pem.Decode(g.key.PEM())
	var jwk map[string]string
	if err := json.Unmarshal(g.key.JWK(), &jwk); err != nil {
		t.Fatal(err)
	}

	// The attacker knows all of these. Where the header chooses the algorithm, the public
	// key is the secret of an HMAC (RFC 8725, section 2.1).
	secrets := map[string][]byte{
		"PEM":                             g.key.PEM(),
		"PEM without its last line break": []byte(strings.TrimSpace(string(g.key.PEM()))),
		"DER":                             block.Bytes,
		"JWK":                             g.key.JWK(),
		"kid":                             []byte(g.key.ID),
		"x":                               []byte(jwk["x"]),
		"x, decoded":                      []byte(unb64(t, jwk["x"])),
		"nothing":                         {},
		"a NUL":                           {0},
		"secret":                          []byte("secret"),
		"password":                        []byte("password"),
		"jeton":                           []byte("jeton"),
		"changeme":                        []byte("changeme"),
		"the name of the algorithm":       []byte("HS256"),
	}

	for name, secret := range secrets {
		for alg, sum := range map[string]func() hash.Hash{
			"HS256": sha256.New,
			"HS384": sha512.New384,
			"HS512": sha512.New,
			"hs256": sha256.New,
		} {
			input := head(map[string]any{"alg": alg}) + "." + g.payload
			m := hmac.New(sum, secret)
			m.Write([]byte(input))
			add(alg+" with the key's "+name, input+"."+base64.RawURLEncoding.EncodeToString(m.Sum(nil)))
		}
	}

	own := newSigner(t, g.key.Alg, "mine")
	mine := func(changes map[string]any) string {
		return signed(t, own, object(t, with(header, changes)), unb64(t, g.payload))
	}

	add("the attacker's key under the genuine kid", mine(nil))
	add("the attacker's key under its own kid", mine(map[string]any{"kid": "mine"}))
	add("the attacker's key under no kid", mine(map[string]any{"kid": nil}))

	// A header can bring or name a key (RFC 7515, sections 4.1.2 to 4.1.6). A server that
	// follows it believes the attacker.
	for _, kid := range []any{header["kid"], "mine", nil, canary + "/jwks.json"} {
		for name, value := range map[string]any{
			"jwk": own.Key().JWK(),
			"jku": canary + "/jwks.json",
			"x5u": canary + "/cert.pem",
			"x5c": []string{base64.StdEncoding.EncodeToString([]byte("certificate"))},
			"iss": canary,
			"url": canary,
			"x5t": "AAAA",
			"cty": "JWT",
		} {
			add(fmt.Sprintf("%s in the header, kid %v", name, kid), mine(map[string]any{name: value, "kid": kid}))
		}
	}

	for _, kid := range []any{
		// Where a kid reaches a file system, an empty file is a secret that is known.
		// Others reach a shell or a database.
		"../../../../../../dev/null", "/dev/null", "key\x00", "%2e%2e%2f", canary, "file:///dev/null",
		"' OR '1'='1", "' UNION SELECT 'AA", "1; DROP TABLE keys", "$(touch /tmp/x)",
		strings.Repeat("k", 5000), " " +
			g.key.ID, g.key.ID +
			" ", strings.ToUpper(g.key.ID), g.key.ID +
			"\x00", "*", "%", "_", 0, true, []string{g.key.ID}, map[string]string{
			"kid": g.key.ID,
		},
	} {
		if id, ok := kid.(string); ok && id == g.key.ID {
			continue
		}

		add(fmt.Sprintf("kid %.40q", fmt.Sprint(kid)), mine(map[string]any{"kid": kid}))
		if text, ok := kid.(string); ok && text != "mine" {
			add(fmt.Sprintf("kid %.40q over the genuine signature", text), head(map[string]any{
				"kid": kid,
			})+"."+g.payload+"."+g.signature)
		}
	}

	// The key decides on the algorithm, and not the header (RFC 8725, section 3.1).
	for _, alg := range []string{
		"ES256",
		"ES384",
		"ES512",
		"ES256K",
		"RS256",
		"PS256",
		"RS512",
		"EdDSA",
		"Ed25519",
		"Ed448",
		"dir",
		"RSA-OAEP",
		"eddsa",
		"EDDSA",
		"",
	} {
		if alg != string(g.key.Alg) {
			add("alg "+alg+" over the genuine signature", head(map[string]any{
				"alg": alg,
			})+"."+g.payload+"."+g.signature)
		}
	}

	add(
		"the flattened JSON serialisation",
		fmt.Sprintf(`{"protected":%q,"payload":%q,"signature":%q}`, g.header, g.payload, g.signature),
	)
	add(
		"the general JSON serialisation",
		fmt.Sprintf(`{"payload":%q,"signatures":[{"protected":%q,"signature":%q}]}`, g.payload, g.header, g.signature),
	)
	add(
		"an unprotected header",
		fmt.Sprintf(`{"header":{"alg":"none"},"payload":%q,"signature":%q}`, g.payload, g.signature),
	)

	for name, text := range map[string]string{
		"a dot before it":            "." + whole,
		"a dot behind it":            whole + ".",
		"two dots in it":             g.header + ".." + g.payload + "." + g.signature,
		"a fifth part":               whole + ".AA.AA",
		"detached":                   g.header + ".." + g.signature,
		"only dots":                  "..",
		"padding":                    whole + "=",
		"padding of the header":      g.header + "=." + g.payload + "." + g.signature,
		"a tab in it":                g.header + ".\t" + g.payload + "." + g.signature,
		"percent signs":              strings.ReplaceAll(whole, ".", "%2E"),
		"a comma behind it":          whole + ",",
		"two of them":                whole + whole,
		"two of them and a space":    whole + " " + whole,
		"its first half":             whole[:len(whole)/2],
		"all but its last character": whole[:len(whole)-1],
		"an A more":                  whole + "A",
		"capitals":                   strings.ToUpper(whole),
		"60 KiB of dots":             strings.Repeat(".", 60<<10),
		"60 KiB of itself":           whole + strings.Repeat("A", 60<<10),
		"60 KiB of header":           strings.Repeat("A", 60<<10) + "." + g.payload + "." + g.signature,
	} {
		add(name, text)
	}

	add(
		"the signature over other claims",
		g.header+"."+b64(strings.Replace(unb64(t, g.payload), `"sub":"`, `"sub":"root`, 1))+"."+g.signature,
	)
	// Equal as JSON, and other bytes: the signature is over the bytes.
	add("claims with a space in them", g.header+"."+b64(unb64(t, g.payload)+" ")+"."+g.signature)
	add("another spelling of the header", b64(unb64(t, g.header)+" ")+"."+g.payload+"."+g.signature)

	return list
}

// canary returns an address with the attacker's keys, and the number of its requests.
func canary(t *testing.T) (url string, asked *atomic.Int64) {
	t.Helper()
	asked = &atomic.Int64{}

	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		w.WriteHeader(http.StatusNotFound)
	}))

	t.Cleanup(s.Close)
	return s.URL, asked
}

// TestForgedAssertions sends forged assertions to every endpoint that accepts one.
func TestForgedAssertions(t *testing.T) {
	f := newFixture(t, many)
	ci := f.client("ci")
	es := jetontest.Key{Client: "ci", Signer: newSigner(t, jose.ES256, "es")}
	f.MustControl("POST", "/api/v1/clients/ci/keys", api.NewClientKey{
		Key: string(signerOf(es).Key().PEM()),
		ID:  "es",
	}, nil)
	canary, asked := canary(t)

	assert := func(text string) jetontest.Answer {
		return f.Send(f.plain, "POST", f.URL("lesson")+"/assert", text)
	}

	for name, k := range map[string]jetontest.Key{"Ed25519": ci, "ES256": es} {
		g := parts(t, f.right(k), signerOf(k).Key())
		for _, x := range forgeries(t, g, canary) {
			for _, w := range ways {
				if a := f.show(
					w,
					x.text,
				); (a.Status != w.status || a.Body != "{\"error\":\""+w.code+"\"}\n") &&
					a.Status != http.StatusRequestEntityTooLarge {
					t.Errorf("%s, %s, as %s: %d %s, want %d", name, x.name, w.name, a.Status, a.Body, w.status)
				}
			}

			for _, path := range []string{"/oauth2/introspect", "/oauth2/revoke", "/oauth2/keys"} {
				a := f.Post(path, "token", "x", "client_assertion", x.text, "client_assertion_type", assertionType)
				if (a.Status != 401 || a.Body != "{\"error\":\"invalid_client\"}\n") &&
					a.Status != http.StatusRequestEntityTooLarge {
					t.Errorf("%s, %s, at %s: %d %s, want 401", name, x.name, path, a.Status, a.Body)
				}
			}

			if a := assert(x.text); a.Status != 403 && a.Status != 401 {
				t.Errorf("%s, %s, at the lesson: %d %s, want 401 or 403", name, x.name, a.Status, a.Body)
			}
		}

		opens(t, "the genuine one", f.show(ways[0], g.header+"."+g.payload+"."+g.signature))
		if a := assert(f.right(k)); a.Status != 200 || strings.Count(a.Body, ".") != 2 {
			t.Errorf("a genuine one at the lesson: got %d %s, want 200", a.Status, a.Body)
		}
	}

	for _, iss := range []string{
		canary,
		canary + "/jwks.json",
		"ci&identity=" + canary,
		"ci#",
		"ci/../other",
		"ci\r\nHost: x",
		"//" + canary,
	} {
		text := f.sign(t, ci, with(f.claims(ci), map[string]any{"iss": iss, "sub": iss}), nil)
		for _, w := range ways {
			bare(t, f.show(w, text), w.status, w.code)
		}

		if a := assert(text); a.Status != 401 {
			t.Errorf("issuer %q at the lesson: got %d %s, want 401", iss, a.Status, a.Body)
		}
	}

	n := asked.Load()
	if n != 0 {
		t.Errorf("assertions led to %d requests to other hosts, want 0", n)
	}
}

// TestForgedTokens sends forged access tokens to every endpoint that accepts one.
func TestForgedTokens(t *testing.T) {
	f := newFixture(t, many)
	ci := f.client("ci")
	canary, asked := canary(t)
	var set struct{ Keys []json.RawMessage }
	if a := f.Send(
		f.plain, "GET", f.Issuer()+"/.well-known/jwks.json", "",
	); json.Unmarshal([]byte(a.Body), &set) != nil || len(set.Keys) != 1 {
		t.Fatalf("keys = %d %s, want one", a.Status, a.Body)
	}

	ours, err := jose.ParseJWK(set.Keys[0])
	if err != nil {
		t.Fatal(err)
	}

	genuine, lesson := f.Token(ci, "audience", "reports"), f.Token(ci, "audience", "lesson")
	list := forgeries(t, parts(t, genuine, ours), canary)
	for i, ofLesson := range forgeries(t, parts(t, lesson, ours), canary) {
		x := list[i]
		for _, path := range []string{"/who", "/four"} {
			if strings.ContainsAny(x.text, "\t\x00\n") {
				break // no header has it
			}
			if a := f.bearer(
				"reports", path, x.text,
			); a.Status != 401 && a.Status != http.StatusRequestHeaderFieldsTooLarge &&
				a.Status != http.StatusBadRequest {
				t.Errorf("%s, at %s: %d %s, want 401", x.name, path, a.Status, a.Body)
			}
		}

		if a := f.introspect(ci, x.text); a.Body != inactive && a.Status != http.StatusRequestEntityTooLarge {
			t.Errorf("%s, introspected: %d %s, want inactive", x.name, a.Status, a.Body)
		}
		if a := f.introspect(
			ci, x.text, "consume", "true",
		); a.Body != inactive && a.Status != http.StatusRequestEntityTooLarge {
			t.Errorf("%s, consumed: %d %s, want inactive", x.name, a.Status, a.Body)
		}
		if a := f.revoke(ci, x.text); a.Status != 200 && a.Status != http.StatusRequestEntityTooLarge {
			t.Errorf("%s, revoked: %d %s, want 200", x.name, a.Status, a.Body)
		}

		if a := f.Send(
			f.plain, "POST", f.URL("lesson")+"/who", ofLesson.text,
		); a.Status != 403 && a.Status != http.StatusRequestEntityTooLarge {
			t.Errorf("%s, as a body: got %d %s, want 403 or 413", ofLesson.name, a.Status, a.Body)
		}
	}

	if a := f.bearer("reports", "/four", genuine); a.Status != 200 || a.Left() != "3" {
		t.Errorf("the genuine one after all: %d, %s left, want 200 and 3", a.Status, a.Left())
	}
	if a := f.Send(f.plain, "POST", f.URL("lesson")+"/who", lesson); a.Status != 200 {
		t.Errorf("the genuine one as a body: got %d %s, want 200", a.Status, a.Body)
	}
	if !f.active(ci, genuine) {
		t.Error("the genuine token is not active, want it active")
	}

	n := asked.Load()
	if n != 0 {
		t.Errorf("tokens led to %d requests to other hosts, want 0", n)
	}
}

// TestMegabytes sends a megabyte of dots to every endpoint.
func TestMegabytes(t *testing.T) {
	f := newFixture(t, many)
	f.client("ci")
	dots := strings.Repeat(".", 1<<20)
	form := []string{"Content-Type", "application/x-www-form-urlencoded"}
	for path, body := range map[string]string{
		"/oauth2/token": "grant_type=client_credentials&client_assertion_type=" + assertionType + "&client_assertion=" +
			dots,
		"/oauth2/introspect": "token=" + dots,
		"/oauth2/revoke":     "token=" + dots,
		"/oauth2/keys":       "client_assertion=" + dots,
	} {
		if a := f.Send(
			f.plain, "POST", f.Issuer()+path, body, form...,
		); a.Status != 413 || !strings.HasPrefix(a.Body, `{"error":"invalid_request"`) {
			t.Errorf("%s: got %d %s, want 413 invalid_request", path, a.Status, a.Body)
		}
	}

	if a := f.Send(f.plain, "POST", f.URL("lesson")+"/assert", dots); a.Status != 403 {
		t.Errorf("the lesson's login: got %d %s, want 403", a.Status, a.Body)
	}
	if a := f.Send(f.plain, "POST", f.URL("lesson")+"/who", dots); a.Status != 413 {
		t.Errorf("the lesson: got %d %s, want 413", a.Status, a.Body)
	}
}

// TestKeysOfOneName gives two clients keys of one kid: a client is proved by its own.
func TestKeysOfOneName(t *testing.T) {
	f := newFixture(t, many)
	var keys []jetontest.Key
	for _, name := range []string{"a", "b"} {
		f.client(name)
		k := jetontest.Key{Client: name, Signer: newSigner(t, "EdDSA", "same")}
		f.MustControl("POST", "/api/v1/clients/"+name+"/keys", api.NewClientKey{
			Key: string(signerOf(k).Key().PEM()),
			ID:  "same",
		}, nil)
		keys = append(keys, k)
	}

	for i, k := range keys {
		for _, w := range ways {
			opens(t, k.Client+" by its own key", f.show(w, f.right(k)))
			a := f.show(w, f.right(jetontest.Key{Client: k.Client, Signer: keys[1-i].Signer}))
			bare(t, a, w.status, w.code)

			if name, value := f.failed(a.Request()); name != "signature" || !strings.Contains(value, "1 keys tried") {
				t.Errorf("failed check = %q: %q, want signature with 1 keys tried", name, value)
			}
		}
	}
}
