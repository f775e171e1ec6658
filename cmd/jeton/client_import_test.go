//go:build !walletonly

package main

import (
	"context"
	"crypto/pbkdf2"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"hash"
	"strings"
	"testing"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/password"

	"golang.org/x/crypto/argon2"
)

const realm = `{"realm":"acme","clients":[
  {"clientId":"account","protocol":"openid-connect","redirectUris":["/realms/acme/account/*"]},
  {"clientId":"grafana","enabled":true,"redirectUris":["https://g.example/login","https://g.example/*","/x"],
   "rootUrl":"https://g.example/","secret":"plain","attributes":{"post.logout.redirect.uris":"+##https://g.example/out",
   "pkce.code.challenge.method":"S256","backchannel.logout.url":"https://g.example/logout"}},
  {"clientId":"cli","publicClient":true,"redirectUris":["http://127.0.0.1/done"]},
  {"clientId":"old","protocol":"saml","redirectUris":["https://o.example/"]},
  {"clientId":"wild","redirectUris":["*"]},
  {"clientId":"api","bearerOnly":true},
  {"clientId":"job","standardFlowEnabled":false,"serviceAccountsEnabled":true},
  {"clientId":"off","enabled":false,"redirectUris":["https://o.example/x"]},
  {"clientId":"a b","redirectUris":["https://o.example/x"]}]}`

const authelia = `
identity_providers:
  oidc:
    clients:
      - client_id: wiki
        client_secret: '$pbkdf2-sha512$310000$c8p78n7pUMln0jzvd4aK4Q$JNRBzwAo0ek5qKn50cFzzvE9RXV88h1wJn5KGiHrD0Y'
        authorization_policy: two_factor
        redirect_uris: [https://w.example/oidc]
      - {id: cli, public: true, require_pkce: true, redirect_uris: ["http://localhost:8400/cb"]}
      - {client_id: strict, require_pkce: true, redirect_uris: ["https://s.example/cb", "http://s.example/cb"]}
`

const hydra = `{"items":[
  {"client_id":"shop","client_secret":"x","redirect_uris":["https://s.example/cb"],"scope":"openid offline",
   "grant_types":["authorization_code","client_credentials"],"post_logout_redirect_uris":["https://s.example/bye"]},
  {"client_id":"native","redirect_uris":["http://127.0.0.1/cb"],"token_endpoint_auth_method":"none"},
  {"client_id":"job","grant_types":["client_credentials"]},
  {"client_id":"signer","redirect_uris":["https://j.example/cb"],"token_endpoint_auth_method":"private_key_jwt"}]}`

// shown is a client in one line.
func (f foundClient) shown() string {
	o := f.request.OpenID
	kind := "secret"
	if o.Public {
		kind = "public"
	}
	if !o.PKCEOptional {
		kind += " pkce"
	}
	if f.left != "" {
		return f.request.Name + ": " + f.left
	}

	return fmt.Sprintf(
		"%s %s %v %v %s, %d notes", f.request.Name, kind, o.RedirectURIs, o.PostLogoutRedirectURIs,
		o.BackchannelLogoutURI, len(f.notes),
	)
}

