package factor

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/audit"
)

const (
	// RecoveryCodes is how many recovery codes a user gets.
	RecoveryCodes = 10

	// codeChars is the length of a recovery code. Its 70 bits need no slow hash (NIST SP 800-63B-4, section 3.1.2.2).
	codeChars = 14
)

// codeEncoding has no characters that are easily confused. Lower case is how codes are shown.
var codeEncoding = base32.NewEncoding("abcdefghjkmnpqrstuvwxyz023456789").WithPadding(base32.NoPadding)

// NewRecoveryCodes returns new recovery codes of a user, which only the caller has. Earlier ones end.
func (f *Factors) NewRecoveryCodes(ctx context.Context, user int64, ev jeton.Event) ([]jeton.Secret, error) {
	var codes []jeton.Secret
	var list []Factor

	for range RecoveryCodes {
		id, err := f.newID()
		if err != nil {
			return nil, err
		}

		var b [10]byte
		if _, err := io.ReadFull(f.rand, b[:]); err != nil {
			return nil, fmt.Errorf("read randomness: %w", err)
		}

		text := codeEncoding.EncodeToString(b[:])[:codeChars]
		sum := sha256.Sum256([]byte(text))
		codes = append(codes, jeton.NewSecret(text[:7]+"-"+text[7:]))
		list = append(list, Factor{
			ID:        id,
			User:      user,
			Kind:      Recovery,
			Created:   f.now(),
			Confirmed: f.now(),
			Handle:    sum[:],
		})
	}

	if err := f.store.ReplaceFactors(ctx, user, Recovery, list, &ev); err != nil {
		return nil, fmt.Errorf("new recovery codes: %w", err)
	}

	return codes, nil
}

// UseRecoveryCode uses a recovery code of a user up. It takes an attempt before it looks at the code. It returns
// jeton.ErrBadCredential for a code that is wrong or was used, and jeton.ErrTooMany. What the user may do then is for
// the caller: replace the other factors, and nothing else.
func (f *Factors) UseRecoveryCode(ctx context.Context, user int64, text string, ev jeton.Event) error {
	if err := f.Attempt(ctx, user); err != nil {
		return err
	}

	text = strings.ToLower(cleaned(text))
	if len(text) != codeChars {
		return fmt.Errorf("recovery code: %w", jeton.ErrBadCredential)
	}

	sum := sha256.Sum256([]byte(text))
	one, err := f.store.FindFactor(ctx, Recovery, sum[:])
	if err == nil && one.User != user {
		err = jeton.ErrNotFound
	}
	if errors.Is(err, jeton.ErrNotFound) {
		return fmt.Errorf("recovery code: %w", jeton.ErrBadCredential)
	}
	if err != nil {
		return fmt.Errorf("find recovery code: %w", err)
	}

	return f.use(ctx, one, 1, &ev)
}

// ReplaceBy confirms an authenticator app, as ConfirmTOTP does, and removes every other one of the user: a recovery
// code was used because they are lost. The recovery codes that are left stay, and so do passkeys. Who has the lost app
// has no session any more.
func (f *Factors) ReplaceBy(ctx context.Context, user int64, id, text, keep string, ev jeton.Event) error {
	if err := f.ConfirmTOTP(ctx, user, id, text, keep, ev); err != nil {
		return err
	}

	list, err := f.List(ctx, user)
	if err != nil {
		return err
	}

	for _, one := range list {
		if one.Kind != TOTP || one.ID == id {
			continue
		}

		ev.Action, ev.Reason = audit.FactorRemove, one.ID+", replaced with a recovery code"
		if _, err := f.store.RemoveFactors(ctx, user, Which{ID: one.ID}, &ev); err != nil {
			return fmt.Errorf("remove factor: %w", err)
		}
	}

	return nil
}
