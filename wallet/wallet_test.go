package wallet

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
)

// childEnv makes the test binary a second process. Its value is a child in JSON.
const childEnv = "JETON_WALLET_TEST_CHILD"

// child is what a second process is to do: wallets are shared by processes, and a lock
// within one process would hide a fault.
type child struct {
	Home, URL string
	CA        []byte
	Login     []string // users to log in
	Call      string   // user to send a request as
}

func TestMain(m *testing.M) {
	text := os.Getenv(childEnv)
	if text != "" {
		if err := runChild(text); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}

	os.Exit(m.Run())
}

func runChild(text string) error {
	var c child
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		return err
	}

	w, err := Open(Config{Dir: filepath.Join(c.Home, "data"), KeyDir: filepath.Join(c.Home, "config")})
	if err != nil {
		return err
	}

	for _, name := range c.Login {
		if _, err := w.Login(context.Background(), Login{
			URL:      c.URL,
			As:       name,
			Password: jeton.NewSecret(passwordOf + name),
			CACert:   c.CA,
		}); err != nil {
			return err
		}
	}

	if c.Call != "" {
		id, err := w.Identity(context.Background(), c.URL, c.Call)
		if err != nil {
			return err
		}

		resp, err := id.Client().Get(c.URL + "/whoami")
		if err != nil {
			return err
		}
		defer resp.Body.Close()

		if resp.StatusCode != http.StatusOK {
			why, _ := NeedsLogin(resp)
			return fmt.Errorf("status %d: %w", resp.StatusCode, why)
		}
	}

	return w.Close()
}

// processes runs the children concurrently.
func processes(t *testing.T, children []child) {
	t.Helper()
	var wg sync.WaitGroup
	for _, c := range children {
		text, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}

		wg.Go(func() {
			cmd := exec.CommandContext(t.Context(), os.Args[0])
			cmd.Env = append(os.Environ(), childEnv+"="+string(text))
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("process: %v: %s", err, out)
			}
		})
	}

	wg.Wait()
}

func TestIdentitiesNeverMix(t *testing.T) {
	w := newWallet(t)
	var ids []*Identity
	var all []*service
	for i := range 3 {
		s := newService(t, fmt.Sprintf("app%d", i+1), func(s *service) { s.uses = 1000 })
		all = append(all, s)
		ids = append(ids, mustLogin(t, w, s.as("diane")), mustLogin(t, w, s.as("eshana")))
	}

	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			for j := range ids {
				id := ids[(i+j)%len(ids)]
				mustGet(t, id, string(id.Origin())+"/whoami", id.Name()+"@"+all[((i+j)%len(ids))/2].name)
			}
		})
	}

	wg.Wait()

	for _, s := range all {
		n := s.foreign.Load()
		if n != 0 {
			t.Errorf("%s got %d cookies of other services, want 0", s.name, n)
		}
	}

	if err := w.Flush(t.Context()); err != nil {
		t.Fatalf("Flush: %v", err)
	}

	for _, in := range must(w.Identities(t.Context())) {
		if in.Uses == nil || *in.Uses < 950 || *in.Uses > 999 {
			t.Errorf("%s at %s: uses left = %v, want 950 to 999", in.Name, in.Origin, in.Uses)
		}
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// TestNoUpdateOfAProcessIsLost has processes write different identities into one wallet at
// the same time.
func TestNoUpdateOfAProcessIsLost(t *testing.T) {
	t.Parallel()
	s, home := newService(t, "app1"), t.TempDir()
	const procs, each = 5, 6
	var children []child
	for p := range procs {
		c := child{Home: home, URL: s.URL, CA: s.ca()}
		for i := range each {
			c.Login = append(c.Login, fmt.Sprintf("user%d-%d", p, i), "shared")
		}
		children = append(children, c)
	}

	processes(t, children)
	infos, err := openWallet(t, home).Identities(t.Context())
	if err != nil {
		t.Fatalf("Identities: %v", err)
	}

	if len(infos) != procs*each+1 {
		t.Errorf("the wallet holds %d identities, want %d", len(infos), procs*each+1)
	}

	n := s.logins.Load()
	if n != 2*procs*each {
		t.Errorf("%d logins, want %d", n, 2*procs*each)
	}
}

func TestProcessesShareOneRelogin(t *testing.T) {
	t.Parallel()
	s, home := newService(t, "app1", func(s *service) { s.slow = 200 * time.Millisecond }), t.TempDir()
	in := s.as("diane")
	in.Save = true
	mustLogin(t, openWallet(t, home), in)

	s.end()
	processes(t, slices.Repeat([]child{{
		Home: home,
		URL:  s.URL,
		CA:   s.ca(),
		Call: "diane",
	}}, 5))
	n := s.logins.Load()
	if n != 2 {
		t.Errorf("%d logins, want 2: the first, and one for all processes", n)
	}
}

func TestConcurrentRequestsShareOneRelogin(t *testing.T) {
	s := newService(t, "app1", func(s *service) { s.slow, s.clear = 50*time.Millisecond, true })
	in := s.as("diane")
	in.Save = true
	id := mustLogin(t, newWallet(t), in)
	s.end()

	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			body := fmt.Sprintf("body %d", i)
			resp, err := id.Client().Post(s.URL+"/whoami", "text/plain", strings.NewReader(body))
			if err != nil {
				t.Errorf("POST: %v", err)
				return
			}
			defer resp.Body.Close()

			got, _ := io.ReadAll(resp.Body)
			if string(got) != "diane@app1 "+body {
				t.Errorf("got %d %q, want diane with the body of the request", resp.StatusCode, got)
			}
		})
	}

	wg.Wait()
	n := s.logins.Load()
	if n != 2 {
		t.Errorf("%d logins, want 2: the first, and one for fifty requests", n)
	}
}

