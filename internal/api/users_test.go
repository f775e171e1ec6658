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

// TestNobodyGivesThemselvesMore sends members that are not the caller's to set.
func TestNobodyGivesThemselvesMore(t *testing.T) {
	b := newBench(t)
	admin, diane := b.person("admin"), b.person("staff")
	mine := "/users/" + diane.ID
	for _, tc := range []struct {
		name, path, body string
		who              someone
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
		{"an id of somebody else, an admin", mine, `{"id":"x"}`, admin, 400},
		{"an id of somebody new", "", `{"id":"x","email":"x@example.org","password":"` + right + `"}`, admin, 400},
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
		t.Errorf("afterwards diane is %+v, was %+v", now, diane.User)
	}

	a := want(t, "an admin sets groups of others", b.as(admin, "PUT", mine, `{"groups":["red"],"disabled":true}`), 200)
	u := decode[jeton.User](t, a)
	if fmt.Sprint(u.Groups) != "[red]" || !u.Disabled {
		t.Errorf("afterwards diane is %+v", u)
	}

	want(t, "diane is disabled", b.as(diane, "GET", "/users/me", ""), 401)
}

func TestDeclaredPeopleAreChangedInTheFile(t *testing.T) {
	b := newBench(t)
	admin := b.person("admin")
	login := want(
		t,
		"declared people log in by address",
		b.ask("POST", "/auth_session/login", `{"email":"DECLARED@example.org","password":"alice_pw"}`),
		200,
	)
	u := decode[jeton.User](t, login)
	if u.Name != "declared" || u.First != "Dee" || !u.Declared {
		t.Errorf("declared is %+v", u)
	}

	for who, cookie := range map[string]string{"themselves": login.Cookies(), "an admin": admin.cookie} {
		want(t, "PUT by "+who, b.ask("PUT", "/users/"+u.ID, `{"first_name":"x"}`, "Cookie", cookie), 409)
	}

	want(t, "PUT me", b.ask("PUT", "/users/me", `{"first_name":"x"}`, "Cookie", login.Cookies()), 409)
	a := want(t, "DELETE", b.as(admin, "DELETE", "/users/"+u.ID, ""), 409)
	if a.Code() != "declared" {
		t.Errorf("DELETE: %s", a.Code())
	}
}

// TestPassword checks that a password is changed by who knows it, and what ends with it.
func TestPassword(t *testing.T) {
	b := newBench(t)
	admin, diane := b.person("admin"), b.person()
	const other = "another good password"
	for _, tc := range []struct {
		name, body string
		status     int
	}{
		{"without the one of now", `{"password":"` + other + `"}`, 400},
		{"with a wrong one", `{"password":"` + other + `","current_password":"wrong"}`, 403},
		{"with an empty one", `{"password":"` + other + `","current_password":""}`, 403},
		{"to one that is too short", `{"password":"short","current_password":"` + right + `"}`, 400},
	} {
		for _, path := range []string{"/users/me", "/users/" + diane.ID} {
			want(t, tc.name, b.as(diane, "PUT", path, tc.body), tc.status)
		}
	}

	want(t, "the session is still good", b.as(diane, "GET", "/users/me", ""), 200)
	want(
		t,
		"with the one of now",
		b.as(diane, "PUT", "/users/me", `{"password":"`+other+`","current_password":"`+right+`"}`),
		200,
	)
	want(t, "the session has ended", b.as(diane, "GET", "/users/me", ""), 401)
	want(t, "the old password", b.ask("GET", "/users/me", "", "Authorization", diane.basic), 401)
	want(t, "the new password", b.ask("GET", "/users/me", "", "Authorization", basic(diane.Name, other)), 200)

	want(t, "an admin sets one of others", b.as(admin, "PUT", "/users/"+diane.ID, `{"password":"`+right+`"}`), 200)
	want(t, "the password that an admin set", b.ask("GET", "/users/me", "", "Authorization", diane.basic), 200)
	want(
		t,
		"an admin sets their own without the one of now",
		b.as(admin, "PUT", "/users/"+admin.ID, `{"password":"`+other+`"}`),
		400,
	)
}

func basic(name, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(name+":"+password))
}

