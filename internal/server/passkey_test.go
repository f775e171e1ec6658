package server_test

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base32"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/factor/passkey"
	"github.com/jeton-auth/jeton/internal/test/authenticator"
	"github.com/jeton-auth/jeton/internal/test/smtptest"
	"github.com/jeton-auth/jeton/jetontest"
)

// passkeys has an authorization server at a host name, where browsers allow passkeys.
const passkeys = easy + `
issuer: {url: "https://localhost:${ISSUER_PORT}", listen: "localhost:${ISSUER_PORT}"}
clients:
  - name: wiki
    secret_hash: 1ec1c26b50d5d3c58d9583181af8076655fe00756bf7285940ba3670f99fcba0 # s3cret
    openid: {redirect_uris: ["https://wiki.example/done"], id_token_algorithm: ES256}
services: []
`

// The pages of passkeys.
const (
	keysPage  = "/account/security/passkeys"
	keySignIn = "/sign-in/passkey"
	keyProof  = "/prove/passkey"
)

// scripting are the headers of a request of a script of the page.
var scripting = []string{"Sec-Fetch-Mode", "cors", "Sec-Fetch-Dest", "empty", "Sec-Fetch-Site", "same-origin"}

// ask begins a ceremony as the script of a page does.
func (b *browser) ask(page string) jetontest.Answer {
	b.t.Helper()
	return b.s.Send(b.client, http.MethodPost, b.s.Issuer()+page+"/options", "", scripting...)
}

// options returns the options of a ceremony.
func (b *browser) options(page string) []byte {
	b.t.Helper()
	a := b.ask(page)
	if a.Status != http.StatusOK {
		b.t.Fatalf("options of %s: got %d %s, want 200", page, a.Status, a.Body)
	}

	return []byte(a.Body)
}

// answer sends the response of an authenticator.
func (b *browser) answer(page string, response []byte, fields ...string) jetontest.Answer {
	b.t.Helper()
	form := url.Values{"response": {string(response)}}
	for i := 0; i < len(fields); i += 2 {
		form.Set(fields[i], fields[i+1])
	}
	header := append([]string{
		"Content-Type", "application/x-www-form-urlencoded",
		"Sec-Fetch-Site", "same-origin",
	}, loading...)

	return b.s.Send(b.client, http.MethodPost, b.s.Issuer()+page, form.Encode(), header...)
}

// addKey registers a passkey for the user who is signed in.
func (b *browser) addKey(key *authenticator.Key) {
	b.t.Helper()
	a := b.answer(keysPage, key.Create(b.t, b.options(keysPage), b.s.Issuer(), nil), "name", "laptop")
	if a.Status != http.StatusSeeOther {
		b.t.Fatalf("add a passkey: got %d %s, want 303", a.Status, a.Body)
	}
}

// keyOf signs a user in by password, in a browser of the user's own, and registers a passkey.
func keyOf(t *testing.T, s *jetontest.Server, name string) (*browser, *authenticator.Key) {
	t.Helper()
	b, key := newBrowser(t, s), authenticator.New(t)
	b.signIn(name)
	b.addKey(key)

	return b, key
}

// newest returns the newest event of an action.
func newest(t *testing.T, s *jetontest.Server, action string) jeton.Event {
	t.Helper()
	var found jeton.Event
	for _, e := range s.Events() {
		if e.Action == action && e.Seq > found.Seq {
			found = e
		}
	}

	return found
}

// wantReason checks that a response was refused, and why in the audit log.
func wantReason(t *testing.T, s *jetontest.Server, a jetontest.Answer, action, want string) {
	t.Helper()
	e := newest(t, s, action)
	if a.Status != http.StatusUnauthorized || e.Reason != want {
		t.Errorf("got %d because %q, want 401 because %q", a.Status, e.Reason, want)
	}
}

