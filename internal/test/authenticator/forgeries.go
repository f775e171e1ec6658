package authenticator

import (
	"encoding/base64"
	"strings"

	"github.com/jeton-auth/jeton/internal/factor/passkey"
)

// Forgery is a response that no server may accept.
type Forgery struct {
	Name   string
	Change func(*Response)
	Want   passkey.Reason
}

// Both are the forgeries of both ceremonies.
func Both() []Forgery {
	return []Forgery{
		{"no challenge", func(r *Response) { r.Challenge = "" }, passkey.WrongChallenge},
		{"a challenge with padding", func(r *Response) { r.Challenge += "=" }, passkey.WrongChallenge},
		{"the origin of another site", func(r *Response) { r.Origin = "https://evil.test" }, passkey.WrongOrigin},
		{"an origin without TLS", func(r *Response) { r.Origin = plain(r.Origin) }, passkey.WrongOrigin},
		{"the origin of a subdomain", func(r *Response) { r.Origin = below(r.Origin) }, passkey.WrongOrigin},
		{"another port", func(r *Response) { r.Origin += "1" }, passkey.WrongOrigin},
		{"a frame of another site", func(r *Response) { r.CrossOrigin = true }, passkey.CrossOrigin},
		{"a top origin", func(r *Response) { r.TopOrigin = "https://evil.test" }, passkey.CrossOrigin},
		{"another relying party", func(r *Response) { r.Party = "evil.test" }, passkey.WrongParty},
		{"an absent user", func(r *Response) { r.Flags &^= Present }, passkey.NotPresent},
		{"a user who was not verified", func(r *Response) { r.Flags &^= Verified }, passkey.NotVerified},
		{"a backup of what has none", func(r *Response) { r.Flags |= BackedUp }, passkey.WrongBackup},
		{"bytes after the data", func(r *Response) { r.Extra = []byte{0} }, passkey.Malformed},
		{"two ids", func(r *Response) { r.Reply = set("id", "AAAA") }, passkey.Malformed},
		{"another type of credential", func(r *Response) { r.Reply = set("type", "password") }, passkey.Malformed},
		{"a response that is too long", func(r *Response) { r.Reply = set("x", long()) }, passkey.TooLong},
	}
}

// OfCreate are the forgeries of a registration.
func OfCreate() []Forgery {
	return append(Both(), []Forgery{
		{"the type of a sign-in", func(r *Response) { r.Type = "webauthn.get" }, passkey.WrongType},
		{"no key", func(r *Response) { r.Flags &^= attested }, passkey.Malformed},
		{"the id of another key", func(r *Response) { r.ID = []byte("another") }, passkey.OtherKey},
		{"an algorithm that was not asked for", func(r *Response) { r.Public[4] = 0x27 }, passkey.WrongAlgorithm},
		{"a point that is not on the curve", func(r *Response) { r.Public[20] ^= 1 }, passkey.WrongAlgorithm},
		{"a short RSA key", func(r *Response) { r.Public = shortRSA() }, passkey.WeakKey},
		{"an attestation", func(r *Response) { r.Format = "tpm" }, passkey.Attested},
		{"a self attestation without signature", func(r *Response) { r.Format = "packed" }, passkey.WrongSignature},
	}...)
}

// OfGet are the forgeries of a sign-in with a passkey alone.
func OfGet() []Forgery {
	return append(Both(), []Forgery{
		{"the type of a registration", func(r *Response) { r.Type = "webauthn.create" }, passkey.WrongType},
		{"no user handle", func(r *Response) { r.Handle = nil }, passkey.NoHandle},
		{"another user handle", func(r *Response) { r.Handle = make([]byte, 32) }, passkey.OtherHandle},
		{"a key that can be backed up now", func(r *Response) { r.Flags |= Eligible }, passkey.ChangedBackup},
		{"another signature", func(r *Response) { r.Forge = flip }, passkey.WrongSignature},
		{"no signature", func(r *Response) { r.Forge = empty }, passkey.WrongSignature},
		{"bytes after the signature", func(r *Response) { r.Forge = longer }, passkey.WrongSignature},
		{"a counter that did not grow", func(r *Response) { r.Count-- }, passkey.Cloned},
	}...)
}

func plain(origin string) string { return strings.Replace(origin, "https:", "http:", 1) }
func below(origin string) string { return strings.Replace(origin, "//", "//www.", 1) }

func set(name, value string) func(map[string]any) {
	return func(all map[string]any) { all[name] = value }
}

func long() string { return base64.RawURLEncoding.EncodeToString(make([]byte, passkey.MaxResponse)) }

func flip(s []byte) []byte {
	s[len(s)-1] ^= 1
	return s
}

func empty([]byte) []byte    { return nil }
func longer(s []byte) []byte { return append(s, 0) }

// shortRSA returns a COSE_Key (RFC 8230, section 4): RS256 with 1024 bits.
func shortRSA() []byte {
	modulus := make([]byte, 128)
	modulus[0], modulus[127] = 0x80, 1

	cose := append([]byte{0xa4, 0x01, 0x03, 0x03, 0x39, 0x01, 0x00, 0x20}, cborBytes(modulus)...)
	cose = append(cose, 0x21)

	return append(cose, cborBytes([]byte{1, 0, 1})...)
}