func TestReloginRenewsASpentSession(t *testing.T) {
	s := newService(t, "app1", func(s *service) { s.uses = 3 })
	w := newWallet(t)
	in := s.as("diane")
	in.Save = true
	id := mustLogin(t, w, in)
	for range 9 {
		mustGet(t, id, s.URL+"/whoami", "diane@app1")
	}

	if n := s.logins.Load(); n != 3 {
		t.Errorf("%d logins for 9 uses, want 3", n)
	}

	plain := s.as("eshana")
	id = mustLogin(t, w, plain)
	for range 3 {
		mustGet(t, id, s.URL+"/whoami", "eshana@app1")
	}

	resp, _ := get(t, id, s.URL+"/whoami")
	if why, ok := NeedsLogin(resp); !ok || !errors.Is(why, jeton.ErrSpent) {
		t.Errorf("without a password source: NeedsLogin = %v, %v, want ErrSpent", why, ok)
	}
	if n := s.logins.Load(); n != 4 {
		t.Errorf("%d logins, want 4: no relogin without a password source", n)
	}
}

func TestRefusedReloginIsNotRepeated(t *testing.T) {
	for _, tc := range []struct {
		name   string
		how    refusing
		want   error
		repeat time.Duration // when the login is tried again; 0: never
	}{
		{"the password is wrong", refusing{"bad_credential", 401, ""}, jeton.ErrBadCredential, 0},
		{
			"the terms refuse, for ten seconds",
			refusing{"relogin_refused", 403, "10"},
			jeton.ErrRelogin,
			10 * time.Second,
		},
		{"too many attempts", refusing{"too_many_attempts", 429, ""}, jeton.ErrTooMany, time.Minute},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var ahead atomic.Int64
			clock := func(c *Config) { c.Now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) } }
			s, home := newService(t, "app1"), t.TempDir()
			in := s.as("diane")
			in.Save = true

			mine := mustLogin(t, openWallet(t, home, clock), in)
			theirs, err := openWallet(t, home, clock).Identity(t.Context(), s.URL, "diane")
			if err != nil {
				t.Fatal(err)
			}

			s.end()
			s.refuseLogins(&tc.how)
			var wg sync.WaitGroup
			for range 10 {
				for _, id := range []*Identity{mine, theirs} {
					wg.Go(func() {
						resp, _ := get(t, id, s.URL+"/whoami")
						why, ok := NeedsLogin(resp)
						if !ok || !errors.Is(why, jeton.ErrExpired) || !errors.Is(why, tc.want) {
							t.Errorf("NeedsLogin = %v, %v, want ErrExpired and %v", why, ok, tc.want)
						}

						if why != nil && strings.Contains(why.Error(), passwordOf) {
							t.Errorf("error = %v, want no password in it", why)
						}
					})
				}
			}

			wg.Wait()
			n := s.refused.Load()
			if n != 1 {
				t.Errorf("%d refused logins, want 1 for all requests of two processes", n)
			}

			s.refuseLogins(nil)
			ahead.Store(int64(max(tc.repeat, time.Minute) + time.Second))
			resp, _ := get(t, mine, s.URL+"/whoami")
			if ok := resp.StatusCode == http.StatusOK; ok != (tc.repeat > 0) {
				t.Errorf("after the wait: status %d, want a login: %t", resp.StatusCode, tc.repeat > 0)
			}

			mustLogin(t, mine.w, in)
			mustGet(t, theirs, s.URL+"/whoami", "diane@app1")
		})
	}
}

