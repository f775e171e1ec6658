package statements

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/account"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/store/change"
)

// errDry takes back a step that was run only to see what would come of it.
var errDry = errors.New("dry run")

// ImportUsers implements account.Store.
func (db *Store) ImportUsers(
	ctx context.Context,
	rows []account.PreparedRow,
	now time.Time,
	dry bool,
	ev jeton.Event,
) ([]account.ImportResult, error) {
	var results []account.ImportResult
	run := func(ctx context.Context, tx Conn) ([]change.Change, error) {
		// Inside run, which the engine may call again after a rollback.
		results = make([]account.ImportResult, len(rows))
		step := importStep{tx: tx, event: at(ev, now)}
		step.event.Action = audit.UserChange
		var events []jeton.Event
		for i, r := range rows {
			result, err := step.user(ctx, r)
			if err != nil {
				return nil, fmt.Errorf("user %s: %w", r.Account.Name, err)
			}

			results[i] = result
			ev := ev
			ev.Target, ev.Reason = "user:"+r.Account.Name, r.Reason
			if result.Verdict == account.Changed && result.Reason != "" {
				ev.Reason += ", " + result.Reason
			}

			switch result.Verdict {
			case account.Added:
				ev.Action = audit.UserAdd
				events = append(events, ev)
			case account.Changed:
				ev.Action = audit.UserChange
				events = append(events, ev)
			}
		}

		// An error rolls back: a dry run takes the same path as a real one, up to here.
		if dry {
			return nil, errDry
		}

		return usersChanged(step.changed...), appendEvents(ctx, tx, events...)
	}

	err := db.engine.Do(ctx, Step{Serial: true, Long: true, Run: run})
	if err != nil && !errors.Is(err, errDry) {
		return nil, err
	}

	return results, nil
}

// importStep imports rows in one transaction.
type importStep struct {
	tx      Conn
	event   jeton.Event // of the users that the import changes
	changed []int64     // ids of existing users that the import has changed
}

// user imports one row. A refused row changes nothing: its statements fail before any has
// changed something.
func (s *importStep) user(ctx context.Context, r account.PreparedRow) (account.ImportResult, error) {
	a, err := scanAccount(s.tx.QueryRow(
		ctx, selectUsers+"WHERE folded = $1"+s.tx.Lock("FOR UPDATE"), r.Account.Folded,
	))

	switch {
	case errors.Is(err, sql.ErrNoRows):
		_, err := insertUser(ctx, s.tx, r.Account)
		if errors.Is(err, jeton.ErrConflict) {
			return keptOut(whyTaken(ctx, s.tx, r.Account))
		}
		return account.ImportResult{Verdict: account.Added}, err
	case err != nil:
		return account.ImportResult{}, err
	case a.Declared:
		return account.ImportResult{
			Verdict: account.InFile,
			Reason:  "the configuration file declares this name",
		}, nil
	case a.Service != r.Account.Service:
		// A password or group of one user must not go to another, who only has the same name.
		return keptOut("the user of this name "+validAt(a.Service)+", and the row's "+validAt(r.Account.Service), nil)
	case r.Update == nil:
		return account.ImportResult{Verdict: account.Exists}, nil
	}

	c, some := differences(a, *r.Update)
	if !some {
		return account.ImportResult{Verdict: account.Exists}, nil
	}

	err = changeUser(ctx, s.tx, a, c, s.event)
	if errors.Is(err, jeton.ErrConflict) {
		return keptOut(jeton.Detail(err), nil)
	}

	s.changed = append(s.changed, a.ID)

	result := account.ImportResult{Verdict: account.Changed}
	if c.Password != nil {
		result.Reason = "new password, all sessions and tokens ended"
	}

	return result, err
}

// validAt says where a user is valid, for a reason.
func validAt(service string) string {
	if service == "" {
		return "is valid at every service"
	}
	return "is valid at service " + service + " only"
}

// keptOut is the result of a row that is refused, with its reason for the operator.
func keptOut(reason string, err error) (account.ImportResult, error) {
	return account.ImportResult{Verdict: account.Refused, Reason: reason}, err
}

// whyTaken says what of an account is another's already.
func whyTaken(ctx context.Context, tx Conn, a account.Account) (string, error) {
	for _, q := range []struct{ where, value, reason string }{
		{"users WHERE uuid = $1 AND uuid <> ''", a.UUID, "another user has this id"},
		{
			"users WHERE email_folded = $1 AND email_folded <> ''",
			a.EmailFolded,
			"another user has this e-mail address",
		},
		{"clients WHERE folded = $1", a.Folded, "there is a client of this name"},
	} {
		var one int
		err := tx.QueryRow(ctx, "SELECT 1 FROM "+q.where, q.value).Scan(&one)
		if err == nil {
			return q.reason, nil
		}

		if !errors.Is(err, sql.ErrNoRows) {
			return "", err
		}
	}

	return "name, id or e-mail address is another's", nil
}

// differences leaves of a change what is not so already, and reports whether that is
// anything: to set a password or the state again would end sessions for nothing.
func differences(a account.Account, c account.Change) (account.Change, bool) {
	if c.Password != nil && *c.Password == a.Password {
		c.Password = nil
	}
	if c.Groups != nil && slices.Equal(*c.Groups, a.Groups) {
		c.Groups = nil
	}
	if c.Disabled != nil && *c.Disabled == a.Disabled {
		c.Disabled = nil
	}

	if c.Profile != nil && c.Profile(a.Profile) == a.Profile {
		c.Profile = nil
	}

	return c, c.Password != nil || c.Groups != nil || c.Disabled != nil || c.Profile != nil
}
