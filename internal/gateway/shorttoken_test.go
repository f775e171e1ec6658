package gateway_test

import (
	"encoding/base64"
	"encoding/json"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jeton-auth/jeton/internal/api"
	"github.com/jeton-auth/jeton/jetontest"
)

// testClock is a clock that the test sets.
type testClock struct{ at atomic.Int64 }

func newTestClock(at time.Time) *testClock {
	c := &testClock{}
	c.set(at)
	return c
}

func (c *testClock) now() time.Time   { return time.Unix(0, c.at.Load()) }
func (c *testClock) set(at time.Time) { c.at.Store(at.UnixNano()) }

var start = time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC)

const user, pass = "Lorenzo", "Udacity"

func basicAndToken(t *testing.T, options ...jetontest.Option) *jetontest.Server {
	t.Helper()
	return jetontest.Start(t, easy+basicYAML(t), options...)
}

func basicYAML(t *testing.T) string {
	t.Helper()
	yaml, err := os.ReadFile("../../examples/basic-and-token/jeton.yaml")
	if err != nil {
		t.Fatal(err)
	}

	return string(yaml)
}

func basic(name, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(name+":"+password))
}

const basicService = "basic-and-token"

// shortToken returns the token that a user gets.
func shortToken(t *testing.T, s *jetontest.Server, name, password string) string {
	t.Helper()
	a := s.Ask("GET", basicService, "/token", "Authorization", basic(name, password))
	var out map[string]string
	err := json.Unmarshal([]byte(a.Body), &out)
	if err != nil || a.Status != 200 || len(out) != 1 || out["token"] == "" ||
		a.Header.Get("Cache-Control") != "no-store" {
		t.Fatalf("GET /token is %d %s, want 200 and a token that is not stored", a.Status, a.Body)
	}

	return out["token"]
}

func TestShortToken(t *testing.T) {
	s := basicAndToken(t)
	tok := shortToken(t, s, user, pass)
	for _, tc := range []struct {
		name, path, header string
		status             int
	}{
		{"the password", "/protected-resource", basic(user, pass), 200},
		{"the token as the name", "/protected-resource", basic(tok, "blank"), 200},
		{"the token as the name, without a password", "/protected-resource", basic(tok, ""), 200},
		{"the token as the password", "/protected-resource", basic("x", tok), 200},
		{"the token as a bearer", "/protected-resource", "Bearer " + tok, 200},
		{"the other route", "/api/resource", basic(tok, "blank"), 200},
		{"the scheme in another case", "/protected-resource", "bASIC" + basic(user, pass)[5:], 200},
		{"a wrong password", "/protected-resource", basic(user, "udacity"), 401},
		{"an unknown name", "/protected-resource", basic("Giuliano", pass), 401},
		{
			"an altered token",
			"/protected-resource",
			basic(tok[:len(tok)-2]+string(tok[len(tok)-2]^1)+tok[len(tok)-1:], "blank"),
			401,
		},
		{
			"a token without its last character",
			"/protected-resource",
			basic(tok[:len(tok)-1], "blank"),
			401,
		},
		{"nothing", "/protected-resource", "", 401},
		{"an empty name", "/protected-resource", basic("", ""), 401},
		{"not base64", "/protected-resource", "Basic %%%", 401},
		{"a token at the token endpoint, as the name", "/token", basic(tok, "blank"), 401},
		{"a token at the token endpoint, as the password", "/token", basic(user, tok), 401},
		{"a token at the token endpoint, as a bearer", "/token", "Bearer " + tok, 401},
		{"nothing at the token endpoint", "/token", "", 401},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var header []string
			if tc.header != "" {
				header = []string{"Authorization", tc.header}
			}

			a := s.Ask("GET", basicService, tc.path, header...)
			if a.Status != tc.status || tc.status == 200 && a.Body != "{\"data\": \"Hello, Lorenzo!\"}\n" {
				t.Errorf("request is %d %s, want %d", a.Status, a.Body, tc.status)
			}

			got := strings.Join(a.Header["Www-Authenticate"], ", ")
			if a.Status == 401 && !strings.HasPrefix(got, `Basic realm="basic-and-token"`) {
				t.Errorf("the challenge is %q, want Basic first", got)
			}
		})
	}
}

