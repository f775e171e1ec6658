package teaching_test

import (
	"net/http"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jeton-auth/jeton/jetontest"
)

// classic returns the configuration of the example.
func classic(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../examples/users-api/jeton.yaml")
	if err != nil {
		t.Fatal(err)
	}

	return string(text)
}

// startClassic starts the example, on a port that is free.
func startClassic(t *testing.T, options ...jetontest.Option) *jetontest.Server {
	t.Helper()
	options = append([]jetontest.Option{
		jetontest.Env("API_PORT", "0"),
		jetontest.Env("API_HOST", "127.0.0.1"),
	}, options...)

	return jetontest.Start(t, classic(t), options...)
}

func authType(name string) jetontest.Option { return jetontest.Env("AUTH_TYPE", name) }

// send sends a request as curl does: "-d" makes a form, "-u" Basic. Every answer allows any origin.
func send(t *testing.T, s *jetontest.Server, method, path, body string, header ...string) jetontest.Answer {
	t.Helper()
	if body != "" && body[0] == '{' {
		header = append(header, "Content-Type", "application/json")
	} else if body != "" {
		header = append(header, "Content-Type", "application/x-www-form-urlencoded")
	}

	// A test that sends thousands would otherwise reach limits.max_connections_per_source.
	client := s.Client()
	defer client.CloseIdleConnections()

	a := s.Send(client, method, s.URL("users-api")+prefix+path, body, header...)
	got := a.Header["Access-Control-Allow-Origin"]
	if len(got) != 1 || got[0] != "*" || a.Header.Get("Access-Control-Allow-Credentials") != "" {
		t.Errorf(
			"%s %s: Access-Control-Allow-Origin %q, -Credentials %q, want * and none",
			method, path, got, a.Header.Get("Access-Control-Allow-Credentials"),
		)
	}

	return a
}

// line is a request of a transcript and its answer.
type line struct {
	name               string
	method, path, body string
	header             []string
	status             int
	want               string // JSON, in which ANY stands for any text, UUID for an id, TIME for a time
}

// transcript sends requests one after another, and compares the answers with those of the
// classic server. UUID, TIME and ANY stand for what differs between runs.
func transcript(t *testing.T, s *jetontest.Server, lines ...line) {
	t.Helper()

	for _, l := range lines {
		a := send(t, s, l.method, l.path, l.body, l.header...)
		pattern := regexp.QuoteMeta(l.want)

		pattern = strings.NewReplacer(
			"UUID", `[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}`,
			"TIME", `20\d\d-\d\d-\d\d \d\d:\d\d:\d\d`, "ANY", ".*",
		).Replace(pattern)
		if a.Status != l.status || !regexp.MustCompile(`^`+pattern+`\n$`).MatchString(a.Body) {
			t.Errorf("%s: %s %s = %d %s want %d %s", l.name, l.method, l.path, a.Status, a.Body, l.status, l.want)
		}
	}
}

const (
	refused401 = `{"error":"Unauthorized"}`
	refused403 = `{"error":"Forbidden"}`
	refused404 = `{"error":"Not found"}`
	bob        = `{"id":"UUID","email":"bob@hbtn.io","first_name":null,"last_name":null,` + times + `}`
	times      = `"created_at":"TIME","updated_at":"TIME"`
)

