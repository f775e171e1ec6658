package move

import (
	"context"
	"fmt"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/store/statements"
)

// Ask is a request for a new epoch.
type Ask struct {
	Now time.Time
	// Trust keeps every credential, also those that were spent or revoked in the time that
	// the database has lost.
	Trust bool
	Event jeton.Event // added in the same step
}

// Renewed is the result of a new epoch.
type Renewed = statements.Renewed

// Renew begins a new epoch of a database that was restored by other means than Restore: all
// its numbers jump ahead, and its credentials end unless they are trusted.
func Renew(ctx context.Context, s Side, a Ask) (out statements.Renewed, err error) {
	return RenewOlder(ctx, s, a, Level, 0)
}

// RenewOlder is Renew for a database with the schema of a level, which may be an older one. The new
// epoch is greater than after.
func RenewOlder(ctx context.Context, s Side, a Ask, level int, after int64) (out statements.Renewed, err error) {
	err = s.Step(ctx, func(ctx context.Context, tx statements.Conn) error {
		out, err = renew(ctx, s, tx, a, level, after)
		return err
	})
	return out, err
}

// jump is the least by which numbers jump ahead: more than were given in the lost time.
const jump = 1 << 32

// clockJump is the least number after a jump: as if perSecond numbers had been given every
// second since 2020. A backup that is restored twice, the second time perhaps without
// knowledge of the first, continues with different numbers. They stay below 2^53, which is
// the limit of many JSON readers, for 2,000 years.
func clockJump(now time.Time) int64 {
	const perSecond, since = 1 << 17, 1_577_836_800
	return max(0, now.Unix()-since) * perSecond
}

// renew begins a new epoch, greater than after, inside a step. The schema is that of a level.
func renew(
	ctx context.Context,
	s Side,
	tx statements.Conn,
	a Ask,
	level int,
	after int64,
) (statements.Renewed, error) {
	for _, t := range tablesOf(level) {
		if !t.gives || t.Name == "budgets" { // counts refer to the number of their holder, which jumps
			continue
		}

		// IDs that were given in the lost time must not be given again: a session or an event
		// of that time would name another row.
		last, err := s.Last(ctx, tx, t.Name, t.Columns[0].Name)
		if err == nil {
			err = s.Advance(ctx, tx, t.Name, t.Columns[0].Name, max(last+jump, clockJump(a.Now)))
		}
		if err != nil {
			return statements.Renewed{}, fmt.Errorf("set numbers of %s: %w", t.Name, err)
		}
	}

	return statements.Renew(ctx, tx, statements.Renewal{
		Now:     a.Now,
		After:   after,
		Trust:   a.Trust,
		Missing: missing(level),
		Event:   a.Event,
	})
}
