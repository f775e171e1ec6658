// Package authenticator is an authenticator of WebAuthn in software, for tests. It makes passkeys and signs with them
// whatever a test wants, also what no honest one would.
package authenticator

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"testing"
)

// The flags of authenticator data (Web Authentication Level 3, section 6.1).
const (
	Present  = 0x01
	Verified = 0x04
	Eligible = 0x08
	BackedUp = 0x10

	attested = 0x40
)

// Key is one passkey. It is used by one goroutine at a time.
type Key struct {
	ID     []byte
	Handle []byte // of the user; Create sets it
	Count  uint32 // of signatures so far
	Flags  byte

	private *ecdsa.PrivateKey
}

// New returns a key that is made with the next Create. It is bound to its authenticator, and verifies its user.
func New(t testing.TB) *Key {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}

	id := make([]byte, 20)
	_, _ = rand.Read(id) // it never fails

	return &Key{
		ID:      id,
		Flags:   Present | Verified,
		private: private,
	}
}

// Response is what an authenticator and a browser answer, before it is signed.
type Response struct {
	Type        string
	Challenge   string // base64url
	Origin      string
	CrossOrigin bool
	TopOrigin   string

	Party  string // whose hash is in the authenticator data
	Flags  byte
	Count  uint32
	ID     []byte // of the key, in the response
	Handle []byte
	Extra  []byte // after the authenticator data

	Public []byte // COSE_Key in the authenticator data
	Format string // of the attestation
	// Forge changes the signature.
	Forge func(signature []byte) []byte
	// Reply changes the members of the whole response.
	Reply func(response map[string]any)
}

// options is what a ceremony of either kind reads of its options.
type options struct {
	Challenge string `json:"challenge"`
	Party     string `json:"rpId"`
	RP        struct {
		ID string `json:"id"`
	} `json:"rp"`
	User struct {
		ID string `json:"id"`
	} `json:"user"`
}

// begin returns the honest response to options.
func (k *Key) begin(t testing.TB, text []byte, kind, origin string) *Response {
	t.Helper()
	var o options
	if err := json.Unmarshal(text, &o); err != nil {
		t.Fatalf("options %s: %v", text, err)
	}

	if o.Party == "" {
		o.Party = o.RP.ID
	}
	if o.User.ID != "" {
		handle, err := base64.RawURLEncoding.DecodeString(o.User.ID)
		if err != nil {
			t.Fatalf("user handle %q: %v", o.User.ID, err)
		}
		k.Handle = handle
	}

	return &Response{
		Type:      kind,
		Challenge: o.Challenge,
		Origin:    origin,
		Party:     o.Party,
		Flags:     k.Flags,
		Count:     k.Count,
		ID:        k.ID,
		Handle:    k.Handle,
		Public:    k.public(),
		Format:    "none",
	}
}

// Create answers the options of navigator.credentials.create. change, unless nil, changes the response before it is
// signed.
func (k *Key) Create(t testing.TB, text []byte, origin string, change func(*Response)) []byte {
	t.Helper()
	r := k.begin(t, text, "webauthn.create", origin)
	r.Flags |= attested
	if change != nil {
		change(r)
	}

	data := r.data()
	if r.Flags&attested != 0 {
		data = append(data, make([]byte, 16)...) // AAGUID
		data = binary.BigEndian.AppendUint16(data, uint16(len(k.ID)))
		data = append(data, k.ID...)
		data = append(data, r.Public...)
	}
	data = append(data, r.Extra...)

	object := []byte{0xa3}
	object = append(object, cborText("fmt")...)
	object = append(object, cborText(r.Format)...)
	object = append(object, cborText("attStmt")...)
	object = append(object, 0xa0)
	object = append(object, cborText("authData")...)
	object = append(object, cborBytes(data)...)

	return r.json(t, map[string]any{
		"clientDataJSON":    encode(r.client(t)),
		"attestationObject": encode(object),
		"transports":        []string{"internal"},
	})
}

// Get answers the options of navigator.credentials.get, and counts. change, unless nil, changes the response before it
// is signed.
func (k *Key) Get(t testing.TB, text []byte, origin string, change func(*Response)) []byte {
	t.Helper()
	k.Count++
	r := k.begin(t, text, "webauthn.get", origin)
	if change != nil {
		change(r)
	}

	client := r.client(t)
	data := append(r.data(), r.Extra...)
	hash := sha256.Sum256(client)
	digest := sha256.Sum256(append(append([]byte{}, data...), hash[:]...))
	signature, err := k.private.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	if r.Forge != nil {
		signature = r.Forge(signature)
	}

	return r.json(t, map[string]any{
		"clientDataJSON":    encode(client),
		"authenticatorData": encode(data),
		"signature":         encode(signature),
		"userHandle":        encode(r.Handle),
	})
}

// client returns the client data, as a browser signs it.
func (r *Response) client(t testing.TB) []byte {
	t.Helper()
	data := map[string]any{
		"type":        r.Type,
		"challenge":   r.Challenge,
		"origin":      r.Origin,
		"crossOrigin": r.CrossOrigin,
	}
	if r.TopOrigin != "" {
		data["topOrigin"] = r.TopOrigin
	}

	return marshal(t, data)
}

// data returns the authenticator data without a key.
func (r *Response) data() []byte {
	party := sha256.Sum256([]byte(r.Party))
	return binary.BigEndian.AppendUint32(append(party[:], r.Flags), r.Count)
}

// json returns the whole response.
func (r *Response) json(t testing.TB, response map[string]any) []byte {
	t.Helper()
	all := map[string]any{
		"id":                      encode(r.ID),
		"rawId":                   encode(r.ID),
		"type":                    "public-key",
		"authenticatorAttachment": "platform",
		"clientExtensionResults":  map[string]any{},
		"response":                response,
	}
	if r.Reply != nil {
		r.Reply(all)
	}

	return marshal(t, all)
}

// public returns the public key as a COSE_Key (RFC 9053, section 7.1.1): ES256 on P-256.
func (k *Key) public() []byte {
	point, err := k.private.PublicKey.Bytes() // 4, x, y
	if err != nil {
		return nil
	}

	cose := []byte{0xa5, 0x01, 0x02, 0x03, 0x26, 0x20, 0x01, 0x21}
	cose = append(cose, cborBytes(point[1:33])...)
	cose = append(cose, 0x22)

	return append(cose, cborBytes(point[33:])...)
}

// cborText returns a text of fewer than 24 bytes in CBOR (RFC 8949, section 3.1).
func cborText(s string) []byte { return append([]byte{0x60 | byte(len(s))}, s...) }

// cborBytes returns a byte string in CBOR.
func cborBytes(b []byte) []byte {
	return append([]byte{0x59, byte(len(b) >> 8), byte(len(b))}, b...)
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func marshal(t testing.TB, v any) []byte {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}

	return text
}
