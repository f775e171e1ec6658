package statements

import (
	"context"
	"fmt"
	"slices"
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
	// Missing are tables that the schema of the database does not have, since it is an older one.
	Missing []string
	Event   jeton.Event // added in the same step
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
	if _, err := r.exec(ctx, tx, "tickets", "DELETE FROM tickets"); err != nil {
		return out, fmt.Errorf("end tickets: %w", err)
	}

	// The same for a code of an authenticator app: one that an attacker saw in the lost time would be good for a minute
	// and a half.
	const past = "UPDATE factors SET counter = $1 WHERE kind = 'totp' AND counter < $1"
	if _, err := r.exec(ctx, tx, "factors", past, factor.StepAt(r.Now)+1); err != nil {
		return out, fmt.Errorf("end codes of authenticator apps: %w", err)
	}

	if !r.Trust {
		if err := r.distrust(ctx, tx, &out); err != nil {
			return out, fmt.Errorf("end credentials: %w", err)
		}
	}

	return out, appendEvents(ctx, tx, r.Event)
}

// exec runs a statement that changes a table, if there is that table.
func (r Renewal) exec(ctx context.Context, tx Conn, table, text string, args ...any) (int64, error) {
	if slices.Contains(r.Missing, table) {
		return 0, nil
	}
	return tx.Exec(ctx, text, args...)
}

// distrust ends every credential of a restored database. Sessions and tokens are deleted;
// keys stay, revoked, until nothing that they signed can be valid.
func (r Renewal) distrust(ctx context.Context, tx Conn, out *Renewed) error {
	at, until := milli(r.Now), milli(r.Now.Add(policy.KeepRevocations))
	for _, s := range []struct {
		table, text string
		args        []any
		n           *int64
	}{
		{"uses", "DELETE FROM uses", nil, new(int64)},
		{"sessions", "DELETE FROM sessions", nil, &out.Sessions},
		{"tokens", "DELETE FROM tokens", nil, &out.Tokens},
		{"grants", "DELETE FROM grants", nil, new(int64)},
		// They learn of the end.
		{"relying_sessions", "UPDATE relying_sessions SET due = 0 WHERE due < 0", nil, new(int64)},
		// What a user has agreed to may have ended in the lost time: users are asked again.
		{"connections", "DELETE FROM connections", nil, new(int64)},
		// A recovery code may have been used. Other factors stay, as passwords do: users would have none.
		{"factors", "DELETE FROM factors WHERE kind = 'recovery'", nil, new(int64)},
		// A device may have been forgotten.
		{"devices", "DELETE FROM devices", nil, new(int64)},
		// Some of its uses may have been taken, and it may have been ended.
		{"invitations", "DELETE FROM invitations", nil, new(int64)},
		// As internal/keys revokes a key: it does not sign from now on, and is deleted when
		// nothing that it signed can be valid.
		{
			"keys",
			"UPDATE keys SET retires = $1, closes = $2 WHERE NOT revoked AND (retires < 0 OR retires > $1)",
			[]any{at, until},
			new(int64),
		},
		{"keys", "UPDATE keys SET revoked = TRUE WHERE NOT revoked", nil, &out.Keys},
	} {
		n, err := r.exec(ctx, tx, s.table, s.text, s.args...)
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
