package e2e

import (
	"bytes"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestNoSecretOfSoftwareIsShown is TestNoSecretIsShown for software: client secrets,
// assertions, access tokens in places that accept them and in others, and private keys of
// clients and of the server.
func TestNoSecretOfSoftwareIsShown(t *testing.T) {
	t.Parallel()
	o := Options{Config: issuing, Env: []string{"JETON_LOG_LEVEL=debug"}, DataDir: filepath.Join(t.TempDir(), "data")}
	s := Start(t, o)
	c := s.Client(t)
	secrets := canaries{}

	printed := ""
	pw := secrets.add("a password", "canary-5-YmFzaWM0")
	printed += s.Must(t, pw, "user", "add", "diane", "--password-stdin")
	r := newRobot(t, s, "robot")
	secret := secrets.add("the secret of a client", field(s.Must(t, "", append([]string{
		"client",
		"add",
		"secretive",
		"--secret",
	}, everywhere...)...), "jtn_c_"))

	newer := secrets.add(
		"the newer secret of a client",
		field(s.Must(t, "", "client", "secret", "secretive"), "jtn_c_"),
	)
	private := secrets.pem(t, "a client's private key", r.key)

	// Credentials, right and wrong. A JWT is found by its signature: its header and claims are not secret.
	good := r.assertion()
	secrets.signed("an assertion", good)
	var tokens []string
	for _, form := range []url.Values{
		{
			"grant_type":            {"client_credentials"},
			"client_assertion_type": {jwtBearer},
			"client_assertion":      {good},
			"audience":              {"reports"},
		},
		{
			"grant_type":    {"client_credentials"},
			"client_id":     {"secretive"},
			"client_secret": {newer},
			"audience":      {"vault"},
		},
		{
			"grant_type": {"urn:ietf:params:oauth:grant-type:jwt-bearer"},
			"assertion":  {secrets.signed("an assertion as a grant", r.assertion())},
			"audience":   {"archive"},
		},
	} {
		a := must(t, "/oauth2/token")(r.post(c, "/oauth2/token", form))
		if a.token() == "" {
			t.Fatalf("response = %v, want a token", a)
		}
		tokens = append(tokens, secrets.signed("an access token", a.token()))
	}

	short := ask(t, s, c, http.MethodGet, "/token", "", "", http.Header{"Authorization": {basic("diane", pw)}})
	var out struct{ Token string }
	if err := json.Unmarshal([]byte(short.Body), &out); err != nil || out.Token == "" {
		t.Fatalf("response = %v, want a short token", short)
	}

	tokens = append(tokens, secrets.signed("a short token", out.Token))
	for _, path := range []string{"/oauth2/token", "/oauth2/introspect", "/oauth2/revoke", "/oauth2/keys"} {
		for _, form := range []url.Values{
			{"grant_type": {"client_credentials"}, "client_assertion_type": {jwtBearer}, "client_assertion": {good}},
			{
				"grant_type":            {"client_credentials"},
				"client_assertion_type": {jwtBearer},
				"client_assertion":      {good + "x"},
				"token":                 {tokens[0]},
			},
			{
				"grant_type":    {"client_credentials"},
				"client_id":     {"secretive"},
				"client_secret": {secret},
				"token":         {tokens[1]},
			},
			{
				"grant_type":    {"client_credentials"},
				"client_id":     {newer},
				"client_secret": {newer},
				"token":         {tokens[0]},
			},
			{
				"grant_type":            {newer},
				"client_id":             {tokens[0]},
				"client_assertion_type": {good},
				"client_assertion":      {tokens[1]},
				"scope":                 {newer},
				"audience":              {good},
			},
			{
				"client_id":     {"secretive"},
				"client_secret": {newer},
				"token":         {tokens[2]},
				"grant_type":    {"client_credentials"},
				"audience":      {newer},
				"scope":         {tokens[1]},
			},
			{
				"client_assertion_type": {jwtBearer},
				"client_assertion":      {secrets.signed("an assertion", r.assertion())},
				"key":                   {private},
				"proof":                 {good},
				"token":                 {private},
			},
			{"client_id": {"secretive", newer}, "client_secret": {newer}},
		} {
			must(t, path)(r.post(c, path, form))
		}

		must(t, path)(r.post(c, path+"?client_secret="+newer+"&token="+tokens[0], nil))
	}

	for _, claims := range []string{
		`{"iss":"` + newer + `"}`,
		`{"iss":"robot","sub":"` + newer + `"}`,
		`{"iss":"robot","sub":"robot","aud":"` + tokens[0] + `"}`,
	} {
		proof := secrets.signed("an assertion", r.sign(claims))
		must(t, "/oauth2/token")(r.exchange(c, proof, "reports"))
	}

	// Tokens at services: where they belong, and where they do not.
	var ids []string
	for _, tok := range tokens {
		for _, header := range []http.Header{
			{
				"Authorization": {"Bearer " + tok},
			}, {
				"Authorization": {"Bearer " + tok + "x"},
			}, {"Authorization": {"Token " + tok}}, {"Authorization": {tok}},
			{
				"Authorization": {basic(tok, "x")},
			}, {
				"Authorization": {basic("x", tok)},
			}, {"Authorization": {basic("diane", tok)}}, {"Authorization": {basic(tok+"x", newer)}},
			{
				"Authorization": {basic(newer, "x")},
			}, {"Authorization": {"Basic " + tok}}, {"Authorization": {basic(pw, "diane")}},
			{"Cookie": {"__Host-jeton=" + tok}}, {"X-Request-Id": {tok}}, {"User-Agent": {tok}},
		} {
			ids = append(ids, ask(t, s, c, http.MethodGet, "/who", "", "", header).Header.Get("X-Request-Id"))
			ask(t, s, c, http.MethodPost, "/three?access_token="+tok, "", "", header)
			ask(t, s, c, http.MethodGet, "/token", "", "", header)
		}

		ask(t, s, c, http.MethodPost, "/login", "", url.Values{"username": {tok}, "password": {tok}}.Encode(), nil)
	}

	for _, tok := range tokens {
		sendNonHTTP(t, s, "GET /"+tok+" HTTP/9.9\r\n\r\n")
	}

	contains(t, s.Err.String(), `"level":"DEBUG"`)

	// What operators see, also of commands that are given a secret by mistake.
	wrong := filepath.Join(t.TempDir(), "robot.key")
	if err := os.WriteFile(wrong, []byte(private), 0o600); err != nil {
		t.Fatal(err)
	}

	for _, args := range [][]string{
		{"client", "key", "add", "robot", wrong},
		{"client", "add", "other", "--key", wrong},
	} {
		refusal := s.Jeton(t, "", args...)
		if refusal.Code == 0 {
			t.Errorf("jeton %v with a private key: code 0, want a refusal", args)
		}
		printed += refusal.Out + refusal.Err
	}

	printed += s.Must(t, "", "keys", "rotate", "--now")
	for _, args := range [][]string{
		{
			"audit",
			"--json",
			"--last",
			"1000",
		}, {
			"client",
			"list",
			"--output",
			"json",
		}, {"client", "show", "robot", "--output", "json"}, {"client", "show", "secretive"},
		{
			"keys",
			"list",
			"--output",
			"json",
		}, {
			"token",
			"list",
			"--output",
			"json",
		}, {"explain", ids[0]}, {"explain", ids[1]}, {"explain", ids[4], "--output", "json"},
	} {
		printed += s.Must(t, "", args...)
	}

	contains(t, printed, "token.issue", "client:robot", "client:secretive", "user:diane")
	metrics, processes := body(t, s.Admin+"/metrics"), arguments(t, s.PID)
	for where, text := range map[string]string{
		"output":    s.Out.String(),
		"log":       s.Err.String(),
		"commands":  printed,
		"metrics":   metrics,
		"processes": processes,
	} {
		secrets.search(t, where, text)
	}

	secrets.searchFolder(t, s.DataDir)
	set := fetched(t, c, s.Issuer+"/.well-known/jwks.json")
	s.Stop(t)
	secrets.search(t, "log at the end", s.Err.String())
	secrets.searchFolder(t, s.DataDir)

	noSigningKey(t, s.DataDir, set)
}

const jwtBearer = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

func basic(name, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(name+":"+password))
}

