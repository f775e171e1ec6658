package wallet

import (
	"context"
	"crypto/rand"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
)

// service is a small teaching service: a login sets three cookies and has a number of uses. It
// does not use the server of this module, so that the wallet is tested against the protocol.
type service struct {
	*httptest.Server
	name   string
	clear  bool          // a refusal removes the cookie, also a late one
	plain  bool          // not a Jeton service: 401, no codes, no /.well-known/jeton
	uses   int64         // of a session; 0: not counted
	during func()        // runs during a login
	slow   time.Duration // duration of a login, so that others wait for it

	logins, refused atomic.Int64 // posts of the login form, by outcome
	foreign         atomic.Int64 // requests with the cookie of another service

	mu       sync.Mutex
	refuse   *refusing
	sessions map[string]*session
	ended    map[string]bool
}

type session struct {
	user string
	left int64
}

// refusing is the response to every login while it is set.
type refusing struct {
	code   string
	status int
	after  string
}

// Each user has two passwords.
const (
	passwordOf       = "canary-password-of-" // followed by the name of the user
	secondPasswordOf = "canary-second-of-"
)

// newService starts a service with TLS.
func newService(t testing.TB, name string, set ...func(*service)) *service {
	t.Helper()
	s := &service{name: name, sessions: map[string]*session{}, ended: map[string]bool{}}
	for _, f := range set {
		f(s)
	}

	s.Server = httptest.NewUnstartedServer(s.routes())
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // no errors of closed connections
	s.StartTLS()
	t.Cleanup(s.Close)

	return s
}

func (s *service) routes() http.Handler {
	mux := http.NewServeMux()
	if !s.plain {
		mux.HandleFunc("GET /.well-known/jeton", func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintf(w, `{"service":%q,"login":"/auth/login","username_field":"user"}`, s.name)
		})
		mux.HandleFunc("POST /auth/login", func(w http.ResponseWriter, r *http.Request) { s.login(w, r, "user") })
	} else {
		mux.HandleFunc("POST /login", func(w http.ResponseWriter, r *http.Request) { s.login(w, r, "username") })
	}

	mux.HandleFunc("POST /logout", func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.sessions, cookieValue(r, s.name+"-token"))
		w.WriteHeader(http.StatusNoContent)
	})

	mux.HandleFunc("/whoami", func(w http.ResponseWriter, r *http.Request) {
		if user, ok := s.spend(w, r); ok {
			body, _ := io.ReadAll(r.Body)
			fmt.Fprintf(w, "%s@%s %s", user, s.name, body)
		}
	})

	mux.HandleFunc("/rotate", func(w http.ResponseWriter, r *http.Request) {
		if _, ok := s.spend(w, r); !ok {
			return
		}

		s.mu.Lock()
		defer s.mu.Unlock()

		old := cookieValue(r, s.name+"-token")
		fresh := "canary-token-" + rand.Text()
		s.sessions[fresh] = s.sessions[old]
		delete(s.sessions, old)
		http.SetCookie(w, &http.Cookie{
			Name:   s.name + "-token",
			Value:  fresh,
			Path:   "/",
			Secure: true,
		})
	})

	mux.HandleFunc("/to", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", r.URL.Query().Get("url"))
		code, _ := strconv.Atoi(r.URL.Query().Get("status"))
		w.WriteHeader(code)
	})

	return mux
}

// login answers the login form, as a service that is slow, refuses or echoes the password,
// if the test says so.
func (s *service) login(w http.ResponseWriter, r *http.Request, field string) {
	time.Sleep(s.slow)
	if s.during != nil {
		s.during()
	}

	user := r.PostFormValue(field)
	s.mu.Lock()
	defer s.mu.Unlock()

	refusal := s.refuse
	if refusal != nil {
		s.refused.Add(1)
		w.Header().Set(jeton.HeaderError, refusal.code)
		w.Header().Set("Retry-After", refusal.after)
		w.WriteHeader(refusal.status)
		return
	}

	password := r.PostFormValue("password")
	if password != passwordOf+user && password != secondPasswordOf+user {
		s.refused.Add(1)
		if !s.plain {
			w.Header().Set(jeton.HeaderError, "bad_credential")
		}

		w.WriteHeader(http.StatusUnauthorized)
		fmt.Fprintf(w, "not the password: %s", password) // a server must not echo it

		return
	}

	s.logins.Add(1)
	token := "canary-token-" + rand.Text()
	s.sessions[token] = &session{user, s.uses}

	for name, value := range map[string]string{"username": user, "token": token, "login-timestamp": "1700000000"} {
		http.SetCookie(w, &http.Cookie{
			Name:     s.name + "-" + name,
			Value:    value,
			Path:     "/",
			Secure:   true,
			HttpOnly: true,
			MaxAge:   3600,
		})
	}
}