// checkOpen checks the requests whose answers do not depend on AUTH_TYPE.
func checkOpen(t *testing.T, s *jetontest.Server) {
	t.Helper()
	transcript(t, s,
		line{"status", "GET", "/status", "", nil, 200, `{"status":"OK"}`},
		line{"status with a slash", "GET", "/status/", "", nil, 200, `{"status":"OK"}`},
		line{"unauthorized", "GET", "/unauthorized", "", nil, 401, refused401},
		line{"unauthorized with a slash", "GET", "/unauthorized/", "", nil, 401, refused401},
		line{"forbidden", "GET", "/forbidden", "", nil, 403, refused403},
		line{"an unknown path", "GET", "/nothing", "", nil, 404, refused404},
		line{"login without anything", "POST", "/auth_session/login", "", nil, 400, `{"error":"email missing"}`},
		line{
			"login without an address",
			"POST",
			"/auth_session/login",
			"password=pwd",
			nil,
			400,
			`{"error":"email missing"}`,
		},
		line{
			"login without a password",
			"POST",
			"/auth_session/login/",
			"email=bob@hbtn.io",
			nil,
			400,
			`{"error":"password missing"}`,
		},
		line{
			"login of an unknown address",
			"POST",
			"/auth_session/login",
			"email=unknown@hbtn.io&password=pwd",
			nil,
			404,
			`{"error":"no user found for this email"}`,
		},
		line{
			"login with a wrong password",
			"POST",
			"/auth_session/login",
			"email=bob@hbtn.io&password=wrong",
			nil,
			401,
			`{"error":"wrong password"}`,
		},
		line{"login by GET", "GET", "/auth_session/login", "", nil, 405, `{"error":"Method not allowed"}`},
	)
}

// withBob starts the example without AUTH_TYPE to create a user, and returns its data directory.
func withBob(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	s := startClassic(t, jetontest.DataDir(dir))
	transcript(t, s, line{"create bob", "POST", "/users", `{"email":"bob@hbtn.io","password":"pwd"}`, nil, 201, bob})
	s.Stop()

	return dir
}

func TestClassicOpen(t *testing.T) {
	s := startClassic(t)
	transcript(t, s,
		line{"stats without users", "GET", "/stats", "", nil, 200, `{"users":0}`},
		line{"list without users", "GET", "/users", "", nil, 200, `[]`},
		line{"no body", "POST", "/users", "", nil, 400, `{"error":"Wrong format"}`},
		line{"a body that is not JSON", "POST", "/users", "email=bob@hbtn.io", nil, 400, `{"error":"Wrong format"}`},
		line{"a list", "POST", "/users", `[]`, nil, 400, `{"error":"Wrong format"}`},
		line{"null", "POST", "/users", `null`, nil, 400, `{"error":"Wrong format"}`},
		line{"a number as an address", "POST", "/users", `{"email":1}`, nil, 400, `{"error":"Wrong format"}`},
		line{"no address", "POST", "/users", `{"password":"pwd"}`, nil, 400, `{"error":"email missing"}`},
		line{"no password", "POST", "/users", `{"email":"bob@hbtn.io"}`, nil, 400, `{"error":"password missing"}`},
		line{
			"an invalid address",
			"POST",
			"/users",
			`{"email":"bob","password":"pwd"}`,
			nil,
			400,
			`{"error":"Can't create User: ANY"}`,
		},
		line{
			"bob, with members that are ignored",
			"POST",
			"/users/",
			`{"email":"bob@hbtn.io","password":"pwd","id":"1","groups":["admin"],"disabled":true,` +
				`"created_at":"2000-01-01 00:00:00"}`,
			nil,
			201,
			bob,
		},
		line{
			"bob again",
			"POST",
			"/users",
			`{"email":"bob@hbtn.io","password":"other"}`,
			nil,
			400,
			`{"error":"Can't create User: ANY"}`,
		},
		line{
			"bob in another case",
			"POST",
			"/users",
			`{"email":"BOB@hbtn.io","password":"other"}`,
			nil,
			400,
			`{"error":"Can't create User: ANY"}`,
		},
		line{"bob is listed", "GET", "/users/", "", nil, 200, `[` + bob + `]`},
		line{"stats", "GET", "/stats/", "", nil, 200, `{"users":1}`},
		line{"me without a session", "GET", "/users/me", "", nil, 404, refused404},
		line{"an unknown id", "GET", "/users/12", "", nil, 404, refused404},
		line{"change an unknown id", "PUT", "/users/12", `{"first_name":"x"}`, nil, 404, refused404},
		line{"remove an unknown id", "DELETE", "/users/12", "", nil, 404, refused404},
		line{"logout without a session", "DELETE", "/auth_session/logout", "", nil, 404, refused404},
		line{"an unknown method", "PATCH", "/users", "", nil, 405, `{"error":"Method not allowed"}`},
	)

	checkOpen(t, s)
	id := decode[[]struct{ ID string }](t, send(t, s, "GET", "/users", ""))[0].ID

	full := `{"id":"` + id +
		`","email":"bob@hbtn.io","first_name":"Bob","last_name":"Dylan","created_at":"TIME","updated_at":"TIME"}`

	transcript(t, s,
		line{"bob", "GET", "/users/" + id, "", nil, 200, bob},
		line{"a body that is not JSON", "PUT", "/users/" + id, "first_name=Bob", nil, 400, `{"error":"Wrong format"}`},
		line{
			"names, and members that are ignored",
			"PUT",
			"/users/" + id,
			`{"first_name":"Bob","last_name":"Dylan","email":"eve@hbtn.io","password":"eve","id":"2"}`,
			nil,
			200,
			full,
		},
		line{"no change", "PUT", "/users/" + id + "/", `{}`, nil, 200, full},
		line{
			"the password has not changed",
			"POST",
			"/auth_session/login",
			"email=bob@hbtn.io&password=pwd",
			nil,
			200,
			full,
		},
		line{"remove", "DELETE", "/users/" + id, "", nil, 200, `{}`},
		line{"bob is removed", "GET", "/users/" + id, "", nil, 404, refused404},
		line{"no user is left", "GET", "/stats", "", nil, 200, `{"users":0}`},
	)

	// A browser sends a preflight request.
	a := send(
		t, s, "OPTIONS", "/users", "", "Origin", "https://elsewhere.example",
		"Access-Control-Request-Method", "POST",
	)
	if a.Status != http.StatusNoContent || !strings.Contains(a.Header.Get("Access-Control-Allow-Methods"), "POST") {
		t.Errorf("OPTIONS = %d %s, want 204 and POST among the methods", a.Status, a.Header)
	}
}

