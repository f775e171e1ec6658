package passkey_test

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"slices"
	"testing"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/factor/passkey"
	"github.com/jeton-auth/jeton/internal/test/authenticator"
)

const origin = "https://login.example:8443"

// ceremony is a registered key with its authenticator.
type ceremony struct {
	passkey.Party
	key    *authenticator.Key
	stored passkey.Key
}

// register registers a key that an authenticator has made. flags are added to those of a verified user.
func register(t *testing.T, flags byte) *ceremony {
	t.Helper()
	party, err := passkey.NewParty(origin+"/", "Example")
	if err != nil {
		t.Fatal(err)
	}

	c := &ceremony{Party: party, key: authenticator.New(t)}
	c.key.Flags |= flags

	challenge := []byte(rand.Text())
	handle := bytes.Repeat([]byte{7}, passkey.HandleLen)
	options, err := c.Creation(challenge, passkey.User{Handle: handle, Name: "diane", Label: "Diane"}, nil)
	if err != nil {
		t.Fatal(err)
	}

	made, err := passkey.ReadMade(c.key.Create(t, options, origin, nil))
	if err != nil {
		t.Fatal(err)
	}
	c.stored, err = c.Register(challenge, made, handle)
	if err != nil {
		t.Fatalf("register: %v: %s", err, passkey.ReasonOf(err))
	}

	return c
}

// get signs a challenge and verifies it.
func (c *ceremony) get(t *testing.T, alone bool, change func(*authenticator.Response)) (passkey.Proof, error) {
	t.Helper()
	challenge := []byte(rand.Text())
	var allow []passkey.Key
	if !alone {
		allow = append(allow, c.stored)
	}
	options, err := c.Request(challenge, allow, alone)
	if err != nil {
		t.Fatal(err)
	}

	signed, err := passkey.ReadSigned(c.key.Get(t, options, origin, change))
	if err != nil {
		return passkey.Proof{}, err
	}

	return c.Verify(challenge, signed, c.stored, alone)
}

func TestARegisteredKeySignsIn(t *testing.T) {
	for _, tc := range []struct {
		name  string
		flags byte
		want  []string
	}{
		{"a key that stays in its authenticator", 0, []string{"hwk", "user", "mfa"}},
		{"a key that is synced", authenticator.Eligible | authenticator.BackedUp, []string{"swk", "user", "mfa"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := register(t, tc.flags)
			proof, err := c.get(t, true, nil)
			if err != nil {
				t.Fatalf("sign in: %v: %s", err, passkey.ReasonOf(err))
			}

			if !slices.Equal(proof.Methods(), tc.want) || proof.Count != 1 || proof.Repeated {
				t.Errorf("proof = %+v with methods %v, want count 1 and methods %v", proof, proof.Methods(), tc.want)
			}
		})
	}
}

func TestForgedRegistrationsAreRefused(t *testing.T) {
	for _, f := range authenticator.OfCreate() {
		t.Run(f.Name, func(t *testing.T) {
			c := register(t, 0)
			challenge := []byte(rand.Text())
			options, err := c.Creation(challenge, passkey.User{Handle: c.stored.Handle}, nil)
			if err != nil {
				t.Fatal(err)
			}

			made, err := passkey.ReadMade(authenticator.New(t).Create(t, options, origin, f.Change))
			if err == nil {
				_, err = c.Register(challenge, made, c.stored.Handle)
			}
			wantRefused(t, err, f.Want)
		})
	}
}

func TestForgedSignInsAreRefused(t *testing.T) {
	for _, f := range authenticator.OfGet() {
		t.Run(f.Name, func(t *testing.T) {
			c := register(t, 0)
			_, err := c.get(t, true, nil)
			if err != nil {
				t.Fatal(err)
			}
			c.stored.Count = 1

			_, err = c.get(t, true, f.Change)
			wantRefused(t, err, f.Want)
		})
	}
}

func TestAnotherChallengeIsRefused(t *testing.T) {
	c := register(t, 0)
	_, err := c.get(t, true, func(r *authenticator.Response) { r.Challenge = passkey.Text([]byte("another")) })
	wantRefused(t, err, passkey.WrongChallenge)
}

func wantRefused(t *testing.T, err error, want passkey.Reason) {
	t.Helper()
	if !errors.Is(err, jeton.ErrBadCredential) || passkey.ReasonOf(err) != want {
		t.Errorf("got %v because %q, want %v because %q", err, passkey.ReasonOf(err), jeton.ErrBadCredential, want)
	}
	if err != nil && err.Error() != jeton.ErrBadCredential.Error() {
		t.Errorf("the text of the error is %q, want %q for every reason", err, jeton.ErrBadCredential)
	}
}

