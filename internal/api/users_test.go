package api_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/account"
	"github.com/jeton-auth/jeton/internal/store/sqlite"
	"github.com/jeton-auth/jeton/jetontest"
)

// TestUsersCannotRaiseTheirRights sends members that the caller may not set.
func TestUsersCannotRaiseTheirRights(t *testing.T) {
	b := start(t)
	admin, diane := b.newUser("admin"), b.newUser("staff")
	mine := "/users/" + diane.ID
	for _, tc := range []struct {
		name, path, body string
		who              testUser
		status           int
	}{
		{"groups, as me", "/users/me", `{"groups":["admin"]}`, diane, 400},
		{"groups, by id", mine, `{"groups":["admin"]}`, diane, 403},
		{"no groups, by id", mine, `{"groups":[]}`, diane, 403},
		{"disabled, as me", "/users/me", `{"disabled":false}`, diane, 400},
		{"disabled, by id", mine, `{"disabled":false}`, diane, 403},
		{"an id", mine, `{"id":"00000000-0000-4000-8000-000000000000"}`, diane, 400},
		{"a name", mine, `{"name":"admin"}`, diane, 400},
		{"declared", mine, `{"declared":true}`, diane, 400},
		{"a version", mine, `{"Version":7}`, diane, 400},
		{"a hash", mine, `{"password_hash":"x"}`, diane, 400},
		{"the embedded struct by name", mine, `{"change":{"first_name":"x"}}`, diane, 400},
		{"two documents", mine, `{"first_name":"x"}{"groups":["admin"]}`, diane, 400},
		{"groups of their own, an admin", "/users/" + admin.ID, `{"groups":["admin","root"]}`, admin, 403},
		{"disabled of their own, an admin", "/users/" + admin.ID, `{"disabled":true}`, admin, 403},
		{"an id of another user, an admin", mine, `{"id":"x"}`, admin, 400},
		{"an id of a new user", "", `{"id":"x","email":"x@example.org","password":"` + right + `"}`, admin, 400},
	} {
		t.Run(tc.name, func(t *testing.T) {
			method := "PUT"
			if tc.path == "" {
				method, tc.path = "POST", "/users"
			}
			want(t, tc.name, b.as(tc.who, method, tc.path, tc.body), tc.status)
		})
	}

	now := decode[jeton.User](t, b.as(diane, "GET", "/users/me", ""))
	if fmt.Sprint(now) != fmt.Sprint(diane.User) || now.Created.IsZero() {
		t.Errorf("GET /users/me = %+v, want no change of %+v", now, diane.User)
	}

	a := want(t, "an admin sets groups of others", b.as(admin, "PUT", mine, `{"groups":["red"],"disabled":true}`), 200)
	u := decode[jeton.User](t, a)
	if fmt.Sprint(u.Groups) != "[red]" || !u.Disabled {
		t.Errorf("PUT by an admin = %+v, want group red, disabled", u)
	}

	want(t, "diane is disabled", b.as(diane, "GET", "/users/me", ""), 401)
}

func TestDeclaredUsersAreChangedInTheFile(t *testing.T) {
	b := start(t)
	admin := b.newUser("admin")

	login := want(
		t, "a declared user logs in by email address",
		b.send("POST", "/auth_session/login", `{"email":"DECLARED@example.org","password":"alice_pw"}`),
		200,
	)

	u := decode[jeton.User](t, login)
	if u.Name != "declared" || u.First != "Dee" || !u.Declared {
		t.Errorf("login = %+v, want the declared user Dee", u)
	}

	for who, cookie := range map[string]string{"the user": login.Cookies(), "an admin": admin.cookie} {
		want(t, "PUT by "+who, b.send("PUT", "/users/"+u.ID, `{"first_name":"x"}`, "Cookie", cookie), 409)
	}

	want(t, "PUT me", b.send("PUT", "/users/me", `{"first_name":"x"}`, "Cookie", login.Cookies()), 409)
	a := want(t, "DELETE", b.as(admin, "DELETE", "/users/"+u.ID, ""), 409)
	if a.Code() != "declared" {
		t.Errorf("DELETE = %s, want declared", a.Code())
	}
}

