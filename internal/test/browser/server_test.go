package browser

import (
	"net"
	"net/url"
	"testing"

	"github.com/jeton-auth/jeton/jetontest"
)

// serve starts a server whose certificate the browsers trust.
func serve(t *testing.T, yaml string, options ...jetontest.Option) *jetontest.Server {
	t.Helper()
	dir := t.TempDir()

	err := Certificate(t).Write(dir)
	if err != nil {
		t.Fatal(err)
	}

	return jetontest.Start(t, yaml, append(options, jetontest.DataDir(dir))...)
}

// TestBrowsersTrustTheCertificateOfTheTests shows that no page is reached by trusting every certificate:
// Firefox trusts more, so that Chromium is what shows it.
func TestBrowsersTrustTheCertificateOfTheTests(t *testing.T) {
	const shop = `
services:
  - name: shop
    listen: localhost:0
    hosts: [shop.example]
    routes:
      - match: GET /
        open: true
        respond: {text: welcome}
`

	s := serve(t, shop)

	each(t, func(t *testing.T, open func(testing.TB) *Page) {
		for _, host := range []string{"localhost", "shop.example"} {
			p := open(t)
			p.Open(address(t, s, "shop", host) + "/")

			if p.Text() != "welcome" {
				t.Errorf("%s shows %q, want welcome", host, p.Text())
			}
		}
	})

	other := jetontest.Start(t, shop)
	p := Chromium(t)
	err := p.tab.open(t.Context(), other.URL("shop")+"/")
	if err == nil {
		t.Errorf("Chromium shows a page with another certificate, want it refused")
	}
}

// address returns where a service answers under a host name of the tests.
func address(t *testing.T, s *jetontest.Server, service, host string) string {
	t.Helper()
	u, err := url.Parse(s.URL(service))
	if err != nil {
		t.Fatal(err)
	}

	return "https://" + net.JoinHostPort(host, u.Port())
}