// TestGuessingThePasswordOfNow checks that a stolen session cannot be made the account by
// trying passwords.
func TestGuessingThePasswordOfNow(t *testing.T) {
	s := jetontest.Start(t, strings.Replace(usersConf, "pair_burst: 1000000", "pair_burst: 3", 1))
	b := &bench{Server: s, t: t, client: s.Client()}
	diane := b.person()
	var last jetontest.Answer
	for i := range 5 {
		last = b.as(
			diane,
			"PUT",
			"/users/me",
			fmt.Sprintf(`{"password":"another good password","current_password":"guess %d"}`, i),
		)
	}

	if last.Status != http.StatusTooManyRequests || last.Header.Get("Retry-After") == "" {
		t.Errorf("the fifth guess: %d %s, want 429", last.Status, last.Body)
	}
}

func TestIfMatch(t *testing.T) {
	b := newBench(t)
	admin, diane := b.person("admin"), b.person()
	path := "/users/" + diane.ID
	first := b.as(diane, "GET", "/users/me", "").Header.Get("ETag")
	byID := b.as(admin, "GET", path, "").Header.Get("ETag")
	if first == "" || byID != first {
		t.Fatalf("the tags are %q and %q", first, byID)
	}

	a := want(
		t,
		"with the tag of now",
		b.ask("PUT", path, `{"first_name":"One"}`, "Cookie", admin.cookie, "If-Match", first),
		200,
	)
	second := a.Header.Get("ETag")
	if second == first {
		t.Error("the tag stays the same")
	}

	for name, tag := range map[string]string{
		"with the tag of before": first,
		"with a tag of nothing":  `"x"`,
		"with a weak tag":        "W/" + second,
	} {
		a := want(t, name, b.ask("PUT", path, `{"first_name":"Two"}`, "Cookie", diane.cookie, "If-Match", tag), 412)
		if a.Code() != "changed" {
			t.Errorf("%s: %s", name, a.Code())
		}
		want(t, name+", removal", b.ask("DELETE", path, "", "Cookie", admin.cookie, "If-Match", tag), 412)
	}

	want(
		t,
		"with one of several",
		b.ask("PUT", path, `{"first_name":"Two"}`, "Cookie", diane.cookie, "If-Match", `"x", `+second),
		200,
	)
	want(t, "with any", b.ask("PUT", path, `{"first_name":"Three"}`, "Cookie", diane.cookie, "If-Match", "*"), 200)
}

// TestSessions checks what people see and end of their sessions.
func TestSessions(t *testing.T) {
	b := newBench(t)
	diane, carl := b.person(), b.person()

	again := func() string {
		return b.ask("POST", "/auth_session/login", `{"name":"`+diane.Name+`","password":"`+right+`"}`).Cookies()
	}

	second, third := again(), again()
	type shown struct {
		ID      string
		User    string
		Current bool
	}

	list := decode[[]shown](t, b.as(diane, "GET", "/users/me/sessions", ""))
	if len(list) != 3 || !list[2].Current || list[0].Current || list[1].Current || list[0].User != diane.Name {
		t.Fatalf("the sessions are %+v", list)
	}

	want(t, "end one", b.as(diane, "DELETE", "/users/me/sessions/"+list[1].ID, ""), 204)
	want(t, "it has ended", b.ask("GET", "/users/me", "", "Cookie", second), 401)
	want(t, "end it again", b.as(diane, "DELETE", "/users/me/sessions/"+list[1].ID, ""), 404)
	want(t, "end another's", b.as(carl, "DELETE", "/users/me/sessions/"+list[0].ID, ""), 404)
	want(t, "it is still good", b.ask("GET", "/users/me", "", "Cookie", third), 200)

	want(t, "end all others", b.as(diane, "DELETE", "/users/me/sessions", ""), 204)
	want(t, "another has ended", b.ask("GET", "/users/me", "", "Cookie", third), 401)
	want(t, "mine is still good", b.as(diane, "GET", "/users/me", ""), 200)
	want(t, "carl's is still good", b.as(carl, "GET", "/users/me", ""), 200)
	want(t, "log out", b.as(diane, "POST", "/auth_session/logout", ""), 204)

	want(t, "mine has ended", b.as(diane, "GET", "/users/me", ""), 401)
}

