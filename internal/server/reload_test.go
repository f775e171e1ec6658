package server_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/api"
	"github.com/jeton-auth/jeton/internal/config"
	"github.com/jeton-auth/jeton/internal/server"
	"github.com/jeton-auth/jeton/jetontest"
)

const easy = `
throttle: {pair_burst: 1000000, account_burst: 1000000, source_burst: 1000000}
`

const right = "correct horse battery"

// hash is the hash of alice_pw.
const hash = "$argon2id$v=19$m=19456,t=2,p=1$1PCBIeRl9jh5RZ3wuB0tWg$Brk0ImOifExtrG14kJBF6YRdJBufVb+vvHzbVfIR/NM"

// shop returns the configuration of one service with additional routes.
func shop(routes ...string) string {
	return `
services:
  - name: shop
    listen: localhost:0
    login: {paths: [/login]}
    routes:
      - {match: GET /me, respond: {template: '{{.Name}}'}}
      - {match: GET /open, open: true, respond: {text: open}}
` + strings.Join(routes, "")
}

const newRoute = "      - {match: GET /new, respond: {text: new}}\n"

// TestPasswordsOfNewUsers checks that the length, the list and the names of services count, from a reload on.
func TestPasswordsOfNewUsers(t *testing.T) {
	const short = "passwords: {min_length: 8}\n"

	s := jetontest.Start(t, easy+shop())
	add := func(name, password string) error {
		return s.Control("POST", "/api/v1/users", api.NewUser{Name: name, Password: password}, nil)
	}
	set := func(password string) error {
		return s.Control("PUT", "/api/v1/users/diane/password", api.NewPassword{Password: password}, nil)
	}
	s.AddUser("diane", right)

	for _, tc := range []struct {
		name string
		conf string
		do   func() error
		want error
	}{
		{"a new user with 14 characters", easy, func() error { return add("a", "vulpine-quartz") }, jeton.ErrInvalid},
		{"a new user with 15 characters", easy, func() error { return add("b", "vulpine-quartz3") }, nil},
		{"a new password in the list", easy, func() error { return set("passwordpassword") }, jeton.ErrInvalid},
		{"a new password of one's name", easy, func() error { return set("diane-diane-diane") }, jeton.ErrInvalid},
		{"a new password of a service", easy, func() error { return set("shop-shop-shop-1") }, jeton.ErrInvalid},
		{"a new password, which is good", easy, func() error { return set("vulpine-quartz4") }, nil},
		{"8 characters after a reload", easy + short, func() error { return add("c", "vulpine7") }, nil},
		{"a short one in the list", easy + short, func() error { return add("d", "password1") }, jeton.ErrInvalid},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if err := s.Reload(tc.conf + shop()); err != nil {
				t.Fatal(err)
			}

			err := tc.do()
			if !errors.Is(err, tc.want) {
				t.Errorf("got %v, want %v", err, tc.want)
			}
		})
	}
}