func TestClassicAuth(t *testing.T) {
	s := startClassic(t, jetontest.DataDir(withBob(t)), authType("auth"))
	checkOpen(t, s)

	for _, path := range []string{"/users", "/users/", "/users/me", "/stats", "/users/12"} {
		transcript(t, s,
			line{"no credential", "GET", path, "", nil, 401, refused401},
			line{"an unknown scheme", "GET", path, "", []string{"Authorization", "Test"}, 403, refused403},
			line{
				"a correct password",
				"GET",
				path,
				"",
				[]string{"Authorization", "Basic Ym9iQGhidG4uaW86cHdk"},
				403,
				refused403,
			},
		)
	}
}

func TestClassicBasic(t *testing.T) {
	s := startClassic(t, jetontest.DataDir(withBob(t)), authType("basic_auth"))
	checkOpen(t, s)
	good := []string{"Authorization", "Basic Ym9iQGhidG4uaW86cHdk"} // bob@hbtn.io:pwd
	transcript(t, s,
		line{"no credential", "GET", "/users", "", nil, 401, refused401},
		line{"an unknown scheme", "GET", "/users", "", []string{"Authorization", "Test"}, 403, refused403},
		line{"no base64", "GET", "/users", "", []string{"Authorization", "Basic test"}, 403, refused403},
		line{"no colon", "GET", "/users", "", []string{"Authorization", "Basic dGVzdA=="}, 403, refused403},
		line{
			"a wrong password",
			"GET",
			"/users",
			"",
			[]string{"Authorization", "Basic Ym9iQGhidG4uaW86eA=="},
			403,
			refused403,
		},
		line{"the correct password", "GET", "/users", "", good, 200, `[` + bob + `]`},
		line{
			"the address in another case",
			"GET",
			"/users/me",
			"",
			[]string{"Authorization", "Basic Qk9CQGhidG4uaW86cHdk"},
			200,
			bob,
		},
		line{"me", "GET", "/users/me/", "", good, 200, bob},
		line{
			"create another user",
			"POST",
			"/users",
			`{"email":"amy@hbtn.io","password":"p:w:d"}`,
			good,
			201,
			strings.Replace(bob, "bob", "amy", 1),
		},
		line{
			"a password with colons",
			"GET",
			"/users/me",
			"",
			[]string{"Authorization", "Basic YW15QGhidG4uaW86cDp3OmQ="},
			200,
			strings.Replace(bob, "bob", "amy", 1),
		},
		line{"stats", "GET", "/stats", "", good, 200, `{"users":2}`},
		line{"logout without a session", "DELETE", "/auth_session/logout", "", good, 404, refused404},
	)

	login := send(t, s, "POST", "/auth_session/login", "email=bob@hbtn.io&password=pwd")
	transcript(t, s, line{
		"a session is not accepted",
		"GET",
		"/users",
		"",
		[]string{"Cookie", login.Cookies()},
		403,
		refused403,
	})
}

