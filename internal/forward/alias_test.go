package forward_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/jeton-auth/jeton/internal/forward"
	"github.com/jeton-auth/jeton/internal/test/need"
	"github.com/jeton-auth/jeton/jetontest"
)

// TestServicesGetTheNamesOfOtherProducts sends a client's own headers of all such names with each request.
func TestServicesGetTheNamesOfOtherProducts(t *testing.T) {
	port, err := jetontest.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	s := jetontest.Start(t, behind, jetontest.Env("PROXY_PORT", port))
	s.AddUser("diane", right, "ops", "staff")
	token := s.AddToken(jetontest.NewToken{Name: "job", User: "diane", Services: []string{"app"}}).Secret

	// Traefik sends no header under another name.
	list := slices.DeleteFunc(programs(t), func(p proxyProgram) bool { return p.kind == "traefik" })
	for _, product := range forward.Products() {
		aliases, err := forward.AliasesOf(product)
		if err != nil {
			t.Fatal(err)
		}
		foreign := forward.Proxied{Aliases: aliases}.Foreign()

		for _, proxy := range list {
			t.Run(proxy.name+" as "+product, func(t *testing.T) {
				backend := rawBackend(t)
				startProxy(t, need.Program(t, proxy.names...), proxy.kind, forward.Proxied{
					Service: "app",
					Scheme:  "http",
					Host:    "app.example",
					Port:    ":" + port,
					Listen:  port,
					Jeton:   s.Forward(),
					Backend: backend.address,
					Aliases: aliases,
				})
				waitFor(t, proxy.name, port)

				text := "GET /a HTTP/1.1\r\nHost: app.example:" + port + "\r\nAuthorization: Bearer " + token + "\r\n"
				for _, a := range aliases {
					text += a.Name + ": eve\r\n"
				}
				for _, name := range foreign {
					text += name + ": eve\r\n"
				}
				resp := exchange(t, "127.0.0.1:"+port, text+"\r\n")
				seen := backend.heads()
				if len(seen) != 1 {
					t.Fatalf("got %v and %d requests at the backend, want one", resp, len(seen))
				}

				want := map[string]string{"user": "diane", "groups": "ops,staff"}
				expected := append(slices.Clone(aliases), forward.Alias{Name: "Remote-User", Of: "user"})
				for _, name := range foreign {
					expected = append(expected, forward.Alias{Name: name})
				}
				for _, a := range expected {
					got := strings.Join(seen[0].get(a.Name), "|")
					if got != want[a.Of] {
						t.Errorf("%s = %q, want %q", a.Name, got, want[a.Of])
					}
				}
			})
		}
	}

	if _, err := forward.AliasesOf("squid"); err == nil {
		t.Error("an unknown product has aliases, want an error")
	}
}
