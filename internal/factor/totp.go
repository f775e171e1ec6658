package factor

import (
	"context"
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // what authenticator apps read (RFC 6238, section 1.2)
	"crypto/subtle"
	"encoding/base32"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/secret"
)

const (
	stepTime   = 30 * time.Second // RFC 6238, section 5.2
	codeDigits = 6
	secretLen  = 20 // bytes, as the output of SHA-1 (RFC 4226, section 4)

	// leeway is how many steps before and after the current one are accepted: clocks of telephones are seconds off.
	leeway = 1
)

// StepAt returns the number of the step of TOTP at a time (RFC 6238, section 4.2).
func StepAt(now time.Time) int64 { return now.Unix() / int64(stepTime/time.Second) }

// codeAt returns the code of a secret at a step (RFC 4226, section 5.3).
func codeAt(key []byte, step int64, digits int) string {
	m := hmac.New(sha1.New, key)
	_ = binary.Write(m, binary.BigEndian, step) // a hash takes everything
	sum := m.Sum(nil)

	at := sum[len(sum)-1] & 0xf
	n := binary.BigEndian.Uint32(sum[at:]) & 0x7fffffff

	modulus := uint32(1)
	for range digits {
		modulus *= 10
	}

	return fmt.Sprintf("%0*d", digits, n%modulus)
}

// matching returns the step, near the one at a time, whose code a text is.
func matching(key []byte, text string, now time.Time) (step int64, ok bool) {
	current := StepAt(now)

	// All are compared, so that the time of an answer does not show which one it was.
	for s := current - leeway; s <= current+leeway; s++ {
		if subtle.ConstantTimeCompare([]byte(codeAt(key, s, codeDigits)), []byte(text)) == 1 {
			step, ok = s, true
		}
	}

	return step, ok
}

// cleaned returns a code without the spaces and hyphens that users type, so that all spellings of it are one.
func cleaned(text string) string {
	const longest = 100
	if len(text) > longest {
		return ""
	}

	return strings.Map(func(r rune) rune {
		switch r {
		case ' ', '-', '\t', '\r', '\n', '\u00a0':
			return -1
		}
		return r
	}, text)
}

// isTOTP reports whether a cleaned text has the form of a code: ASCII digits alone.
func isTOTP(text string) bool {
	return len(text) == codeDigits && strings.Trim(text, "0123456789") == ""
}

var secretEncoding = base32.StdEncoding.WithPadding(base32.NoPadding)

// Enrolment is a new authenticator app, which the user has to confirm with a code. Only the caller has its secret.
type Enrolment struct {
	ID     string
	Secret jeton.Secret // in base32, for users who cannot scan the QR code
	URI    jeton.Secret // otpauth://, which a QR code shows
}

// Owner is the user that factors are of.
type Owner struct {
	ID      int64
	Name    string
	Session string // id of the one that asks, which must not have ended meanwhile; "": none
	// Ticket is the hash of the ticket of a sign-in that asks and has no session yet; zero: none.
	Ticket secret.Hash
}

// EnrolTOTP adds an authenticator app to a user. It proves the user once ConfirmTOTP is called, within EnrolFor. An
// earlier one that waits for its code ends.
func (f *Factors) EnrolTOTP(ctx context.Context, o Owner, name string) (Enrolment, error) {
	if err := checkName(name); err != nil {
		return Enrolment{}, err
	}

	app, e, err := f.newApp(o, name)
	if err != nil {
		return Enrolment{}, err
	}
	if err := f.store.AddFactor(ctx, app, o.Session, nil); err != nil {
		return Enrolment{}, fmt.Errorf("add authenticator app: %w", err)
	}

	return e, nil
}

// newApp returns an authenticator app to store, and what its user gets.
func (f *Factors) newApp(o Owner, name string) (Factor, Enrolment, error) {
	id, err := f.newID()
	if err != nil {
		return Factor{}, Enrolment{}, err
	}

	key := make([]byte, secretLen)
	defer clear(key)
	if _, err := io.ReadFull(f.rand, key); err != nil {
		return Factor{}, Enrolment{}, fmt.Errorf("read randomness: %w", err)
	}

	app := Factor{
		ID:      id,
		User:    o.ID,
		Kind:    TOTP,
		Name:    name,
		Created: f.now(),
		Secret:  f.seal.close(id, o.ID, key),
	}
	text := secretEncoding.EncodeToString(key)

	return app, Enrolment{
		ID:     id,
		Secret: jeton.NewSecret(text),
		URI:    jeton.NewSecret(keyURI(f.issuer, o.Name, text)),
	}, nil
}

// keyURI returns what authenticator apps read from a QR code (Key Uri Format). The defaults of the format are left
// out, as some apps refuse what they do not know. In the query, apps read + as it is.
func keyURI(issuer, user, text string) string {
	u := url.URL{
		Scheme:   "otpauth",
		Host:     "totp",
		Path:     "/" + issuer + ":" + user,
		RawQuery: "secret=" + text + "&issuer=" + strings.ReplaceAll(url.QueryEscape(issuer), "+", "%20"),
	}

	return u.String()
}

