package gate_test

import (
	"encoding/base64"
	"encoding/json"
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
    login: {paths: [/login], token: /token}
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

// matrix is one server with one clock, and one person for each cell, so that no cell
// hears of another.
type matrix struct {
	*jetontest.Server
	t      *testing.T
	now    atomic.Int64
	people int
}

func newMatrix(t *testing.T) *matrix {
	m := &matrix{t: t}
	m.now.Store(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC).UnixMilli())
	m.Server = jetontest.Start(t, matrixConf, jetontest.Clock(func() time.Time { return time.UnixMilli(m.now.Load()) }))
	return m
}

func (m *matrix) wait(d time.Duration) { m.now.Add(d.Milliseconds()) }

// person adds somebody nobody has met.
func (m *matrix) person() (name, password string) {
	m.people++
	name, password = "person"+string(rune('a'+m.people/26))+string(rune('a'+m.people%26)), "correct horse battery"
	m.AddUser(name, password)
	return name, password
}

func basic(name, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(name+":"+password))
}

// show is one credential of one person, made for a state.
type show struct {
	header  []string // the request
	owner   string
	revoke  func()
	expires time.Duration
}

// personal makes a personal token through the operators' door.
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

func (m *matrix) short(name, password string) (text, accessor string) {
	a := m.Ask("GET", "app", "/token", "Authorization", basic(name, password))
	var out struct{ Token string }
	if a.Status != 200 || json.Unmarshal([]byte(a.Body), &out) != nil {
		m.t.Fatalf("/token: %d %s", a.Status, a.Body)
	}

	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(out.Token, ".")[1])
	var claims struct{ JTI string }
	if err != nil || json.Unmarshal(payload, &claims) != nil {
		m.t.Fatal("the token has no claims")
	}

	return out.Token, claims.JTI
}

// doors are the ways to show each kind of credential.
var doors = []struct {
	name  string
	makes func(m *matrix, state string) *show // nil: the kind has no such state
}{
	{"session cookie", func(m *matrix, state string) *show {
		if state == "not yet valid" || state == "spent" {
			return nil
		}

		name, password := m.person()
		c := m.Enter("app", name, password)

		return &show{[]string{"Cookie", c}, name, func() {
			m.MustControl("DELETE", "/api/v1/sessions?user="+name, nil, nil)
		}, 10 * time.Minute}
	}},
	{"name and password as Basic", func(m *matrix, state string) *show {
		if state == "not yet valid" || state == "spent" || state == "expired" || state == "revoked" {
			return nil
		}
		name, password := m.person()
		return &show{header: []string{"Authorization", basic(name, password)}, owner: name}
	}},
	{
		"personal token as Bearer",
		personalAt(func(text string) []string { return []string{"Authorization", "Bearer " + text} }),
	},
	{
		"personal token as Basic password",
		personalAt(func(text string) []string { return []string{"Authorization", basic("whoever", text)} }),
	},
	{
		"personal token as Basic password without a name",
		personalAt(func(text string) []string { return []string{"Authorization", basic("", text)} }),
	},
	{
		"personal token as Basic user name",
		personalAt(func(text string) []string { return []string{"Authorization", basic(text, "blank")} }),
	},
	{
		"short token as Bearer",
		shortAt(func(text string) []string { return []string{"Authorization", "Bearer " + text} }),
	},
	{
		"short token as Basic user name",
		shortAt(func(text string) []string { return []string{"Authorization", basic(text, "blank")} }),
	},
	{
		"short token as Basic password",
		shortAt(func(text string) []string { return []string{"Authorization", basic("x", text)} }),
	},
}

func personalAt(header func(string) []string) func(*matrix, string) *show {
	return func(m *matrix, state string) *show {
		name, _ := m.person()
		var uses int64
		var opens time.Time

		switch state {
		case "not yet valid":
			opens = time.UnixMilli(m.now.Load()).Add(time.Minute)
		case "spent":
			uses = 2
		}

		text, accessor := m.personal(name, uses, opens)
		return &show{
			header(text),
			name,
			func() { m.MustControl("DELETE", "/api/v1/tokens/"+accessor, nil, nil) },
			10 * time.Minute,
		}
	}
}

func shortAt(header func(string) []string) func(*matrix, string) *show {
	return func(m *matrix, state string) *show {
		if state == "not yet valid" || state == "spent" {
			return nil
		}

		name, password := m.person()
		text, accessor := m.short(name, password)

		return &show{
			header(text),
			name,
			func() { m.MustControl("DELETE", "/api/v1/tokens/"+accessor, nil, nil) },
			10 * time.Minute,
		}
	}
}

