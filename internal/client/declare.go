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
	SecretHash  string // SHA-256 of the secret, hexadecimal; "": it has none
	Services    []string
	Scopes      []string
	Introspects []string
	Source      *Source
	Disabled    bool
}

// DeclaredKey is a public key as the configuration declares it.
type DeclaredKey struct {
	Text      []byte // PEM or JWK
	Alg       jose.Alg
	ID        string
	NotBefore time.Time
	NotAfter  time.Time
	Where     string // it comes from, for the text of a fault; "": its place in the list
}

// CheckDeclared prepares declared clients for Declare and returns every fault.
func CheckDeclared(declared []Declared) ([]Client, error) {
	var list []Client
	var errs []error

	first := map[string]int{}
	for i, d := range declared {
		at := fmt.Sprintf("clients[%d]", i)
		folded, err := foldName(d.Name)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s.name %q: %w", at, d.Name, err))
			continue
		}

		other, taken := first[folded]
		if taken {
			errs = append(
				errs,
				fmt.Errorf(
					"%s.name %s: clients[%d] has the name already, or one that differs in case alone",
					at,
					d.Name,
					other,
				),
			)

			continue
		}

		first[folded] = i
		c, faults := d.client(at)
		c.Folded = folded
		errs = append(errs, faults...)
		list = append(list, c)
	}

	return list, errors.Join(errs...)
}

func (d Declared) client(at string) (Client, []error) {
	var errs []error

	c := Client{
		Name:     d.Name,
		Version:  1,
		Source:   d.Source,
		Disabled: d.Disabled,
		Declared: true,
	}
	if err := c.setTerms(d.Services, d.Scopes, d.Introspects); err != nil {
		errs = append(errs, fmt.Errorf("%s of %s: %w", at, d.Name, err))
	}

	for j, one := range d.Keys {
		where := one.Where
		if where == "" {
			where = fmt.Sprintf("%s.keys[%d]", at, j)
		}

		// Created comes with the step that stores it.
		k, err := NewKey{
			Text:      one.Text,
			Alg:       one.Alg,
			ID:        one.ID,
			NotBefore: one.NotBefore,
			NotAfter:  one.NotAfter,
		}.key(time.Time{})
		if err == nil {
			err = c.takes(k)
		}

		if err != nil {
			errs = append(errs, fmt.Errorf("%s: key of client %s: %w", where, d.Name, err))
			continue
		}

		c.Keys = append(c.Keys, k)
	}

	if d.SecretHash != "" {
		b, err := hex.DecodeString(d.SecretHash)
		if err != nil || len(b) != len(secret.Hash{}) {
			errs = append(
				errs,
				fmt.Errorf("%s: secret hash of %s: it is not a SHA-256, 64 hexadecimal digits", at, d.Name),
			)
		} else {
			h := secret.Hash(b)
			c.Secret = &h
		}
	}

	if d.Source != nil {
		if err := d.Source.check(); err != nil {
			errs = append(errs, fmt.Errorf("%s: key source of %s: %w", at, d.Name, err))
		}
	}

	if len(d.Keys) == 0 && d.SecretHash == "" && d.Source == nil && !d.Disabled {
		errs = append(
			errs,
			fmt.Errorf(
				"%s: client %s has no key, no secret and no source of keys: it could never prove itself",
				at,
				d.Name,
			),
		)
	}

	return c, errs
}

// Declare makes the declared clients be the given ones, which CheckDeclared has prepared.
func (k *Clients) Declare(ctx context.Context, clients []Client) error {
	step := k.step("config", audit.ClientChange, "", "declared in the configuration file")
	if err := k.store.DeclareClients(ctx, clients, step); err != nil {
		return fmt.Errorf("declare clients: %w", err)
	}

	var named []Source
	for _, c := range clients {
		if c.Source != nil {
			named = append(named, *c.Source)
		}
	}

	k.sources.keepOnly(named)

	return nil
}

// errSource is what a declared source is told that cannot be one.
func errSource(text string) error { return jeton.WithDetail(jeton.ErrInvalid, text) }