func TestAPasskeySignsInWithoutAName(t *testing.T) {
	s := jetontest.Start(t, passkeys)
	s.AddUser("diane", right)
	s.AddUser("bob", right)
	_, key := keyOf(t, s, "diane")
	_, other := keyOf(t, s, "bob")

	for _, tc := range []struct {
		name string
		key  *authenticator.Key
	}{
		{"diane", key},
		{"bob", other},
	} {
		b := newBrowser(t, s)
		a := b.answer(keySignIn+"?to=%2Faccount%2Fsessions", tc.key.Get(t, b.options(keySignIn), s.Issuer(), nil))
		if to := a.Header.Get("Location"); a.Status != http.StatusSeeOther || to != "/account/sessions" {
			t.Fatalf("passkey of %s: got %d to %q, want 303 to the page first asked for", tc.name, a.Status, to)
		}

		if page := b.get(s.Issuer() + "/account"); !strings.Contains(page.Body, tc.name) {
			t.Errorf("account page after the sign-in = %s, want the name %s", page.Body, tc.name)
		}
		if e := newest(t, s, "login"); e.Actor != "user:"+tc.name || e.Outcome != "ok" {
			t.Errorf("event = %s %s, want a login of user:%s", e.Actor, e.Outcome, tc.name)
		}
	}
}

func TestForgedResponsesHaveOneTextAndTheirOwnReason(t *testing.T) {
	s := jetontest.Start(t, passkeys)
	s.AddUser("diane", right)
	signedIn, key := keyOf(t, s, "diane")
	requestID := regexp.MustCompile(`<code>[^<]+</code>`)

	b := newBrowser(t, s)
	b.answer(keySignIn, key.Get(t, b.options(keySignIn), s.Issuer(), nil)) // so that the counter counts

	texts := map[string]string{}
	for _, f := range authenticator.OfGet() {
		t.Run("sign in with "+f.Name, func(t *testing.T) {
			b := newBrowser(t, s)
			key.Count = 1
			a := b.answer(keySignIn, key.Get(t, b.options(keySignIn), s.Issuer(), f.Change))

			wantReason(t, s, a, "login", string(f.Want))
			texts[requestID.ReplaceAllString(a.Body, "")] = f.Name
		})
	}
	if len(texts) != 1 {
		t.Errorf("the refused sign-ins have %d texts, want one: %v", len(texts), texts)
	}

	for _, f := range authenticator.OfCreate() {
		t.Run("register with "+f.Name, func(t *testing.T) {
			made := authenticator.New(t).Create(t, signedIn.options(keysPage), s.Issuer(), f.Change)
			a := signedIn.answer(keysPage, made, "name", "x")

			wantReason(t, s, a, "factor.add", string(f.Want))
		})
	}
}

func TestTheKeyOfAnotherUserIsNoProof(t *testing.T) {
	s := jetontest.Start(t, passkeys)
	s.AddUser("diane", right)
	s.AddUser("bob", right)
	diane, key := keyOf(t, s, "diane")
	_, other := keyOf(t, s, "bob")

	a := diane.answer(keyProof, other.Get(t, diane.options(keyProof), s.Issuer(), nil))
	wantReason(t, s, a, "session.prove", "the passkey is of another user")

	// The id of another key with the signature of this one, and a key that is not registered.
	b := newBrowser(t, s)
	swap := func(r *authenticator.Response) { r.ID = other.ID }
	a = b.answer(keySignIn, key.Get(t, b.options(keySignIn), s.Issuer(), swap))
	wantReason(t, s, a, "login", string(passkey.OtherHandle))

	swap = func(r *authenticator.Response) { r.ID, r.Handle = other.ID, other.Handle }
	a = b.answer(keySignIn, key.Get(t, b.options(keySignIn), s.Issuer(), swap))
	wantReason(t, s, a, "login", string(passkey.WrongSignature))

	a = b.answer(keySignIn, authenticator.New(t).Get(t, b.options(keySignIn), s.Issuer(), nil))
	wantReason(t, s, a, "login", "the passkey is not registered, or has been removed")

	s.MustControl("PUT", "/api/v1/users/bob/disabled", map[string]bool{"disabled": true}, nil)
	a = b.answer(keySignIn, other.Get(t, b.options(keySignIn), s.Issuer(), nil))
	wantReason(t, s, a, "login", "account is disabled")
}