func TestReload(t *testing.T) {
	s := jetontest.Start(t, easy+shop())
	s.AddUser("diane", right)
	c := s.Enter("shop", "diane", right)
	ask := func(path string) int { return s.Ask("GET", "shop", path, "Cookie", c).Status }

	t.Run("an invalid file is refused with its line and column, and changes nothing", func(t *testing.T) {
		for broken, where := range map[string]string{
			"services: [":                       ":1:",
			easy + shop("      - {match: x}\n"): "jeton.yaml:",
			easy + shop() + "shopp: 1\n":        "shopp",
			strings.Replace(easy+shop(), "listen: localhost:0", "lisen: localhost:0", 1): "did you mean listen?",
			"": ":1:1",
		} {
			err := s.Reload(broken)
			if err == nil || !strings.Contains(err.Error(), where) || !strings.Contains(err.Error(), "jeton.yaml:") {
				t.Errorf("Reload: %v, want the file, line and column, and %q", err, where)
			}
			if ask("/me") != 200 {
				t.Error("the service has changed, want no change")
			}
		}
	})

	t.Run("a configuration that only the server refuses changes nothing", func(t *testing.T) {
		err := s.Reload(easy + shop(
			newRoute,
			"      - {match: GET /up, open: true, upstream: {url: 'https://x.example', ca: /no/such/file}}\n",
		))
		if err == nil || ask("/me") != 200 || ask("/new") != 404 {
			t.Errorf("Reload: %v; /me %d, /new %d; want an error, 200, 404", err, ask("/me"), ask("/new"))
		}
	})

	t.Run("an address in use", func(t *testing.T) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()

		err = s.Reload(easy + shop(newRoute) + "  - {name: second, listen: '" + l.Addr().String() +
			"', plain_http: true, routes: [{match: GET /, open: true, respond: {text: x}}]}\n")
		if err == nil || !strings.Contains(err.Error(), l.Addr().String()) || ask("/new") != 404 {
			t.Errorf("Reload = %v, want one that names %s; GET /new = %d, want 404", err, l.Addr(), ask("/new"))
		}
	})

	t.Run("routes are added and removed, sessions stay", func(t *testing.T) {
		if err := s.Reload(easy + shop(newRoute)); err != nil || ask("/new") != 200 || ask("/me") != 200 {
			t.Errorf("Reload: %v; /new %d, /me %d; want nil, 200, 200", err, ask("/new"), ask("/me"))
		}
		if err := s.Reload(easy + shop()); err != nil || ask("/new") != 404 {
			t.Errorf("Reload = %v, want nil; GET /new = %d, want 404", err, ask("/new"))
		}
	})

	t.Run("uses stay used", func(t *testing.T) {
		three := "      - {match: GET /three, max_uses: %d, respond: {text: three}}\n"
		left := func() string { return s.Ask("GET", "shop", "/three", "Cookie", c).Left() }
		for _, step := range []struct {
			max  int
			want string
		}{{3, "2"}, {3, "1"}, {4, "1"}, {2, "0"}} {
			if err := s.Reload(easy + shop(fmt.Sprintf(three, step.max))); err != nil {
				t.Fatal(err)
			}

			got := left()
			if got != step.want {
				t.Errorf("max_uses %d: %s left, want %s", step.max, got, step.want)
			}
		}
	})

	t.Run("a service is added and removed", func(t *testing.T) {
		port := freePort(t)
		second := "  - {name: second, listen: 'localhost:" + port +
			"', plain_http: true, routes: [{match: GET /, open: true, respond: {text: second}}]}\n"
		if err := s.Reload(easy + shop() + second); err != nil {
			t.Fatal(err)
		}

		a := s.Send(http.DefaultClient, "GET", "http://localhost:"+port+"/", "")
		if a.Body != "second" {
			t.Errorf("at the new port: %d %q, want second", a.Status, a.Body)
		}
		if err := s.Reload(strings.Replace(
			easy+shop()+second, "plain_http: true", "tls: {cert: pubkey.pem, key: private.pem}", 1,
		)); err == nil || !strings.Contains(err.Error(), "TLS cannot be switched") {
			t.Errorf("TLS switched on: %v, want a fault that says it cannot be", err)
		}

		if err := s.Reload(easy + shop()); err != nil {
			t.Fatal(err)
		}

		// Its listener closes concurrently, and requests in flight may finish.
		for tries := 0; ; tries++ {
			conn, err := net.Dial("tcp", "localhost:"+port)
			if err != nil {
				break
			}

			_ = conn.Close()
			if tries == 1000 {
				t.Fatal("the removed service responds, want a closed listener")
			}

			time.Sleep(10 * time.Millisecond)
		}
	})

	t.Run("users are added, changed, disabled and removed", func(t *testing.T) {
		users := "users: [{name: Alice, password_hash: '" + hash + "', groups: [%s], disabled: %t}]\n"
		if err := s.Reload(easy + fmt.Sprintf(users, "a", false) + shop()); err != nil {
			t.Fatal(err)
		}

		alice := s.Enter("shop", "Alice", "alice_pw")
		if err := s.Reload(easy + fmt.Sprintf(
			users, "b", false,
		) + shop()); err != nil || s.Ask("GET", "shop", "/me", "Cookie", alice).Status != 200 {
			t.Errorf("changed groups: %v, %d; want nil, 200", err, s.Ask("GET", "shop", "/me", "Cookie", alice).Status)
		}
		if err := s.Reload(easy + fmt.Sprintf(
			users, "b", true,
		) + shop()); err != nil || s.Ask("GET", "shop", "/me", "Cookie", alice).Code() != "bad_credential" {
			t.Errorf("disabled: Reload = %v, want nil, and the session refused with bad_credential", err)
		}

		if err := s.Reload(easy + shop()); err != nil || s.TryEnter(
			"shop", "Alice", "alice_pw",
		).Status != 401 || ask("/me") != 200 {
			t.Errorf("removed: Reload = %v, want nil; GET /me of another user = %d, want 200", err, ask("/me"))
		}
	})
}

// freePort returns a port without a listener.
func freePort(t *testing.T) string {
	t.Helper()
	port, err := jetontest.FreePort()
	if err != nil {
		t.Fatal(err)
	}

	return port
}

// TestReloadUnderLoad reloads repeatedly during requests.
func TestReloadUnderLoad(t *testing.T) {
	s := jetontest.Start(t, easy+shop())
	s.AddUser("diane", right)
	c := s.Enter("shop", "diane", right)
	var stop atomic.Bool
	var asked atomic.Int64

	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for !stop.Load() {
				a := s.Ask("GET", "shop", "/me", "Cookie", c)
				if a.Status != 200 || a.Body != "diane" {
					t.Errorf("during a reload: %d %s %q, want 200 diane", a.Status, a.Code(), a.Body)
				}
				asked.Add(1)
			}
		})
	}

	second := "  - {name: second, listen: 'localhost:0', plain_http: true, " +
		"routes: [{match: GET /, open: true, respond: {text: x}}]}\n"
	for i := range 30 {
		text := easy + shop(newRoute)
		if i%2 == 0 {
			text = easy + shop() + second
		}
		if err := s.Reload(text); err != nil {
			t.Error(err)
		}
	}

	if stop.Store(true); asked.Load() == 0 {
		t.Error("no request during the reloads, want at least one")
	}

	wg.Wait()
}

