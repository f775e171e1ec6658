package browser

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/jeton-auth/jeton/internal/test/need"
	"github.com/jeton-auth/jeton/jetontest"
)

// returnAddresses are return addresses with which attackers have led browsers away from a site. E is the
// host and port of the attacker. Those above the empty one left it in a browser when a server put them
// into Location as they stand; those below did not.
var returnAddresses = []string{
	"//E",
	`/\E`,
	`\\E`,
	`\/E`,
	"///E",
	"////E",
	"\t//E",
	" //E",
	"/\t/E",
	"/\n/E",
	"/\r/E",
	"//evil%2etest",
	"//EVIL.test",
	"//E:80%2f@app/",
	`http:\\E`,
	"http:///E",
	`http://E\@app/`,
	"https://E/",
	"https:E",
	"//user@E/",
	"",
	"/%09/E",
	"/%5cE",
	"/%2fE",
	"./..//E",
	"/.//E",
	"/..//E",
	`http://app\@E/`,
	"javascript:alert(1)",
	"data:text/html,hello",
	"/\x7f/E",
	"/\x00/E",
}

// at returns a return address of the list for an attacker's origin.
func at(address, attacker string) string {
	host := strings.TrimPrefix(attacker, "https://")
	return strings.NewReplacer("E", host, "evil%2etest", "evil%2e"+strings.TrimPrefix(host, "evil."),
		"EVIL.test", "EVIL."+strings.TrimPrefix(host, "evil.")).Replace(address)
}

func TestNoReturnAddressLeavesTheServiceInABrowser(t *testing.T) {
	w := newWorld(t)
	attacker := evil(t, true, "<p>you are here</p>")

	each(t, func(t *testing.T, open func(testing.TB) *Page) {
		p := open(t)
		p.Open(w.shop + "/orders/7")
		w.signIn(p, "diane")
		p.Arrive(w.shop + "/orders/7")

		for i, address := range returnAddresses {
			if address == "" && p.Browser() == "firefox" {
				break // the others stay here, on pages that the shop refuses and Firefox does not show
			}
			if !need.Soaking() && i%4 != 1 {
				continue // TestNoReturnAddressLeavesTheServiceOnTheWire has them all
			}

			p.Open(attacker)
			p.Run("location.href = " + quote(w.shop+"/.jeton/start?to="+url.QueryEscape(at(address, attacker))))
			p.Wait("location.href.startsWith('" + w.shop + "/') && !location.pathname.startsWith('/.jeton/')")
		}
	})
}

// TestNoReturnAddressLeavesTheServiceOnTheWire reads the raw Location of each step.
func TestNoReturnAddressLeavesTheServiceOnTheWire(t *testing.T) {
	w := newWorld(t)

	for _, address := range returnAddresses {
		// A browser of its own, since one that begins many sign-ins in a row is stopped.
		c := w.Client(jetontest.Jar())
		w.signInByHand(t, c)

		for _, first := range []string{
			w.shop + "/.jeton/start?to=" + url.QueryEscape(at(address, "https://evil.test:8443")),
			w.issuer + "/sign-in?return=" + url.QueryEscape(at(address, "https://evil.test:8443")),
			w.issuer + "/sign-in/continue?to=" + url.QueryEscape(at(address, "https://evil.test:8443")),
		} {
			last := w.follow(t, c, first)
			elsewhere := strings.HasPrefix(first, w.shop) && !strings.HasPrefix(last, w.shop)
			if elsewhere || strings.Contains(last, "/.jeton/") {
				t.Errorf("%s leads to %s, want a page of the shop", first, last)
			}
		}
	}
}

// signInByHand signs diane in with a client that keeps cookies and shows the headers of a browser.
func (w *world) signInByHand(t *testing.T, c *http.Client) {
	t.Helper()
	form := url.Values{"username": {"diane"}, "password": {passphrase}}
	a := w.Send(c, http.MethodPost, w.issuer+"/sign-in", form.Encode(), append(navigation("same-origin"),
		"Content-Type", "application/x-www-form-urlencoded", "Origin", w.issuer)...)
	if a.Status != http.StatusSeeOther {
		t.Fatalf("sign in = %d %s, want 303", a.Status, a.Body)
	}
}

// navigation returns the headers that a browser sends when it loads a page.
func navigation(site string) []string {
	return []string{
		"Accept", "text/html,application/xhtml+xml,*/*;q=0.8",
		"Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document", "Sec-Fetch-Site", site,
	}
}

// follow follows the redirects from an address and returns the last address. It fails the test when one
// leaves our origins, or is one that browsers read in different ways.
func (w *world) follow(t *testing.T, c *http.Client, first string) string {
	t.Helper()
	next := first
	for range 10 {
		a := w.Send(c, http.MethodGet, next, "", navigation("none")...)
		to := a.Header.Get("Location")
		if refresh := a.Header.Get("Refresh"); refresh != "" {
			_, to, _ = strings.Cut(refresh, "url=")
		}
		if to == "" {
			return next
		}

		err := w.judge(to)
		if err != nil {
			t.Errorf("%s redirects to %q: %v", first, to, err)
			return next
		}

		base, err := url.Parse(next)
		if err != nil {
			t.Fatal(err)
		}
		there, err := base.Parse(to)
		if err != nil {
			t.Errorf("%s redirects to %q: %v", first, to, err)
			return next
		}
		next = there.String()
	}

	t.Errorf("%s redirects more than ten times", first)

	return next
}

// judge says what is wrong with a raw Location.
func (w *world) judge(location string) error {
	odd := strings.ContainsFunc(location, func(r rune) bool { return r <= ' ' || r == '\\' || r >= 0x7f })
	if odd {
		return fmt.Errorf("has a character that browsers read in different ways")
	}

	if strings.HasPrefix(location, "/") && !strings.HasPrefix(location, "//") {
		return nil
	}
	for _, origin := range []string{w.issuer, w.shop, w.books} {
		rest, ours := strings.CutPrefix(location, origin)
		if ours && strings.HasPrefix(rest, "/") {
			return nil
		}
	}

	return fmt.Errorf("leads elsewhere, want one of our origins")
}