// field returns the first word with a prefix.
func field(text, prefix string) string {
	for _, f := range strings.Fields(text) {
		if strings.HasPrefix(f, prefix) {
			return f
		}
	}

	return "no word with prefix " + prefix
}

// signed adds a token: all of an opaque one, and the signature of a JWT.
func (c canaries) signed(what, text string) string {
	c.add(what, text[strings.LastIndex(text, ".")+1:])
	return text
}

// pem adds a private key in the forms that it is kept in, and returns it as a file holds it.
func (c canaries) pem(t *testing.T, what string, key ed25519.PrivateKey) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}

	c.add(what+", DER", string(der))
	c.add(what+", a JWK's", base64.RawURLEncoding.EncodeToString(key.Seed()))
	c.add(what+", raw", string(key.Seed()))
	text := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	c.add(what+", PEM", strings.Split(text, "\n")[1])

	return text
}

// must passes an answer on. A status of 500 and above fails the test: a refusal is an
// answer, a fault is not.
func must(t *testing.T, what string) func(Answer, error) Answer {
	return func(a Answer, err error) Answer {
		t.Helper()
		if err != nil || a.Status >= 500 {
			t.Errorf("%s = %v, %v; want no fault of the server", what, a, err)
		}
		return a
	}
}

// fetched returns the body at an address of the server.
func fetched(t *testing.T, c *Client, address string) string {
	t.Helper()
	r, err := http.NewRequest(http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}

	return must(t, address)(c.Send(r)).Body
}