// TestPassword checks that a new password needs the current one, and ends all sessions.
func TestPassword(t *testing.T) {
	b := start(t)
	admin, diane := b.newUser("admin"), b.newUser()
	const other = "another good password"
	for _, tc := range []struct {
		name, body string
		status     int
	}{
		{"without the current one", `{"password":"` + other + `"}`, 400},
		{"with a wrong current one", `{"password":"` + other + `","current_password":"wrong"}`, 403},
		{"with an empty current one", `{"password":"` + other + `","current_password":""}`, 403},
		{"a password that is too short", `{"password":"short","current_password":"` + right + `"}`, 400},
	} {
		for _, path := range []string{"/users/me", "/users/" + diane.ID} {
			want(t, tc.name, b.as(diane, "PUT", path, tc.body), tc.status)
		}
	}

	want(t, "the session is still valid", b.as(diane, "GET", "/users/me", ""), 200)
	want(
		t, "with the current one",
		b.as(diane, "PUT", "/users/me", `{"password":"`+other+`","current_password":"`+right+`"}`), 200,
	)

	want(t, "the session has ended", b.as(diane, "GET", "/users/me", ""), 401)
	want(t, "the old password", b.send("GET", "/users/me", "", "Authorization", diane.basic), 401)
	want(t, "the new password", b.send("GET", "/users/me", "", "Authorization", basic(diane.Name, other)), 200)

	want(
		t, "an admin sets the password of another user",
		b.as(admin, "PUT", "/users/"+diane.ID, `{"password":"`+right+`"}`), 200,
	)
	want(t, "the password that an admin set", b.send("GET", "/users/me", "", "Authorization", diane.basic), 200)

	want(
		t, "an admin sets the own password without the current one",
		b.as(admin, "PUT", "/users/"+admin.ID, `{"password":"`+other+`"}`), 400,
	)
}

func basic(name, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(name+":"+password))
}

// TestGuessingTheCurrentPassword checks that a stolen session is not enough to take over an account: guesses are
// throttled.
func TestGuessingTheCurrentPassword(t *testing.T) {
	s := jetontest.Start(t, strings.Replace(usersConf, "pair_burst: 1000000", "pair_burst: 3", 1))
	b := &site{Server: s, t: t, client: s.Client()}
	diane := b.newUser()
	var last jetontest.Answer
	for i := range 5 {
		last = b.as(
			diane, "PUT", "/users/me",
			fmt.Sprintf(`{"password":"another good password","current_password":"guess %d"}`, i),
		)
	}

	if last.Status != http.StatusTooManyRequests || last.Header.Get("Retry-After") == "" {
		t.Errorf("the fifth guess = %d %s, want 429", last.Status, last.Body)
	}
}

// TestIfMatch stands for two admins who edit the same user (RFC 9110, section 13.1.1).
func TestIfMatch(t *testing.T) {
	b := start(t)
	admin, diane := b.newUser("admin"), b.newUser()
	path := "/users/" + diane.ID
	first := b.as(diane, "GET", "/users/me", "").Header.Get("ETag")
	byID := b.as(admin, "GET", path, "").Header.Get("ETag")
	if first == "" || byID != first {
		t.Fatalf("ETags %q and %q, want the same for both routes", first, byID)
	}

	a := want(
		t, "with the current tag",
		b.send("PUT", path, `{"first_name":"One"}`, "Cookie", admin.cookie, "If-Match", first), 200,
	)

	second := a.Header.Get("ETag")
	if second == first {
		t.Error("the tag did not change with the user")
	}

	for name, tag := range map[string]string{
		"with the previous tag": first,
		"with an unknown tag":   `"x"`,
		"with a weak tag":       "W/" + second,
	} {
		a := want(t, name, b.send("PUT", path, `{"first_name":"Two"}`, "Cookie", diane.cookie, "If-Match", tag), 412)
		if a.Code() != "changed" {
			t.Errorf("%s = %s, want changed", name, a.Code())
		}
		want(t, name+", removal", b.send("DELETE", path, "", "Cookie", admin.cookie, "If-Match", tag), 412)
	}

	want(
		t, "with one of several",
		b.send("PUT", path, `{"first_name":"Two"}`, "Cookie", diane.cookie, "If-Match", `"x", `+second),
		200,
	)

	want(t, "with any", b.send("PUT", path, `{"first_name":"Three"}`, "Cookie", diane.cookie, "If-Match", "*"), 200)
}