// TestALateResponseDoesNotEndANewerSession delays the response to a request that was sent
// before a new login: its refusal is about the old session.
func TestALateResponseDoesNotEndANewerSession(t *testing.T) {
	s := newService(t, "app1", func(s *service) { s.clear = true })
	w := newWallet(t)
	id := mustLogin(t, w, s.as("diane"))
	saw := id.view()
	s.end()

	mustLogin(t, w, s.as("diane"))
	r, err := http.NewRequest(http.MethodGet, s.URL+"/whoami", nil)
	if err != nil {
		t.Fatal(err)
	}

	resp, err := id.send(r, nil, saw, nil) // the request was sent before the login
	if err != nil {
		t.Fatal(err)
	}

	resp.Body.Close()
	_, over := NeedsLogin(resp)
	if !over {
		t.Errorf("the old session was accepted: status %d, want 401", resp.StatusCode)
	}

	mustGet(t, id, s.URL+"/whoami", "diane@app1")
}

// TestAnOldReadDoesNotReplaceANewerState stands for a process that is suspended between
// reading the file and using it.
func TestAnOldReadDoesNotReplaceANewerState(t *testing.T) {
	s := newService(t, "app1")
	w := newWallet(t)
	id := mustLogin(t, w, s.as("diane"))
	old, err := w.file.read(t.Context())
	if err != nil {
		t.Fatal(err)
	}

	s.end()
	mustLogin(t, w, s.as("diane"))
	id.adopt(old.Identities[0], old.Revision)
	got := id.view().e.Epoch
	if got == old.Identities[0].Epoch {
		t.Errorf("epoch after an old read = %v, want the new one", got)
	}

	id.remove(old.Revision)
	mustGet(t, id, s.URL+"/whoami", "diane@app1")
}

func TestWaitersShareAFailure(t *testing.T) {
	s := newService(t, "app1")
	ran := filepath.Join(t.TempDir(), "ran")
	in := s.as("diane")
	in.Command = []string{"sh", "-c", "echo x >> " + ran + "; sleep 0.5; exit 1"}
	id := mustLogin(t, newWallet(t), in)

	s.end()
	var start, wg sync.WaitGroup
	start.Add(10)

	for range 10 {
		wg.Go(func() {
			saw := id.view()
			start.Done()
			start.Wait()

			if err := id.relogin(t.Context(), saw); err == nil || !strings.Contains(err.Error(), "exit status 1") {
				t.Errorf("relogin: %v, want the failure of the command", err)
			}
		})
	}

	wg.Wait()
	text := must(os.ReadFile(ran))
	if len(text) != 2 {
		t.Errorf("the command ran %d times, want once for all", len(text)/2)
	}
}

func TestANewLoginElsewhereIsUsed(t *testing.T) {
	s, home := newService(t, "app1"), t.TempDir()
	mine := mustLogin(t, openWallet(t, home), s.as("diane"))
	s.end()
	mustLogin(t, openWallet(t, home), s.as("diane"))
	mustGet(t, mine, s.URL+"/whoami", "diane@app1")
}

// TestBodyThatCannotBeSentTwice checks that no request is repeated with a part of its body
// missing.
func TestBodyThatCannotBeSentTwice(t *testing.T) {
	s := newService(t, "app1")
	in := s.as("diane")
	in.Save = true
	id := mustLogin(t, newWallet(t), in)
	s.end()

	r, err := http.NewRequest(http.MethodPost, s.URL+"/whoami", io.MultiReader(strings.NewReader("once")))
	if err != nil {
		t.Fatal(err)
	}

	resp, err := id.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()

	if why, ok := NeedsLogin(resp); !ok || !errors.Is(why, jeton.ErrExpired) || s.logins.Load() != 1 {
		t.Errorf("NeedsLogin = %v, %v after %d logins; want ErrExpired and no second login", why, ok, s.logins.Load())
	}
}