// TestShortTokenHidesItsUser checks that no part of the token says whose it is, read as it is or as base64.
func TestShortTokenHidesItsUser(t *testing.T) {
	s := basicAndToken(t)
	tok := shortToken(t, s, user, pass)

	for _, part := range strings.FieldsFunc(tok, func(r rune) bool { return r == '.' || r == '_' }) {
		decoded, _ := base64.RawURLEncoding.DecodeString(part) // what comes before an invalid byte is decoded, too
		for _, text := range []string{part, string(decoded)} {
			if strings.Contains(strings.ToLower(text), strings.ToLower(user)) || strings.Contains(text, `"sub"`) {
				t.Errorf("a part of the token is %q, want nothing of user %s", text, user)
			}
		}
	}
}

// TestSignedShortToken checks that a service may have signed tokens instead.
func TestSignedShortToken(t *testing.T) {
	signed := strings.Replace(basicYAML(t), "format: opaque", "format: jwt", 1)
	s := jetontest.Start(t, easy+signed)
	tok := shortToken(t, s, user, pass)

	for _, tc := range []struct {
		name, token string
		want        int
	}{
		{"the token", tok, 200},
		{"a token without its signature", tok[:strings.LastIndex(tok, ".")+1], 401},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := s.Ask("GET", basicService, "/protected-resource", "Authorization", basic(tc.token, "blank"))
			if a.Status != tc.want {
				t.Errorf("request is %d %s, want %d", a.Status, a.Body, tc.want)
			}
		})
	}
}

func TestShortTokenExpires(t *testing.T) {
	c := newTestClock(start.Add(300 * time.Millisecond))
	s := basicAndToken(t, jetontest.Clock(c.now))
	tok := shortToken(t, s, user, pass)
	for _, tc := range []struct {
		name  string
		after time.Duration
		want  int
	}{
		{"at once", 300 * time.Millisecond, 200},
		{"the last moment", 600*time.Second - 1, 200},
		{"ten minutes", 600 * time.Second, 401},
		{"a year", 365 * 24 * time.Hour, 401},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c.set(start.Add(tc.after))
			a := s.Ask("GET", basicService, "/protected-resource", "Authorization", basic(tok, "blank"))
			if a.Status != tc.want {
				t.Errorf("request is %d %s, want %d", a.Status, a.Body, tc.want)
			}
		})
	}
}

// TestShortTokenEndsWithItsUser checks that the first request after a change is refused, with a
// token and with a password, after both were accepted.
func TestShortTokenEndsWithItsUser(t *testing.T) {
	s := basicAndToken(t)
	for _, tc := range []struct {
		name, method, path string
		in                 any
	}{
		{"another password", "PUT", "/password", api.NewPassword{Password: "entirely different words"}},
		{"the same password, set again", "PUT", "/password", api.NewPassword{Password: right}},
		{"disabling", "PUT", "/disabled", api.Disabled{Disabled: true}},
		{"removal", "DELETE", "", nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			name := strings.ReplaceAll(tc.name, " ", "-")
			name = strings.Trim(strings.ReplaceAll(name, ",", ""), "-")
			s.AddUser(name, right)
			tok := shortToken(t, s, name, right)

			ask := func(header string) int {
				return s.Ask("GET", basicService, "/api/resource", "Authorization", header).Status
			}

			for range 2 { // the second is answered from the cache
				if a, b := ask(basic(tok, "")), ask(basic(name, right)); a != 200 || b != 200 {
					t.Fatalf("requests before the change are %d by token, %d by password, want 200", a, b)
				}
			}

			s.MustControl(tc.method, "/api/v1/users/"+name+tc.path, tc.in, nil)
			wantPassword := 401
			if tc.name == "the same password, set again" {
				wantPassword = 200
			}

			for range 2 {
				if a, b := ask(basic(tok, "")), ask(basic(name, right)); a != 401 || b != wantPassword {
					t.Errorf("requests after the change are %d by token, want 401; %d by password, want %d",
						a, b, wantPassword)
				}
			}
		})
	}
}

// TestShortTokenSurvivesARestart has a revocation from before the restart as well: neither
// may be kept in memory only.
func TestShortTokenSurvivesARestart(t *testing.T) {
	dir := t.TempDir()
	s := basicAndToken(t, jetontest.DataDir(dir))
	s.AddUser("diane", right)
	tok, revoked := shortToken(t, s, user, pass), shortToken(t, s, "diane", right)
	s.MustControl("PUT", "/api/v1/users/diane/password", api.NewPassword{Password: "entirely different words"}, nil)

	s.Stop()
	s = basicAndToken(t, jetontest.DataDir(dir))
	for tok, want := range map[string]int{tok: 200, revoked: 401} {
		a := s.Ask("GET", basicService, "/protected-resource", "Authorization", basic(tok, "blank"))
		if a.Status != want {
			t.Errorf("request is %d %s, want %d", a.Status, a.Body, want)
		}
	}
}