// TestClassicSessionsEndByPassword checks DELETE /auth_session with an address and a password.
func TestClassicSessionsEndByPassword(t *testing.T) {
	s := startClassic(t, jetontest.DataDir(withBob(t)), authType("session_exp_auth"))
	one := send(t, s, "POST", "/auth_session/login", "email=bob@hbtn.io&password=pwd").Cookies()
	two := send(t, s, "POST", "/auth_session/login", "email=bob@hbtn.io&password=pwd").Cookies()

	const path = "/auth_session"
	me := func(name, cookie string, status int, body string) line {
		return line{name, "GET", "/users/me", "", []string{"Cookie", cookie}, status, body}
	}

	transcript(t, s,
		line{"no address", "DELETE", path, "password=pwd", nil, 400, `{"error":"email missing"}`},
		line{"no password", "DELETE", path, "email=bob@hbtn.io", nil, 400, `{"error":"password missing"}`},
		line{
			"an unknown address",
			"DELETE",
			path,
			"email=amy@hbtn.io&password=pwd",
			nil,
			404,
			`{"error":"no user found for this email"}`,
		},
		line{
			"a wrong password",
			"DELETE",
			path,
			"email=bob@hbtn.io&password=x",
			nil,
			401,
			`{"error":"wrong password"}`,
		},
		me("a session meanwhile", one, 200, bob),
		line{"right", "DELETE", path, "email=bob@hbtn.io&password=pwd", nil, 200, `{}`},
		me("a session", one, 403, refused403),
		me("the other session", two, 403, refused403),
		line{"right, without sessions", "DELETE", path, "email=bob@hbtn.io&password=pwd", nil, 200, `{}`},
		line{"no form and no session", "DELETE", path, "", nil, 404, refused404},
	)
}

