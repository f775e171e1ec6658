package api_test

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/api"
	"github.com/jeton-auth/jeton/jetontest"
)

// startClock starts a server whose clock is ahead by the returned number of nanoseconds.
func startClock(t *testing.T) (*site, *atomic.Int64) {
	t.Helper()
	var ahead atomic.Int64
	now := func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }

	return start(t, jetontest.Clock(now)), &ahead
}

func TestCredentialsNeedRecentProof(t *testing.T) {
	b, ahead := startClock(t)
	requests := []struct {
		name, method, path, body string
		always                   bool // a session alone is never enough
	}{
		{"create a token", "POST", "/users/me/tokens", `{"name":"x","expires_at":"EXPIRES"PROOF}`, false},
		{"rotate a token", "POST", "/users/me/tokens/ACCESSOR/rotate", `{"current_password":CURRENT}`, false},
		{"change the address", "PUT", "/users/me", `{"email":"new.NAME@example.org"PROOF}`, true},
		{"change the address by id", "PUT", "/users/ID", `{"email":"other.NAME@example.org"PROOF}`, true},
	}

	for _, tc := range []struct {
		name    string
		by      string // credential
		age     time.Duration
		current string // current_password
		want    int
		code    string
	}{
		{"a login of ten minutes ago", "session", 10*time.Minute - 5*time.Second, "", 200, ""},
		{"an older login", "session", 10*time.Minute + time.Second, "", 403, "recent_proof_required"},
		{"a login in the future", "session", -11 * time.Minute, "", 403, "recent_proof_required"},
		{"an older login and the password", "session", 11 * time.Minute, right, 200, ""},
		{"an older login and a wrong password", "session", 11 * time.Minute, "wrong", 403, "forbidden"},
		{"a new login and a wrong password", "session", 0, "wrong", 403, "forbidden"},
		{"a token", "token", 0, "", 403, "recent_proof_required"},
		{"a token and the password", "token", 11 * time.Minute, right, 200, ""},
		{"a token and a wrong password", "token", 0, "wrong", 403, "forbidden"},
		{"the password with the request", "basic", 11 * time.Minute, "", 200, ""},
	} {
		for _, rq := range requests {
			t.Run(tc.name+": "+rq.name, func(t *testing.T) {
				ahead.Store(0)
				p := b.newUser()
				accessor, secret := b.token(p, "")
				header := map[string][]string{
					"session": {"Cookie", p.cookie},
					"token":   {"Authorization", "Bearer " + secret},
					"basic":   {"Authorization", p.basic},
				}[tc.by]

				proof := ""
				if tc.current != "" {
					proof = fmt.Sprintf(`,"current_password":%q`, tc.current)
				}
				body := rq.body
				if tc.current == "" && strings.HasSuffix(rq.path, "/rotate") {
					body = "" // a request without a body is one without current_password
				}

				fill := strings.NewReplacer(
					"PROOF", proof,
					"CURRENT", fmt.Sprintf("%q", tc.current),
					"EXPIRES", time.Now().Add(30*time.Minute).UTC().Format(time.RFC3339),
					"ACCESSOR", accessor,
					"NAME", p.Name,
					"ID", p.ID,
				)

				status, code := tc.want, tc.code
				if rq.always && tc.by == "session" && tc.current == "" {
					status, code = 403, "recent_proof_required"
				}

				ahead.Store(int64(tc.age))
				a := b.send(rq.method, fill.Replace(rq.path), fill.Replace(body), header...)
				if a.Status/100 != status/100 || a.Code() != code {
					t.Errorf("%d %s, want %d %s", a.Status, a.Body, status, code)
				}
			})
		}
	}
}

func TestUnchangedAddressNeedsNoProof(t *testing.T) {
	b, ahead := startClock(t)
	p := b.newUser()
	ahead.Store(int64(11 * time.Minute))

	want(t, "the same address", b.as(p, "PUT", "/users/me", `{"email":"`+p.Email+`","first_name":"X"}`), 200)
}

// TestNewAddressesAreLimited takes the addresses of strangers, each of whom would get a notice of the next change.
func TestNewAddressesAreLimited(t *testing.T) {
	b, ahead := startClock(t)
	p := b.newUser()
	set := func(i int) int {
		body := fmt.Sprintf(`{"email":"stranger-%d@example.org","current_password":%q}`, i, right)
		return b.as(p, "PUT", "/users/me", body).Status
	}

	for i, want := range []int{200, 200, 200, 429} {
		if got := set(i); got != want {
			t.Errorf("change %d: got %d, want %d", i+1, got, want)
		}
	}

	ahead.Store(int64(11 * time.Minute))
	if got := set(4); got != 200 {
		t.Errorf("after eleven minutes: got %d, want 200", got)
	}
}