// TestNoCredentialIsSentAcrossARedirect follows a redirect to another origin, as an open
// redirect of a service would send it.
func TestNoCredentialIsSentAcrossARedirect(t *testing.T) {
	var leaked atomic.Int64
	var hits atomic.Int64

	canary := httptest.NewTLSServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		hits.Add(1)
		if r.Header.Get("Cookie") != "" || r.Header.Get("Authorization") != "" {
			leaked.Add(1)
		}
	}))
	defer canary.Close()

	plain := httptest.NewServer(canary.Config.Handler)
	defer plain.Close()

	s := newService(t, "app1")
	id := mustLogin(t, newWallet(t), s.as("diane"))
	for _, target := range []string{
		canary.URL,
		plain.URL,
		strings.Replace(s.URL, "https:", "http:", 1),
		strings.Replace(canary.URL, "https:", "", 1),
	} {
		for _, status := range []int{301, 302, 303, 307, 308} {
			r, _ := http.NewRequest(
				http.MethodPost, fmt.Sprintf("%s/to?status=%d&url=%s/x", s.URL, status, target),
				strings.NewReader("body"),
			)
			r.Header.Set("Authorization", "Bearer canary")
			resp, err := id.Client().Do(r)
			if err != nil {
				t.Fatalf("redirect to %s: %v", target, err)
			}

			resp.Body.Close()
			if resp.StatusCode != status {
				t.Errorf("redirect to %s: status %d, want %d", target, resp.StatusCode, status)
			}

			// A client that follows redirects gets an error.
			own := &http.Client{Transport: id}
			r.Body, _ = r.GetBody()

			if resp, err := own.Do(r); err == nil {
				resp.Body.Close()
				t.Errorf("own client: redirect to %s gave status %d, want an error", target, resp.StatusCode)
			}
		}
	}

	if hits.Load() != 0 || leaked.Load() != 0 {
		t.Errorf("%d requests at another origin, %d with credentials; want 0", hits.Load(), leaked.Load())
	}

	mustGet(t, id, s.URL+"/to?status=302&url=/whoami", "diane@app1")
}

func TestRequestsToOtherOriginsAreRefused(t *testing.T) {
	s, other := newService(t, "app1"), newService(t, "app2")
	id := mustLogin(t, newWallet(t), s.as("diane"))
	for name, change := range map[string]func(*http.Request){
		"another port":      func(r *http.Request) { r.URL.Host = strings.TrimPrefix(other.URL, "https://") },
		"plain http":        func(r *http.Request) { r.URL.Scheme = "http" },
		"another Host line": func(r *http.Request) { r.Host = "app2.example" },
		"a user in the URL": func(r *http.Request) { r.URL.User = nil; r.URL.Host = "diane@" + r.URL.Host },
		"no URL":            func(r *http.Request) { r.URL = nil },
	} {
		r, _ := http.NewRequest(http.MethodGet, s.URL+"/whoami", nil)
		change(r)
		if resp, err := id.RoundTrip(r); !errors.Is(err, jeton.ErrInvalid) {
			t.Errorf("%s: %v, %v, want ErrInvalid", name, resp, err)
		}
	}

	r, _ := http.NewRequest(http.MethodGet, strings.Replace(s.URL, "https", "HTTPS", 1)+"/whoami", nil)
	r.Header.Set("Cookie", "app1-token=mine; extra=1")
	resp, err := id.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}

	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("a cookie of the caller replaced the identity's: status %d, want 200", resp.StatusCode)
	}

	got := r.Header.Get("Cookie")
	if got != "app1-token=mine; extra=1" || strings.Contains(fmt.Sprint(resp.Request.Header), "canary") {
		t.Errorf("request of the caller = %v, want it unchanged", resp.Request.Header)
	}
}

func TestARotatedCookieIsStored(t *testing.T) {
	s, home := newService(t, "app1"), t.TempDir()
	id := mustLogin(t, openWallet(t, home), s.as("diane"))
	get(t, id, s.URL+"/rotate")
	again, err := openWallet(t, home).Identity(t.Context(), s.URL, "diane")
	if err != nil {
		t.Fatal(err)
	}

	mustGet(t, again, s.URL+"/whoami", "diane@app1")
	mustGet(t, id, s.URL+"/whoami", "diane@app1")
}

func TestForgetRemovesTheIdentity(t *testing.T) {
	s, home := newService(t, "app1", func(s *service) { s.uses = 100 }), t.TempDir()
	w := openWallet(t, home)
	id := mustLogin(t, w, s.as("diane"))
	get(t, id, s.URL+"/whoami")

	if err := openWallet(t, home).Forget(t.Context(), s.URL, "diane"); err != nil {
		t.Fatalf("Forget: %v", err)
	}

	get(t, id, s.URL+"/rotate")
	if err := w.Flush(t.Context()); err != nil {
		t.Fatalf("Flush: %v", err)
	}

	infos := must(w.Identities(t.Context()))
	if len(infos) != 0 {
		t.Errorf("Identities = %v, want none", infos)
	}
	if _, err := id.Client().Get(s.URL + "/whoami"); !errors.Is(err, jeton.ErrNotFound) {
		t.Errorf("request after Forget: %v, want ErrNotFound", err)
	}

	if err := w.Forget(t.Context(), s.URL, "diane"); !errors.Is(err, jeton.ErrNotFound) {
		t.Errorf("second Forget: %v, want ErrNotFound", err)
	}
}