// TestSessions checks that users list and end their own sessions only.
func TestSessions(t *testing.T) {
	b := start(t)
	diane, carl := b.newUser(), b.newUser()

	again := func() string {
		return b.send("POST", "/auth_session/login", `{"name":"`+diane.Name+`","password":"`+right+`"}`).Cookies()
	}

	second, third := again(), again()
	type shown struct {
		ID      string
		User    string
		Current bool
	}

	list := decode[[]shown](t, b.as(diane, "GET", "/users/me/sessions", ""))
	if len(list) != 3 || !list[2].Current || list[0].Current || list[1].Current || list[0].User != diane.Name {
		t.Fatalf("sessions = %+v, want three of diane, the last one current", list)
	}

	want(t, "end one", b.as(diane, "DELETE", "/users/me/sessions/"+list[1].ID, ""), 204)
	want(t, "it has ended", b.send("GET", "/users/me", "", "Cookie", second), 401)
	want(t, "end it again", b.as(diane, "DELETE", "/users/me/sessions/"+list[1].ID, ""), 404)
	want(t, "end a session of another user", b.as(carl, "DELETE", "/users/me/sessions/"+list[0].ID, ""), 404)
	want(t, "it is still valid", b.send("GET", "/users/me", "", "Cookie", third), 200)

	want(t, "end all others", b.as(diane, "DELETE", "/users/me/sessions", ""), 204)
	want(t, "another has ended", b.send("GET", "/users/me", "", "Cookie", third), 401)
	want(t, "the own session is still valid", b.as(diane, "GET", "/users/me", ""), 200)
	want(t, "the session of carl is still valid", b.as(carl, "GET", "/users/me", ""), 200)
	want(t, "log out", b.as(diane, "POST", "/auth_session/logout", ""), 204)

	want(t, "the own session has ended", b.as(diane, "GET", "/users/me", ""), 401)
}

