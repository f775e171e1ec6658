package access_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jeton-auth/jeton/internal/api"
	"github.com/jeton-auth/jeton/jetontest"
)

const matrixConf = `
issuer: {url: "https://localhost:${ISSUER_PORT}", listen: "localhost:${ISSUER_PORT}"}
services:
  - name: app
    listen: localhost:0
    login: {paths: [/login], token: /token, allow: {groups: [staff]}}
    logout: /logout
    session: {lifetime: 10m, idle_timeout: 10m}
    accept: [session, token, basic]
    tokens: {lifetime: 10m}
    routes:
      - match: GET /who
        respond: {json: {name: "{{.Name}}"}}
  - name: later
    listen: localhost:0
    tokens: {lifetime: 10m, activation_delay: 1m, max_uses: 2}
    routes:
      - match: GET /who
        respond: {json: {name: "{{.Name}}"}}
`

// matrix is a server with a clock. Each cell has its own user, so that cells are independent.
type matrix struct {
	*jetontest.Server
	t     *testing.T
	now   atomic.Int64
	users int
}

func newMatrix(t *testing.T) *matrix {
	m := &matrix{t: t}
	m.now.Store(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC).UnixMilli())
	m.Server = jetontest.Start(t, matrixConf, jetontest.Clock(func() time.Time { return time.UnixMilli(m.now.Load()) }))
	return m
}

func (m *matrix) advance(d time.Duration) { m.now.Add(d.Milliseconds()) }

// newUser adds a user with a new name, who may log in.
func (m *matrix) newUser() (name, password string) {
	m.users++
	name = fmt.Sprintf("user%03d", m.users)
	password = "correct horse battery"
	m.AddUser(name, password, "staff")
	return name, password
}

func basic(name, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(name+":"+password))
}

// shown is a credential of one user, as a request shows it.
type shown struct {
	header   []string
	owner    string
	revoke   func()
	lifetime time.Duration
}

// personal creates a personal token with the operator's authority.
func (m *matrix) personal(owner string, uses int64, notBefore time.Time) (text, accessor string) {
	var made api.MadeToken
	m.MustControl("POST", "/api/v1/tokens", api.NewToken{
		User:      owner,
		Name:      "cell",
		Services:  []string{"app"},
		MaxUses:   uses,
		NotBefore: notBefore,
		Expires:   time.UnixMilli(m.now.Load()).Add(10 * time.Minute),
	}, &made)

	return made.Secret, made.Accessor
}

// short gets a short-lived signed token for a password.
func (m *matrix) short(service, name, password string) (text, accessor string) {
	a := m.Ask("GET", service, "/token", "Authorization", basic(name, password))
	var out struct{ Token string }
	if a.Status != 200 || json.Unmarshal([]byte(a.Body), &out) != nil {
		m.t.Fatalf("GET /token = %d %s, want 200 and a token", a.Status, a.Body)
	}

	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(out.Token, ".")[1])
	var claims struct{ JTI string }
	if err != nil || json.Unmarshal(payload, &claims) != nil {
		m.t.Fatalf("claims of the token: %v, %s", err, payload)
	}

	return out.Token, claims.JTI
}

// waysToShow are the ways to show each kind of credential.
var waysToShow = []struct {
	name   string
	create func(m *matrix, state string) *shown // nil: the kind cannot be in that state
}{
	{"session cookie", func(m *matrix, state string) *shown {
		if state == "not yet valid" || state == "spent" {
			return nil
		}

		name, password := m.newUser()
		c := m.Enter("app", name, password)

		return &shown{[]string{"Cookie", c}, name, func() {
			m.MustControl("DELETE", "/api/v1/sessions?user="+name, nil, nil)
		}, 10 * time.Minute}
	}},
	{"name and password as Basic", func(m *matrix, state string) *shown {
		if state == "not yet valid" || state == "spent" || state == "expired" || state == "revoked" {
			return nil
		}
		name, password := m.newUser()
		return &shown{header: []string{"Authorization", basic(name, password)}, owner: name}
	}},
	{
		"personal token as Bearer",
		personalIn(func(text string) []string { return []string{"Authorization", "Bearer " + text} }),
	},
	{
		"personal token as Basic password",
		personalIn(func(text string) []string { return []string{"Authorization", basic("any-name", text)} }),
	},
	{
		"personal token as Basic password without a name",
		personalIn(func(text string) []string { return []string{"Authorization", basic("", text)} }),
	},
	{
		"personal token as Basic user name",
		personalIn(func(text string) []string { return []string{"Authorization", basic(text, "blank")} }),
	},
	{
		"short token as Bearer",
		shortIn(func(text string) []string { return []string{"Authorization", "Bearer " + text} }),
	},
	{
		"short token as Basic user name",
		shortIn(func(text string) []string { return []string{"Authorization", basic(text, "blank")} }),
	},
	{
		"short token as Basic password",
		shortIn(func(text string) []string { return []string{"Authorization", basic("x", text)} }),
	},
}