// TestClassicSessions checks the three kinds of session: login, logout, expiry and a restart of the server.
func TestClassicSessions(t *testing.T) {
	for _, tc := range []struct {
		auth    string
		expires bool
	}{
		{"session_auth", false},
		{"session_exp_auth", true},
		{"session_db_auth", true},
	} {
		t.Run(tc.auth, func(t *testing.T) {
			dir := withBob(t)
			var mu sync.Mutex

			now := time.Now()
			clock := jetontest.Clock(func() time.Time { mu.Lock(); defer mu.Unlock(); return now })
			pass := func(d time.Duration) { mu.Lock(); now = now.Add(d); mu.Unlock() }

			options := []jetontest.Option{
				jetontest.DataDir(dir),
				authType(tc.auth),
				clock,
				jetontest.Env("SESSION_DURATION", "60"),
				jetontest.Env("SESSION_NAME", "_my_cookie"),
			}

			s := startClassic(t, options...)
			checkOpen(t, s)

			login := send(t, s, "POST", "/auth_session/login", "email=bob@hbtn.io&password=pwd")

			line200 := func(name, cookie string) line {
				return line{name, "GET", "/users/me", "", []string{"Cookie", cookie}, 200, bob}
			}

			line403 := func(name, cookie string) line {
				return line{name, "GET", "/users/me", "", []string{"Cookie", cookie}, 403, refused403}
			}

			cookie := login.Cookies()
			if !strings.HasPrefix(
				cookie,
				"_my_cookie=",
			) || login.Status != 200 || !strings.Contains(login.Body, `"email":"bob@hbtn.io"`) {
				t.Fatalf("login = %d %s %s, want 200, the cookie and the user", login.Status, login.Header, login.Body)
			}

			set := login.Header.Get("Set-Cookie")
			if strings.Contains(
				set,
				"Max-Age=60",
			) != tc.expires || strings.Contains(set, "Secure") || !strings.Contains(set, "HttpOnly") {
				t.Errorf("Set-Cookie: %s, want Max-Age=60: %t, HttpOnly and no Secure", set, tc.expires)
			}

			transcript(t, s,
				line{"no credential", "GET", "/users/me", "", nil, 401, refused401},
				line{
					"a Basic credential",
					"GET",
					"/users/me",
					"",
					[]string{"Authorization", "Basic Ym9iQGhidG4uaW86cHdk"},
					403,
					refused403,
				},
				line403("an invalid cookie", "_my_cookie=Hello"),
				line200("me", cookie),
				line{"list", "GET", "/users", "", []string{"Cookie", cookie}, 200, `[` + bob + `]`},
				line{"logout without a session", "DELETE", "/auth_session/logout", "", nil, 404, refused404},
				line{"logout", "DELETE", "/auth_session/logout/", "", []string{"Cookie", cookie}, 200, `{}`},
				line403("after the logout", cookie),
				line{"logout again", "DELETE", "/auth_session/logout", "", []string{"Cookie", cookie}, 404, refused404},
			)

			cookie = send(t, s, "POST", "/auth_session", "email=BOB@hbtn.io&password=pwd").Cookies()
			pass(59 * time.Second)
			transcript(t, s, line200("a second before it expires", cookie))
			pass(time.Second)

			if tc.expires {
				transcript(t, s, line403("when it expires", cookie))
			} else {
				pass(1000 * 24 * time.Hour)
				transcript(t, s, line200("years later", cookie))
			}

			cookie = send(t, s, "POST", "/auth_session/login", "email=bob@hbtn.io&password=pwd").Cookies()
			if err := s.Reload(classic(t)); err != nil {
				t.Fatal(err)
			}

			transcript(t, s, line200("after a reload", cookie))
			s.Stop()
			s = startClassic(t, options...)

			transcript(t, s, line200("after a restart", cookie))
		})
	}

	t.Run("without a duration a session does not expire", func(t *testing.T) {
		dir := withBob(t)
		var mu sync.Mutex

		now := time.Now()
		s := startClassic(
			t, jetontest.DataDir(dir), authType("session_db_auth"),
			jetontest.Clock(func() time.Time { mu.Lock(); defer mu.Unlock(); return now }),
		)

		cookie := send(t, s, "POST", "/auth_session/login", "email=bob@hbtn.io&password=pwd").Cookies()
		mu.Lock()
		now = now.Add(1000 * 24 * time.Hour)

		mu.Unlock()
		transcript(t, s, line{"years later", "GET", "/users/me", "", []string{"Cookie", cookie}, 200, bob})
	})
}

func TestClassicRefusesInvalidConfiguration(t *testing.T) {
	for _, tc := range []struct{ name, variable, value, want string }{
		{"an unknown AUTH_TYPE", "AUTH_TYPE", "sesion_auth", "did you mean session_auth?"},
		{"an invalid duration", "SESSION_DURATION", "sixty", "session_duration"},
		{"an invalid cookie name", "SESSION_NAME", "a b", "cookie"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := jetontest.TryStart(
				t, classic(t), jetontest.Env("API_PORT", "0"), jetontest.Env(tc.variable, tc.value),
			)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("start with %s=%s = %v, want an error with %q", tc.variable, tc.value, err, tc.want)
			}
		})
	}
}

// TestClassicWeaknessesAreLogged checks that the log names what is weak.
func TestClassicWeaknessesAreLogged(t *testing.T) {
	for auth, want := range map[string]string{
		"":           "EVERYTHING IS OPEN",
		"basic_auth": "every authenticated caller manages every user",
	} {
		var log lines
		startClassic(t, authType(auth), jetontest.Log(&log, 0))
		if !strings.Contains(log.String(), want) || !strings.Contains(log.String(), "reveals which addresses exist") {
			t.Errorf("AUTH_TYPE=%s logs %s, want %q", auth, log.String(), want)
		}
	}
}

// lines is a log that a test reads while it is written.
type lines struct {
	mu  sync.Mutex
	buf strings.Builder
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}