// TestTokens checks that users create, list and revoke their own tokens only.
func TestTokens(t *testing.T) {
	b := start(t)
	diane, carl := b.newUser(), b.newUser()
	wide, text := b.token(diane, "")

	me := func(secret string) int {
		return b.send("GET", "/users/me", "", "Authorization", "Bearer "+secret).Status
	}
	if got := me(text); got != 200 {
		t.Fatalf("GET /users/me with the token = %d, want 200", got)
	}
	if got := b.send("GET", "/users/me", "", "Authorization", basic("anything", text)).Status; got != 200 {
		t.Errorf("the token as a Basic password = %d, want 200", got)
	}

	if a := b.as(
		diane, "GET", "/users/me/tokens", "",
	); strings.Contains(a.Body, text) || !strings.Contains(a.Body, wide) {
		t.Errorf("tokens = %s, want the accessor and no secret", a.Body)
	}

	if a := b.as(carl, "GET", "/users/me/tokens", ""); strings.TrimSpace(a.Body) != "[]" {
		t.Errorf("tokens of carl = %s, want []", a.Body)
	}

	counted, secret := b.token(
		diane,
		`,"max_uses":3,"allows":["GET `+prefix+`/users/me","POST `+prefix+
			`/users/me/tokens/*"],"networks":["127.0.0.0/8","::1"],"scopes":["a"]`,
	)

	bearer := []string{"Authorization", "Bearer " + secret}
	want(t, "a narrow token within its limits", b.send("GET", "/users/me", "", bearer...), 200)
	want(t, "a narrow token beyond its limits", b.send("GET", "/users/me/tokens", "", bearer...), 403)
	want(t, "a token that rotates a wider one", b.send("POST", "/users/me/tokens/"+wide+"/rotate", "", bearer...), 403)

	proof := `"current_password":"` + right + `"`

	rotated := decode[struct{ Token string }](
		t,
		want(
			t, "a token that rotates itself",
			b.send("POST", "/users/me/tokens/"+counted+"/rotate", "{"+proof+"}", bearer...), 200,
		),
	).Token
	if me(secret) != 401 || rotated == secret || me(rotated) == 401 || me(rotated) != 403 {
		t.Error("the old secret is accepted, the new one is not, or its uses were given back")
	}

	child := func(more string) jetontest.Answer {
		body := fmt.Sprintf(
			`{"name":"child","expires_at":%q,%s%s}`,
			time.Now().Add(30*time.Minute).UTC().Format(time.RFC3339), proof, more,
		)

		return b.send("POST", "/users/me/tokens", body, "Authorization", "Bearer "+text)
	}

	made := decode[struct{ Token string }](
		t,
		want(t, "a token creates a narrower one", child(`,"max_uses":5`), 201),
	).Token

	want(t, "a token with scopes that it lacks", child(`,"scopes":["a"]`), 403)
	want(t, "an unknown service", child(`,"services":["elsewhere"]`), 400)
	want(t, "an invalid rule", child(`,"allows":["x"]`), 400)
	want(t, "an invalid network", child(`,"networks":["x"]`), 400)

	want(t, "a token without expires_at", b.as(diane, "POST", "/users/me/tokens", `{"name":"x"}`), 400)

	want(
		t,
		"a token for another user",
		b.as(
			carl, "POST", "/users/me/tokens",
			`{"name":"x","user":"`+diane.Name+`","expires_at":"2099-01-01T00:00:00Z"}`,
		),
		400,
	)

	want(t, "revoke a token of another user", b.as(carl, "DELETE", "/users/me/tokens/"+wide, ""), 404)
	want(t, "rotate a token of another user", b.as(carl, "POST", "/users/me/tokens/"+wide+"/rotate", ""), 404)

	if me(made) != 200 || me(text) != 200 {
		t.Fatal("a token is refused before it is revoked")
	}

	want(t, "revoke", b.as(diane, "DELETE", "/users/me/tokens/"+wide, ""), 204)
	if me(text) != 401 || me(made) != 401 {
		t.Error("a revoked token or its child is accepted")
	}

	want(t, "revoke again", b.as(diane, "DELETE", "/users/me/tokens/"+wide, ""), 404)
}

// TestClientsAsAdmins checks what clients of users_api.clients may do.
func TestClientsAsAdmins(t *testing.T) {
	b := start(t)
	bearer := []string{"Authorization", "Bearer " + b.Token(b.AddClient("provisioner", "portal"))}

	a := want(
		t, "create",
		b.send("POST", "/users", `{"email":"New@example.org","password":"`+right+`","groups":["staff"]}`, bearer...),
		201,
	)

	u := decode[jeton.User](t, a)
	if u.Name != "New@example.org" || a.Header.Get("Location") != prefix+"/users/"+u.ID {
		t.Errorf("POST /users = %+v at %s, want New@example.org at its id", u, a.Header.Get("Location"))
	}

	want(t, "read", b.send("GET", "/users/"+strings.ToUpper(u.ID), "", bearer...), 200)
	want(t, "update", b.send("PUT", "/users/"+u.ID, `{"disabled":true}`, bearer...), 200)
	want(t, "read itself as a user", b.send("GET", "/users/me", "", bearer...), 403)
	want(t, "remove", b.send("DELETE", "/users/"+u.ID, "", bearer...), 204)
	want(t, "read it again", b.send("GET", "/users/"+u.ID, "", bearer...), 404)
}