// TestTokens checks what people make, see and end of their tokens.
func TestTokens(t *testing.T) {
	b := newBench(t)
	diane, carl := b.person(), b.person()
	wide, text := b.token(diane, "")

	me := func(secret string) int {
		return b.ask("GET", "/users/me", "", "Authorization", "Bearer "+secret).Status
	}
	if got := me(text); got != 200 {
		t.Fatalf("the token is good for %d", got)
	}
	if got := b.ask("GET", "/users/me", "", "Authorization", basic("anything", text)).Status; got != 200 {
		t.Errorf("as the password of Basic: %d", got)
	}

	if a := b.as(
		diane,
		"GET",
		"/users/me/tokens",
		"",
	); strings.Contains(a.Body, text) || !strings.Contains(a.Body, wide) {
		t.Errorf("the list is %s, want accessors and no secret", a.Body)
	}
	if a := b.as(carl, "GET", "/users/me/tokens", ""); strings.TrimSpace(a.Body) != "[]" {
		t.Errorf("carl sees %s", a.Body)
	}

	counted, secret := b.token(
		diane,
		`,"max_uses":3,"allows":["GET `+prefix+`/users/me","POST `+prefix+
			`/users/me/tokens/*"],"networks":["127.0.0.0/8","::1"],"scopes":["a"]`,
	)
	bearer := []string{"Authorization", "Bearer " + secret}
	want(t, "a narrow token where it is good", b.ask("GET", "/users/me", "", bearer...), 200)
	want(t, "a narrow token elsewhere", b.ask("GET", "/users/me/tokens", "", bearer...), 403)
	want(t, "a token that rotates a wider one", b.ask("POST", "/users/me/tokens/"+wide+"/rotate", "", bearer...), 403)

	rotated := decode[struct{ Token string }](
		t,
		want(
			t,
			"a token that rotates itself",
			b.ask("POST", "/users/me/tokens/"+counted+"/rotate", "", bearer...),
			200,
		),
	).Token
	if me(secret) != 401 || rotated == secret || me(rotated) == 401 || me(rotated) != 403 {
		t.Error("the old secret is good, the new one is not, or its uses were given back")
	}

	child := func(more string) jetontest.Answer {
		body := fmt.Sprintf(
			`{"name":"child","expires_at":%q%s}`,
			time.Now().Add(30*time.Minute).UTC().Format(time.RFC3339),
			more,
		)
		return b.ask("POST", "/users/me/tokens", body, "Authorization", "Bearer "+text)
	}

	made := decode[struct{ Token string }](
		t,
		want(t, "a token makes a narrower one", child(`,"max_uses":5`), 201),
	).Token
	want(t, "a token with scopes that it lacks", child(`,"scopes":["a"]`), 403)
	want(t, "a service that there is not", child(`,"services":["elsewhere"]`), 400)
	want(t, "a rule that is none", child(`,"allows":["x"]`), 400)
	want(t, "a network that is none", child(`,"networks":["x"]`), 400)

	want(t, "a token without an end", b.as(diane, "POST", "/users/me/tokens", `{"name":"x"}`), 400)
	want(
		t,
		"a token of somebody else",
		b.as(
			carl,
			"POST",
			"/users/me/tokens",
			`{"name":"x","user":"`+diane.Name+`","expires_at":"2099-01-01T00:00:00Z"}`,
		),
		400,
	)
	want(t, "revoke another's", b.as(carl, "DELETE", "/users/me/tokens/"+wide, ""), 404)
	want(t, "rotate another's", b.as(carl, "POST", "/users/me/tokens/"+wide+"/rotate", ""), 404)

	if me(made) != 200 || me(text) != 200 {
		t.Fatal("a token is not good any more")
	}

	want(t, "revoke", b.as(diane, "DELETE", "/users/me/tokens/"+wide, ""), 204)
	if me(text) != 401 || me(made) != 401 {
		t.Error("a revoked token, or what was made of it, is still good")
	}

	want(t, "revoke again", b.as(diane, "DELETE", "/users/me/tokens/"+wide, ""), 404)
}

// TestClientsThatManage checks what a client is let do that the configuration names, and
// that others are not.
func TestClientsThatManage(t *testing.T) {
	b := newBench(t)
	bearer := []string{"Authorization", "Bearer " + b.Token(b.AddClient("provisioner", "people"))}
	a := want(
		t,
		"create",
		b.ask("POST", "/users", `{"email":"New@example.org","password":"`+right+`","groups":["staff"]}`, bearer...),
		201,
	)
	u := decode[jeton.User](t, a)
	if u.Name != "New@example.org" || a.Header.Get("Location") != prefix+"/users/"+u.ID {
		t.Errorf("created %+v at %s", u, a.Header.Get("Location"))
	}

	want(t, "read", b.ask("GET", "/users/"+strings.ToUpper(u.ID), "", bearer...), 200)
	want(t, "update", b.ask("PUT", "/users/"+u.ID, `{"disabled":true}`, bearer...), 200)
	want(t, "be somebody", b.ask("GET", "/users/me", "", bearer...), 403)
	want(t, "remove", b.ask("DELETE", "/users/"+u.ID, "", bearer...), 204)
	want(t, "it is gone", b.ask("GET", "/users/"+u.ID, "", bearer...), 404)
}

