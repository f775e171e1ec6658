package forward

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"text/template"
)

// Proxied is what the configuration of another proxy says of a service.
type Proxied struct {
	Service string
	Scheme  string   // that browsers use: http or https
	Host    string   // without a port
	Port    string   // ":8443", or "" for that of the scheme
	Listen  string   // port that the proxy listens on
	Jeton   string   // where Jeton decides: address and port, or unix: and the path of a socket
	Backend string   // address and port of the service itself
	Own     []string // paths of Jeton at the service, beside those below /.jeton/
	Aliases []Alias  // further headers that the service gets
	Party   *Party   // for apache alone
}

// ClientHeaders returns the headers of a client that Traefik must remove, in the spellings that servers read as the
// same.
func (p Proxied) ClientHeaders() []string {
	list := []string{
		"Remote-User", "Remote_User", "Remote-Groups", "Remote_Groups", "Remote-Name", "Remote_Name", "Remote-Email",
		"Remote_Email", "Jeton-Assertion", "Jeton_Assertion", "Jeton-Cookie", "Jeton_Cookie", "Forwarded",
		"X-Original-URL", "X_Original_URL", "X-Original-Method", "X_Original_Method", "X-Rewrite-URL", "X_Rewrite_URL",
		"X-Forwarded-Uri", "X_Forwarded_Uri", "X-Forwarded-Method", "X_Forwarded_Method", "X-Forwarded-User",
		"X_Forwarded_User", "X-Forwarded-Prefix", "X_Forwarded_Prefix", "X_Forwarded_For", "X_Forwarded_Proto",
		"X_Forwarded_Host", "X_Forwarded_Port", "X-HTTP-Method-Override", "X_HTTP_Method_Override",
		"Upgrade", // Traefik would pass on any, also to HTTP/2, in which it sees no requests
	}
	for _, name := range p.Foreign() {
		if !slices.Contains(list, name) {
			list = append(list, name, strings.ReplaceAll(name, "-", "_"))
		}
	}

	return list
}

//go:embed proxies/*
var proxies embed.FS

// safe are the characters that mean nothing in the configuration of any proxy.
var safe = regexp.MustCompile(`^[A-Za-z0-9._~/:-]+$`)

// Kinds returns the proxies that Configuration knows.
func Kinds() []string {
	return []string{"nginx", "caddy", "haproxy", "haproxy-lua", "traefik", "envoy", "apache"}
}

// unsafe returns the error about a text that is not safe.
func unsafe(text string) error {
	const want = "letters, digits and ._~/:-"
	return fmt.Errorf("%.100q cannot be in the configuration of a proxy: want %s", text, want)
}

// Configuration returns the complete configuration of a kind of proxy for a service.
func Configuration(kind string, p Proxied) (string, error) {
	if !slices.Contains(Kinds(), kind) {
		return "", fmt.Errorf("unknown proxy %.40q: want one of %s", kind, strings.Join(Kinds(), ", "))
	}

	// A name that could end a line or a block is refused, and not escaped: each proxy has rules of its own.
	for _, text := range append([]string{p.Service, p.Scheme, p.Host, p.Listen, p.Jeton, p.Backend}, p.Own...) {
		if !safe.MatchString(text) {
			return "", unsafe(text)
		}
	}
	if kind == "apache" {
		if err := p.checkApache(); err != nil {
			return "", err
		}
	}

	if kind == "traefik" && len(p.Aliases) > 0 {
		return "", errors.New("traefik cannot send a header under another name: have the application read Remote-User")
	}

	// Some separate the path of a socket in another way.
	if path, ok := strings.CutPrefix(p.Jeton, "unix:"); ok {
		switch kind {
		case "caddy":
			p.Jeton = "unix/" + path
		case "haproxy":
			p.Jeton = "unix@" + path
		case "traefik":
			return "", errors.New("the proxy traefik asks over TCP alone: set forward.listen to an address and a port")
		}
	}

	t, err := template.ParseFS(proxies, "proxies/"+kind+".tmpl")
	if err != nil {
		return "", err
	}

	var b bytes.Buffer
	if err := t.Execute(&b, p); err != nil {
		return "", err
	}

	return b.String(), nil
}
