package access_test

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

// holdings are what an attacker may hold: names of cookies, a real session at the service, and
// one at another service.
type holdings struct {
	user, token string // names of the cookies; user is "" where there is one cookie
	name, other string // of the owner, and of another user who has logged in
	absent      string // of a user who has never logged in
	real, alien string // secrets of the owner: here, and at another service
	theirs      string // secret of the other user
	id          string // public ID of the session
}

// trial is a request that must be refused.
type trial struct {
	name   string
	header []string
	code   string
}

// cookies returns the header of a trial, with each text on a line of its own.
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

// garbage returns values that are no valid secret, to be sent in place of one.
func (h holdings) garbage() map[string]string {
	sum := sha256.Sum256([]byte(h.real))
	flipped := []byte(h.real)
	flipped[len(flipped)-1] ^= 1

	return map[string]string{
		"a word":                                 "null",
		"zero":                                   "0",
		"the prefix alone":                       "jtn_s_",
		"as long as a secret, all As":            "jtn_s_" + strings.Repeat("A", 43),
		"SQL":                                    "' OR 1=1 --",
		"a path":                                 "../../etc/passwd",
		"8 KiB":                                  strings.Repeat("x", 8<<10),
		"the name of the owner":                  h.name,
		"the public id of the session":           h.id,
		"the hash in hex":                        hex.EncodeToString(sum[:]),
		"the hash in base64":                     base64.RawURLEncoding.EncodeToString(sum[:]),
		"the hash after the prefix":              "jtn_s_" + base64.RawURLEncoding.EncodeToString(sum[:]),
		"the secret without its last character":  h.real[:len(h.real)-1],
		"the secret without its first character": h.real[1:],
		"the secret and one more character":      h.real + "A",
		"the secret and padding":                 h.real + "=",
		"the secret twice":                       h.real + h.real,
		"the secret in upper case":               strings.ToUpper(h.real),
		"the secret in lower case":               strings.ToLower(h.real),
		"the secret with one bit flipped":        string(flipped),
		"the secret in half quotes":              `"` + h.real,
		"the secret with a space":                `" ` + h.real + `"`,
		"the secret, encoded":                    strings.ReplaceAll(h.real, "_", "%5F"),
		"the secret and a comma":                 h.real + ",x",
		"a secret of another service":            h.alien,
	}
}

// trials returns all ways to show no credential, or none that is valid here.
func (h holdings) trials() []trial {
	list := []trial{
		{"no header", nil, none},
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

func (h holdings) single() []trial {
	c := h.token + "="
	list := []trial{
		{"an empty value", cookies(c), none},
		{"an empty value in quotes", cookies(c + `""`), none},
		{"two of the cookie, both valid", cookies(c + h.real + "; " + c + h.real), ambiguous},
		{"two of the cookie, the first valid", cookies(c + h.real + "; " + c + "x"), ambiguous},
		{"two of the cookie, the second valid", cookies(c + "x; " + c + h.real), ambiguous},
		{"two of the cookie, the first empty", cookies(c + "; " + c + h.real), ambiguous},
		{"two of the cookie, of two users", cookies(c + h.real + "; " + c + h.theirs), ambiguous},
	}

	for name, value := range h.garbage() {
		list = append(list, trial{name, cookies(c + value), bad})
	}

	return list
}

func (h holdings) pair() []trial {
	u, c := h.user+"=", h.token+"="
	list := []trial{
		{"empty values", cookies(u + "; " + c), none},
		{"empty values in quotes", cookies(u + `""; ` + c + `""`), none},
		{"half: the secret alone", cookies(c + h.real), bad},
		{"half: the name alone", cookies(u + h.name), bad},
		{"half: the name and an empty secret", cookies(u + h.name + "; " + c), bad},
		{"half: the name and an empty secret in quotes", cookies(u + h.name + "; " + c + `""`), bad},
		{"half: an empty name and the secret", cookies(u + "; " + c + h.real), bad},
		{"the name of a user who never logged in, no secret", cookies(u + h.absent), bad},
		{"the name of a user who never logged in, an empty secret", cookies(u + h.absent + "; " + c), bad},
		{"the name of a user who never logged in, None", cookies(u + h.absent + "; " + c + "None"), bad},
		{"the name None and the secret", cookies(u + "None; " + c + h.real), bad},
		{"another user's name and my secret", cookies(u + h.other + "; " + c + h.real), bad},
		{"the name of a user who never logged in and my secret", cookies(u + h.absent + "; " + c + h.real), bad},
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

// TestInvalidCredentialsAreRefused sends everything that is not a credential to each route: an
// absent value must not equal a value that is not stored.
func TestInvalidCredentialsAreRefused(t *testing.T) {
	for _, name := range []string{"cookie-login", "limited-info", "many-identities"} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, example(t, name))
			f.everyRoute(t, "Alice", "Bob", "Carlos", "")
		})
	}

	t.Run("every kind of route", func(t *testing.T) {
		f := newFixture(t, everyKind)
		f.add("diane", "eshana", "frank")
		f.everyRoute(t, "diane", "eshana", "frank", "left")
	})
}