func TestAChallengeIsOfOneCeremony(t *testing.T) {
	const (
		unknown = "the challenge has expired, or is not one of this ceremony"
		other   = "the challenge was issued to another browser or session"
	)

	c := newHeldClock()
	s := jetontest.Start(t, passkeys, jetontest.Clock(c.now))
	s.AddUser("diane", right)
	diane, key := keyOf(t, s, "diane")
	b := newBrowser(t, s)

	t.Run("it is answered once", func(t *testing.T) {
		options := b.options(keySignIn)
		a := b.answer(keySignIn, key.Get(t, options, s.Issuer(), nil))
		if a.Status != http.StatusSeeOther {
			t.Fatalf("the first response: got %d %s, want 303", a.Status, a.Body)
		}

		a = b.answer(keySignIn, key.Get(t, options, s.Issuer(), nil))
		wantReason(t, s, a, "login", "the challenge has been answered before")
	})

	t.Run("a refused response uses it up", func(t *testing.T) {
		options := b.options(keySignIn)
		forged := func(r *authenticator.Response) { r.Origin = "https://evil.test" }
		a := b.answer(keySignIn, key.Get(t, options, s.Issuer(), forged))
		wantReason(t, s, a, "login", string(passkey.WrongOrigin))

		a = b.answer(keySignIn, key.Get(t, options, s.Issuer(), nil))
		wantReason(t, s, a, "login", "the challenge has been answered before")
	})

	t.Run("another browser cannot answer it", func(t *testing.T) {
		options := b.options(keySignIn)
		stranger := newBrowser(t, s)
		a := stranger.answer(keySignIn, key.Get(t, options, s.Issuer(), nil))
		wantReason(t, s, a, "login", other)
	})

	t.Run("that of a sign-in registers nothing", func(t *testing.T) {
		made := authenticator.New(t).Create(t, b.options(keySignIn), s.Issuer(), nil)
		a := diane.answer(keysPage, made, "name", "x")
		wantReason(t, s, a, "factor.add", unknown)
	})

	t.Run("that of a proof is not one of a sign-in", func(t *testing.T) {
		a := diane.answer(keySignIn, key.Get(t, diane.options(keyProof), s.Issuer(), nil))
		wantReason(t, s, a, "login", unknown)
	})

	t.Run("another session of the browser cannot answer it", func(t *testing.T) {
		options := diane.options(keysPage)
		diane.signIn("diane")
		a := diane.answer(keysPage, authenticator.New(t).Create(t, options, s.Issuer(), nil), "name", "x")
		wantReason(t, s, a, "factor.add", unknown) // it ended with the session
	})

	t.Run("it is valid for five minutes", func(t *testing.T) {
		options, late := b.options(keySignIn), b.options(keySignIn)
		c.move(passkey.Timeout - time.Second)
		if a := b.answer(keySignIn, key.Get(t, options, s.Issuer(), nil)); a.Status != http.StatusSeeOther {
			t.Errorf("a second before the end: got %d, want 303", a.Status)
		}

		c.move(2 * time.Second)
		a := b.answer(keySignIn, key.Get(t, late, s.Issuer(), nil))
		wantReason(t, s, a, "login", unknown)
	})
}

// TestAPasskeyNeedsARecentProof adds none to a session that an attacker finds open, also not with a challenge of a
// minute ago.
func TestAPasskeyNeedsARecentProof(t *testing.T) {
	c := newHeldClock()
	s := jetontest.Start(t, passkeys, jetontest.Clock(c.now))
	s.AddUser("diane", right)
	b, key := keyOf(t, s, "diane")

	c.move(15 * time.Minute)
	if a := b.ask(keysPage); a.Status != http.StatusForbidden {
		t.Errorf("options with an old proof: got %d %s, want 403", a.Status, a.Body)
	}
	page := b.get(s.Issuer() + keysPage)
	if !strings.Contains(page.Body, "/prove?to=%2Faccount%2Fsecurity%2Fpasskeys") {
		t.Errorf("page with an old proof = %s, want a link to a new one", page.Body)
	}

	a := b.answer(keyProof+"?to=%2Faccount%2Fsecurity%2Fpasskeys", key.Get(t, b.options(keyProof), s.Issuer(), nil))
	if a.Status != http.StatusSeeOther || a.Header.Get("Location") != keysPage {
		t.Fatalf("proof by a passkey: got %d to %q, want 303 to %s", a.Status, a.Header.Get("Location"), keysPage)
	}
	b.addKey(authenticator.New(t))
}