// TestForgetDuringALoginRemovesTheIdentity checks that a login that ends later does not
// bring the identity back.
func TestForgetDuringALoginRemovesTheIdentity(t *testing.T) {
	s, w := newService(t, "app1"), newWallet(t)
	in := s.as("diane")
	in.Save = true
	id := mustLogin(t, w, in)
	s.end()

	s.during = func() {
		if err := w.Forget(context.Background(), s.URL, "diane"); err != nil {
			t.Errorf("Forget: %v", err)
		}
	}

	resp, _ := get(t, id, s.URL+"/whoami")
	if why, ok := NeedsLogin(resp); !ok || !errors.Is(why, jeton.ErrNotFound) {
		t.Errorf("NeedsLogin = %v, %v, want ErrNotFound", why, ok)
	}

	infos := must(w.Identities(t.Context()))
	if len(infos) != 0 {
		t.Errorf("Identities = %v, want none", infos)
	}
}

func TestLogout(t *testing.T) {
	s, home := newService(t, "app1"), t.TempDir()
	w := openWallet(t, home)
	in := s.as("diane")
	in.Save = true
	id := mustLogin(t, w, in)

	if err := w.Logout(t.Context(), s.URL, "diane"); err != nil {
		t.Fatalf("Logout: %v", err)
	}
	if len(s.sessions) != 0 {
		t.Errorf("%d sessions at the server after the logout, want 0", len(s.sessions))
	}

	resp, _ := get(t, id, s.URL+"/whoami")
	if why, ok := NeedsLogin(resp); !ok || !errors.Is(why, jeton.ErrNoCredential) || s.logins.Load() != 1 {
		t.Errorf("after Logout: %v, %v, %d logins; want ErrNoCredential and 1 login", why, ok, s.logins.Load())
	}
	if err := w.Logout(t.Context(), s.URL, "diane"); err != nil {
		t.Errorf("second Logout: %v", err)
	}

	mustLogin(t, w, Login{URL: s.URL, As: "diane"}) // with the saved password and the known CA
	mustGet(t, id, s.URL+"/whoami", "diane@app1")
	s.Close()

	if err := w.Logout(t.Context(), s.URL, "diane"); err == nil {
		t.Error("Logout without a server = nil, want an error")
	}
	if in := must(w.Identities(t.Context()))[0]; !in.SignedIn || !in.Auto {
		t.Errorf("after a failed Logout: Info = %+v, want the session", in)
	}
}

// TestAStolenFileContainsNoPlainText searches the file for names, origins and secrets: a
// backup of it must say nothing.
func TestAStolenFileContainsNoPlainText(t *testing.T) {
	s, home := newService(t, "app1"), t.TempDir()
	w := openWallet(t, home)
	in := s.as("diane")
	in.Save = true
	id := mustLogin(t, w, in)
	get(t, id, s.URL+"/rotate")

	host := strings.TrimPrefix(s.URL, "https://")
	seen := 0

	err := filepath.WalkDir(filepath.Join(home, "data"), func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}

		seen++
		text, err := os.ReadFile(path)
		for _, secret := range []string{"canary", "diane", host, "AGE-SECRET-KEY"} {
			if bytes.Contains(text, []byte(secret)) || strings.Contains(path[len(home):], secret) {
				t.Errorf("%s has %q, want no secret", path, secret)
			}
		}

		info, _ := d.Info()
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v, want 600", path, info.Mode())
		}

		return err
	})
	if err != nil || seen < 2 {
		t.Fatalf("%d files, want at least 2: %v", seen, err)
	}
	if text := fmt.Sprintf("%+v", must(w.Identities(t.Context()))); strings.Contains(text, "canary") {
		t.Errorf("Info = %s, want no secret", text)
	}

	// Another key does not decrypt it.
	if err := os.Remove(filepath.Join(home, "config", keyName)); err != nil {
		t.Fatal(err)
	}
	if _, err := openWallet(t, home).Identities(t.Context()); !errors.Is(err, ErrKey) {
		t.Errorf("without the key: %v, want ErrKey", err)
	}
	if _, err := os.Stat(filepath.Join(home, "config", keyName)); err == nil {
		t.Error("a new key was created for an existing wallet, want none")
	}

	if err := makeKeyFile(filepath.Join(home, "config")); err != nil {
		t.Fatal(err)
	}
	if _, err := openWallet(t, home).Identities(t.Context()); !errors.Is(err, ErrKey) {
		t.Errorf("with another key: %v, want ErrKey", err)
	}
}
