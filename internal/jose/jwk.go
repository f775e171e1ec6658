package jose

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"

	jose "github.com/go-jose/go-jose/v4"
)

// jwk is the content of a JWK, parsed as strictly as a token. x5c and the other certificate
// members are ignored: no decision depends on them.
type jwk struct {
	kty, crv, alg, kid string
	n, e, x, y         string // base64url
	private            string // the name of a private or secret member
}

// readJWK reads a JWK for an operation: verify or sign. It enforces use and key_ops
// (RFC 7517, sections 4.2 and 4.3). Beside the operation, key_ops may name its counterpart:
// many tools derive the public JWK from the private one and leave key_ops unchanged.
func readJWK(text []byte, operation string) (jwk, error) {
	var j jwk

	members, err := object(text)
	if err != nil {
		return j, err
	}

	for _, m := range members {
		// Members that are not named here are ignored, as RFC 7517, section 4 demands.
		var to *string

		name := string(m.name)
		switch name {
		case "kty":
			to = &j.kty
		case "crv":
			to = &j.crv
		case "alg":
			to = &j.alg
		case "kid":
			to = &j.kid
		case "n":
			to = &j.n
		case "e":
			to = &j.e
		case "x":
			to = &j.x
		case "y":
			to = &j.y
		case "use":
			// jwt-svid is of the keys for JWTs in a SPIFFE bundle (SPIFFE Trust Domain and Bundle, section 4.2.2).
			if use, err := m.text(); err != nil || use != "sig" && use != "jwt-svid" {
				return j, errors.New("its use is not sig")
			}
		case "key_ops":
			if !m.operations(operation) {
				return j, fmt.Errorf("its key_ops are not those of a key to %s with", operation)
			}
		default:
			if isPrivate(name) {
				j.private = name
			}
		}

		if to == nil {
			continue
		}

		*to, err = m.text()
		if err != nil {
			return j, fmt.Errorf("%s: %w", m.name, err)
		}
	}

	return j, nil
}

// operations reports whether key_ops are an operation, perhaps with its counterpart, and
// neither of them twice.
func (m member) operations(want string) bool {
	list, err := m.texts()
	seen := map[string]bool{}
	for _, op := range list {
		if seen[op] || op != "sign" && op != "verify" {
			return false
		}
		seen[op] = true
	}

	// key_ops is always an array (RFC 7517, section 4.3), though texts also takes one string.
	return err == nil && m.value[0] == '[' && seen[want]
}

// isPrivate reports whether a member of a JWK is secret (RFC 7518, sections
// 6.2.2, 6.3.2 and 6.4; RFC 8037, section 2; RFC 9964).
func isPrivate(member string) bool {
	switch member {
	case "d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv":
		return true
	}
	return false
}

// pin returns the algorithm and ID of the key: from the JWK if it has them, else as given.
func (j jwk) pin(alg Alg, id string) (Alg, string, error) {
	if j.alg != "" {
		// A caller who expects one algorithm must not get a key for another (RFC 8725, section
		// 3.1).
		if alg != "" && alg != Alg(j.alg) {
			return "", "", fmt.Errorf("%w: it is for %.40q, not for %s", ErrKey, j.alg, alg)
		}
		alg = Alg(j.alg)
	}

	if j.kid != "" {
		id = j.kid
	}

	return alg, id, nil
}

// public returns the key itself. NewKey checks whether it is a secure one.
func (j jwk) public() (crypto.PublicKey, error) {
	switch {
	case j.kty == "RSA":
		n, err := decode(j.n)
		if err != nil || len(n) == 0 {
			return nil, errors.New("n: not the number of a key")
		}

		e, err := decode(j.e)
		// At most 31 bits are accepted as an exponent, so longer ones need not become numbers.
		if err != nil || len(e) == 0 || len(e) > 4 {
			return nil, errors.New("e: not the number of a key")
		}

		return &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(new(big.Int).SetBytes(e).Int64())}, nil
	case j.kty == "EC" && j.crv == "P-256":
		return j.point(elliptic.P256(), 32)
	case j.kty == "EC" && j.crv == "P-384":
		return j.point(elliptic.P384(), 48)
	case j.kty == "EC" && j.crv == "P-521":
		return j.point(elliptic.P521(), 66)
	case j.kty == "OKP" && j.crv == "Ed25519":
		x, err := decode(j.x)
		if err != nil {
			return nil, fmt.Errorf("x: %w", err)
		}
		return ed25519.PublicKey(x), nil
	}

	return nil, fmt.Errorf("no keys of the kind %.40q %.40q are accepted", j.kty, j.crv)
}

// point reads the coordinates of an EC key, whose lengths are fixed (RFC 7518, section 6.2.1.2).
func (j jwk) point(curve elliptic.Curve, size int) (*ecdsa.PublicKey, error) {
	x, err := decode(j.x)
	if err != nil || len(x) != size {
		return nil, errors.New("x: not a coordinate of its curve")
	}

	y, err := decode(j.y)
	if err != nil || len(y) != size {
		return nil, errors.New("y: not a coordinate of its curve")
	}

	// This rejects a point that is not on the curve (RFC 8725, section 3.4).
	return ecdsa.ParseUncompressedPublicKey(curve, append(append([]byte{4}, x...), y...))
}

// ParseJWK reads a public JWK (RFC 7517) of at most MaxKeyText bytes. Its alg, use and
// key_ops are enforced: a key for encryption is ErrKey, and so is one with private or
// secret members.
func ParseJWK(text []byte) (Key, error) { return parseJWK(text, "", "") }

// parseJWK reads one public key. A JWK that shows a private member is refused: its key has
// leaked.
func parseJWK(text []byte, alg Alg, id string) (Key, error) {
	if len(text) > MaxKeyText {
		return Key{}, fmt.Errorf("%w: %d bytes, at most %d are read", ErrKey, len(text), MaxKeyText)
	}

	j, err := readJWK(text, "verify")
	if err != nil {
		return Key{}, fmt.Errorf("%w: JWK: %w", ErrKey, err)
	}
	if j.private != "" {
		return Key{}, fmt.Errorf("%w: a JWK that shows the private member %s", ErrKey, j.private)
	}

	alg, id, err = j.pin(alg, id)
	if err != nil {
		return Key{}, err
	}

	public, err := j.public()
	if err != nil {
		return Key{}, fmt.Errorf("%w: JWK: %w", ErrKey, err)
	}

	return NewKey(public, alg, id)
}

// JWK returns the key as a JWK (RFC 7517, section 4) with kid, alg and use "sig". It has no
// private member: a Key holds none.
func (k Key) JWK() json.RawMessage {
	b, err := (jose.JSONWebKey{
		Key:       k.public,
		KeyID:     k.ID,
		Algorithm: string(k.Alg),
		Use:       "sig",
	}).MarshalJSON()
	if err != nil {
		return nil // NewKey takes only keys that have a form
	}
	return b
}

// MarshalSet returns keys as a JWK Set (RFC 7517, section 5), in the given order. Without
// keys, the set has an empty list.
func MarshalSet(keys []Key) []byte {
	set := struct {
		Keys []json.RawMessage `json:"keys"`
	}{[]json.RawMessage{}}

	for _, k := range keys {
		set.Keys = append(set.Keys, k.JWK())
	}

	b, err := json.Marshal(set)
	if err != nil {
		return []byte(`{"keys":[]}`) // a list of documents always encodes
	}

	return b
}
