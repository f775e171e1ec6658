package pages

import (
	"net/http"
	"testing"
)

// TestThePrerenderedSignInIsThatOfTheTemplate compares the page that is rendered once with the one that the template
// gives each time.
func TestThePrerenderedSignInIsThatOfTheTemplate(t *testing.T) {
	p := newPages(t)

	for _, target := range []string{
		"/sign-in",
		"/sign-in?to=%2Faccount%2Ftokens%3Fa%3Db%26c",
		"/sign-in?client_id=reports&state=a%26b%22%3E%3Cb%3E&redirect_uri=https%3A%2F%2Fr.example%2F%2Bx",
		"/sign-in?client_id=unknown&state=ü&lang=en",
		"/sign-in?client_id=reports&evil=%22%27%3C",
	} {
		for _, lang := range []string{"en", "de"} {
			// Twice: the second time it is there.
			for range 2 {
				r := get(target, lang)
				v := p.signInForm(r.Context(), r.URL.Query(), "")

				w, want := newReply()
				if err := p.show(w, r, http.StatusOK, "sign-in/sign-in", v); err != nil {
					t.Fatal(err)
				}

				w, got := newReply()
				if err := p.showEmptySignIn(w, r, v); err != nil {
					t.Fatal(err)
				}

				if got.Body.String() != want.Body.String() {
					t.Errorf("%s, %s: got\n%s\nwant\n%s", target, lang, got.Body, want.Body)
				}

				if r.URL.RawQuery == "" {
					w, plain := newReply()
					if err := p.showPlainSignIn(w, r); err != nil {
						t.Fatal(err)
					}
					if plain.Body.String() != want.Body.String() {
						t.Errorf("plain, %s: got\n%s\nwant\n%s", lang, plain.Body, want.Body)
					}
					got = plain
				}

				want.Header().Del("Cross-Origin-Resource-Policy") // what is the same for all keeps nothing from a site
				for name := range want.Header() {
					if got.Header().Get(name) != want.Header().Get(name) {
						t.Errorf("%s: %s is %q, want %q", target, name, got.Header().Get(name), want.Header().Get(name))
					}
				}
			}
		}
	}
}
