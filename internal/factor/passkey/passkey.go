// Package passkey makes the options of WebAuthn ceremonies and checks what authenticators answer to them.
//
// A passkey is a key pair that an authenticator made for this relying party alone; only the public key is stored. A
// response has to be for the challenge, the origin and the relying party, with the user present and verified. It has to
// be of the owner of the key, and signed with it (Web Authentication Level 3, sections 7.1 and 7.2). Each refusal has a
// Reason of its own, which is for the audit log; callers see jeton.ErrBadCredential alone.
//
// The package stores nothing: package signin issues the challenges, each a ticket that is taken once, and package
// factor keeps the keys. It never sees an HTTP request.
package passkey

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/protocol/webauthncose"
)

const (
	// Timeout is how long a ceremony may take, from its challenge to the response.
	Timeout = 5 * time.Minute
	// HandleLen is the length of a user handle, in bytes.
	HandleLen = 32
	// MaxResponse limits the response of an authenticator, in bytes of JSON.
	MaxResponse = 32 << 10
)

// algorithms are the signatures that a passkey may have, the preferred one first. Every authenticator has one of them.
var algorithms = []protocol.CredentialParameter{
	{Type: protocol.PublicKeyCredentialType, Algorithm: webauthncose.AlgES256},
	{Type: protocol.PublicKeyCredentialType, Algorithm: webauthncose.AlgEdDSA},
	{Type: protocol.PublicKeyCredentialType, Algorithm: webauthncose.AlgRS256},
}

// Party is the relying party. A key of one is of no use at another.
type Party struct {
	ID     string // host name of the sign-in page
	Origin string // of the sign-in page
	Name   string // that authenticators show
}

// NewParty returns the relying party whose sign-in page is at an address. It returns an error for a host that browsers
// allow no passkeys at: an IP address, or any but localhost without TLS.
func NewParty(address, name string) (Party, error) {
	u, err := url.Parse(address)
	if err != nil {
		return Party{}, err
	}

	host := strings.ToLower(u.Hostname())
	local := host == "localhost" || strings.HasSuffix(host, ".localhost")
	_, notAnIP := netip.ParseAddr(host)

	switch {
	case host == "" || notAnIP == nil:
		return Party{}, fmt.Errorf("passkeys need a host name, and %s has none", address)
	case u.Scheme != "https" && !local:
		return Party{}, fmt.Errorf("passkeys need https, and %s has none", address)
	}

	// A browser leaves the usual port out.
	origin := u.Scheme + "://" + host
	port := u.Port()
	if port != "" && port != map[string]string{"https": "443", "http": "80"}[u.Scheme] {
		origin += ":" + port
	}

	return Party{
		ID:     host,
		Origin: origin,
		Name:   name,
	}, nil
}

// Key is a passkey as stored.
type Key struct {
	ID         []byte // chosen by the authenticator
	Handle     []byte // of its user, random, HandleLen bytes
	Public     []byte // COSE_Key (RFC 9052, section 7)
	Eligible   bool   // it can be backed up, and so leave its authenticator
	BackedUp   bool   // it is, as of its last use
	Transports []string
	Model      []byte // AAGUID of the authenticator; zeros: unknown
	Count      uint32 // of signatures, as of its last use
}

// Text returns a credential id as browsers and stores have it: base64url without padding.
func Text(id []byte) string { return base64.RawURLEncoding.EncodeToString(id) }

// User is whom a passkey is made for.
type User struct {
	Handle []byte
	Name   string
	Label  string // real name, or the name
}

// Creation returns the options for navigator.credentials.create: a passkey that is found without a name, from an
// authenticator that has none of the keys.
func (p Party) Creation(challenge []byte, u User, exclude []Key) ([]byte, error) {
	return json.Marshal(protocol.PublicKeyCredentialCreationOptions{
		RelyingParty: protocol.RelyingPartyEntity{
			CredentialEntity: protocol.CredentialEntity{Name: p.Name},
			ID:               p.ID,
		},
		User: protocol.UserEntity{
			CredentialEntity: protocol.CredentialEntity{Name: u.Name},
			DisplayName:      u.Label,
			ID:               protocol.URLEncodedBase64(u.Handle),
		},
		Challenge:             challenge,
		Parameters:            algorithms,
		Timeout:               int(Timeout.Milliseconds()),
		CredentialExcludeList: descriptors(exclude),
		AuthenticatorSelection: protocol.AuthenticatorSelection{
			ResidentKey:        protocol.ResidentKeyRequirementRequired,
			RequireResidentKey: protocol.ResidentKeyRequired(),
			UserVerification:   protocol.VerificationRequired,
		},
		Attestation: protocol.PreferNoAttestation,
	})
}

// Request returns the options for navigator.credentials.get. Without keys, the authenticator offers those that it has.
// Alone, as Verify has it, the user must be verified.
func (p Party) Request(challenge []byte, allow []Key, alone bool) ([]byte, error) {
	verification := protocol.VerificationPreferred
	if alone {
		verification = protocol.VerificationRequired
	}

	return json.Marshal(protocol.PublicKeyCredentialRequestOptions{
		Challenge:          challenge,
		Timeout:            int(Timeout.Milliseconds()),
		RelyingPartyID:     p.ID,
		AllowedCredentials: descriptors(allow),
		UserVerification:   verification,
	})
}

// descriptors returns keys as options name them.
func descriptors(keys []Key) []protocol.CredentialDescriptor {
	list := make([]protocol.CredentialDescriptor, 0, len(keys))
	for _, k := range keys {
		d := protocol.CredentialDescriptor{
			Type:         protocol.PublicKeyCredentialType,
			CredentialID: k.ID,
		}
		for _, t := range k.Transports {
			d.Transport = append(d.Transport, protocol.AuthenticatorTransport(t))
		}
		list = append(list, d)
	}

	return list
}
