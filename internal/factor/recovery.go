package factor

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/audit"
)

const (
	// RecoveryCodes is how many recovery codes a user gets.
	RecoveryCodes = 10

	// codeChars is the length of a recovery code, in groups of codeGroup. From 112 bits on, a code needs neither salt
	// nor a slow hash (OWASP ASVS 5.0, 6.5.2).
	codeChars = 24
	codeBytes = codeChars * 5 / 8
	codeGroup = 6

	// earlierChars is the length of codes that earlier versions made: 70 bits. They stay good until the user makes new
	// ones, as the paper on which they are may be all that the user has.
	earlierChars = 14
)

// codeEncoding has no characters that are easily confused. Lower case is how codes are shown.
var codeEncoding = base32.NewEncoding("abcdefghjkmnpqrstuvwxyz023456789").WithPadding(base32.NoPadding)

// NewRecoveryCodes returns new recovery codes of a user, which only the caller has. Earlier ones end.
func (f *Factors) NewRecoveryCodes(ctx context.Context, o Owner, ev jeton.Event) ([]jeton.Secret, error) {
	var codes []jeton.Secret
	var list []Factor

	for range RecoveryCodes {
		id, err := f.newID()
		if err != nil {
			return nil, err
		}

		text, err := newRecoveryCode(f.rand)
		if err != nil {
			return nil, err
		}

		sum := sha256.Sum256([]byte(text))
		codes = append(codes, jeton.NewSecret(inGroups(text)))
		list = append(list, Factor{
			ID:        id,
			User:      o.ID,
			Kind:      Recovery,
			Created:   f.now(),
			Confirmed: f.now(),
			Handle:    sum[:],
		})
	}

	if err := f.store.ReplaceFactors(ctx, o, Recovery, list, &ev); err != nil {
		return nil, fmt.Errorf("new recovery codes: %w", err)
	}

	return codes, nil
}

// newRecoveryCode returns a recovery code without hyphens.
func newRecoveryCode(rand io.Reader) (string, error) {
	var b [codeBytes]byte
	if _, err := io.ReadFull(rand, b[:]); err != nil {
		return "", fmt.Errorf("read randomness: %w", err)
	}

	return codeEncoding.EncodeToString(b[:]), nil
}

// inGroups returns a recovery code as it is shown.
func inGroups(code string) string {
	var groups []string
	for group := range slices.Chunk([]byte(code), codeGroup) {
		groups = append(groups, string(group))
	}

	return strings.Join(groups, "-")
}

// Recover uses a recovery code of a user up, and adds an authenticator app that the user has to confirm. It takes an
// attempt before it looks at the code. It returns jeton.ErrBadCredential for a code that is wrong or was used,
// jeton.ErrTooMany, and jeton.ErrConflict if there are too many apps. What the user may do then is for the caller:
// replace the other factors, and nothing else. begin is called for a right code, before anything changes; its error
// prevents the change.
func (f *Factors) Recover(
	ctx context.Context,
	o Owner,
	text string,
	begin func(ctx context.Context) error,
	ev jeton.Event,
) (Enrolment, error) {
	code, err := f.recoveryCode(ctx, o, text)
	if err != nil {
		return Enrolment{}, err
	}
	if err := begin(ctx); err != nil {
		return Enrolment{}, err
	}

	app, e, err := f.newApp(o, "")
	if err != nil {
		return Enrolment{}, err
	}

	return e, f.used(ctx, o, f.store.AddByCode(ctx, f.onlyUse(code, 1), app, &ev))
}

// recoveryCode returns the recovery code of a user, which was not used before. It takes an attempt.
func (f *Factors) recoveryCode(ctx context.Context, o Owner, text string) (Factor, error) {
	if err := f.attempt(ctx, o.ID); err != nil {
		return Factor{}, err
	}

	text = strings.ToLower(cleaned(text))
	if len(text) != codeChars && len(text) != earlierChars {
		return Factor{}, f.wrong(ctx, o, "recovery code")
	}

	sum := sha256.Sum256([]byte(text))
	one, err := f.store.FindFactor(ctx, Recovery, sum[:])
	if err == nil && (one.User != o.ID || !one.Used.IsZero()) {
		err = jeton.ErrNotFound
	}
	if errors.Is(err, jeton.ErrNotFound) {
		return Factor{}, f.wrong(ctx, o, "recovery code")
	}
	if err != nil {
		return Factor{}, fmt.Errorf("find recovery code: %w", err)
	}

	return one, nil
}

// ReplaceBy confirms an authenticator app, as ConfirmTOTP does, and removes every other one of the user: a recovery
// code was used because they are lost. The recovery codes that are left stay, and so do passkeys. Who has the lost app
// has no session any more.
func (f *Factors) ReplaceBy(ctx context.Context, o Owner, id, text string, ev jeton.Event) error {
	if err := f.ConfirmTOTP(ctx, o, id, text, ev); err != nil {
		return err
	}

	list, err := f.List(ctx, o.ID)
	if err != nil {
		return err
	}

	for _, one := range list {
		if one.Kind != TOTP || one.ID == id {
			continue
		}

		ev.Action, ev.Reason = audit.FactorRemove, one.ID+", replaced with a recovery code"
		if _, err := f.store.RemoveFactors(ctx, o.ID, Which{ID: one.ID}, &ev); err != nil {
			return fmt.Errorf("remove factor: %w", err)
		}
	}

	return nil
}