// TestOtherOrigins checks that a page of another site changes nothing with credentials that browsers attach.
func TestOtherOrigins(t *testing.T) {
	b := start(t)
	diane := b.newUser()
	_, secret := b.token(diane, "")
	for _, tc := range []struct {
		name   string
		header []string
		status int
	}{
		{"a session from another site", []string{"Cookie", diane.cookie, "Sec-Fetch-Site", "cross-site"}, 403},
		{
			"a session from another origin of the site",
			[]string{"Cookie", diane.cookie, "Sec-Fetch-Site", "same-site"},
			403,
		},
		{
			"a session from another origin, an old browser",
			[]string{"Cookie", diane.cookie, "Origin", "https://evil.example"},
			403,
		},
		{"a password from another site", []string{"Authorization", diane.basic, "Sec-Fetch-Site", "cross-site"}, 403},
		{
			"a token from another site",
			[]string{"Authorization", "Bearer " + secret, "Sec-Fetch-Site", "cross-site"},
			200,
		},
		{"a session from its own page", []string{"Cookie", diane.cookie, "Sec-Fetch-Site", "same-origin"}, 200},
		{"a session and no browser", []string{"Cookie", diane.cookie}, 200},
	} {
		want(t, tc.name, b.send("PUT", "/users/me", `{"first_name":"x"}`, tc.header...), tc.status)
	}

	login := `{"name":"` + diane.Name + `","password":"` + right + `"}`
	want(
		t, "a login from another site",
		b.send("POST", "/auth_session/login", login, "Sec-Fetch-Site", "cross-site"), 403,
	)

	want(
		t, "a logout from another site",
		b.send("DELETE", "/auth_session", "", "Cookie", diane.cookie, "Sec-Fetch-Site", "cross-site"), 403,
	)

	want(t, "the session is still valid", b.as(diane, "GET", "/users/me", ""), 200)
}

// TestLoginDoesNotRevealUsers checks that all failed logins look alike.
func TestLoginDoesNotRevealUsers(t *testing.T) {
	b := start(t)
	diane := b.newUser()

	strip := func(body string) string {
		a := b.send("POST", "/auth_session/login", body)
		a.Header.Del("Date")
		text := strings.ReplaceAll(a.Body, a.Request(), "ID")
		a.Header.Del("X-Request-Id")
		return fmt.Sprint(a.Status, a.Header, text)
	}

	wanted := strip(`{"email":"` + diane.Email + `","password":"wrong"}`)
	for _, body := range []string{
		`{"email":"unknown@example.org","password":"wrong"}`,
		`{"email":"no address","password":"wrong"}`,
		`{"name":"unknown","password":"wrong"}`,
		`{"name":"` + diane.Name + `","password":"wrong"}`,
	} {
		got := strip(body)
		if got != wanted {
			t.Errorf("login with %s =\n%s, want\n%s", body, got, wanted)
		}
	}
}

// TestAnAddressIsNotAName checks that a user with the name of another as email address does not log in as the other,
// whichever was cached first.
func TestAnAddressIsNotAName(t *testing.T) {
	s := jetontest.Start(t, usersConf+`
  - {name: old, listen: "localhost:0", users_api: {classic: {auth: basic_auth}}}
`)

	b := &site{Server: s, t: t, client: s.Client()}
	admin := b.newUser("admin")
	const name = "anna@example.org"

	anna := decode[jeton.User](
		t,
		want(t, "anna", b.as(admin, "POST", "/users", `{"name":"`+name+`","password":"`+right+`"}`), 201),
	)

	eve := decode[jeton.User](
		t,
		want(
			t, "eve",
			b.as(admin, "POST", "/users", `{"name":"eve","email":"`+name+`","password":"the password of eve"}`),
			201,
		),
	)

	login := decode[jeton.User](
		t,
		b.send("POST", "/auth_session/login", `{"email":"`+name+`","password":"the password of eve"}`),
	)
	if login.ID != eve.ID {
		t.Errorf("login by address = %s, want eve", login.Name)
	}

	want(
		t, "Basic is by name here",
		b.send("GET", "/users/me", "", "Authorization", basic(name, "the password of eve")), 401,
	)

	me := decode[jeton.User](t, b.send("GET", "/users/me", "", "Authorization", basic(name, right)))
	if me.ID != anna.ID {
		t.Errorf("Basic by name = %s, want anna", me.Name)
	}

	// Another service of the same server takes addresses.
	ask := func(service string) jetontest.Answer {
		return b.Send(
			b.client, "GET", b.URL(service)+prefix+"/users/me", "",
			"Authorization", basic(name, "the password of eve"),
		)
	}

	a := ask("old")
	if a.Status != 200 || !strings.Contains(a.Body, eve.ID) {
		t.Errorf("Basic by address = %d %s, want eve", a.Status, a.Body)
	}

	want(t, "Basic by name, after it was cached by address", ask("portal"), 401)
}