// Waiting returns the secret of an authenticator app that waits for its first code, so that a page can show it again,
// or jeton.ErrNotFound.
func (f *Factors) Waiting(ctx context.Context, o Owner, id string) (Enrolment, error) {
	one, key, err := f.waiting(ctx, o.ID, id)
	if err != nil {
		return Enrolment{}, err
	}
	defer clear(key)

	text := secretEncoding.EncodeToString(key)

	return Enrolment{
		ID:     one.ID,
		Secret: jeton.NewSecret(text),
		URI:    jeton.NewSecret(keyURI(f.issuer, o.Name, text)),
	}, nil
}

// waiting returns an authenticator app that waits for its first code, with its secret.
func (f *Factors) waiting(ctx context.Context, user int64, id string) (Factor, []byte, error) {
	list, err := f.store.ListFactors(ctx, user)
	if err != nil {
		return Factor{}, nil, fmt.Errorf("list factors: %w", err)
	}

	for _, one := range list {
		if one.ID != id || one.Kind != TOTP || !one.Confirmed.IsZero() || f.now().Sub(one.Created) >= EnrolFor {
			continue
		}

		key, err := f.seal.open(one)

		return one, key, err
	}

	return Factor{}, nil, jeton.ErrNotFound
}

// ConfirmTOTP lets an authenticator app prove its user from then on, and ends the sessions of the user in the same
// step: all but the one that asks. It returns jeton.ErrNotFound if it was confirmed before, or waited longer than
// EnrolFor, jeton.ErrBadCredential for a wrong code, jeton.ErrExpired if the session or the sign-in has ended, and
// jeton.ErrTooMany.
func (f *Factors) ConfirmTOTP(ctx context.Context, o Owner, id, text string, ev jeton.Event) error {
	_, key, err := f.waiting(ctx, o.ID, id)
	if err != nil {
		return fmt.Errorf("confirm authenticator app: %w", err)
	}
	defer clear(key)

	if err := f.attempt(ctx, o.ID); err != nil {
		return err
	}

	text = cleaned(text)
	now := f.now()
	step, ok := matching(key, text, now)
	if !isTOTP(text) || !ok {
		return f.wrong(ctx, o, "confirm authenticator app")
	}

	// The code of the enrolment does not sign in, too.
	err = f.store.ConfirmFactor(ctx, Use{
		User:    o.ID,
		ID:      id,
		Counter: step,
		At:      now,
		Keep:    o.Session,
		Ticket:  o.Ticket,
	}, now.Add(-EnrolFor), &ev)
	if err != nil {
		return fmt.Errorf("confirm authenticator app: %w", err)
	}

	if err := f.store.ForgetAttempts(ctx, o.ID); err != nil {
		return fmt.Errorf("forget attempts: %w", err)
	}

	return nil
}

// Prove accepts a code of an authenticator app of a user, once, and returns which one. It takes an attempt before it
// looks at the code. It returns jeton.ErrBadCredential for a code that is wrong or was used, jeton.ErrTooMany, and
// jeton.ErrUnavailable if it is of no app whose secret opens, and a secret does not.
func (f *Factors) Prove(ctx context.Context, o Owner, text string) (Factor, error) {
	list, err := f.List(ctx, o.ID)
	if err != nil {
		return Factor{}, err
	}
	if err := f.attempt(ctx, o.ID); err != nil {
		return Factor{}, err
	}

	text = cleaned(text)
	if !isTOTP(text) {
		return Factor{}, f.wrong(ctx, o, "code")
	}

	now := f.now()
	var sealed error
	for _, one := range list {
		if one.Kind != TOTP {
			continue
		}

		key, err := f.seal.open(one)
		if err != nil {
			sealed = err // another app of the user may still be right
			continue
		}

		step, ok := matching(key, text, now)
		clear(key)
		if !ok {
			continue
		}

		return one, f.used(ctx, o, f.store.UseFactor(ctx, f.onlyUse(one, step), nil))
	}

	if sealed != nil {
		return Factor{}, fmt.Errorf("code: %w", sealed)
	}

	return Factor{}, f.wrong(ctx, o, "code")
}

// onlyUse returns the use of a code, which is accepted once.
func (f *Factors) onlyUse(one Factor, counter int64) Use {
	return Use{
		User:    one.User,
		ID:      one.ID,
		Counter: counter,
		At:      f.now(),
		Once:    true,
	}
}

// used returns what came of the use of a code: jeton.ErrBadCredential if it was used before.
func (f *Factors) used(ctx context.Context, o Owner, err error) error {
	if errors.Is(err, jeton.ErrSpent) || errors.Is(err, jeton.ErrNotFound) {
		return f.wrong(ctx, o, "code was used before")
	}
	if err != nil {
		return fmt.Errorf("use factor: %w", err)
	}

	return nil
}
