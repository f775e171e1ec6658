package forward_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/jeton-auth/jeton/internal/forward"
	"github.com/jeton-auth/jeton/jetontest"

	"go.yaml.in/yaml/v4"
)

// TestTraefikAsksAsPrinted reads the printed configuration, and asks at its address what Traefik sends.
func TestTraefikAsksAsPrinted(t *testing.T) {
	s := jetontest.Start(t, replayed)
	s.AddUser("diane", right)
	token := s.AddToken(jetontest.NewToken{Name: "job", User: "diane", Services: []string{"app"}}).Secret

	text, err := forward.Configuration("traefik", forward.Proxied{
		Service: "app",
		Scheme:  "https",
		Host:    "app.example",
		Listen:  "443",
		Jeton:   s.Forward(),
		Backend: "127.0.0.1:3000",
		Own:     []string{"/logout"},
	})
	if err != nil {
		t.Fatal(err)
	}

	var conf struct {
		HTTP struct {
			Middlewares map[string]struct {
				ForwardAuth struct {
					Address string   `yaml:"address"`
					Headers []string `yaml:"authResponseHeaders"`
				} `yaml:"forwardAuth"`
				Headers struct {
					Request map[string]string `yaml:"customRequestHeaders"`
				} `yaml:"headers"`
			} `yaml:"middlewares"`
		} `yaml:"http"`
	}
	if err := yaml.Unmarshal([]byte(text), &conf); err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}

	asks := conf.HTTP.Middlewares["app-jeton"].ForwardAuth
	header := otherRow.with("X-Forwarded-Uri", "/a").and(row{
		"Authorization", "Bearer " + token, "Cookie", "theme=dark; __Host-jeton-app=x",
	})
	a := s.Send(&http.Client{}, http.MethodGet, asks.Address, "", header...)
	if a.Status != http.StatusOK || a.Header.Get("Remote-User") != "diane" || a.Header.Get("Cookie") != "theme=dark" {
		t.Errorf("got %d %v, want 200, diane and the cookie theme alone", a.Status, a.Header)
	}

	for _, name := range append(identityNames, "Cookie") {
		if name != "Jeton-Cookie" && !slices.Contains(asks.Headers, name) {
			t.Errorf("authResponseHeaders = %q, want %s in it", asks.Headers, name)
		}
		other := strings.ReplaceAll(name, "-", "_")
		if _, removed := conf.HTTP.Middlewares["app-client"].Headers.Request[other]; !removed && name != "Cookie" {
			t.Errorf("the client's %s is not removed", other)
		}
	}
}