// Every door, every kind of credential, every state: what is asked must come out, also
// when the credential has been seen good a moment before.
func TestEveryDoorEveryCredentialEveryState(t *testing.T) {
	m := newMatrix(t)
	cells := 0
	for _, door := range doors {
		for _, state := range []string{
			"valid",
			"not yet valid",
			"spent",
			"expired",
			"revoked",
			"owner disabled",
			"owner removed",
		} {
			s := door.makes(m, state)
			if s == nil {
				continue
			}

			cells++
			t.Run(door.name+", "+state, func(t *testing.T) {
				ask := func() jetontest.Answer { return m.Ask("GET", "app", "/who", s.header...) }
				wantStatus, wantCode := 401, "bad_credential"

				if state != "not yet valid" {
					if a := ask(); a.Status != 200 || !strings.Contains(a.Body, s.owner) {
						t.Fatalf("while it is good: %d %s", a.Status, a.Body)
					}
				}

				switch state {
				case "valid":
					wantStatus, wantCode = 200, ""
				case "not yet valid":
					wantCode = "too_early"
				case "spent":
					ask()
					wantStatus, wantCode = 403, "spent"
				case "expired":
					m.wait(s.expires)
					wantCode = "expired"
				case "revoked":
					s.revoke()
				case "owner disabled":
					m.MustControl("PUT", "/api/v1/users/"+s.owner+"/disabled", api.Disabled{Disabled: true}, nil)
				case "owner removed":
					m.MustControl("DELETE", "/api/v1/users/"+s.owner, nil, nil)
				}

				for range 2 {
					if a := ask(); a.Status != wantStatus || a.Code() != wantCode {
						t.Errorf("%d %s, want %d %s", a.Status, a.Code(), wantStatus, wantCode)
					}
				}

				if state == "owner disabled" {
					m.MustControl("PUT", "/api/v1/users/"+s.owner+"/disabled", api.Disabled{Disabled: false}, nil)
					good := door.name == "name and password as Basic" // the owner is back; what was ended stays ended
					if a := ask(); (a.Status == 200) != good {
						t.Errorf("after the owner has been enabled again: %d", a.Status)
					}
				}
			})
		}
	}

	if cells != 7*4+5*4+3 {
		t.Errorf("%d cells were tried", cells)
	}
}

// A password that has been right a moment ago is remembered, and what changes it acts on
// the very next request.
func TestAChangedPasswordActsOnTheNextRequest(t *testing.T) {
	m := newMatrix(t)
	name, password := m.person()
	other := "another horse battery"
	ask := func(pw string) int { return m.Ask("GET", "app", "/who", "Authorization", basic(name, pw)).Status }
	short, _ := m.short(name, password)

	personal, _ := m.personal(name, 0, time.Time{})

	for range 3 {
		if ask(password) != 200 || ask(other) != 401 {
			t.Fatal("the password is not what it is")
		}
	}

	m.MustControl("PUT", "/api/v1/users/"+name+"/password", api.NewPassword{Password: other}, nil)
	if ask(password) != 401 || ask(other) != 200 || ask(password) != 401 {
		t.Error("the old password is still good, or the new one is not")
	}
	if a := m.Ask("GET", "app", "/who", "Authorization", "Bearer "+short); a.Status != 401 {
		t.Errorf("a short token outlives the password that it was made with: %d", a.Status)
	}

	if a := m.Ask("GET", "app", "/who", "Authorization", "Bearer "+personal); a.Status != 200 {
		t.Errorf("a personal token ended with the password: %d", a.Status)
	}
}

// Who may log in at a service is asked of people however they show themselves.
func TestATokenIsGoodWhereItsOwnerMayLogIn(t *testing.T) {
	s := jetontest.Start(t, `
issuer: {url: "https://localhost:${ISSUER_PORT}", listen: "localhost:${ISSUER_PORT}"}
services:
  - name: app
    listen: localhost:0
    login: {paths: [/login], allow: {groups: [staff]}}
    accept: [session, token, basic]
    tokens: {}
    routes:
      - {match: GET /who, respond: {text: who}}
`)

	for name, want := range map[string]int{"diane": 200, "eshana": 403} {
		var groups []string
		if want == 200 {
			groups = []string{"staff"}
		}

		s.AddUser(name, "correct horse battery", groups...)
		var made api.MadeToken
		s.MustControl("POST", "/api/v1/tokens", api.NewToken{
			User:     name,
			Name:     "x",
			Services: []string{"app"},
			Expires:  time.Now().Add(time.Hour),
		}, &made)

		for _, header := range []string{
			"Bearer " + made.Secret,
			basic("x", made.Secret),
			basic(made.Secret, "x"),
			basic(name, "correct horse battery"),
		} {
			a := s.Ask("GET", "app", "/who", "Authorization", header)
			if a.Status != want {
				t.Errorf("%s by %.10s…: %d, want %d", name, header, a.Status, want)
			}
		}
	}
}

// A request that shows two: the header, which somebody wrote, counts, and not the cookie.
func TestTheHeaderComesBeforeTheCookie(t *testing.T) {
	m := newMatrix(t)
	name, password := m.person()
	other, otherPassword := m.person()

	cookie, text := m.Enter(
		"app",
		name,
		password,
	), func() string { t, _ := m.personal(other, 0, time.Time{}); return t }()

	for _, tc := range []struct {
		name, cookie, header string
		status               int
		who                  string
	}{
		{"a session and another's token", cookie, "Bearer " + text, 200, other},
		{"a session and another's password", cookie, basic(other, otherPassword), 200, other},
		{"a session that has ended and a token", cookie[:len(cookie)-2] + "xx", "Bearer " + text, 200, other},
		{"a session and a token that is none", cookie, "Bearer nothing", 401, ""},
		{"a session and a wrong password", cookie, basic(name, "wrong"), 401, ""},
		{"a session and a scheme that is nobody's", cookie, "Digest x", 200, name},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := m.Ask("GET", "app", "/who", "Cookie", tc.cookie, "Authorization", tc.header)
			if a.Status != tc.status || !strings.Contains(a.Body, tc.who) {
				t.Errorf("%d %s, want %d for %s", a.Status, a.Body, tc.status, tc.who)
			}
		})
	}
}

func TestATokenMakesNoToken(t *testing.T) {
	m := newMatrix(t)
	name, password := m.person()
	short, _ := m.short(name, password)
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
		if a.Status != http.StatusUnauthorized || !strings.HasPrefix(
			a.Header.Get("WWW-Authenticate"),
			"Basic ",
		) || strings.Contains(a.Body, "token\"") {
			t.Errorf("%s opens /token: %d %s", what, a.Status, a.Body)
		}
	}
}