func TestCounters(t *testing.T) {
	for _, tc := range []struct {
		name          string
		flags         byte
		stored, shown uint32
		want          passkey.Reason
		repeated      bool
	}{
		{"it grows", 0, 4, 5, "", false},
		{"an authenticator that does not count", 0, 0, 0, "", false},
		{"the same again", 0, 5, 5, passkey.Cloned, false},
		{"a smaller one", 0, 5, 4, passkey.Cloned, false},
		{"none any more", 0, 5, 0, passkey.Cloned, false},
		{"a synced key that counts apart", authenticator.Eligible, 5, 4, "", true},
		{"a synced key that does not count", authenticator.Eligible, 0, 0, "", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := register(t, tc.flags)
			c.stored.Count = tc.stored

			proof, err := c.get(t, true, func(r *authenticator.Response) { r.Count = tc.shown })
			if passkey.ReasonOf(err) != tc.want || (err == nil) != (tc.want == "") {
				t.Fatalf("counter %d after %d = %q, want %q", tc.shown, tc.stored, passkey.ReasonOf(err), tc.want)
			}
			if proof.Repeated != tc.repeated {
				t.Errorf("%d after %d is repeated: %t, want %t", tc.shown, tc.stored, proof.Repeated, tc.repeated)
			}
		})
	}
}

func TestAfterAnotherFactorTheUserNeedNotBeVerified(t *testing.T) {
	c := register(t, 0)
	weak := func(r *authenticator.Response) {
		r.Flags &^= authenticator.Verified
		r.Handle = nil
	}

	proof, err := c.get(t, false, weak)
	if err != nil || proof.Verified || slices.Contains(proof.Methods(), "mfa") {
		t.Errorf("after a password = %+v, %v, want a proof without verification", proof, err)
	}

	_, err = c.get(t, true, weak)
	wantRefused(t, err, passkey.NotVerified)
}

func TestTheKeyOfAnotherUserIsRefused(t *testing.T) {
	c, other := register(t, 0), register(t, 0)
	c.stored = other.stored

	_, err := c.get(t, true, nil)
	wantRefused(t, err, passkey.OtherKey)

	// With its id the key of the other user would have to have signed.
	_, err = c.get(t, true, func(r *authenticator.Response) { r.ID = other.stored.ID })
	wantRefused(t, err, passkey.WrongSignature)
}

func TestParties(t *testing.T) {
	for _, tc := range []struct {
		address, id, origin string
	}{
		{"https://login.example", "login.example", "https://login.example"},
		{"https://Login.Example:8443/auth", "login.example", "https://login.example:8443"},
		{"https://login.example:443", "login.example", "https://login.example"},
		{"http://localhost:8080", "localhost", "http://localhost:8080"},
		{"http://app.localhost", "app.localhost", "http://app.localhost"},
		{"http://login.example", "", ""},
		{"https://127.0.0.1:8443", "", ""},
		{"https://[::1]", "", ""},
		{"https://", "", ""},
	} {
		t.Run(tc.address, func(t *testing.T) {
			p, err := passkey.NewParty(tc.address, "x")
			if p.ID != tc.id || p.Origin != tc.origin || (err == nil) != (tc.id != "") {
				t.Errorf("NewParty(%s) = %+v, %v, want id %q and origin %q", tc.address, p, err, tc.id, tc.origin)
			}
		})
	}
}

// TestOptions checks what browsers get: nothing of the user but the name, and what makes a key a passkey.
func TestOptions(t *testing.T) {
	c := register(t, 0)
	user := passkey.User{Handle: c.stored.Handle, Name: "diane"}
	text, err := c.Creation([]byte("challenge"), user, []passkey.Key{c.stored})
	if err != nil {
		t.Fatal(err)
	}

	var made struct {
		Attestation string `json:"attestation"`
		Exclude     []struct {
			ID string `json:"id"`
		} `json:"excludeCredentials"`
		Selection struct {
			ResidentKey  string `json:"residentKey"`
			Verification string `json:"userVerification"`
		} `json:"authenticatorSelection"`
	}
	if err := json.Unmarshal(text, &made); err != nil {
		t.Fatal(err)
	}
	s := made.Selection
	if made.Attestation != "none" || s.ResidentKey != "required" || s.Verification != "required" {
		t.Errorf("creation options = %s, want no attestation, a resident key and a verified user", text)
	}
	if len(made.Exclude) != 1 || made.Exclude[0].ID != passkey.Text(c.stored.ID) {
		t.Errorf("creation options exclude %v, want the key %s", made.Exclude, passkey.Text(c.stored.ID))
	}
}
