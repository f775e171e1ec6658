package statements

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/factor"
	"github.com/jeton-auth/jeton/internal/policy"
)

// Renewal is a restored database. It does not know what was spent or ended between the
// backup and now.
type Renewal struct {
	Now   time.Time
	After int64 // the epoch is greater than this and than the one of the database
	// Trust keeps every credential: what was spent or revoked in the lost time is valid
	// again.
	Trust bool
	Event jeton.Event // added in the same step
}

// Renewed is the result of a renewal.
type Renewed struct {
	Epoch    int64 `json:"epoch"`
	Sessions int64 `json:"sessions_ended"`
	Tokens   int64 `json:"tokens_ended"`
	Keys     int64 `json:"keys_revoked"`
}

// Renew begins a new epoch inside a step. No ticket is left. Unless the credentials are trusted, no session,
// token, consent or count is left, and no key checks what it has signed: each could have been
// spent, ended or revoked in the lost time.
func Renew(ctx context.Context, tx Conn, r Renewal) (Renewed, error) {
	epoch, err := EpochOf(ctx, tx)
	if err != nil {
		return Renewed{}, err
	}

	// Greater than both, so that no epoch is used twice.
	out := Renewed{Epoch: max(epoch, r.After) + 1}
	if err := SetMeta(ctx, tx, MetaEpoch, strconv.FormatInt(out.Epoch, 10)); err != nil {
		return out, err
	}

	// Also when the credentials are trusted: one that was taken in the lost time would be valid again,
	// and of no ticket is that known.
	if _, err := tx.Exec(ctx, "DELETE FROM tickets"); err != nil {
		return out, fmt.Errorf("end tickets: %w", err)
	}

	// The same for a code of an authenticator app: one that an attacker saw in the lost time would be good for a minute
	// and a half.
	const past = "UPDATE factors SET counter = $1 WHERE kind = 'totp' AND counter < $1"
	if _, err := tx.Exec(ctx, past, factor.StepAt(r.Now)+1); err != nil {
		return out, fmt.Errorf("end codes of authenticator apps: %w", err)
	}

	if !r.Trust {
		if err := distrust(ctx, tx, r.Now, &out); err != nil {
			return out, fmt.Errorf("end credentials: %w", err)
		}
	}

	return out, appendEvents(ctx, tx, r.Event)
}

// distrust ends every credential of a restored database. Sessions and tokens are deleted;
// keys stay, revoked, until nothing that they signed can be valid.
func distrust(ctx context.Context, tx Conn, now time.Time, out *Renewed) error {
	at, until := milli(now), milli(now.Add(policy.KeepRevocations))
	for _, s := range []struct {
		text string
		args []any
		n    *int64
	}{
		{"DELETE FROM uses", nil, new(int64)},
		{"DELETE FROM sessions", nil, &out.Sessions},
		{"DELETE FROM tokens", nil, &out.Tokens},
		{"DELETE FROM grants", nil, new(int64)},
		{"UPDATE relying_sessions SET due = 0 WHERE due < 0", nil, new(int64)}, // they learn of the end
		// What a user has agreed to may have ended in the lost time: users are asked again.
		{"DELETE FROM connections", nil, new(int64)},
		// A recovery code may have been used. Other factors stay, as passwords do: users would have none.
		{"DELETE FROM factors WHERE kind = 'recovery'", nil, new(int64)},
		// As internal/keys revokes a key: it does not sign from now on, and is deleted when
		// nothing that it signed can be valid.
		{
			"UPDATE keys SET retires = $1, closes = $2 WHERE NOT revoked AND (retires < 0 OR retires > $1)",
			[]any{at, until},
			new(int64),
		},
		{"UPDATE keys SET revoked = TRUE WHERE NOT revoked", nil, &out.Keys},
	} {
		n, err := tx.Exec(ctx, s.text, s.args...)
		if err != nil {
			return err
		}
		*s.n = n
	}

	// Which secret the keys are sealed with matters no more, and it may be what was lost.
	if err := SetMeta(ctx, tx, MetaSecret, ""); err != nil {
		return err
	}

	// An assertion of the lost time could be shown a second time: internal/signin looks at this.
	return SetMeta(ctx, tx, MetaRestored, strconv.FormatInt(at, 10))
}