func TestClientsOfOtherProviders(t *testing.T) {
	for _, tc := range []struct {
		name, text, format string
		want               []string
	}{
		{"Keycloak", realm, "keycloak", []string{
			"account: it is Keycloak's own",
			"grafana secret pkce [https://g.example/login https://g.example/x] [https://g.example/login " +
				"https://g.example/x https://g.example/out] https://g.example/logout, 1 notes",
			"cli public pkce [http://127.0.0.1/done] [] , 0 notes",
			"old: its protocol is saml",
			"wild: it has no usable redirect address",
			"api: it only checks tokens (bearer-only); it is a service here",
			"job: it signs no users in by a browser",
			"off: it is disabled",
			"a b: invalid name: want ASCII letters, digits and . _ -, beginning with a letter or a digit",
		}},
		{"Authelia", authelia, "authelia", []string{
			"wiki secret [https://w.example/oidc] [] , 1 notes",
			"cli public pkce [http://localhost:8400/cb] [] , 0 notes",
			"strict secret pkce [https://s.example/cb] [] , 1 notes",
		}},
		{"Hydra", hydra, "hydra", []string{
			"shop secret [https://s.example/cb] [https://s.example/bye] , 1 notes",
			"native public pkce [http://127.0.0.1/cb] [] , 0 notes",
			"job: it signs no users in by a browser",
			"signer secret [https://j.example/cb] [] , 1 notes",
		}},
		{"a list of Hydra", `[{"client_id":"one","redirect_uris":["https://o.example/"]}]`, "hydra", []string{
			"one secret [https://o.example/] [] , 0 notes",
		}},
		{"one client of Hydra", `{"client_id":"one","redirect_uris":["https://o.example/"]}`, "hydra", []string{
			"one secret [https://o.example/] [] , 0 notes",
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			list, format, err := readClients([]byte(tc.text), "")
			if err != nil || format != tc.format {
				t.Fatalf("readClients = %s, %v, want %s", format, err, tc.format)
			}

			var got []string
			for _, f := range list {
				got = append(got, f.shown())
			}
			if strings.Join(got, "\n") != strings.Join(tc.want, "\n") {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(tc.want, "\n"))
			}
		})
	}
}

func TestFilesThatHaveNoClients(t *testing.T) {
	for _, tc := range []struct{ name, text, format, want string }{
		{"an empty file", "", "", "no clients"},
		{"a realm without clients", `{"realm":"x"}`, "", "no clients"},
		{"JSON that is cut", `{"realm":"x","clients":[{"secret":"s3cret"`, "keycloak", "invalid JSON"},
		{"another type", `{"realm":"x","clients":[{"secret":"s3cret","redirectUris":7}]}`, "", "invalid JSON"},
		{"YAML that is none", "clients: [s3cret", "", "invalid YAML"},
		{"a key of another type", "clients: s3cret", "", "invalid YAML"},
		{"an unknown format", "{}", "okta", "invalid --format"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, _, err := readClients([]byte(tc.text), tc.format)
			if err == nil || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "s3cret") {
				t.Errorf("readClients = %v, want %q without what the file has", err, tc.want)
			}
		})
	}
}

// keycloakHash returns a credential as Keycloak exports it.
func keycloakHash(t *testing.T, algorithm string, rounds int, key []byte, more map[string][]string) keycloakCredential {
	t.Helper()
	salt := []byte("0123456789abcdef")
	secret, err := json.Marshal(map[string]string{
		"value": base64.StdEncoding.EncodeToString(key),
		"salt":  base64.StdEncoding.EncodeToString(salt),
	})
	if err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(map[string]any{
		"hashIterations":       rounds,
		"algorithm":            algorithm,
		"additionalParameters": more,
	})
	if err != nil {
		t.Fatal(err)
	}

	return keycloakCredential{Type: "password", Secret: string(secret), Data: string(data)}
}

