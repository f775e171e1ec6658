package passkey

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"

	"github.com/go-webauthn/webauthn/protocol"
)

// Signed is the response to Request, before it is checked.
type Signed struct {
	// Challenge is what the browser signed for.
	Challenge []byte
	// ID is that of the key.
	ID []byte

	parsed *protocol.ParsedCredentialAssertionData
}

// ReadSigned reads the response to Request, as JSON.
func ReadSigned(response []byte) (Signed, error) {
	if len(response) > MaxResponse {
		return Signed{}, Refuse(TooLong)
	}

	parsed, err := protocol.ParseCredentialRequestResponseBytes(response)
	if err != nil {
		return Signed{}, Refuse(Malformed)
	}

	challenge, err := challengeOf(parsed.Response.CollectedClientData)

	return Signed{challenge, parsed.RawID, parsed}, err
}

// challengeOf returns the challenge that a response is for.
func challengeOf(c protocol.CollectedClientData) ([]byte, error) {
	challenge, err := base64.RawURLEncoding.Strict().DecodeString(c.Challenge)
	if err != nil || len(challenge) == 0 {
		return nil, Refuse(WrongChallenge)
	}

	return challenge, nil
}

// Proof is what a response has proved.
type Proof struct {
	Verified bool // the authenticator verified the user: with the key, two factors
	Hardware bool // the key cannot leave the authenticator
	BackedUp bool
	Count    uint32
	// Repeated is a counter that did not grow, of a key that is synced between authenticators: worth an event.
	Repeated bool
}

// Methods returns how the user was proved, as values of RFC 8176 (section 2).
func (p Proof) Methods() []string {
	list := []string{"swk", "user"}
	if p.Hardware {
		list[0] = "hwk"
	}
	if p.Verified {
		list = append(list, "mfa")
	}

	return list
}

// Verify checks the response to a challenge by the key that it names. Alone, it has to say whose key it is, and the
// authenticator has to have verified the user; after another factor it need not.
func (p Party) Verify(challenge []byte, s Signed, k Key, alone bool) (Proof, error) {
	data := s.parsed.Response.AuthenticatorData
	handle := s.parsed.Response.UserHandle

	err := p.checkClient(s.parsed.Response.CollectedClientData, protocol.AssertCeremony, challenge)
	if err == nil {
		err = p.checkData(data, alone)
	}
	if err == nil {
		err = check([]rule{
			{!bytes.Equal(s.ID, k.ID), OtherKey},
			{alone && len(handle) == 0, NoHandle},
			{len(handle) > 0 && !bytes.Equal(handle, k.Handle), OtherHandle},
			{data.Flags.HasBackupEligible() != k.Eligible, ChangedBackup},
		})
	}
	if err == nil {
		err = checkPublic(k.Public)
	}
	if err != nil {
		return Proof{}, err
	}

	// The library checks all of it again, and the signature.
	err = s.parsed.Verify(
		Text(challenge), p.ID, "", []string{p.Origin}, nil, nil, protocol.TopOriginExplicitVerificationMode,
		false, alone, true, k.Public, protocol.SignaturePolicy{},
	)
	if err != nil {
		return Proof{}, Refuse(WrongSignature)
	}

	// An authenticator that does not count says 0 for ever. Copies of a synced key count apart from each other, so that
	// there a counter that does not grow proves nothing.
	repeated := data.Counter <= k.Count && (data.Counter != 0 || k.Count != 0)
	if repeated && !k.Eligible {
		return Proof{}, Refuse(Cloned)
	}

	return Proof{
		Verified: data.Flags.HasUserVerified(),
		Hardware: !k.Eligible,
		BackedUp: data.Flags.HasBackupState(),
		Count:    data.Counter,
		Repeated: repeated,
	}, nil
}

// checkClient checks what the browser says of a ceremony.
func (p Party) checkClient(c protocol.CollectedClientData, ceremony protocol.CeremonyType, challenge []byte) error {
	return check([]rule{
		{c.Type != ceremony, WrongType},
		{c.Challenge != Text(challenge), WrongChallenge},
		{c.Origin != p.Origin, WrongOrigin},
		{c.CrossOrigin || c.TopOrigin != "", CrossOrigin},
	})
}

// checkData checks what the authenticator says of a ceremony.
func (p Party) checkData(d protocol.AuthenticatorData, verified bool) error {
	party := sha256.Sum256([]byte(p.ID))

	return check([]rule{
		{!bytes.Equal(d.RPIDHash, party[:]), WrongParty},
		{!d.Flags.HasUserPresent(), NotPresent},
		{verified && !d.Flags.HasUserVerified(), NotVerified},
		{d.Flags.HasBackupState() && !d.Flags.HasBackupEligible(), WrongBackup},
	})
}
