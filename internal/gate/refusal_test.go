package gate_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/config"
	"github.com/jeton-auth/jeton/jetontest"
)

// hand is what somebody may hold who tries doors: names of cookies, a real session of
// their own at the service, and one at another service.
type hand struct {
	user, token string // names of the cookies; user is "" where there is one cookie
	name, other string // of the owner, and of somebody who has logged in, too
	absent      string // of somebody who never has
	real, alien string // secrets: of the owner here, and of the owner elsewhere
	theirs      string // secret of the other
	id          string // public id of the session
}

// trial is a request that must not be let in.
type trial struct {
	name   string
	header []string
	code   string
}

// cookies makes the header of a trial: each text is a line of its own.
func cookies(lines ...string) []string {
	var header []string
	for _, l := range lines {
		header = append(header, "Cookie", l)
	}
	return header
}

const (
	none      = "no_credential"
	bad       = "bad_credential"
	ambiguous = "ambiguous_credential"
)

// garbage are values that no secret has. They go where a secret would stand.
func (h hand) garbage() map[string]string {
	sum := sha256.Sum256([]byte(h.real))
	flipped := []byte(h.real)
	flipped[len(flipped)-1] ^= 1

	return map[string]string{
		"a word":                        "null",
		"nought":                        "0",
		"the beginning alone":           "jtn_s_",
		"as long as a secret, all As":   "jtn_s_" + strings.Repeat("A", 43),
		"SQL":                           "' OR 1=1 --",
		"a path":                        "../../etc/passwd",
		"8 KiB":                         strings.Repeat("x", 8<<10),
		"the name of the owner":         h.name,
		"the public id of the session":  h.id,
		"the hash in hex":               hex.EncodeToString(sum[:]),
		"the hash in base64":            base64.RawURLEncoding.EncodeToString(sum[:]),
		"the hash after the prefix":     "jtn_s_" + base64.RawURLEncoding.EncodeToString(sum[:]),
		"the secret without its last":   h.real[:len(h.real)-1],
		"the secret without its first":  h.real[1:],
		"the secret and one more":       h.real + "A",
		"the secret and padding":        h.real + "=",
		"the secret twice":              h.real + h.real,
		"the secret in upper case":      strings.ToUpper(h.real),
		"the secret in lower case":      strings.ToLower(h.real),
		"the secret with one bit other": string(flipped),
		"the secret in half quotes":     `"` + h.real,
		"the secret with a space":       `" ` + h.real + `"`,
		"the secret, encoded":           strings.ReplaceAll(h.real, "_", "%5F"),
		"the secret and a comma":        h.real + ",x",
		"a secret of another service":   h.alien,
	}
}

// trials are all the ways of giving nothing, or nothing that is good here.
func (h hand) trials() []trial {
	list := []trial{
		{"nothing at all", nil, none},
		{"an empty Cookie header", cookies(""), none},
		{"only separators", cookies(";;; ; ="), none},
		{"a nameless cookie with the secret", cookies("=" + h.real), none},
		{"the secret without a name", cookies(h.real), none},
		{"the name of the cookie alone", cookies(h.token), none},
		{"the cookie under a name in other case", cookies(swapCase(h.token) + "=" + h.real), none},
		{"the cookie under a longer name", cookies(h.token + "x=" + h.real), none},
		{"a space before the equals sign", cookies(h.token + " =" + h.real), none},
		{"five hundred other cookies", cookies(strings.Repeat("a=b; ", 500)), none},
		{"the secret as a Bearer token", []string{"Authorization", "Bearer " + h.real}, none},
		{
			"the secret as a Basic password",
			[]string{"Authorization", "Basic " + base64.StdEncoding.EncodeToString([]byte(h.name+":"+h.real))},
			none,
		},
		{
			"headers that a proxy would set",
			[]string{
				"Remote-User",
				h.name,
				"X-Forwarded-User",
				h.name,
				"X-Remote-User",
				h.name,
				"X-Original-URL",
				"/open",
			},
			none,
		},
		{"a health check", []string{"User-Agent", "GoogleHC/1.0", "X-Health-Check", "1"}, none},
	}

	if h.user == "" {
		return append(list, h.single()...)
	}

	return append(list, h.pair()...)
}

