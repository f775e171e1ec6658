package server

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/jeton-auth/jeton/internal/client"
	"github.com/jeton-auth/jeton/internal/config"
	"github.com/jeton-auth/jeton/internal/gateway"
	"github.com/jeton-auth/jeton/internal/jose"
	"github.com/jeton-auth/jeton/internal/keys"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/signin"
)

// needs returns what a configuration asks of the signing keys.
func needs(conf *config.Config) keys.Needs {
	// Where no tokens are issued any more, keys of before still end, and by hand rotate, as by default.
	n := keys.Needs{RotateEvery: 30 * 24 * time.Hour, PublishFor: 10 * time.Minute, Keep: policy.KeepRevocations}
	if conf.Issuer == nil {
		return n
	}

	n.RotateEvery, n.PublishFor = conf.Issuer.Keys.RotateEvery.Std(), conf.Issuer.Keys.PublishFor.Std()

	for _, t := range targets(conf) {
		pair := keys.Pair{Kind: keys.Access, Alg: jose.Alg(t.Terms.Alg)}
		if t.Terms.Format == policy.JWT && !slices.Contains(n.Pairs, pair) {
			n.Pairs = append(n.Pairs, pair)
		}
	}

	return n
}

// targets are the services that tokens can be for.
func targets(conf *config.Config) []signin.Target {
	var list []signin.Target
	for _, s := range conf.Services {
		if terms, ok := gateway.TokenTerms(s); ok {
			list = append(list, signin.Target{Service: s.Name, Terms: terms, Allow: gateway.LoginAllow(s)})
		}
	}

	return list
}

// software prepares the clients of a configuration. Their key files are read anew each
// time, so that a reload takes over a key that has changed.
func (k *core) software(conf *config.Config) ([]client.Client, error) {
	var list []client.Declared
	for i, c := range conf.Clients {
		d := client.Declared{
			Name:        c.Name,
			SecretHash:  c.SecretHash,
			Services:    c.Services,
			Scopes:      c.Scopes,
			Introspects: c.Introspects,
			Disabled:    c.Disabled,
		}

		for j, key := range c.Keys {
			text := []byte(key.Public)
			where := fmt.Sprintf("clients[%d].keys[%d]", i, j)
			if key.File != "" {
				path := k.folder.file(key.File)
				where += " " + path
				var err error
				if text, err = readKey(path); err != nil {
					return nil, fmt.Errorf(
						"%s: key of client %s: %w; 'openssl pkey -in PRIVATE -pubout -out %s' makes it of a private key",
						conf.Path,
						c.Name,
						err,
						filepath.Base(path),
					)
				}
			}

			d.Keys = append(d.Keys, client.DeclaredKey{
				Text:      text,
				Alg:       jose.Alg(key.Algorithm),
				ID:        key.ID,
				NotBefore: key.NotBefore.Time,
				NotAfter:  key.NotAfter.Time,
				Where:     where,
			})
		}

		s := c.KeySource
		if s != nil {
			d.Source = &client.Source{
				URL:     s.URL,
				Format:  s.Format,
				Alg:     jose.Alg(s.Algorithm),
				Private: s.PrivateNetwork,
			}
			if s.CA != "" {
				d.Source.CA = k.folder.file(s.CA)
			}
		}

		list = append(list, d)
	}

	clients, err := client.CheckDeclared(list)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", conf.Path, err)
	}

	return clients, nil
}

// maxKeyFile bounds a file with a public key, in bytes.
const maxKeyFile = 64 << 10

func readKey(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()

	text, err := io.ReadAll(io.LimitReader(f, maxKeyFile+1))
	if err == nil && len(text) > maxKeyFile {
		err = fmt.Errorf("%s is over %d KiB", path, maxKeyFile>>10)
	}

	return text, err
}

// takeIssuer makes the keys, the clients and the name of the authorization server be what
// the configuration says.
func (s *Server) takeIssuer(ctx context.Context, conf *config.Config, clients []client.Client) error {
	if err := s.core.clients.Declare(ctx, clients); err != nil {
		return err
	}
	if conf.Issuer != nil {
		s.core.tokens.SetIssuer(conf.Issuer.URL)
	}

	return nil
}