// TestOtherOrigins checks that a page of another site changes nothing with what a browser
// shows by itself.
func TestOtherOrigins(t *testing.T) {
	b := newBench(t)
	diane := b.person()
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
		want(t, tc.name, b.ask("PUT", "/users/me", `{"first_name":"x"}`, tc.header...), tc.status)
	}

	login := `{"name":"` + diane.Name + `","password":"` + right + `"}`
	want(
		t,
		"a login from another site",
		b.ask("POST", "/auth_session/login", login, "Sec-Fetch-Site", "cross-site"),
		403,
	)
	want(
		t,
		"a logout from another site",
		b.ask("DELETE", "/auth_session", "", "Cookie", diane.cookie, "Sec-Fetch-Site", "cross-site"),
		403,
	)
	want(t, "the session is still good", b.as(diane, "GET", "/users/me", ""), 200)
}

// TestLoginTellsNothing checks that a stranger does not learn who exists.
func TestLoginTellsNothing(t *testing.T) {
	b := newBench(t)
	diane := b.person()

	strip := func(body string) string {
		a := b.ask("POST", "/auth_session/login", body)
		a.Header.Del("Date")
		text := strings.ReplaceAll(a.Body, a.Request(), "ID")
		a.Header.Del("X-Request-Id")
		return fmt.Sprint(a.Status, a.Header, text)
	}

	wanted := strip(`{"email":"` + diane.Email + `","password":"wrong"}`)
	for _, body := range []string{
		`{"email":"nobody@example.org","password":"wrong"}`,
		`{"email":"no address","password":"wrong"}`,
		`{"name":"nobody","password":"wrong"}`,
		`{"name":"` + diane.Name + `","password":"wrong"}`,
	} {
		got := strip(body)
		if got != wanted {
			t.Errorf("%s is answered\n%s, want\n%s", body, got, wanted)
		}
	}
}

// TestAnAddressIsNotAName checks that nobody comes in as another by taking their name for
// an address, in whatever order the two are remembered.
func TestAnAddressIsNotAName(t *testing.T) {
	s := jetontest.Start(t, usersConf+`
  - {name: old, listen: "localhost:0", users_api: {classic: {auth: basic_auth}}}
`)

	b := &bench{Server: s, t: t, client: s.Client()}
	admin := b.person("admin")
	const name = "anna@example.org"
	anna := decode[jeton.User](
		t,
		want(t, "anna", b.as(admin, "POST", "/users", `{"name":"`+name+`","password":"`+right+`"}`), 201),
	)
	eve := decode[jeton.User](
		t,
		want(
			t,
			"eve",
			b.as(admin, "POST", "/users", `{"name":"eve","email":"`+name+`","password":"the password of eve"}`),
			201,
		),
	)

	login := decode[jeton.User](
		t,
		b.ask("POST", "/auth_session/login", `{"email":"`+name+`","password":"the password of eve"}`),
	)
	if login.ID != eve.ID {
		t.Errorf("by address comes %s", login.Name)
	}

	want(
		t,
		"Basic is by name here",
		b.ask("GET", "/users/me", "", "Authorization", basic(name, "the password of eve")),
		401,
	)
	me := decode[jeton.User](t, b.ask("GET", "/users/me", "", "Authorization", basic(name, right)))
	if me.ID != anna.ID {
		t.Errorf("by name comes %s", me.Name)
	}

	// Another service of the same server takes addresses.
	ask := func(service string) jetontest.Answer {
		return b.Send(
			b.client,
			"GET",
			b.URL(service)+prefix+"/users/me",
			"",
			"Authorization",
			basic(name, "the password of eve"),
		)
	}

	a := ask("old")
	if a.Status != 200 || !strings.Contains(a.Body, eve.ID) {
		t.Errorf("Basic by address: %d %s", a.Status, a.Body)
	}

	want(t, "Basic by name, after it was remembered by address", ask("people"), 401)
}