func TestNewPasswordEndsTokens(t *testing.T) {
	b := start(t)
	admin := b.newUser("admin")
	self := `{"password":"another right password","current_password":"` + right + `"%s}`

	for _, tc := range []struct {
		name   string
		change func(p testUser) int
		status int
		ends   bool
	}{
		{"a user's own", func(p testUser) int {
			return b.as(p, "PUT", "/users/me", fmt.Sprintf(self, "")).Status
		}, 200, true},
		{"a user's own that keeps the tokens", func(p testUser) int {
			return b.as(p, "PUT", "/users/me", fmt.Sprintf(self, `,"keep_tokens":true`)).Status
		}, 200, false},
		{"an admin's", func(p testUser) int {
			return b.as(admin, "PUT", "/users/"+p.ID, `{"password":"another right password"}`).Status
		}, 200, true},
		{"an admin's that keeps the tokens", func(p testUser) int {
			body := `{"password":"another right password","keep_tokens":true}`
			return b.as(admin, "PUT", "/users/"+p.ID, body).Status
		}, 400, false},
		{"keep_tokens without a password", func(p testUser) int {
			return b.as(p, "PUT", "/users/me", `{"keep_tokens":true}`).Status
		}, 400, false},
		{"an operator's", func(p testUser) int {
			in := api.NewPassword{Password: "another right one"}
			b.MustControl("PUT", "/api/v1/users/"+p.Name+"/password", in, nil)
			return 204
		}, 204, true},
		{"an import's", func(p testUser) int {
			// alice_pw
			const hash = "$argon2id$v=19$m=19456,t=2,p=1$1PCBIeRl9jh5RZ3wuB0tWg" +
				"$Brk0ImOifExtrG14kJBF6YRdJBufVb+vvHzbVfIR/NM"
			var out api.Verdicts
			b.MustControl("POST", "/api/v1/users/import", api.Import{
				Update: true,
				Users:  []api.Moved{{Name: p.Name, Hash: hash}},
			}, &out)

			if out.Verdicts[0].Reason == "" {
				t.Error("the verdict of a changed password has no reason, want what it ended")
			}

			return 200
		}, 200, true},
	} {
		p := b.newUser()
		_, secret := b.token(p, "")
		if got := tc.change(p); got != tc.status {
			t.Errorf("%s: %d, want %d", tc.name, got, tc.status)
		}

		got := b.send("GET", "/users/me", "", "Authorization", "Bearer "+secret).Status
		if ended := got == 401; ended != tc.ends {
			t.Errorf("%s: %d with the token, want it ended: %t", tc.name, got, tc.ends)
		}
	}

	checkPasswordEvents(t, b)
}

func TestTokensOfAUserAreLimited(t *testing.T) {
	b := start(t)
	if err := b.Reload(usersConf + "\npersonal_tokens: {max_per_user: 2}\n"); err != nil {
		t.Fatal(err)
	}

	p, other := b.newUser(), b.newUser()
	accessor, _ := b.token(p, "")
	b.token(p, "")
	b.token(other, "")

	body := `{"name":"third","expires_at":"` + time.Now().Add(time.Hour).UTC().Format(time.RFC3339) + `"}`
	a := want(t, "one token more than permitted", b.as(p, "POST", "/users/me/tokens", body), 403)
	if a.Code() != "tokens_full" {
		t.Errorf("code = %s, want tokens_full", a.Code())
	}

	want(t, "revoke one", b.as(p, "DELETE", "/users/me/tokens/"+accessor, ""), 204)
	want(t, "a token in its place", b.as(p, "POST", "/users/me/tokens", body), 201)
}

// TestListsOfSessionsHavePages follows the header Link, at a service and on the control socket.
func TestListsOfSessionsHavePages(t *testing.T) {
	b := start(t)
	p, other := b.newUser(), b.newUser()
	login := `{"name":"` + p.Name + `","password":"` + right + `"}`
	for range 4 {
		want(t, "a login", b.send("POST", "/auth_session/login", login), 200)
	}

	var got []jeton.Session
	pages := 0
	next := prefix + "/users/me/sessions?limit=2"
	for next != "" {
		a := want(t, "a page", b.as(p, "GET", strings.TrimPrefix(next, prefix), ""), 200)
		got = append(got, decode[[]jeton.Session](t, a)...)
		pages++
		next = nextPage(a)
		if next != "" {
			want(t, "a cursor of another list", b.as(other, "GET", strings.TrimPrefix(next, prefix), ""), 400)
		}
	}

	var all []jeton.Session
	b.MustControl("GET", "/api/v1/sessions?user="+p.Name, nil, &all)
	if pages != 3 || len(got) != 5 || fmt.Sprint(ids(got)) != fmt.Sprint(ids(all)) {
		t.Errorf("%d pages with %v, want 3 with %v", pages, ids(got), ids(all))
	}

	for _, query := range []string{"limit=0", "limit=1001", "limit=x", "cursor=x"} {
		want(t, query, b.as(p, "GET", "/users/me/sessions?"+query, ""), 400)
	}
}