// TestOneAddressOneWins creates users with one address at the same time.
func TestOneAddressOneWins(t *testing.T) {
	b := start(t)
	admin := b.newUser("admin")
	var created, refused atomic.Int64
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			email := "one@example.org"
			if i%2 == 0 {
				email = "ONE@example.org"
			}

			a := b.as(
				admin, "POST", "/users",
				fmt.Sprintf(`{"name":"n%d","email":%q,"password":"`+right+`"}`, i, email),
			)

			switch a.Status {
			case 201:
				created.Add(1)
			case 409:
				refused.Add(1)
			default:
				t.Errorf("POST /users = %d %s, want 201 or 409", a.Status, a.Body)
			}
		})
	}

	if wg.Wait(); created.Load() != 1 || refused.Load() != 7 {
		t.Errorf("%d created and %d refused, want 1 and 7", created.Load(), refused.Load())
	}
}

// TestCursors checks that only cursors of this server and this search are accepted.
func TestCursors(t *testing.T) {
	b := start(t)
	admin := b.newUser("admin")

	for range 5 {
		b.newUser()
	}

	next := follow(t, b.as(admin, "GET", "/users?limit=2&search=p", ""))
	want(t, "the next page", b.as(admin, "GET", next, ""), 200)
	u, err := url.Parse(next)
	if err != nil {
		t.Fatal(err)
	}

	cursor := u.Query().Get("cursor")
	if raw, err := base64.RawURLEncoding.DecodeString(cursor); err != nil || len(raw) != 24 {
		t.Fatalf("cursor = %q, want 24 bytes in base64url", cursor)
	}

	with := func(cursor, search string) string {
		return "/users?" + url.Values{"cursor": {cursor}, "search": {search}}.Encode()
	}

	want(t, "the unchanged cursor", b.as(admin, "GET", with(cursor, "p"), ""), 200)
	want(t, "of another search", b.as(admin, "GET", with(cursor, "q"), ""), 400)
	want(t, "of no search", b.as(admin, "GET", with(cursor, ""), ""), 400)
	raw, _ := base64.RawURLEncoding.DecodeString(cursor)
	for i := range raw {
		forged := append([]byte{}, raw...)
		forged[i] ^= 1
		want(
			t, fmt.Sprintf("with byte %d changed", i),
			b.as(admin, "GET", with(base64.RawURLEncoding.EncodeToString(forged), "p"), ""), 400,
		)
	}

	for _, forged := range []string{
		"1",
		"AAAAAAAAAAE",
		cursor + "A",
		cursor[1:],
		cursor + "=",
		" " + cursor,
		"' OR 1=1",
		strings.Repeat("A", 10000),
	} {
		want(t, "cursor "+forged[:min(len(forged), 20)], b.as(admin, "GET", with(forged, "p"), ""), 400)
	}

	for _, limit := range []string{"0", "-1", "1001", "x", "1e3", "99999999999999999999"} {
		want(t, "limit "+limit, b.as(admin, "GET", "/users?limit="+limit, ""), 400)
	}
}

// follow returns the address of the next page, under the prefix, or "".
func follow(t *testing.T, a jetontest.Answer) string {
	t.Helper()
	want(t, "a page", a, 200)
	link, _, ok := strings.Cut(strings.TrimPrefix(a.Header.Get("Link"), "<"+prefix), `>; rel="next"`)
	if !ok {
		return ""
	}

	return link
}