// personalIn creates personal tokens that requests show in the header.
func personalIn(header func(string) []string) func(*matrix, string) *shown {
	return func(m *matrix, state string) *shown {
		name, _ := m.newUser()
		var uses int64
		var opens time.Time

		switch state {
		case "not yet valid":
			opens = time.UnixMilli(m.now.Load()).Add(time.Minute)
		case "spent":
			uses = 2
		}

		text, accessor := m.personal(name, uses, opens)
		return &shown{
			header(text),
			name,
			func() { m.MustControl("DELETE", "/api/v1/tokens/"+accessor, nil, nil) },
			10 * time.Minute,
		}
	}
}

// shortIn creates short-lived tokens that requests show in the header.
func shortIn(header func(string) []string) func(*matrix, string) *shown {
	return func(m *matrix, state string) *shown {
		if state == "not yet valid" || state == "spent" {
			return nil
		}

		name, password := m.newUser()
		text, accessor := m.short("app", name, password)

		return &shown{
			header(text),
			name,
			func() { m.MustControl("DELETE", "/api/v1/tokens/"+accessor, nil, nil) },
			10 * time.Minute,
		}
	}
}

// TestEveryCredentialInEveryState uses the credential first, so that a cache would know it.
func TestEveryCredentialInEveryState(t *testing.T) {
	m := newMatrix(t)
	states := []string{
		"valid",
		"not yet valid",
		"spent",
		"expired",
		"revoked",
		"owner disabled",
		"owner removed",
	}

	cells := 0
	for _, way := range waysToShow {
		for _, state := range states {
			cred := way.create(m, state)
			if cred == nil {
				continue
			}

			cells++
			t.Run(way.name+", "+state, func(t *testing.T) {
				// Only a password outlives its owner's being disabled.
				m.testCell(t, cred, state, way.name == "name and password as Basic")
			})
		}
	}

	const session, basic, personal, short = 5, 3, 7, 5 // states of each kind
	want := session + basic + 4*personal + 3*short
	if cells != want {
		t.Errorf("%d cells were tested, want %d", cells, want)
	}
}

// testCell brings a credential into a state and checks the answers before and after.
func (m *matrix) testCell(t *testing.T, cred *shown, state string, survivesDisabling bool) {
	ask := func() jetontest.Answer { return m.Ask("GET", "app", "/who", cred.header...) }
	if state != "not yet valid" {
		if a := ask(); a.Status != 200 || !strings.Contains(a.Body, cred.owner) {
			t.Fatalf("while it is valid: %d %s, want 200 and %s", a.Status, a.Body, cred.owner)
		}
	}

	wantStatus, wantCode := 401, "bad_credential"

	switch state {
	case "valid":
		wantStatus, wantCode = 200, ""
	case "not yet valid":
		wantCode = "too_early"
	case "spent":
		ask()
		wantStatus, wantCode = 403, "spent"
	case "expired":
		m.advance(cred.lifetime)
		wantCode = "expired"
	case "revoked":
		cred.revoke()
	case "owner disabled":
		m.MustControl("PUT", "/api/v1/users/"+cred.owner+"/disabled", api.Disabled{Disabled: true}, nil)
	case "owner removed":
		m.MustControl("DELETE", "/api/v1/users/"+cred.owner, nil, nil)
	}

	for range 2 {
		if a := ask(); a.Status != wantStatus || a.Code() != wantCode {
			t.Errorf("%d %q, want %d %q", a.Status, a.Code(), wantStatus, wantCode)
		}
	}

	if state == "owner disabled" {
		m.MustControl("PUT", "/api/v1/users/"+cred.owner+"/disabled", api.Disabled{Disabled: false}, nil)
		if a := ask(); (a.Status == 200) != survivesDisabling {
			t.Errorf("after the owner was enabled again: %d, want 200 = %t", a.Status, survivesDisabling)
		}
	}
}