func TestFolderIsHeldByOne(t *testing.T) {
	s := jetontest.Start(t, easy+shop())
	_, err := jetontest.TryStart(t, easy+shop(), jetontest.DataDir(s.Dir()))
	if !errors.Is(
		err,
		server.ErrInUse,
	) || !strings.Contains(err.Error(), fmt.Sprintf("process %d holds %s", os.Getpid(), s.Dir())) {
		t.Errorf("a second server: %v, want ErrInUse with the process", err)
	}

	conf, err := config.Default(func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := server.Offline(t.Context(), server.Config{
		File:    conf,
		DataDir: s.Dir(),
	}); !errors.Is(err, server.ErrInUse) {
		t.Errorf("a command beside the server: %v, want ErrInUse", err)
	}

	s.AddUser("diane", right)
	cookie := s.Enter("shop", "diane", right)
	s.Stop()
	again := jetontest.Start(t, easy+shop(), jetontest.DataDir(s.Dir()))
	a := again.Ask("GET", "shop", "/me", "Cookie", cookie)
	if a.Body != "diane" {
		t.Errorf("a session after a restart: %d %s, want that of diane", a.Status, a.Code())
	}
}

func TestFilesAreForTheOwnerAlone(t *testing.T) {
	s := jetontest.Start(t, easy+shop())
	s.AddUser("diane", right)

	_ = filepath.WalkDir(s.Dir(), func(path string, d os.DirEntry, err error) error {
		if err != nil {
			t.Error(err)
			return nil
		}

		if info, err := d.Info(); err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %04o, want nothing for group and others", path, info.Mode().Perm())
		}

		return nil
	})
}

func TestReloadBeforeTheStartAndAfterTheEnd(t *testing.T) {
	load := func() (*config.Config, error) {
		return config.Parse("jeton.yaml", []byte("admin: {listen: off}\n"+shop()), func(string) (string, bool) {
			return "", false
		})
	}

	conf, err := load()
	if err != nil {
		t.Fatal(err)
	}

	up := make(chan struct{})
	s, err := server.New(server.Config{
		File:    conf,
		Load:    load,
		DataDir: t.TempDir(),
		Log:     slog.New(slog.DiscardHandler),
		Started: func(server.Started) { close(up) },
	})
	if err != nil {
		t.Fatal(err)
	}

	if err := s.Reload(t.Context()); err == nil {
		t.Error("Reload before the start = nil, want an error")
	}

	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- s.Run(ctx) }()
	<-up
	cancel()

	if err := <-ended; err != nil {
		t.Errorf("Run: %v", err)
	}
	if err := s.Reload(t.Context()); err == nil {
		t.Error("Reload after the stop = nil, want an error")
	}
}

func TestStop(t *testing.T) {
	begun, release := make(chan struct{}, 2), make(chan struct{})
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		begun <- struct{}{}
		<-release
		_, _ = w.Write([]byte("the whole answer"))
	}))

	t.Cleanup(backend.Close)
	s := jetontest.Start(
		t,
		// Long enough for a busy machine to ask /readyz before the listeners close.
		easy+"shutdown: {delay: 2s, timeout: 1m}\n"+
			shop("      - {match: GET /slow, open: true, upstream: {url: '${BACKEND}'}}\n"),
		jetontest.Env("BACKEND", backend.URL),
	)

	ready := func() (int, string) {
		a := s.Send(http.DefaultClient, "GET", s.Admin()+"/readyz", "")
		return a.Status, a.Body
	}
	if status, body := ready(); status != 200 || body != "ok\n" {
		t.Errorf("readiness before the stop = %d %q, want 200 ok", status, body)
	}

	answers := make(chan jetontest.Answer, 2)
	for _, c := range []*http.Client{s.Client(), s.Client(jetontest.HTTP1())} {
		go func() { answers <- s.Send(c, "GET", s.URL("shop")+"/slow", "") }()
		<-begun
	}

	s.Interrupt()
	until(t, "503 of /readyz while the server stops", func() bool {
		status, body := ready()
		return status == 503 && body == "not ready: the server is stopping\n"
	})

	if err := s.Reload(easy + shop()); err == nil {
		t.Error("Reload during the stop = nil, want an error")
	}

	waitClosed(t, s.Addr("shop"))
	close(release)

	for range 2 {
		if a := <-answers; a.Status != 200 || a.Body != "the whole answer" {
			t.Errorf("a request in flight: %d %q, want the whole answer", a.Status, a.Body)
		}
	}

	s.Stop()
}

// waitClosed waits until an address has no listener.
func waitClosed(t *testing.T, address string) {
	t.Helper()

	until(t, "no listener at "+address, func() bool {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			_ = conn.Close()
		}
		return err != nil
	})
}
