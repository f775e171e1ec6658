package access_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/jeton-auth/jeton/internal/api"
	"github.com/jeton-auth/jeton/jetontest"
)

const budgetConf = noThrottle + `
issuer: {url: "https://localhost:${ISSUER_PORT}", listen: "localhost:${ISSUER_PORT}"}
services:
  - name: shared
    listen: localhost:0
    login: {paths: [/login], token: /token}
    session: {max_uses: 4}
    tokens: {}
    accept: [session, token]
    routes:
      - {match: GET /three, max_uses: 3, respond: {text: three}}
      - {match: GET /other, respond: {text: other}}
  - name: apart
    listen: localhost:0
    login: {paths: [/login], token: /token}
    session: {max_uses: 4}
    tokens: {}
    accept: [session, token]
    count_by: credential
    routes:
      - {match: GET /three, max_uses: 3, respond: {text: three}}
  - name: twice
    listen: localhost:0
    login: {paths: [/login], token: /token}
    tokens: {}
    accept: [session, token]
    relogin: {max_logins: 2, window: 1h}
    routes:
      - {match: GET /three, max_uses: 3, respond: {text: three}}
`

// budgets is a server with a user, who has a credential of each kind.
type budgets struct{ *matrix }

func newBudgets(t *testing.T) budgets {
	m := &matrix{t: t}
	m.Server = jetontest.Start(t, budgetConf)
	m.AddUser("diane", "correct horse battery")
	return budgets{m}
}

func (b budgets) session(service string) []string {
	return []string{"Cookie", b.Enter(service, "diane", "correct horse battery")}
}

func (b budgets) shortToken(service string) []string {
	text, _ := b.short(service, "diane", "correct horse battery")
	return []string{"Authorization", "Bearer " + text}
}

func (b budgets) personalToken(service string) []string {
	var made api.MadeToken
	b.MustControl("POST", "/api/v1/tokens", api.NewToken{
		User:     "diane",
		Name:     "x",
		Services: []string{service},
		Expires:  time.Now().Add(time.Hour),
	}, &made)

	return []string{"Authorization", "Bearer " + made.Secret}
}

// use uses a credential and checks how many uses are left, or that none is.
func (b budgets) use(t *testing.T, what, service, path string, header []string, left string) {
	t.Helper()
	want := http.StatusOK
	if left == "spent" {
		want = http.StatusForbidden
	}

	a := b.Ask("GET", service, path, header...)
	if a.Status != want || want == http.StatusOK && a.Left() != left || want != http.StatusOK && a.Code() != left {
		t.Errorf("%s: %d %s, %s left, want %d, %s", what, a.Status, a.Code(), a.Left(), want, left)
	}
}

func TestAllCredentialsOfAUserShareTheUsesOfALogin(t *testing.T) {
	b := newBudgets(t)
	personal := b.personalToken("shared")
	b.use(t, "a personal token before any login", "shared", "/three", personal, "2")

	short := b.shortToken("shared")
	session := b.session("shared") // the last login: the uses begin here

	b.use(t, "session", "shared", "/three", session, "2")
	b.use(t, "short token", "shared", "/three", short, "1")
	b.use(t, "personal token", "shared", "/three", personal, "0")

	kinds := map[string][]string{
		"session":                   session,
		"short token":               short,
		"personal token":            personal,
		"another personal token":    b.personalToken("shared"),
		"another way to send it":    {"Authorization", basic("x", personal[1][len("Bearer "):])},
		"a HEAD is refused as well": session,
	}

	for name, header := range kinds {
		b.use(t, name+", spent", "shared", "/three", header, "spent")
	}

	b.use(t, "another route has one use of the login", "shared", "/other", personal, "0")
	for name, header := range kinds {
		b.use(t, name+", login spent", "shared", "/other", header, "spent")
	}

	again := b.session("shared")
	b.use(t, "personal token after a login", "shared", "/three", personal, "2")
	b.use(t, "session after a login", "shared", "/three", again, "1")

	renewed := b.shortToken("shared")
	b.use(t, "a short token is a login", "shared", "/three", renewed, "2")
	b.use(t, "whose uses the session shares", "shared", "/three", again, "1")
}

func TestEachCredentialHasItsOwnUsesWhereTheServiceSaysSo(t *testing.T) {
	b := newBudgets(t)
	for name, header := range map[string][]string{
		"session":         b.session("apart"),
		"another session": b.session("apart"),
		"short token":     b.shortToken("apart"),
		"personal token":  b.personalToken("apart"),
	} {
		for _, left := range []string{"2", "1", "0", "spent"} {
			b.use(t, name, "apart", "/three", header, left)
		}
	}
}

func TestEachTokenOfAClientHasItsOwnUses(t *testing.T) {
	b := newBudgets(t)
	key := b.AddClient("backup", "shared")
	for range 2 {
		header := []string{"Authorization", "Bearer " + b.Token(key, "audience", "shared")}
		for _, left := range []string{"2", "1", "0", "spent"} {
			b.use(t, "token of a client", "shared", "/three", header, left)
		}
	}
}

func TestATokenForAPasswordIsALogin(t *testing.T) {
	ask := func(b budgets, kind string) jetontest.Answer {
		if kind == "session" {
			return b.TryEnter("twice", "diane", "correct horse battery")
		}
		return b.Ask("GET", "twice", "/token", "Authorization", basic("diane", "correct horse battery"))
	}

	for _, order := range [][3]string{
		{"token", "token", "token"},
		{"session", "token", "session"},
		{"token", "session", "token"},
		{"session", "session", "token"},
	} {
		t.Run(fmt.Sprint(order), func(t *testing.T) {
			b := newBudgets(t)
			for i, kind := range order {
				a := ask(b, kind)
				if (a.Status == http.StatusOK) != (i < 2) || i == 2 && a.Code() != "relogin_refused" {
					t.Errorf("login %d, %s = %d %s, want two logins", i+1, kind, a.Status, a.Code())
				}
			}
		})
	}
}