// TestTenThousandUsers lists ten thousand users, page by page.
func TestTenThousandUsers(t *testing.T) {
	many, wantPages := 10_000, 11
	if testing.Short() {
		many, wantPages = 1_000, 2
	}

	dir := t.TempDir()
	fill(t, filepath.Join(dir, "jeton.db"), many)
	b := start(t, jetontest.DataDir(dir))
	admin := b.newUser("admin")
	if a := b.as(admin, "GET", "/stats", ""); strings.TrimSpace(a.Body) != fmt.Sprintf(`{"users":%d}`, many+2) {
		t.Fatalf("GET /stats = %s, want %d users", a.Body, many+2)
	}

	seen := map[string]bool{}
	pages := 0

	for path := "/users?limit=999"; path != ""; pages++ {
		a := b.as(admin, "GET", path, "")
		for _, u := range decode[[]jeton.User](t, a) {
			if seen[u.ID] {
				t.Fatalf("%s is listed twice", u.Name)
			}
			seen[u.ID] = true
		}

		path = follow(t, a)
	}

	if len(seen) != many+2 || pages != wantPages {
		t.Errorf("%d users on %d pages, want %d on %d", len(seen), pages, many+2, wantPages)
	}

	if list := decode[[]jeton.User](
		t,
		b.as(admin, "GET", "/users?search=NUMBER+777+", ""),
	); len(list) != 1 || list[0].Name != "user777" {
		t.Errorf("search = %v, want user777", list)
	}

	if list := decode[[]jeton.User](t, b.as(admin, "GET", "/users", "")); len(list) != 100 {
		t.Errorf("a page without limit has %d users, want 100", len(list))
	}
}

// fill puts users into a store, many at a time because they share commits.
func fill(t *testing.T, path string, many int) {
	t.Helper()
	db, err := sqlite.Open(t.Context(), sqlite.Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}

	var wg sync.WaitGroup
	const workers = 20
	for w := range workers {
		wg.Go(func() {
			for i := w; i < many; i += workers {
				name := fmt.Sprintf("user%d", i)
				a := account.Account{
					UUID:    fmt.Sprintf("00000000-0000-4000-8000-%012d", i),
					Name:    name,
					Folded:  name,
					Version: 1,
					Profile: account.Profile{First: fmt.Sprintf("Number %d of many", i)},
				}

				err := db.AddUser(t.Context(), a, jeton.Event{Action: "user.add"})
				for errors.Is(err, jeton.ErrUnavailable) { // a busy disk
					if err = db.AddUser(t.Context(), a, jeton.Event{
						Action: "user.add",
					}); errors.Is(err, jeton.ErrConflict) {
						err = nil // the first try was committed
					}
				}

				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}

	wg.Wait()
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// The users API reads a login and challenges a caller as the gateway does.
func TestLoginAndChallengeAreThoseOfTheGateway(t *testing.T) {
	b := start(t)
	p := b.newUser()

	twice := `{"name":"` + p.Name + `","password":"x","password":"` + right + `"}`
	want(t, "a login with two passwords", b.send("POST", "/auth_session/login", twice), 400)
	twice = `{"name":"` + p.Name + `","password":"` + right + `","a":1,"a":2}`
	want(t, "a login with another member twice", b.send("POST", "/auth_session/login", twice), 400)

	twice = `{"first_name":"A","first_name":"B"}`
	want(t, "a change with a member twice", b.as(p, "PUT", "/users/me", twice), 400)

	a := want(t, "an invalid token", b.send("GET", "/users/me", "", "Authorization", "Bearer jtn_p_x"), 401)
	got := strings.Join(a.Header["Www-Authenticate"], " | ")
	if !strings.Contains(got, `Bearer realm="portal", error="invalid_token"`) {
		t.Errorf("the challenge for an invalid token is %s, want error=\"invalid_token\"", got)
	}
}