func TestPasswordHashesOfKeycloak(t *testing.T) {
	const pw = "correct horse battery"
	salt := []byte("0123456789abcdef")
	derived := func(h func() hash.Hash, size int) []byte {
		key, err := pbkdf2.Key(h, pw, salt, 1000, size)
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	lanes := map[string][]string{
		"hashLength":  {"32"},
		"memory":      {"7168"},
		"type":        {"id"},
		"version":     {"1.3"},
		"parallelism": {"1"},
	}

	for _, tc := range []struct {
		name string
		cred keycloakCredential
		kind string // "": it is refused
	}{
		{
			"pbkdf2-sha256 with 64 bytes, as Keycloak makes it",
			keycloakHash(t, "pbkdf2-sha256", 1000, derived(sha256.New, 64), nil), "passlib pbkdf2-sha256",
		},
		{
			"pbkdf2-sha256 with 32 bytes",
			keycloakHash(t, "pbkdf2-sha256", 1000, derived(sha256.New, 32), nil), "passlib pbkdf2-sha256",
		},
		{
			"pbkdf2-sha512",
			keycloakHash(t, "pbkdf2-sha512", 1000, derived(sha512.New, 64), nil), "passlib pbkdf2-sha512",
		},
		{
			"argon2",
			keycloakHash(t, "argon2", 2, argon2.IDKey([]byte(pw), salt, 2, 7168, 1, 32), lanes), "argon2id",
		},
		{"another algorithm", keycloakHash(t, "bcrypt-of-a-plugin", 1, salt, nil), ""},
		{"no JSON", keycloakCredential{Type: "password", Secret: "{", Data: "{}"}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			text := tc.cred.hash()
			stored, err := password.Recognize(text)
			if stored.Kind != tc.kind || (err == nil) != (tc.kind != "") {
				t.Fatalf("Recognize(%q) = %q, %v, want %q", text, stored.Kind, err, tc.kind)
			}
			if tc.kind == "" {
				return
			}

			for candidate, want := range map[string]bool{pw: true, pw + "x": false} {
				var got bool
				err := withPool(t.Context(), func(ctx context.Context, pool *password.Pool) error {
					var err error
					got, _, err = pool.Verify(ctx, text, jeton.NewSecret(candidate))
					return err
				})
				if err != nil || got != want {
					t.Errorf("Verify(%q) = %t, %v, want %t", candidate, got, err, want)
				}
			}
		})
	}
}

func FuzzReadClients(f *testing.F) {
	for _, text := range []string{realm, authelia, hydra, "", "[", "clients: [*a]", "a: &a [*a]"} {
		for _, format := range []string{"", "keycloak", "authelia", "hydra"} {
			f.Add([]byte(text), format)
		}
	}

	f.Fuzz(func(t *testing.T, text []byte, format string) {
		list, _, err := readClients(text, format)
		if err != nil {
			return
		}
		for _, found := range list {
			if found.left == "" && len(found.request.OpenID.RedirectURIs) == 0 {
				t.Errorf("client %q is imported without an address", found.request.Name)
			}
		}
	})
}

func TestTheFactorsOfKeycloakThatAreLeftOutAreCounted(t *testing.T) {
	const all = `{"users": [
		{"username": "a", "credentials": [{"type": "password"}, {"type": "otp"}, {"type": "otp"},
		 {"type": "webauthn"}]},
		{"username": "b", "credentials": [{"type": "otp"}]},
		{"username": "c", "credentials": [{"type": "password"}]},
		{"username": "d", "serviceAccountClientId": "job", "credentials": [{"type": "otp"}]}]}`
	const none = `{"users": [{"username": "c", "credentials": [{"type": "password"}]}]}`

	for _, tc := range []struct{ name, file, want string }{
		{"each user once for each type", all, `: "otp" of 2 users, "webauthn" of 1 user; a password alone signs`},
		{"passwords alone", none, ""},
	} {
		_, left, err := keycloakUsers(strings.NewReader(tc.file))
		if err != nil || !strings.Contains(left, tc.want) || (left == "") != (tc.want == "") {
			t.Errorf("%s: got %q, %v, want %q", tc.name, left, err, tc.want)
		}
	}
}

func FuzzKeycloakUsers(f *testing.F) {
	f.Add([]byte(`{"users":[{"username":"a","credentials":[{"type":"password","secretData":"{}"}]}]}`))
	f.Add([]byte(`{"users":[{"username":"a\nb","groups":["/x",""]}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		rows, _, err := keycloakUsers(strings.NewReader(string(text)))
		if err != nil {
			return
		}
		for line := range strings.SplitSeq(strings.TrimSuffix(string(rows), "\n"), "\n") {
			if line != "" && !json.Valid([]byte(line)) {
				t.Errorf("line %q is no JSON", line)
			}
		}
	})
}
