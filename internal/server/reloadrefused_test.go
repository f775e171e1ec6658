package server_test

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/api"
	"github.com/jeton-auth/jeton/jetontest"
)

// storing is a configuration of which a reload stores much: a signing key of an algorithm, and users. Mail goes to a
// directory. The last argument is the address of another service.
const storing = `
issuer:
  url: "https://localhost:${ISSUER_PORT}"
  listen: "localhost:${ISSUER_PORT}"
  keys: {algorithm: %s}
services:
  - {name: shop, listen: "localhost:0", tokens: {format: jwt}}
  - {name: second, listen: "%s", plain_http: true}
mail: {from: jeton@example.org, %s}
users: [%s]
`

// TestAReloadThatIsRefusedStoresNothing refuses configurations for what only the server finds out.
func TestAReloadThatIsRefusedStoresNothing(t *testing.T) {
	mails := filepath.Join(t.TempDir(), "mails")
	into := "directory: " + mails
	s := jetontest.Start(t, fmt.Sprintf(storing, "EdDSA", "localhost:0", into, ""))
	s.MustControl(http.MethodPost, "/api/v1/users", api.NewUser{
		Name:     "eric",
		Password: right,
		Email:    "eric@example.org",
	}, nil)
	used, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer used.Close()

	alice := "{name: Alice, password_hash: '" + hash + "'}"
	double := "{name: Bob, email: eric@example.org, password_hash: '" + hash + "'}"
	for _, tc := range []struct {
		name string
		conf string
	}{
		{"an address in use", fmt.Sprintf(storing, "ES256", used.Addr(), "directory: elsewhere", alice)},
		{
			"an e-mail address of another user",
			fmt.Sprintf(storing, "ES256", "localhost:0", "directory: elsewhere", double),
		},
		{
			"no certificate of the mail server",
			fmt.Sprintf(storing, "ES256", "localhost:0", "smtp: {host: mail.example.org, ca: /no/such/file}", alice),
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if err := s.Reload(tc.conf); err == nil {
				t.Fatal("the reload succeeded, want it refused")
			}

			var keys []jeton.SigningKey
			s.MustControl(http.MethodGet, "/api/v1/keys", nil, &keys)
			if len(keys) != 1 || keys[0].Algorithm != "EdDSA" {
				t.Errorf("keys are %+v, want that of EdDSA alone", keys)
			}

			var users []jeton.User
			s.MustControl(http.MethodGet, "/api/v1/users", nil, &users)
			if slices.ContainsFunc(users, func(u jeton.User) bool { return u.Name != "eric" }) {
				t.Errorf("users are %+v, want eric alone", users)
			}
		})
	}

	s.MustControl(http.MethodPost, "/api/v1/mail/test", map[string]string{"to": "max@example.org"}, nil)
	if list, err := os.ReadDir(mails); err != nil || len(list) != 1 {
		t.Errorf("the directory of mails has %v, %v; want the mail that was sent last", list, err)
	}
}