func (h hand) single() []trial {
	c := h.token + "="
	list := []trial{
		{"an empty value", cookies(c), none},
		{"an empty value in quotes", cookies(c + `""`), none},
		{"two of the cookie, both good", cookies(c + h.real + "; " + c + h.real), ambiguous},
		{"two of the cookie, the first good", cookies(c + h.real + "; " + c + "x"), ambiguous},
		{"two of the cookie, the second good", cookies(c + "x; " + c + h.real), ambiguous},
		{"two of the cookie, the first empty", cookies(c + "; " + c + h.real), ambiguous},
		{"two of the cookie, two people's", cookies(c + h.real + "; " + c + h.theirs), ambiguous},
	}

	for name, value := range h.garbage() {
		list = append(list, trial{name, cookies(c + value), bad})
	}

	return list
}

func (h hand) pair() []trial {
	u, c := h.user+"=", h.token+"="
	list := []trial{
		{"empty values", cookies(u + "; " + c), none},
		{"empty values in quotes", cookies(u + `""; ` + c + `""`), none},
		{"half: the secret alone", cookies(c + h.real), bad},
		{"half: the name alone", cookies(u + h.name), bad},
		{"half: the name and an empty secret", cookies(u + h.name + "; " + c), bad},
		{"half: the name and an empty secret in quotes", cookies(u + h.name + "; " + c + `""`), bad},
		{"half: an empty name and the secret", cookies(u + "; " + c + h.real), bad},
		{"the name of somebody who never logged in, no secret", cookies(u + h.absent), bad},
		{"the name of somebody who never logged in, an empty secret", cookies(u + h.absent + "; " + c), bad},
		{"the name of somebody who never logged in, None", cookies(u + h.absent + "; " + c + "None"), bad},
		{"the name of nobody and the secret", cookies(u + "None; " + c + h.real), bad},
		{"the name of somebody else and my secret", cookies(u + h.other + "; " + c + h.real), bad},
		{"the name of somebody who never logged in and my secret", cookies(u + h.absent + "; " + c + h.real), bad},
		{"my name in other case", cookies(u + strings.ToLower(h.name) + "; " + c + h.real), bad},
		{"my name and more", cookies(u + h.name + "x; " + c + h.real), bad},
		{"my name after a space in quotes", cookies(u + `" ` + h.name + `"; ` + c + h.real), bad},
		{"two names", cookies(u + h.name + "; " + u + h.other + "; " + c + h.real), ambiguous},
		{"two secrets", cookies(u + h.name + "; " + c + h.real + "; " + c + h.theirs), ambiguous},
		{"one secret twice", cookies(u + h.name + "; " + c + h.real + "; " + c + h.real), ambiguous},
		{"the names exchanged", cookies(u + h.real + "; " + c + h.name), bad},
	}

	for name, value := range h.garbage() {
		list = append(list, trial{"the name and " + name, cookies(u + h.name + "; " + c + value), bad})
	}

	return list
}

func swapCase(s string) string {
	up := strings.ToUpper(s)
	if up != s {
		return up
	}
	return strings.ToLower(s)
}

// TestNothingGivenNeverEqualsNothingStored asks every route with everything that is not a
// credential.
func TestNothingGivenNeverEqualsNothingStored(t *testing.T) {
	for _, name := range []string{"cookie-login", "limited-info", "many-identities"} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, example(t, name))
			f.everyRoute(t, "Alice", "Bob", "Carlos", "")
		})
	}

	t.Run("rich", func(t *testing.T) {
		f := newFixture(t, rich)
		f.add("diane", "eshana", "frank")
		f.everyRoute(t, "diane", "eshana", "frank", "left")
	})
}

// everyRoute tries all doors of a server, and looks that the owner can still use them.
func (f *fixture) everyRoute(t *testing.T, owner, other, absent, elsewhere string) {
	alien := strings.Repeat("z", 49)
	if elsewhere != "" {
		_, alien, _ = strings.Cut(f.enter(elsewhere, owner), "=")
	}

	for _, s := range f.conf.Services {
		if s.Name == elsewhere {
			continue
		}

		h, good := f.hand(t, s, owner, other, absent, alien)
		for _, r := range s.Routes {
			if r.Open {
				continue
			}
			t.Run(s.Name+" "+r.Match, func(t *testing.T) { f.oneRoute(t, s, r, h, good) })
		}
	}
}

