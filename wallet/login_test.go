package wallet

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
)

func TestLoginDiscoversTheService(t *testing.T) {
	w := newWallet(t)
	id := mustLogin(t, w, newService(t, "app1").as("diane"))
	in := id.Info()
	if in.Service != "app1" || !in.SignedIn || in.Expires.IsZero() || !in.Trusts || in.Source != SourceNone || in.Auto {
		t.Errorf("Info = %+v, want a session at app1", in)
	}

	plain := newService(t, "old", func(s *service) { s.plain = true })
	id = mustLogin(t, w, plain.as("diane"))
	mustGet(t, id, plain.URL+"/whoami", "diane@old")
	plain.end()
	resp, _ := get(t, id, plain.URL+"/whoami")
	if why, ok := NeedsLogin(resp); !ok || !errors.Is(why, jeton.ErrBadCredential) {
		t.Errorf("a plain 401: NeedsLogin = %v, %v, want ErrBadCredential", why, ok)
	}
}

func TestLoginFails(t *testing.T) {
	s := newService(t, "app1")
	w := newWallet(t)
	mustLogin(t, w, s.as("diane"))
	wrong := s.as("diane")
	wrong.Password = jeton.NewSecret("canary-wrong")

	noCA := s.as("eshana")
	noCA.CACert = nil
	noForm := s.as("diane")
	noForm.LoginPath = "/nowhere"
	for _, tc := range []struct {
		name   string
		in     Login
		refuse *refusing
		want   error
		text   string
	}{
		{"a wrong password", wrong, nil, jeton.ErrBadCredential, "diane"},
		{"terms that refuse", s.as("diane"), &refusing{"relogin_refused", 403, "7"}, jeton.ErrRelogin, ""},
		{"too many attempts", s.as("diane"), &refusing{"", 429, "7"}, jeton.ErrTooMany, ""},
		{"an unknown CA", noCA, nil, nil, "CA certificate"},
		{"no form at the path", noForm, nil, jeton.ErrNotFound, ""},
		{
			"a path to another origin",
			Login{
				URL:       s.URL,
				As:        "diane",
				Password:  wrong.Password,
				LoginPath: "//evil.example/",
			},
			nil,
			jeton.ErrInvalid,
			"path",
		},
		{"no password", Login{URL: s.URL, As: "new", CACert: s.ca()}, nil, jeton.ErrInvalid, "no password"},
		{"no name", Login{URL: s.URL, Password: wrong.Password}, nil, jeton.ErrInvalid, "name"},
		{
			"an invalid user name",
			Login{URL: s.URL, Username: "a b", Password: wrong.Password},
			nil,
			jeton.ErrInvalid,
			"name",
		},
		{
			"no certificate in the file",
			Login{
				URL:      s.URL,
				As:       "diane",
				Password: wrong.Password,
				CACert:   []byte("x"),
			},
			nil,
			jeton.ErrInvalid,
			"PEM",
		},
		{
			"a saved password and a command",
			Login{
				URL:      s.URL,
				As:       "diane",
				Password: wrong.Password,
				Save:     true,
				Command:  []string{"x"},
			},
			nil,
			jeton.ErrInvalid,
			"both",
		},
		{
			"a command that fails",
			Login{URL: s.URL, As: "diane", Command: []string{"sh", "-c", "echo canary >&2; exit 3"}},
			nil,
			nil,
			"exit status 3",
		},
		{
			"a command without output",
			Login{URL: s.URL, As: "diane", Command: []string{"true"}},
			nil,
			jeton.ErrInvalid,
			"empty",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s.refuseLogins(tc.refuse)
			defer s.refuseLogins(nil)

			_, err := w.Login(t.Context(), tc.in)
			if err == nil || (tc.want != nil && !errors.Is(err, tc.want)) || !strings.Contains(err.Error(), tc.text) {
				t.Fatalf("Login = %v, want %v with %q", err, tc.want, tc.text)
			}
			if strings.Contains(err.Error(), "canary") {
				t.Errorf("error = %v, want no secret in it", err)
			}

			if wait, ok := jeton.RetryAfter(err); tc.refuse != nil && (!ok || wait != 7*time.Second) {
				t.Errorf("RetryAfter = %v, %v, want 7s", wait, ok)
			}
		})
	}

	id, err := w.Identity(t.Context(), s.URL, "diane")
	if err != nil {
		t.Fatal(err)
	}

	mustGet(t, id, s.URL+"/whoami", "diane@app1") // the previous session is still valid
	infos := must(w.Identities(t.Context()))
	if len(infos) != 1 {
		t.Errorf("Identities = %+v, want only diane", infos)
	}
}