// noSigningKey looks for the private halves of published Ed25519 keys in the database: no
// 32 bytes anywhere in it make one of the keys. The others are looked for by the marks of
// the formats that private keys have.
func noSigningKey(t *testing.T, dir, jwks string) {
	t.Helper()
	var set struct{ Keys []struct{ Crv, X string } }
	if err := json.Unmarshal([]byte(jwks), &set); err != nil {
		t.Fatal(err)
	}

	public := map[string]bool{}
	for _, k := range set.Keys {
		if k.Crv == "Ed25519" {
			x, err := base64.RawURLEncoding.DecodeString(k.X)
			if err != nil {
				t.Fatal(err)
			}
			public[string(x)] = true
		}
	}

	if len(public) < 2 {
		t.Fatalf("%d signing keys are published, want at least 2: %s", len(public), jwks)
	}

	files, err := filepath.Glob(filepath.Join(dir, "jeton.db*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("files of the database in %s = %v, %v; want some", dir, files, err)
	}

	for _, path := range files {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}

		for _, mark := range []string{
			"PRIVATE KEY",
			`"d":`,
			"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70",
			"MC4CAQAwBQYDK2Vw",
		} {
			if i := bytes.Index(b, []byte(mark)); i >= 0 {
				t.Errorf("%s has %q at %d, want no private key that is not encrypted", filepath.Base(path), mark, i)
			}
		}

		if i := seedOf(b, public); i >= 0 {
			t.Errorf("%s has the private half of a signing key at %d, want none", filepath.Base(path), i)
		}
	}
}

// seedOf returns where the private half of a key begins in b, or -1. Text and empty pages
// are passed over: no random 32 bytes look like them.
func seedOf(b []byte, public map[string]bool) int {
	seen := map[[ed25519.SeedSize]byte]bool{}
	for i := 0; i+ed25519.SeedSize <= len(b); i++ {
		window := [ed25519.SeedSize]byte(b[i:])
		if dull(window[:]) || seen[window] {
			continue
		}

		seen[window] = true
		key := ed25519.NewKeyFromSeed(window[:])
		if public[string(key[ed25519.SeedSize:])] {
			return i
		}
	}

	return -1
}

// dull reports whether bytes are surely not random: more than 22 of 32 are zero or printable,
// of which random ones have 12.
func dull(window []byte) bool {
	n := 0
	for _, b := range window {
		if b == 0 || b >= ' ' && b < 0x7f {
			n++
		}
	}

	return n > 22
}

func TestUnencryptedSigningKeysAreFound(t *testing.T) {
	key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{0x9c, 0x03, 'k', 0xfe}, 8))
	public := map[string]bool{string(key[ed25519.SeedSize:]): true}
	page := append(append(make([]byte, 5000), key.Seed()...), "and what follows"...)
	if at := seedOf(page, public); at != 5000 {
		t.Errorf("found at %d, want 5000", at)
	}

	if at := seedOf(page[:5031], public); at != -1 {
		t.Errorf("found at %d, want none", at)
	}
}