func TestOfTwoNodesOneAcceptsAChallenge(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "keys.secret")
	if err := os.WriteFile(secret, []byte(strings.Repeat("0123456789abcdef", 4)), 0o600); err != nil {
		t.Fatal(err)
	}
	conf := "keys_secret_file: " + secret + "\ndatabase: {url: '" + shared.Database(t) + "'}\n" + passkeys
	one, two := jetontest.Start(t, conf), jetontest.Start(t, conf)
	one.AddUser("diane", right)
	_, key := keyOf(t, one, "diane")

	b := newBrowser(t, one)
	options := b.options(keySignIn)
	// The nodes have ports of their own here, and so origins.
	responses := [][]byte{key.Get(t, options, one.Issuer(), nil), key.Get(t, options, two.Issuer(), nil)}

	// It has the cookies of the first, which has them for every port.
	there := newBrowser(t, two)
	there.client.Jar = b.client.Jar

	var wg sync.WaitGroup
	answers := make([]jetontest.Answer, 16)
	for i := range answers {
		wg.Go(func() { answers[i] = []*browser{b, there}[i%2].answer(keySignIn, responses[i%2]) })
	}
	wg.Wait()

	got := map[int]int{}
	for _, a := range answers {
		got[a.Status]++
	}
	if got[http.StatusSeeOther] != 1 || got[http.StatusUnauthorized] != len(answers)-1 {
		t.Errorf("statuses of %d responses at once = %v, want one 303 and 401 for the others", len(answers), got)
	}
}

// TestTheHostOfPasskeysStays refuses a configuration that would make all passkeys useless.
func TestTheHostOfPasskeysStays(t *testing.T) {
	server := smtptest.Start(t, smtptest.Options{})
	s := startMailing(t, mailOptions(t, server)...)
	moved := strings.Replace(mailing, "https://localhost:", "https://login.localhost:", 1)

	if err := s.Reload(moved); err != nil {
		t.Fatalf("another host without passkeys: %v", err)
	}
	if err := s.Reload(mailing); err != nil {
		t.Fatal(err)
	}
	keyOf(t, s, "diane")
	server.Next(t) // the notices of the sign-in and of the passkey
	server.Next(t)

	withoutMail, _, _ := strings.Cut(moved, "mail:")
	err := s.Reload(withoutMail)
	want := "1 passkeys are for localhost and would not work at login.localhost"
	if err == nil || !strings.Contains(fmt.Sprint(err), want) {
		t.Errorf("another host with a passkey: got %v, want %q", err, want)
	}

	// What was refused has changed nothing: users still get their notices.
	setPassword(s, right+" 2")
	if got, want := server.Next(t).Header.Get("Subject"), "Your password at Example was changed"; got != want {
		t.Errorf("after a reload that was refused: got mail %q, want %q", got, want)
	}

	if err := s.Reload(mailing); err != nil {
		t.Errorf("the host of the passkeys again: %v", err)
	}
}

// addApp adds an authenticator app to the account of the user who is signed in.
func (b *browser) addApp() {
	b.t.Helper()
	call := func(path, body string, out any) {
		b.t.Helper()
		header := append([]string{"Content-Type", "application/json"}, scripting...)
		a := b.s.Send(b.client, http.MethodPost, b.s.Issuer()+"/api/v1/users/me/factors"+path, body, header...)
		if a.Status != http.StatusOK && a.Status != http.StatusCreated {
			b.t.Fatalf("POST factors%s: got %d %s, want a factor", path, a.Status, a.Body)
		}
		if err := json.Unmarshal([]byte(a.Body), out); err != nil {
			b.t.Fatal(err)
		}
	}

	var app struct{ ID, Secret string }
	call("", `{"kind":"totp"}`, &app)
	call("/"+app.ID+"/confirm", `{"code":"`+codeNow(b.t, app.Secret)+`"}`, &struct{}{})
}