// TestOneAddressOneWins has many create a user of one address at the same time.
func TestOneAddressOneWins(t *testing.T) {
	b := newBench(t)
	admin := b.person("admin")
	var made, refused atomic.Int64
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			email := "one@example.org"
			if i%2 == 0 {
				email = "ONE@example.org"
			}

			a := b.as(
				admin,
				"POST",
				"/users",
				fmt.Sprintf(`{"name":"n%d","email":%q,"password":"`+right+`"}`, i, email),
			)
			switch a.Status {
			case 201:
				made.Add(1)
			case 409:
				refused.Add(1)
			default:
				t.Errorf("%d %s", a.Status, a.Body)
			}
		})
	}

	if wg.Wait(); made.Load() != 1 || refused.Load() != 7 {
		t.Errorf("%d were made and %d refused, want 1 and 7", made.Load(), refused.Load())
	}
}

// TestCursors checks that a cursor is one that we made, for this search.
func TestCursors(t *testing.T) {
	b := newBench(t)
	admin := b.person("admin")

	for range 5 {
		b.person()
	}

	next := follow(t, b.as(admin, "GET", "/users?limit=2&search=p", ""))
	want(t, "the next page", b.as(admin, "GET", next, ""), 200)
	u, err := url.Parse(next)
	if err != nil {
		t.Fatal(err)
	}

	cursor := u.Query().Get("cursor")
	if raw, err := base64.RawURLEncoding.DecodeString(cursor); err != nil || len(raw) != 24 {
		t.Fatalf("the cursor is %q", cursor)
	}

	with := func(cursor, search string) string {
		return "/users?" + url.Values{"cursor": {cursor}, "search": {search}}.Encode()
	}

	want(t, "the cursor as it is", b.as(admin, "GET", with(cursor, "p"), ""), 200)
	want(t, "of another search", b.as(admin, "GET", with(cursor, "q"), ""), 400)
	want(t, "of no search", b.as(admin, "GET", with(cursor, ""), ""), 400)
	raw, _ := base64.RawURLEncoding.DecodeString(cursor)
	for i := range raw {
		forged := append([]byte{}, raw...)
		forged[i] ^= 1
		want(
			t,
			fmt.Sprintf("with byte %d changed", i),
			b.as(admin, "GET", with(base64.RawURLEncoding.EncodeToString(forged), "p"), ""),
			400,
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

// TestTenThousandUsers goes through ten thousand users, page by page.
func TestTenThousandUsers(t *testing.T) {
	many, wantPages := 10_000, 11
	if raceDetector {
		many, wantPages = 1_000, 2
	}

	dir := t.TempDir()
	fill(t, filepath.Join(dir, "jeton.db"), many)
	b := newBench(t, jetontest.DataDir(dir))
	admin := b.person("admin")
	if a := b.as(admin, "GET", "/stats", ""); strings.TrimSpace(a.Body) != fmt.Sprintf(`{"users":%d}`, many+2) {
		t.Fatalf("stats: %s", a.Body)
	}

	seen := map[string]bool{}
	pages := 0

	for path := "/users?limit=999"; path != ""; pages++ {
		a := b.as(admin, "GET", path, "")
		for _, u := range decode[[]jeton.User](t, a) {
			if seen[u.ID] {
				t.Fatalf("%s comes twice", u.Name)
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
		t.Errorf("a search finds %v", list)
	}
	if list := decode[[]jeton.User](t, b.as(admin, "GET", "/users", "")); len(list) != 100 {
		t.Errorf("a page has %d users when nobody says how many", len(list))
	}
}

// fill puts users into a store, as many at a time as share a commit.
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
						err = nil // it was done, and nobody heard
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
	b := newBench(t)
	p := b.person()

	twice := `{"name":"` + p.Name + `","password":"x","password":"` + right + `"}`
	want(t, "a login with two passwords", b.ask("POST", "/auth_session/login", twice), 400)
	twice = `{"name":"` + p.Name + `","password":"` + right + `","a":1,"a":2}`
	want(t, "a login with another member twice", b.ask("POST", "/auth_session/login", twice), 400)
	twice = `{"first_name":"A","first_name":"B"}`
	want(t, "a change with a member twice", b.as(p, "PUT", "/users/me", twice), 400)

	a := want(t, "an invalid token", b.ask("GET", "/users/me", "", "Authorization", "Bearer jtn_p_x"), 401)
	got := strings.Join(a.Header["Www-Authenticate"], " | ")
	if !strings.Contains(got, `Bearer realm="people", error="invalid_token"`) {
		t.Errorf("the challenge for an invalid token is %s, want error=\"invalid_token\"", got)
	}
}