// spend takes one use and returns the user, or writes the refusal.
func (s *service) spend(w http.ResponseWriter, r *http.Request) (string, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()

	token := cookieValue(r, s.name+"-token")
	sess := s.sessions[token]

	for _, c := range r.Cookies() {
		if !strings.HasPrefix(c.Name, s.name+"-") {
			s.foreign.Add(1)
		}
	}

	code := ""
	switch {
	case token == "":
		code = "no_credential"
	case s.ended[token]:
		code = "expired"
	case sess == nil:
		code = "bad_credential"
	case sess.user != cookieValue(r, s.name+"-username"):
		s.foreign.Add(1)
		code = "bad_credential"
	case s.uses > 0 && sess.left == 0:
		code = "spent"
	}

	if code != "" {
		if s.clear {
			http.SetCookie(w, &http.Cookie{
				Name:   s.name + "-token",
				Path:   "/",
				MaxAge: -1,
				Secure: true,
			})
		}
		if !s.plain {
			w.Header().Set(jeton.HeaderError, code)
		}

		w.WriteHeader(http.StatusUnauthorized)
		return "", false
	}

	if s.uses > 0 {
		sess.left--
		w.Header().Set(jeton.HeaderUsesRemaining, strconv.FormatInt(sess.left, 10))
	}

	return sess.user, true
}

// end ends all sessions, as an operator would.
func (s *service) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for token := range s.sessions {
		s.ended[token] = true
	}
}

// refuseLogins makes later logins fail; nil ends that.
func (s *service) refuseLogins(r *refusing) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refuse = r
}

func (s *service) ca() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
}

// as returns the login of a user of the service.
func (s *service) as(user string) Login {
	return Login{
		URL:      s.URL + "/some/page",
		As:       user,
		Password: jeton.NewSecret(passwordOf + user),
		CACert:   s.ca(),
	}
}

func cookieValue(r *http.Request, name string) string {
	if c, err := r.Cookie(name); err == nil {
		return c.Value
	}
	return ""
}

// newWallet opens a wallet in a new folder, without the environment of the test.
func newWallet(t testing.TB, set ...func(*Config)) *Wallet {
	t.Helper()
	return openWallet(t, t.TempDir(), set...)
}

// openWallet opens the wallet in home. Several wallets of one home act like processes.
func openWallet(t testing.TB, home string, set ...func(*Config)) *Wallet {
	t.Helper()
	c := Config{
		Dir:     filepath.Join(home, "data"),
		KeyDir:  filepath.Join(home, "config"),
		Confirm: func(context.Context, Pairing) (bool, error) { return true, nil },
		Getenv: func(name string) string {
			if name == "HOME" {
				return home
			}
			return ""
		},
	}

	for _, f := range set {
		f(&c)
	}

	w, err := Open(c)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}

	t.Cleanup(func() { _ = w.Close() })

	return w
}

func mustLogin(t testing.TB, w *Wallet, in Login) *Identity {
	t.Helper()
	id, err := w.Login(t.Context(), in)
	if err != nil {
		t.Fatalf("Login as %s: %v", in.As, err)
	}

	return id
}

// get returns the response to GET url and its body.
func get(t testing.TB, id *Identity, url string) (*http.Response, string) {
	t.Helper()
	resp, err := id.Client().Get(url)
	if err != nil {
		t.Fatalf("GET %s: %v", url, err)
	}
	defer resp.Body.Close()

	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("GET %s: %v", url, err)
	}

	return resp, strings.TrimSpace(string(body))
}

func mustGet(t testing.TB, id *Identity, url, want string) {
	t.Helper()
	resp, body := get(t, id, url)
	if resp.StatusCode != http.StatusOK || body != want {
		t.Errorf("GET %s = %d %q, want 200 %q", url, resp.StatusCode, body, want)
	}
}

func file600(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