func TestPasswordCommand(t *testing.T) {
	s, dir := newService(t, "app1"), t.TempDir()
	ran := filepath.Join(dir, "ran")
	in := s.as("diane")
	in.Password = jeton.Secret{}
	in.Command = []string{"sh", "-c", "echo x >> " + ran + "; printf '%s\\nnotes\\n' " + passwordOf + "diane"}

	id := mustLogin(t, newWallet(t), in)
	if in := id.Info(); in.Source != SourceCommand || !in.Auto {
		t.Errorf("Info = %+v, want an automatic login by a command", in)
	}

	s.end()
	mustGet(t, id, s.URL+"/whoami", "diane@app1")
	text := must(os.ReadFile(ran))
	if len(text) != 4 {
		t.Errorf("the command ran %d times, want 2", len(text)/2)
	}

	mustLogin(t, id.w, Login{URL: s.URL, As: "diane", Relogin: ReloginNever})
	s.end()
	resp, _ := get(t, id, s.URL+"/whoami")
	if resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("ReloginNever: status %d, want 401", resp.StatusCode)
	}
}

func TestAPasswordIsSavedOnlyOnRequest(t *testing.T) {
	s, w := newService(t, "app1"), newWallet(t)
	source := func() (source, bool) {
		d, err := w.file.read(t.Context())
		if err != nil {
			t.Fatal(err)
		}

		e := d.find(must(ParseOrigin(s.URL)), "diane")
		return e.Source, e.Auto
	}

	in := s.as("diane")
	mustLogin(t, w, in)

	if src, auto := source(); src.kind() != SourceNone || auto {
		t.Errorf("source without Save = %v, %t; want none", src.kind(), auto)
	}

	in.Save = true
	mustLogin(t, w, in)

	if src, auto := source(); src.Password != passwordOf+"diane" || !auto {
		t.Errorf("source = %v, %t; want the password", src.kind(), auto)
	}

	second := s.as("diane")
	second.Password = jeton.NewSecret(secondPasswordOf + "diane")
	mustLogin(t, w, second)

	if src, auto := source(); src.kind() != SourceNone || auto {
		t.Errorf("source after a login with another password = %v, %t; want none", src.kind(), auto)
	}

	in.Save = false
	in.Command = []string{"echo", passwordOf + "diane"}
	mustLogin(t, w, in)

	if src, auto := source(); src.kind() != SourceCommand || !auto {
		t.Errorf("source = %v, %t; want the command", src.kind(), auto)
	}

	other := s.as("diane")
	other.Username, other.Password = "eshana", jeton.NewSecret(passwordOf+"eshana")
	id := mustLogin(t, w, other)

	if src, auto := source(); src.kind() != SourceNone || auto {
		t.Errorf("source after a login of another user = %v, %t; want none", src.kind(), auto)
	}

	mustGet(t, id, s.URL+"/whoami", "eshana@app1")
}

func TestARedirectAfterTheLoginForm(t *testing.T) {
	to := ""
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/login" {
			http.NotFound(w, r)
			return
		}

		http.SetCookie(w, &http.Cookie{Name: "sessionid", Value: "1", Path: "/"})
		w.Header().Set("Location", to)
		w.WriteHeader(http.StatusFound)
	}))
	defer srv.Close()

	for where, ok := range map[string]bool{
		"/home":                 true,
		srv.URL + "/home":       true,
		"/login?error":          false,
		"https://evil.example/": false,
		"":                      false,
	} {
		to = where
		_, err := newWallet(t).Login(t.Context(), Login{URL: srv.URL, As: "diane", Password: jeton.NewSecret("pw")})
		if (err == nil) != ok {
			t.Errorf("redirect to %q: Login = %v, want success: %t", where, err, ok)
		}
	}
}

func TestNeedsLogin(t *testing.T) {
	for _, tc := range []struct {
		status int
		code   string
		want   error
	}{
		{200, "", nil},
		{401, "", jeton.ErrNoCredential},
		{401, "no_credential", jeton.ErrNoCredential},
		{401, "bad_credential", jeton.ErrBadCredential},
		{401, "expired", jeton.ErrExpired},
		{403, "spent", jeton.ErrSpent},
		{403, "forbidden", nil},
		{403, "relogin_refused", nil},
		{401, "too_many_attempts", nil},
		{403, "", nil},
		{401, "unknown_code", jeton.ErrNoCredential},
		{503, "unavailable", nil},
	} {
		resp := &http.Response{StatusCode: tc.status, Header: http.Header{}}
		resp.Header.Set(jeton.HeaderError, tc.code)
		if why, ok := NeedsLogin(resp); ok != (tc.want != nil) || !errors.Is(why, tc.want) {
			t.Errorf("%d %q: NeedsLogin = %v, %v; want %v", tc.status, tc.code, why, ok, tc.want)
		}
	}
}
