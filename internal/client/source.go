package client

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/jose"
	"github.com/jeton-auth/jeton/internal/outbound"
)

// Source is where keys of a client are fetched from. Clients with equal sources share what
// was fetched.
type Source struct {
	URL     string   `json:"url"`
	Format  string   `json:"format"`            // FormatJWKS, FormatPEM or FormatIssuer
	Alg     jose.Alg `json:"alg,omitempty"`     // of a PEM key; "": the default for its type
	CA      string   `json:"ca,omitempty"`      // PEM file of the authority to trust instead of the system's
	Private bool     `json:"private,omitempty"` // private addresses are allowed
	File    string   `json:"-"`                 // JWK Set in place of URL; of a workload issuer alone
}

// The formats of a source. The kid of a PEM key is its thumbprint.
const (
	FormatJWKS = "jwks" // JWK Set (RFC 7517, section 5)
	FormatPEM  = "pem"  // one public key
	// FormatIssuer is an issuer that names its JWK Set (OpenID Connect Discovery 1.0, section 4). No client has it.
	FormatIssuer = "issuer"
)

// check returns jeton.ErrInvalid for what cannot be a source.
func (s Source) check() error {
	want := wantAddress(s.URL, s.Private)

	var err error
	switch {
	case want != "":
		return errSource("url", want)
	case s.Format != FormatJWKS && s.Format != FormatPEM:
		return errSource("format", FormatJWKS+" or "+FormatPEM)
	case s.Alg != "" && s.Format != FormatPEM:
		return errSource("algorithm", "none for the format "+s.Format+", whose keys name their own")
	case s.Alg != "" && !s.Alg.Known():
		return errSource("algorithm "+fmt.Sprintf("%q", string(s.Alg)), "one of the supported ones")
	}

	if s.CA != "" {
		_, err = s.target().Authorities()
	}

	return err
}

// wantAddress returns what an address must be that requests are sent to, or "" if it is that.
func wantAddress(address string, private bool) string {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Opaque != "" {
		return "a whole URL, https://host/path"
	}

	switch {
	case u.User != nil:
		return "one without a user name and a password"
	case u.Fragment != "":
		return "one without a fragment (#)"
	case u.Scheme == "http" && !(private && outbound.Loopback(u.Hostname())):
		// Without TLS, another host could answer with its own keys and act as the client, or read a logout token.
		return "https://; http:// is only for localhost, with the option for private addresses"
	case u.Scheme != "https" && u.Scheme != "http":
		return "https://"
	}

	return ""
}

// errSource names the key of the configuration, and never the URL, which may hold a
// password by mistake.
func errSource(key, want string) error {
	return jeton.WithDetail(jeton.ErrInvalid, "invalid "+key+": want "+want)
}

// place returns where the keys are, for the log: a file, or a URL without its query, which may have a secret.
func (s Source) place() string {
	if s.File != "" {
		return s.File
	}

	u, err := url.Parse(s.URL)
	if err != nil {
		return "" // check has refused it
	}
	u.RawQuery = ""

	return u.String()
}

// target returns what requests to the source may reach.
func (s Source) target() outbound.Target { return outbound.Target{CA: s.CA, Private: s.Private} }

// discover returns the JWK Set that the issuer at the address of the source names.
func (s Source) discover(ctx context.Context) (Source, error) {
	issuer := s.URL
	s.URL = strings.TrimSuffix(issuer, "/") + "/.well-known/openid-configuration"

	body, _, err := s.get(ctx)
	if err != nil {
		return s, err
	}

	var found struct {
		Issuer string `json:"issuer"`
		Keys   string `json:"jwks_uri"`
	}
	if err := json.Unmarshal(body, &found); err != nil {
		return s, fmt.Errorf("discovery document: %w", err)
	}

	// OpenID Connect Discovery 1.0, section 4.3: another issuer would sign for this one.
	if found.Issuer != issuer {
		return s, fmt.Errorf("the issuer of the discovery document is %.200q, want %q", found.Issuer, issuer)
	}

	want := wantAddress(found.Keys, s.Private)
	if want != "" {
		return s, fmt.Errorf("jwks_uri of the discovery document is %.200q, want %s", found.Keys, want)
	}
	s.URL = found.Keys
	s.Format = FormatJWKS

	return s, nil
}

// CheckFile returns an error unless the file of a source has a key that can be used.
func (s Source) CheckFile() error {
	text, err := s.readFile()
	if err != nil {
		return err
	}

	keys, skipped, err := s.parse(text)
	if err == nil && len(keys) == 0 {
		err = fmt.Errorf("%s has no key that can be used: %s", s.File, strings.Join(append(skipped, "want one"), "; "))
	}

	return err
}

// readFile returns the content of the file of the source.
func (s Source) readFile() ([]byte, error) {
	f, err := os.Open(s.File)
	if err != nil {
		return nil, err
	}
	defer f.Close()

	// One byte more than the limit shows that the file is longer.
	text, err := io.ReadAll(io.LimitReader(f, maxBody+1))
	if err == nil && len(text) > maxBody {
		err = fmt.Errorf("%s is larger than %d KiB", s.File, maxBody>>10)
	}

	return text, err
}
