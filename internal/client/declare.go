package client

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/jose"
	"github.com/jeton-auth/jeton/internal/secret"
)

// Declared is a client as the configuration declares it.
type Declared struct {
	Name        string
	Keys        []DeclaredKey
	SecretHash  string // SHA-256 of the secret, hexadecimal; "": no secret
	Services    []string
	Scopes      []string
	Introspects []string
	Source      *Source
	OpenID      *jeton.RelyingParty
	Workload    bool // tokens of another issuer prove it
	Disabled    bool
}

// DeclaredKey is a public key as the configuration declares it.
type DeclaredKey struct {
	Text      []byte // PEM or JWK
	Alg       jose.Alg
	ID        string
	NotBefore time.Time
	NotAfter  time.Time
	Where     string // for errors: where it was read from; "": its place in the list
}

// CheckDeclared prepares declared clients for Declare and returns every fault.
func CheckDeclared(declared []Declared) ([]Client, error) {
	// All faults are collected: an operator who mends a file wants them at once.
	var list []Client
	var errs []error

	first := map[string]int{}
	for i, d := range declared {
		path := fmt.Sprintf("clients[%d]", i)
		folded, err := foldName(d.Name)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s.name %q: %w", path, d.Name, err))
			continue
		}

		other, taken := first[folded]
		if taken {
			errs = append(
				errs,
				fmt.Errorf(
					"%s.name %s: clients[%d] has the name, or one that differs only in case",
					path, d.Name, other,
				),
			)

			continue
		}

		first[folded] = i
		c, faults := d.client(path)
		c.Folded = folded
		errs = append(errs, faults...)
		list = append(list, c)
	}

	return list, errors.Join(errs...)
}

// client returns the client without its folded name, and its faults.
func (d Declared) client(path string) (Client, []error) {
	var errs []error

	c := Client{
		Name:     d.Name,
		Version:  1,
		Source:   d.Source,
		Disabled: d.Disabled,
		Declared: true,
	}
	if err := c.setTerms(d.Services, d.Scopes, d.Introspects); err != nil {
		errs = append(errs, fmt.Errorf("%s of %s: %w", path, d.Name, err))
	}

	party, err := CheckRelying(d.OpenID)
	if err != nil {
		errs = append(errs, fmt.Errorf("%s of %s: %w", path, d.Name, err))
	}
	c.OpenID = party

	for j, declared := range d.Keys {
		where := declared.Where
		if where == "" {
			where = fmt.Sprintf("%s.keys[%d]", path, j)
		}

		k, err := declared.key()
		if err == nil {
			err = c.checkNewKey(k)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: key of client %s: %w", where, d.Name, err))
			continue
		}

		c.Keys = append(c.Keys, k)
	}

	return c, append(errs, d.setCredentials(&c, path)...)
}

// setCredentials sets the secret and the source of keys, and returns the faults of all that proves the client.
func (d Declared) setCredentials(c *Client, path string) (errs []error) {
	if d.SecretHash != "" {
		h, err := parseHash(d.SecretHash)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: invalid secret hash of %s: %w", path, d.Name, err))
		}
		c.Secret = h
	}

	if d.Source != nil {
		if err := d.Source.check(); err != nil {
			errs = append(errs, fmt.Errorf("%s: key source of %s: %w", path, d.Name, err))
		}
	}

	// A disabled client may have nothing: its name stays taken.
	public := d.OpenID != nil && d.OpenID.Public
	proved := public || d.Workload
	if len(d.Keys) == 0 && d.SecretHash == "" && d.Source == nil && !d.Disabled && !proved {
		errs = append(
			errs,
			fmt.Errorf(
				"%s: client %s cannot authenticate: it has no key, no secret and no source of keys",
				path, d.Name,
			),
		)
	}

	return errs
}

// parseHash reads a secret_hash of the configuration.
func parseHash(digits string) (*secret.Hash, error) {
	b, err := hex.DecodeString(digits)
	if err != nil || len(b) != len(secret.Hash{}) {
		return nil, errors.New("want SHA-256 in 64 hexadecimal digits")
	}

	h := secret.Hash(b)

	return &h, nil
}

// key reads the key. The step that stores it sets Created.
func (d DeclaredKey) key() (Key, error) {
	return NewKey{
		Text:      d.Text,
		Alg:       d.Alg,
		ID:        d.ID,
		NotBefore: d.NotBefore,
		NotAfter:  d.NotAfter,
	}.key(time.Time{})
}

// Declare makes the given clients, which CheckDeclared has prepared, the declared ones.
func (cs *Clients) Declare(ctx context.Context, clients []Client) error {
	step := cs.step("config", audit.ClientChange, "", "declared in the configuration file")
	if err := cs.store.DeclareClients(ctx, clients, step); err != nil {
		return fmt.Errorf("declare clients: %w", err)
	}

	// Only after the commit: a refused configuration must not drop the cache of the current
	// one.
	var sources []Source
	for _, c := range clients {
		if c.Source != nil {
			sources = append(sources, *c.Source)
		}
	}

	cs.sources.keepOnly(sources)

	return nil
}
