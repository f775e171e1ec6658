package jose

import (
	"crypto"
	"crypto/hmac"
	_ "crypto/sha256" // for crypto.SHA256
	_ "crypto/sha512" // for crypto.SHA384 and crypto.SHA512
)

// Symmetric returns a key of a kind that the package has not: a shared secret. Published
// vectors are judged with it, so that they test the code that reads tokens.
func Symmetric(alg Alg, secret []byte) Key {
	hash := map[Alg]crypto.Hash{"HS256": crypto.SHA256, "HS384": crypto.SHA384, "HS512": crypto.SHA512}[alg]
	return Key{Alg: alg, check: func(input, signature []byte) bool {
		mac := hmac.New(hash.New, secret)
		mac.Write(input)
		return hmac.Equal(mac.Sum(nil), signature)
	}}
}

// Member is a member of a JSON object as object returns it.
type Member struct{ Name, Value string }

// Object shows how a JSON object is split.
func Object(data []byte) ([]Member, error) {
	members, err := object(data)
	list := make([]Member, len(members))
	for i, m := range members {
		list[i] = Member{string(m.name), string(m.value)}
	}

	return list, err
}

// Public returns the key itself.
func (k Key) Public() crypto.PublicKey { return k.public }

// Private returns the private key itself.
func (s *Signer) Private() crypto.Signer { return s.private() }

// Plain signs a text as it is.
func (s *Signer) Plain(input []byte) ([]byte, error) { return s.sign(input) }

// MaxDepth and MaxMembers are bounds of JSON, MaxID that of a kid.
const (
	MaxDepth   = maxDepth
	MaxMembers = maxMembers
	MaxID      = maxID
)