// TestAChangedPasswordIsInForceOnTheNextRequest uses the password first, so that it is cached.
func TestAChangedPasswordIsInForceOnTheNextRequest(t *testing.T) {
	m := newMatrix(t)
	name, password := m.newUser()
	other := "another horse battery"
	ask := func(pw string) int { return m.Ask("GET", "app", "/who", "Authorization", basic(name, pw)).Status }
	short, _ := m.short("app", name, password)

	personal, _ := m.personal(name, 0, time.Time{})

	for range 3 {
		if ask(password) != 200 || ask(other) != 401 {
			t.Fatal("before the change: want 200 for the password and 401 for another")
		}
	}

	m.MustControl("PUT", "/api/v1/users/"+name+"/password", api.NewPassword{Password: other}, nil)
	if ask(password) != 401 || ask(other) != 200 || ask(password) != 401 {
		t.Error("after the change: want 401 for the old password and 200 for the new one")
	}
	if a := m.Ask("GET", "app", "/who", "Authorization", "Bearer "+short); a.Status != 401 {
		t.Errorf("short token after the password changed = %d, want 401", a.Status)
	}

	if a := m.Ask("GET", "app", "/who", "Authorization", "Bearer "+personal); a.Status != 401 {
		t.Errorf("personal token after the password changed = %d, want 401", a.Status)
	}
}

// TestEveryCredentialIsValidWhereItsOwnerMayLogIn uses the credential first, so that a cache
// would know its owner's groups.
func TestEveryCredentialIsValidWhereItsOwnerMayLogIn(t *testing.T) {
	m := newMatrix(t)

	for _, way := range waysToShow {
		t.Run(way.name, func(t *testing.T) {
			cred := way.create(m, "valid")

			for _, step := range []struct {
				groups []string
				status int
				code   string
			}{
				{[]string{"staff", "other"}, 200, ""},
				{[]string{"other"}, 403, "forbidden"},
				{[]string{"staff"}, 200, ""},
				{[]string{}, 403, "forbidden"},
			} {
				m.MustControl("PUT", "/api/v1/users/"+cred.owner+"/groups", api.Groups{Groups: step.groups}, nil)
				a := m.Ask("GET", "app", "/who", cred.header...)
				if a.Status != step.status || a.Code() != step.code {
					t.Errorf(
						"owner in groups %v: %d %q, want %d %q",
						step.groups, a.Status, a.Code(), step.status, step.code,
					)
				}
			}
		})
	}
}

// TestTheHeaderComesBeforeTheCookie: a client writes the header on purpose and sends the cookie
// automatically.
func TestTheHeaderComesBeforeTheCookie(t *testing.T) {
	m := newMatrix(t)
	name, password := m.newUser()
	other, otherPassword := m.newUser()

	cookie := m.Enter("app", name, password)
	text, _ := m.personal(other, 0, time.Time{})

	for _, tc := range []struct {
		name, cookie, header string
		status               int
		who                  string
	}{
		{"a session and another's token", cookie, "Bearer " + text, 200, other},
		{"a session and another's password", cookie, basic(other, otherPassword), 200, other},
		{"an unknown session and a token", cookie[:len(cookie)-2] + "xx", "Bearer " + text, 200, other},
		{"a session and an invalid token", cookie, "Bearer nothing", 401, ""},
		{"a session and a wrong password", cookie, basic(name, "wrong"), 401, ""},
		{"a session and an unknown scheme", cookie, "Digest x", 200, name},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := m.Ask("GET", "app", "/who", "Cookie", tc.cookie, "Authorization", tc.header)
			if a.Status != tc.status || !strings.Contains(a.Body, tc.who) {
				t.Errorf("%d %s, want %d and %s", a.Status, a.Body, tc.status, tc.who)
			}
		})
	}
}

func TestOnlyAPasswordGetsAShortToken(t *testing.T) {
	m := newMatrix(t)
	name, password := m.newUser()
	short, _ := m.short("app", name, password)
	personal, _ := m.personal(name, 0, time.Time{})
	cookie := m.Enter("app", name, password)
	for what, header := range map[string][]string{
		"a short token as Bearer":        {"Authorization", "Bearer " + short},
		"a short token as user name":     {"Authorization", basic(short, "blank")},
		"a short token as password":      {"Authorization", basic(name, short)},
		"a personal token as Bearer":     {"Authorization", "Bearer " + personal},
		"a personal token as user name":  {"Authorization", basic(personal, "")},
		"a personal token as password":   {"Authorization", basic(name, personal)},
		"a session":                      {"Cookie", cookie},
		"nothing":                        nil,
		"a token and the right password": {"Authorization", basic(personal, password)},
	} {
		a := m.Ask("GET", "app", "/token", header...)
		challenged := strings.HasPrefix(a.Header.Get("WWW-Authenticate"), "Basic ")
		if a.Status != http.StatusUnauthorized || !challenged || strings.Contains(a.Body, "token\"") {
			t.Errorf("GET /token with %s = %d %s, want 401 and a Basic challenge", what, a.Status, a.Body)
		}
	}
}