// hand logs people in and returns what they hold, and the cookies that are good.
func (f *fixture) hand(t *testing.T, s config.Service, owner, other, absent, alien string) (hand, string) {
	t.Helper()
	h := hand{
		token:  s.Session.Cookie,
		name:   owner,
		other:  other,
		absent: absent,
		alien:  alien,
	}
	if s.Teaching != nil {
		h.user, h.token = s.Teaching.Cookies.Name, s.Teaching.Cookies.Token
	}

	value := func(header string) string {
		for _, pair := range strings.Split(header, "; ") {
			if name, value, _ := strings.Cut(pair, "="); name == h.token {
				return value
			}
		}

		t.Fatalf("no cookie %s in %s", h.token, header)
		return ""
	}

	h.theirs = value(f.enter(s.Name, other))
	good := f.enter(s.Name, owner)
	h.real = value(good)
	var list []jeton.Session
	f.MustControl("GET", "/api/v1/sessions?user="+owner+"&service="+s.Name, nil, &list)

	h.id = list[0].ID

	return h, good
}

func (f *fixture) oneRoute(t *testing.T, s config.Service, r config.Route, h hand, good string) {
	method, path := request(r.Match)
	before := f.Ask(http.MethodHead, s.Name, path, "Cookie", good)

	for _, tc := range h.trials() {
		t.Run(tc.name, func(t *testing.T) {
			a := f.Ask(method, s.Name, path, tc.header...)
			f.refused(t, s, a, tc, h)
		})
	}

	t.Run("ten thousand cookies", func(t *testing.T) {
		lines := strings.Repeat("a=b; ", 10_000) + h.token + "=" + h.real
		if a := f.Send(
			f.Client(jetontest.HTTP1()),
			method,
			f.URL(s.Name)+path,
			"",
			"Cookie",
			lines,
		); a.Status != http.StatusRequestHeaderFieldsTooLarge {
			t.Errorf("status %d, want 431", a.Status)
		}
	})

	after := f.Ask(http.MethodHead, s.Name, path, "Cookie", good)
	if before.Left() != after.Left() || before.Status != after.Status {
		t.Errorf(
			"before: %d, left %q; after: %d, left %q: want no difference",
			before.Status,
			before.Left(),
			after.Status,
			after.Left(),
		)
	}

	if r.MaxUses != nil && r.Allow == nil && before.Left() == "" {
		t.Error("HEAD does not tell how many uses are left")
	}

	want := http.StatusOK
	if r.Allow != nil {
		want = http.StatusForbidden
	}
	if a := f.Ask(method, s.Name, path, "Cookie", good); a.Status != want {
		t.Errorf("the owner is answered %d %s, want %d", a.Status, a.Code(), want)
	}
}

// refused checks the form of a refusal.
func (f *fixture) refused(t *testing.T, s config.Service, a jetontest.Answer, tc trial, h hand) {
	t.Helper()
	status := http.StatusUnauthorized
	if tc.code == ambiguous {
		status = http.StatusBadRequest
	}

	if s.Teaching != nil {
		status = http.StatusForbidden
		if !strings.HasSuffix(a.Body, " denied access to resource") {
			t.Errorf("body %q, want NAME denied access to resource", a.Body)
		}
	} else if status == http.StatusUnauthorized && a.Header.Get("Www-Authenticate") == "" {
		t.Error("401 without WWW-Authenticate")
	}

	if a.Status != status || a.Code() != tc.code {
		t.Errorf("%d %s, want %d %s", a.Status, a.Code(), status, tc.code)
	}
	if a.Header.Get("Cache-Control") != "no-store" || a.Request() == "" {
		t.Errorf("headers %v: want no-store and the id of the request", a.Header)
	}
	if strings.Contains(a.Body+fmt.Sprint(a.Header), h.real) || a.Left() != "" {
		t.Errorf("the refusal shows the secret or what is left: %v %s", a.Header, a.Body)
	}
}

// request makes a request that a pattern matches.
func request(match string) (method, path string) {
	method, path, ok := strings.Cut(match, " ")
	if !ok {
		method, path = http.MethodGet, match
	}
	return method, strings.NewReplacer("{rest...}", "x", "{id}", "x").Replace(path)
}
