package passkey

import (
	"bytes"
	"slices"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/protocol/webauthncose"
)

// minRSA is the shortest modulus of an RSA key, in bytes (NIST SP 800-57 part 1).
const minRSA = 2048 / 8

// maxTransports limits how many transports of a key are stored: there are six.
const maxTransports = 6

// Made is the response to Creation, before it is checked.
type Made struct {
	// Challenge is what the browser signed for.
	Challenge []byte

	parsed *protocol.ParsedCredentialCreationData
}

// ReadMade reads the response to Creation, as JSON.
func ReadMade(response []byte) (Made, error) {
	if len(response) > MaxResponse {
		return Made{}, Refuse(TooLong)
	}

	parsed, err := protocol.ParseCredentialCreationResponseBytes(response)
	if err != nil {
		return Made{}, Refuse(Malformed)
	}

	challenge, err := challengeOf(parsed.Response.CollectedClientData)

	return Made{challenge, parsed}, err
}

// Register checks the response to a challenge and returns the key for a user handle.
func (p Party) Register(challenge []byte, m Made, handle []byte) (Key, error) {
	data := m.parsed.Response.AttestationObject.AuthData

	err := p.checkClient(m.parsed.Response.CollectedClientData, protocol.CreateCeremony, challenge)
	if err == nil {
		err = p.checkData(data, true)
	}
	if err == nil {
		err = check([]rule{
			{!bytes.Equal(m.parsed.RawID, data.AttData.CredentialID), OtherKey},
			{!unattested(m.parsed.Response.AttestationObject), Attested},
		})
	}
	if err == nil {
		err = checkPublic(data.AttData.CredentialPublicKey)
	}
	if err != nil {
		return Key{}, err
	}

	// The library checks all of it again, and the signature of a self attestation.
	_, err = m.parsed.Verify(
		Text(challenge), p.ID, []string{p.Origin}, nil, nil, protocol.TopOriginExplicitVerificationMode,
		false, true, true, nil, algorithms, protocol.AttestationPolicy{}, protocol.SignaturePolicy{},
	)
	if err != nil {
		return Key{}, Refuse(WrongSignature)
	}

	k := Key{
		ID:       data.AttData.CredentialID,
		Handle:   handle,
		Public:   data.AttData.CredentialPublicKey,
		Eligible: data.Flags.HasBackupEligible(),
		BackedUp: data.Flags.HasBackupState(),
		Model:    data.AttData.AAGUID,
		Count:    data.Counter,
	}
	for _, t := range m.parsed.Response.Transports {
		if len(k.Transports) < maxTransports && isTransport(t) {
			k.Transports = append(k.Transports, string(t))
		}
	}

	return k, nil
}

// isTransport reports whether a transport is one of the specification: browsers get it again with the options.
func isTransport(t protocol.AuthenticatorTransport) bool {
	return slices.Contains([]protocol.AuthenticatorTransport{
		protocol.USB,
		protocol.NFC,
		protocol.BLE,
		protocol.SmartCard,
		protocol.Hybrid,
		protocol.Internal,
	}, t)
}

// unattested reports whether a response has no attestation, or the key's own: a browser leaves that one in.
// Certificates of makers are not asked for, and the code that parses them stays out of reach.
func unattested(o protocol.AttestationObject) bool {
	_, certificates := o.AttStatement["x5c"]

	return o.Format == "none" && len(o.AttStatement) == 0 || o.Format == "packed" && !certificates
}

// checkPublic checks the algorithm and the strength of a public key.
func checkPublic(public []byte) error {
	parsed, err := webauthncose.ParsePublicKey(public)
	if err != nil {
		return Refuse(WrongAlgorithm)
	}

	var algorithm int64
	switch key := parsed.(type) {
	case webauthncose.EC2PublicKeyData:
		algorithm = key.Algorithm
	case webauthncose.OKPPublicKeyData:
		algorithm = key.Algorithm
	case webauthncose.RSAPublicKeyData:
		if len(bytes.TrimLeft(key.Modulus, "\x00")) < minRSA {
			return Refuse(WeakKey)
		}
		algorithm = key.Algorithm
	}

	for _, a := range algorithms {
		if int64(a.Algorithm) == algorithm {
			return nil
		}
	}

	return Refuse(WrongAlgorithm)
}
