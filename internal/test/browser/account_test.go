package browser

import (
	"net/http"
	"strings"
	"testing"

	"github.com/jeton-auth/jeton/jetontest"
)

func TestATokenIsShownOnceAndWorks(t *testing.T) {
	w := newWorld(t)

	each(t, func(t *testing.T, open func(testing.TB) *Page) {
		p := open(t)
		w.account(p, "diane")
		p.Open(w.issuer + "/account/tokens/new")
		w.contrast(p)
		p.Fill("#name", "laptop of "+p.Browser())
		if !p.Has("input[name=service][value=shop]:checked") {
			p.Click("input[name=service][value=shop]")
		}
		p.Fill("#uses", "3")
		p.Click("main form .actions button")
		p.Wait("document.getElementById('secret')")

		w.contrast(p)

		secret := Value[string](p, "document.getElementById('secret').textContent.trim()")
		a := w.Ask(http.MethodGet, "shop", "/orders/1", "Authorization", "Bearer "+secret, "Host", "shop.example")
		if a.Status != http.StatusOK || !strings.Contains(a.Body, "for diane") {
			t.Errorf("a request with the token = %d %s, want 200 for diane", a.Status, a.Code())
		}

		p.Click("main .actions a.button")
		p.Wait("!document.getElementById('secret') && document.readyState === 'complete'")
		if strings.Contains(p.Text(), secret) {
			t.Errorf("the page of the token shows its secret again")
		}

		p.Back()
		p.Wait("location.pathname !== '/account/tokens/' || document.readyState === 'complete'")
		if strings.Contains(p.state(), secret) {
			t.Errorf("Back shows the secret again")
		}
		w.clean(p)
	})
}

func TestASessionThatIsEndedIsRefused(t *testing.T) {
	w := newWorld(t)

	eachForm(t, func(t *testing.T, open func(testing.TB) *Page) {
		other := open(t)
		w.account(other, "diane")
		p := open(t)
		w.account(p, "diane")

		p.Open(w.issuer + "/account/sessions")
		p.Click("form[action^='/account/sessions/'] button")
		p.Wait("!document.querySelector(\"form[action^='/account/sessions/']\") && document.readyState === 'complete'")

		other.Open(w.issuer + "/account")
		other.Wait("location.pathname === '/sign-in'")
		p.Open(w.issuer + "/account")
		p.Arrive(w.issuer + "/account")
		p.Click("form[action='/sign-out'] button")
		p.Reach(w.issuer + "/signed-out")
	})
}

func TestAnAdministratorFindsAUserAndAReason(t *testing.T) {
	w := newWorld(t)
	refused := w.Ask(http.MethodGet, "shop", "/orders/1", "Authorization", "Bearer wrong", "Host", "shop.example")

	eachForm(t, func(t *testing.T, open func(testing.TB) *Page) {
		p := open(t)
		w.account(p, "root")
		p.Open(w.issuer + "/admin/users")
		p.Fill("#search", "dia")
		p.Press("Enter")
		p.Wait("location.search.includes('search=dia') && document.readyState === 'complete'")
		if text := p.Text(); !strings.Contains(text, "diane") || strings.Contains(text, "bob") {
			t.Errorf("the search for dia shows %q, want diane and not bob", text)
		}

		p.Open(w.issuer + "/admin/explain")
		p.Fill("#id", refused.Request())
		p.Press("Enter")
		p.Wait("location.search.includes('id=') && document.readyState === 'complete'")
		if text := p.Text(); !strings.Contains(text, "GET /orders/1") {
			t.Errorf("the explanation shows %q, want GET /orders/1", text)
		}
		w.clean(p)
	})
}

func TestAUserWithoutTheGroupSeesNoAdministration(t *testing.T) {
	w := newWorld(t)
	p := Chromium(t)
	w.account(p, "diane")

	for _, page := range adminPages {
		p.Open(w.issuer + page)
		if p.Status() != http.StatusNotFound {
			t.Errorf("%s for a user without the group = %d, want 404", page, p.Status())
		}
	}
}

func TestTheFirstAdministratorIsAddedByALink(t *testing.T) {
	eachForm(t, func(t *testing.T, open func(testing.TB) *Page) {
		port := freePort(t)
		w := newNode(t, "", newUpstream(t), jetontest.Env("ISSUER_PORT", port), jetontest.Env("LISTEN_PORT", port))

		p := open(t)
		p.Open(w.SetupLink())
		if p.Browser() == "chromium" {
			w.inspect(p, "setup")
		}
		p.Fill("input[name=username]", "ada")
		p.Fill("input[name=password]", passphrase)
		p.Press("Enter")
		p.Wait("!location.pathname.startsWith('/setup') && document.readyState === 'complete'")

		p.Open(w.issuer + "/admin")
		if p.Status() != http.StatusOK || !strings.Contains(p.Text(), "ada") {
			t.Errorf("the first administrator sees %d %q, want the administration", p.Status(), p.Text())
		}

		other := open(t)
		other.Open(w.SetupLink())
		if other.Has("input[name=password]") && strings.HasPrefix(other.URL(), w.issuer+"/setup") {
			t.Errorf("the link of the first administrator works again: %s", other.Text())
		}
		w.clean(p)
	})
}
