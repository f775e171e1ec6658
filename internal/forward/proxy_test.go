package forward_test

import (
	"testing"

	"github.com/jeton-auth/jeton/internal/forward"
)

// TestAConfigurationHasNoTextThatCouldEndALine tries what would be read as more than a value in some proxy.
func TestAConfigurationHasNoTextThatCouldEndALine(t *testing.T) {
	good := forward.Proxied{
		Service: "app",
		Scheme:  "https",
		Host:    "app.example",
		Listen:  "443",
		Jeton:   "127.0.0.1:9080",
		Backend: "127.0.0.1:3000",
		Own:     []string{"/logout"},
	}
	party := forward.Party{Issuer: "https://issuer.example", Client: "apache"}
	if _, err := forward.Configuration("nginx", good); err != nil {
		t.Fatal(err)
	}
	if _, err := forward.Configuration("squid", good); err == nil {
		t.Error("an unknown proxy has a configuration, want an error")
	}

	for _, bad := range []string{"", "a b", "a\nb", "a;b", "a}b", "a{b", `a"b`, "a'b", "a#b", "a$b", `a\b`, "é"} {
		for name, change := range map[string]func(*forward.Proxied){
			"service": func(p *forward.Proxied) { p.Service = bad },
			"host":    func(p *forward.Proxied) { p.Host = bad },
			"jeton":   func(p *forward.Proxied) { p.Jeton = bad },
			"backend": func(p *forward.Proxied) { p.Backend = bad },
			"own":     func(p *forward.Proxied) { p.Own = []string{"/login", bad} },
		} {
			p := good
			change(&p)
			if text, err := forward.Configuration("nginx", p); err == nil {
				t.Errorf("%s %q: got a configuration of %d bytes, want an error", name, bad, len(text))
			}
		}

		for name, change := range map[string]func(*forward.Party){
			"issuer":    func(p *forward.Party) { p.Issuer = bad },
			"client":    func(p *forward.Party) { p.Client = bad },
			"authority": func(p *forward.Party) { p.CA = bad },
		} {
			p, changed := good, party
			change(&changed)
			p.Own, p.Party = nil, &changed
			text, err := forward.Configuration("apache", p)
			if err == nil && (bad != "" || name != "authority") {
				t.Errorf("%s %q: got a configuration of %d bytes, want an error", name, bad, len(text))
			}
		}
	}
}