// everyRoute tries all routes of a server, and checks that the owner can still use them.
func (f *fixture) everyRoute(t *testing.T, owner, other, absent, elsewhere string) {
	alien := strings.Repeat("z", 49)
	if elsewhere != "" {
		_, alien, _ = strings.Cut(f.enter(elsewhere, owner), "=")
	}

	for _, s := range f.conf.Services {
		if s.Name == elsewhere {
			continue
		}

		h, valid := f.holdings(t, s, owner, other, absent, alien)
		for _, r := range s.Routes {
			if r.Open {
				continue
			}
			t.Run(s.Name+" "+r.Match, func(t *testing.T) { f.oneRoute(t, s, r, h, valid) })
		}
	}
}

// holdings logs users in and returns what they hold, and the valid cookies.
func (f *fixture) holdings(t *testing.T, s config.Service, owner, other, absent, alien string) (holdings, string) {
	t.Helper()
	h := holdings{
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
	valid := f.enter(s.Name, owner)
	h.real = value(valid)
	var list []jeton.Session
	f.MustControl("GET", "/api/v1/sessions?user="+owner+"&service="+s.Name, nil, &list)

	h.id = list[0].ID

	return h, valid
}

func (f *fixture) oneRoute(t *testing.T, s config.Service, r config.Route, h holdings, valid string) {
	method, path := request(r.Match)
	before := f.Ask(http.MethodHead, s.Name, path, "Cookie", valid)

	for _, tc := range h.trials() {
		t.Run(tc.name, func(t *testing.T) {
			a := f.Ask(method, s.Name, path, tc.header...)
			f.refused(t, s, a, tc, h)
		})
	}

	t.Run("ten thousand cookies", func(t *testing.T) {
		lines := strings.Repeat("a=b; ", 10_000) + h.token + "=" + h.real
		a := f.Send(f.Client(jetontest.HTTP1()), method, f.URL(s.Name)+path, "", "Cookie", lines)
		if a.Status != http.StatusRequestHeaderFieldsTooLarge {
			t.Errorf("status %d, want 431", a.Status)
		}
	})

	after := f.Ask(http.MethodHead, s.Name, path, "Cookie", valid)
	if before.Left() != after.Left() || before.Status != after.Status {
		t.Errorf(
			"before: %d, left %q; after: %d, left %q: want the same",
			before.Status, before.Left(), after.Status, after.Left(),
		)
	}

	if r.MaxUses != nil && r.Allow == nil && before.Left() == "" {
		t.Error("HEAD at a counted route has no number of uses left, want one")
	}

	want := http.StatusOK
	if r.Allow != nil {
		want = http.StatusForbidden
	}
	if a := f.Ask(method, s.Name, path, "Cookie", valid); a.Status != want {
		t.Errorf("status of the owner = %d %s, want %d", a.Status, a.Code(), want)
	}
}

// refused checks a refusal.
func (f *fixture) refused(t *testing.T, s config.Service, a jetontest.Answer, tc trial, h holdings) {
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
		t.Errorf("headers %v, want no-store and the ID of the request", a.Header)
	}
	if strings.Contains(a.Body+fmt.Sprint(a.Header), h.real) || a.Left() != "" {
		t.Errorf("the refusal contains the secret or a count: %v %s", a.Header, a.Body)
	}
}

// request returns a method and a path that match a pattern.
func request(match string) (method, path string) {
	method, path, ok := strings.Cut(match, " ")
	if !ok {
		method, path = http.MethodGet, match
	}
	return method, strings.NewReplacer("{rest...}", "x", "{id}", "x").Replace(path)
}
