package pages

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/web"
)

// secretView is the view of account/token-secret. This response is the only one that has the secret: no page shows it
// again, and no address or cookie has it.
type secretView struct {
	Token   tokenRow
	Secret  string
	Curl    string // a command that uses it
	Rotated bool   // the previous secret has ended
}

// showSecret answers a form with the secret that it has made.
func (p *Pages) showSecret(w *web.Reply, r *http.Request, made madeToken, rotated bool) error {
	services, err := p.ownServices(w, r)
	if err != nil {
		services = nil // the secret is shown once: without an example rather than not at all
	}

	v := secretView{
		Token:   newTokenRow(made.Token, w.Start),
		Secret:  made.Secret,
		Curl:    curlLine(made, services),
		Rotated: rotated,
	}

	return p.show(w, r, http.StatusOK, "account/token-secret", v)
}

// curlLine returns a command that sends a request with a token: to the first path that it is for.
func curlLine(made madeToken, services []ownService) string {
	command := "curl"
	method, address := exampleOf(made.Token, services)
	if method != "GET" && method != "*" {
		command += " -X " + method
	}

	return command + " -H " + quoted("Authorization: Bearer "+made.Secret) + " " + quoted(address)
}

// exampleOf returns the method and the address of a request that a token is for.
func exampleOf(t jeton.Token, services []ownService) (method, address string) {
	origin := "https://service.example"
	for _, s := range services {
		if s.URL != "" && slices.Contains(t.Audience, s.Name) {
			origin = s.URL
		}
	}

	path := "/"
	method = "GET"
	if len(t.Allows) > 0 {
		method, path, _ = strings.Cut(t.Allows[0], " ")
	}

	return method, addressOf(origin, strings.TrimSuffix(path, "*"))
}

// addressOf returns the address of a path at an origin.
func addressOf(origin, path string) string {
	u, err := url.Parse(origin)
	if err != nil {
		return origin + path
	}

	return u.JoinPath(path).String()
}

// quoted returns an argument of a shell as it stands.
func quoted(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }
