package wallet_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/wallet"
)

// app is a service with the users diane and eshana. A login has one use.
func app() *httptest.Server {
	used := map[string]bool{}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /login", func(w http.ResponseWriter, r *http.Request) {
		user := r.PostFormValue("username")
		if r.PostFormValue("password") != "secret of "+user {
			w.Header().Set(jeton.HeaderError, "bad_credential")
			w.WriteHeader(http.StatusUnauthorized)
			return
		}

		used[user] = false
		http.SetCookie(w, &http.Cookie{Name: "session", Value: user, Path: "/"})
	})

	mux.HandleFunc("GET /info", func(w http.ResponseWriter, r *http.Request) {
		c, err := r.Cookie("session")
		if err != nil || used[c.Value] {
			w.Header().Set(jeton.HeaderError, "spent")
			w.WriteHeader(http.StatusForbidden)
			return
		}

		used[c.Value] = true
		fmt.Fprintf(w, "hello %s", c.Value)
	})

	return httptest.NewServer(mux)
}

func open() (*wallet.Wallet, func()) {
	dir, err := os.MkdirTemp("", "wallet")
	if err != nil {
		log.Fatal(err)
	}

	w, err := wallet.Open(wallet.Config{Dir: filepath.Join(dir, "data"), KeyDir: filepath.Join(dir, "config")})
	if err != nil {
		log.Fatal(err)
	}

	return w, func() { w.Close(); os.RemoveAll(dir) }
}

// Two identities at one service, each with its own session.
func Example() {
	srv := app()
	defer srv.Close()

	w, done := open()
	defer done()

	ctx := context.Background()

	for _, name := range []string{"diane", "eshana"} {
		id, err := w.Login(ctx, wallet.Login{URL: srv.URL, As: name, Password: jeton.NewSecret("secret of " + name)})
		if err != nil {
			log.Fatal(err)
		}

		resp, err := id.Client().Get(srv.URL + "/info")
		if err != nil {
			log.Fatal(err)
		}

		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		fmt.Printf("%s\n", body)
	}
	// Output:
	// hello diane
	// hello eshana
}

// Without a password source, the response is returned unchanged, and NeedsLogin reports the reason.
func ExampleNeedsLogin() {
	srv := app()
	defer srv.Close()

	w, done := open()
	defer done()

	diane, err := w.Login(context.Background(), wallet.Login{
		URL:      srv.URL,
		As:       "diane",
		Password: jeton.NewSecret("secret of diane"),
	})
	if err != nil {
		log.Fatal(err)
	}

	for range 2 {
		resp, err := diane.Client().Get(srv.URL + "/info")
		if err != nil {
			log.Fatal(err)
		}

		resp.Body.Close()
		why, ok := wallet.NeedsLogin(resp)
		fmt.Println(resp.StatusCode, ok, errors.Is(why, jeton.ErrSpent))
	}
	// Output:
	// 200 false false
	// 403 true true
}

// With a saved password, a spent session is renewed without the caller noticing.
func ExampleLogin_save() {
	srv := app()
	defer srv.Close()

	w, done := open()
	defer done()

	diane, err := w.Login(context.Background(), wallet.Login{
		URL:      srv.URL,
		As:       "diane",
		Password: jeton.NewSecret("secret of diane"),
		Save:     true,
	})
	if err != nil {
		log.Fatal(err)
	}

	for range 3 {
		resp, err := diane.Client().Get(srv.URL + "/info")
		if err != nil {
			log.Fatal(err)
		}

		resp.Body.Close()
		fmt.Println(resp.StatusCode)
	}
	// Output:
	// 200
	// 200
	// 200
}

// The identity is chosen at each call. If nothing chooses one of several, Select fails.
func ExampleWallet_Select() {
	srv := app()
	defer srv.Close()

	w, done := open()
	defer done()

	ctx, nothing := context.Background(), func(string) string { return "" }

	for _, name := range []string{"diane", "eshana"} {
		if _, err := w.Login(ctx, wallet.Login{
			URL:      srv.URL,
			As:       name,
			Password: jeton.NewSecret("secret of " + name),
		}); err != nil {
			log.Fatal(err)
		}
	}

	name, how, err := w.Select(ctx, srv.URL+"/info", wallet.Choice{Flag: "eshana", Getenv: nothing})
	fmt.Println(name, how, err)
	_, _, err = w.Select(ctx, srv.URL+"/info", wallet.Choice{Getenv: nothing})
	fmt.Println(errors.Is(err, jeton.ErrAmbiguous))
	// Output:
	// eshana --as <nil>
	// true
}