func ids(list []jeton.Session) (ids []string) {
	for _, s := range list {
		ids = append(ids, s.ID)
	}
	return ids
}

// nextPage returns the path in the header Link, or "" on the last page.
func nextPage(a jetontest.Answer) string {
	return strings.TrimSuffix(strings.TrimPrefix(a.Header.Get("Link"), "<"), `>; rel="next"`)
}

func TestListsOfTokensHavePages(t *testing.T) {
	b := start(t)
	p, other := b.newUser(), b.newUser()
	var made []string
	for range 5 {
		accessor, _ := b.token(p, "")
		made = append([]string{accessor}, made...) // newest first
		b.token(other, "")
	}

	var got []string
	pages := 0
	next := prefix + "/users/me/tokens?limit=2"
	for next != "" {
		a := want(t, "a page", b.as(p, "GET", strings.TrimPrefix(next, prefix), ""), 200)
		for _, tok := range decode[[]jeton.Token](t, a) {
			got = append(got, tok.Accessor)
		}

		pages++
		next = nextPage(a)
		if next != "" {
			want(t, "a cursor of another list", b.as(other, "GET", strings.TrimPrefix(next, prefix), ""), 400)
		}
	}

	if !slices.Equal(got, made) || pages != 3 {
		t.Errorf("%d pages with %v, want 3 with %v", pages, got, made)
	}

	for _, query := range []string{"limit=0", "limit=1001", "limit=x", "cursor=x"} {
		want(t, query, b.as(p, "GET", "/users/me/tokens?"+query, ""), 400)
	}
}

func TestAllTokensEnd(t *testing.T) {
	b := start(t)

	for _, tc := range []struct {
		name string
		end  func(p testUser, secret string) int
	}{
		{"by the user's session", func(p testUser, _ string) int {
			return b.as(p, "DELETE", "/users/me/tokens", "").Status
		}},
		{"by one of them", func(_ testUser, secret string) int {
			return b.send("DELETE", "/users/me/tokens", "", "Authorization", "Bearer "+secret).Status
		}},
		{"by an operator", func(p testUser, _ string) int {
			b.MustControl("POST", "/api/v1/users/"+p.Name+"/end-tokens", nil, nil)
			return 204
		}},
	} {
		p, other := b.newUser(), b.newUser()
		_, one := b.token(p, "")
		_, two := b.token(p, "")
		_, stays := b.token(other, "")

		if got := tc.end(p, one); got != 204 {
			t.Errorf("end all %s = %d, want 204", tc.name, got)
		}

		for i, secret := range []string{one, two, stays} {
			got := b.send("GET", "/users/me", "", "Authorization", "Bearer "+secret).Status
			if want := []int{401, 401, 200}[i]; got != want {
				t.Errorf("%s: token %d = %d, want %d", tc.name, i, got, want)
			}
		}

		want(t, "the session after the end of all tokens "+tc.name, b.as(p, "GET", "/users/me", ""), 200)
		b.token(p, "") // a new one can be created
	}

	b.MustControl("POST", "/api/v1/users/declared/end-tokens", nil, nil)
	err := b.Control("POST", "/api/v1/users/unknown/end-tokens", nil, nil)
	if jeton.Outcome(err) != jeton.ErrNotFound {
		t.Errorf("end the tokens of an unknown user: %v, want %v", err, jeton.ErrNotFound)
	}
}

// checkPasswordEvents checks that the audit log says of every new password what became of the tokens.
func checkPasswordEvents(t *testing.T, b *site) {
	t.Helper()
	var events []jeton.Event
	b.MustControl("GET", "/api/v1/audit", nil, &events)

	reasons := map[string]int{}
	for _, ev := range events {
		if ev.Action == "user.password" {
			reasons[ev.Reason]++
		}
	}

	const ended, kept = "password, all sessions and tokens ended", "password, all sessions ended, personal tokens kept"
	if reasons[ended] != 3 || reasons[kept] != 1 {
		t.Errorf("reasons of the events = %v, want 3 of %q and 1 of %q", reasons, ended, kept)
	}
}
