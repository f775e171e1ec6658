package factor

import (
	"context"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/factor/passkey"
)

// The flags of a passkey that are stored, with the values of authenticator data (Web Authentication Level 3, section
// 6.1). userVerified is of the registration, so that the flags of a passkey are never 0.
const (
	userVerified   = 0x04
	backupEligible = 0x08
	backedUp       = 0x10
)

// AddPasskey stores a passkey that a user has made. It returns jeton.ErrInvalid for a name that is too long,
// jeton.ErrConflict if the user has MaxPerKind, or the passkey exists, and jeton.ErrExpired if the session that asks
// has ended.
func (f *Factors) AddPasskey(ctx context.Context, o Owner, name string, k passkey.Key, ev jeton.Event) error {
	if err := checkName(name); err != nil {
		return err
	}

	id, err := f.newID()
	if err != nil {
		return err
	}

	ev.Target = "factor:" + id
	now := f.now()
	err = f.store.AddFactor(ctx, Factor{
		ID:        id,
		User:      o.ID,
		Kind:      Passkey,
		Name:      name,
		Created:   now,
		Confirmed: now,
		Handle:    k.ID,
		// The user handle is of the key: an authenticator finds its keys by it.
		Secret:     append(append([]byte{}, k.Handle...), k.Public...),
		Counter:    int64(k.Count),
		Flags:      flags(k.Eligible, k.BackedUp),
		Transports: strings.Join(k.Transports, " "),
		Model:      hex.EncodeToString(k.Model),
	}, o.Session, &ev)
	if err != nil {
		return fmt.Errorf("add passkey: %w", err)
	}

	return nil
}

// flags returns the flags of a passkey as they are stored.
func flags(eligible, isBackedUp bool) int64 {
	f := int64(userVerified)
	if eligible {
		f |= backupEligible
	}
	if isBackedUp {
		f |= backedUp
	}

	return f
}

// Key returns a factor of the kind Passkey as a key.
func (f Factor) Key() (passkey.Key, error) {
	if f.Kind != Passkey || len(f.Secret) <= passkey.HandleLen {
		return passkey.Key{}, fmt.Errorf("factor %s is not a passkey", f.ID)
	}

	model, err := hex.DecodeString(f.Model)
	if err != nil {
		return passkey.Key{}, fmt.Errorf("model of passkey %s: %w", f.ID, err)
	}

	return passkey.Key{
		ID:         f.Handle,
		Handle:     f.Secret[:passkey.HandleLen],
		Public:     f.Secret[passkey.HandleLen:],
		Eligible:   f.Flags&backupEligible != 0,
		BackedUp:   f.Flags&backedUp != 0,
		Transports: strings.Fields(f.Transports),
		Model:      model,
		Count:      uint32(f.Counter),
	}, nil
}

// FindPasskey returns the passkey of a credential ID, or jeton.ErrNotFound.
func (f *Factors) FindPasskey(ctx context.Context, id []byte) (Factor, error) {
	one, err := f.store.FindFactor(ctx, Passkey, id)
	if err != nil {
		return Factor{}, fmt.Errorf("find passkey: %w", err)
	}

	return one, nil
}

// UsePasskey stores a use of a passkey. Of two uses with one count of a key that cannot leave its authenticator, the
// second returns jeton.ErrSpent; jeton.ErrNotFound means that the passkey was removed meanwhile.
func (f *Factors) UsePasskey(ctx context.Context, one Factor, p passkey.Proof) error {
	err := f.store.UseFactor(ctx, Use{
		User:    one.User,
		ID:      one.ID,
		Counter: int64(p.Count),
		Flags:   flags(!p.Hardware, p.BackedUp),
		At:      f.now(),
		Once:    p.Hardware && p.Count != 0,
	}, nil)
	if err != nil {
		return fmt.Errorf("use passkey: %w", err)
	}

	return nil
}

// ClaimParty makes a host name that of the relying party of all passkeys. It returns jeton.ErrConflict, with how many
// passkeys that would make useless, if there are some of another one.
func (f *Factors) ClaimParty(ctx context.Context, id string) error {
	party, n, err := f.store.ClaimParty(ctx, id)
	if err != nil {
		return fmt.Errorf("relying party of passkeys: %w", err)
	}
	if party != id {
		return jeton.WithDetail(jeton.ErrConflict, fmt.Sprintf(
			"%d passkeys are for %s and would not work at %s; keep the host name, or remove the passkeys first",
			n, party, id,
		))
	}

	return nil
}