// codeNow returns the code of an authenticator app (RFC 6238, section 4; RFC 4226, section 5.3).
func codeNow(t *testing.T, text string) string {
	t.Helper()
	key, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}

	mac := hmac.New(sha1.New, key)
	_ = binary.Write(mac, binary.BigEndian, time.Now().Unix()/30) // a hash takes all
	sum := mac.Sum(nil)
	at := sum[len(sum)-1] & 15

	return fmt.Sprintf("%06d", binary.BigEndian.Uint32(sum[at:])&0x7fffffff%1_000_000)
}

func TestAPasskeyIsTheSecondFactor(t *testing.T) {
	const page = "/sign-in/factor/passkey"

	s := jetontest.Start(t, passkeys)
	s.AddUser("diane", right)
	s.AddUser("bob", right)
	diane, key := keyOf(t, s, "diane")
	_, other := keyOf(t, s, "bob")
	diane.addApp()

	b := newBrowser(t, s)
	if to := b.send(s.Issuer()+"/sign-in", "diane"); to != "/sign-in/factor" {
		t.Fatalf("the password leads to %s, want /sign-in/factor", to)
	}
	if a := b.get(s.Issuer() + "/sign-in/factor"); !strings.Contains(a.Body, `action="`+page+`"`) {
		t.Errorf("page of the second factor = %s, want a form for a passkey", a.Body)
	}

	a := b.answer(page, other.Get(t, b.options(page), s.Issuer(), nil))
	wantReason(t, s, a, "login", "the passkey is of another user")

	a = b.answer(page, key.Get(t, b.options(keySignIn), s.Issuer(), nil))
	wantReason(t, s, a, "login", "the challenge has expired, or is not one of this ceremony")

	// Without a password before it, the challenge of this sign-in is of no use.
	options := b.options(page)
	a = b.answer(keySignIn, key.Get(t, options, s.Issuer(), nil))
	wantReason(t, s, a, "login", "the challenge has expired, or is not one of this ceremony")
	if a := newBrowser(t, s).ask(page); a.Status != http.StatusUnauthorized {
		t.Errorf("options for a browser without a password: got %d, want 401", a.Status)
	}

	// The password was the first factor, so the authenticator need not verify the user.
	weak := func(r *authenticator.Response) {
		r.Flags &^= authenticator.Verified
		r.Handle = nil
	}
	a = b.answer(page, key.Get(t, options, s.Issuer(), weak))
	if a.Status != http.StatusSeeOther || a.Header.Get("Location") != "/account" {
		t.Fatalf("the passkey: got %d to %q %s, want 303 to /account", a.Status, a.Header.Get("Location"), a.Body)
	}

	var list []struct {
		AMR []string `json:"amr"`
	}
	s.MustControl(http.MethodGet, "/api/v1/sessions?user=diane", nil, &list)
	if len(list) == 0 || strings.Join(list[0].AMR, " ") != "pwd hwk user mfa" {
		t.Errorf("sessions of diane = %+v, want the newest with pwd hwk user mfa", list)
	}

	// The claim acr is the level that is asked for, if one is, also after a refresh.
	const mfa = "https://refeds.org/profile/mfa"
	for asked, want := range map[string]string{
		"":                        "phr",
		mfa:                       mfa,
		"unknown " + mfa + " phr": mfa,
		"phr " + mfa:              "phr",
	} {
		first := redeem(t, s, b.codeFor(wikiAsks(s, "acr_values", asked, "scope", "openid offline_access")))
		for _, tokens := range []relied{first, refresh(t, s, first.Refresh)} {
			got := claimsOf(t, tokens.ID)["acr"]
			if got != want {
				t.Errorf("acr_values %q: got acr %v, want %s", asked, got, want)
			}
		}
	}
}
