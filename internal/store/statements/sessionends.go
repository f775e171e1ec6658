package statements

import (
	"context"
	"fmt"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/secret"
	"github.com/jeton-auth/jeton/internal/session"
	"github.com/jeton-auth/jeton/internal/store/change"
)

// EndSessions implements session.Store.
func (db *Store) EndSessions(ctx context.Context, w session.Which, ev jeton.Event) (int, error) {
	// An empty choice would be every session of every user.
	if !w.Selects() {
		return 0, nil
	}

	var n int

	where, args := chosen(w)
	run := func(ctx context.Context, tx Conn) ([]change.Change, error) {
		ended, err := endSessions(ctx, tx, where, args...)
		n = len(ended.sessions)
		if err != nil || n == 0 {
			return nothingLeft(), err
		}

		return ended.changes(), appendEvents(ctx, tx, ev)
	}

	// One session is one row; a user or a service may have many.
	if err := db.engine.Do(ctx, Step{Long: w.ID == "", Run: run}); err != nil {
		return 0, err
	}

	return n, nil
}

// chosen phrases a session.Which. It names only the fields that are set, so that the
// database finds an index for them and a logout does not read the whole table.
func chosen(w session.Which) (where string, args []any) {
	where = "TRUE"
	for _, f := range []struct {
		value  any
		clause string
	}{
		{w.ID, "id = $%d"},
		{w.Login, "login = $%d"},
		{w.User, `account = (SELECT id FROM users WHERE name = $%d)`},
		{w.Service, "service = $%d"},
		{w.Parent, "parent = $%d AND parent <> 0"}, // so that the partial index fits
	} {
		if f.value != "" && f.value != int64(0) {
			args = append(args, f.value)
			where += " AND " + fmt.Sprintf(f.clause, len(args))
		}
	}

	if w.Family {
		where = fmt.Sprintf("(login = %[1]s OR parent = %[1]s AND parent <> 0)", rootOf(where))
	}

	if w.Not != "" {
		args = append(args, w.Not)
		stays := rootOf(fmt.Sprintf("id = $%d", len(args)))
		where += fmt.Sprintf(" AND login <> %[1]s AND parent <> %[1]s", stays)
	}

	if w.Before != 0 {
		args = append(args, w.Before)
		where += fmt.Sprintf(" AND login < $%d", len(args))
	}

	return where, args
}

// rootOf returns the expression for the login of the sign-in session of the one session that where
// chooses, which is that session itself if it has no parent; -1 if there is none.
func rootOf(where string) string {
	return "COALESCE((SELECT CASE parent WHEN 0 THEN login ELSE parent END FROM sessions WHERE " + where + "), -1)"
}

// endedFamilies is the hashes of sessions that ended, and of the tokens that ended with them.
type endedFamilies struct{ sessions, tokens []secret.Hash }

// add adds another end.
func (e *endedFamilies) add(other endedFamilies) {
	e.sessions = append(e.sessions, other.sessions...)
	e.tokens = append(e.tokens, other.tokens...)
}

// changes returns what is invalid.
func (e endedFamilies) changes() []change.Change {
	list := sessionsEnded(e.sessions)
	if len(e.tokens) > 0 {
		list = append(list, tokensEnded(e.tokens)...)
	}

	return list
}

// endSessions removes the sessions that where chooses, with their children, their counts and the grants that do not
// outlive them, and returns the hashes. A concurrent use finds no session and fails. A concurrent start of a child
// is waited for, and the child is found when its turn comes.
func endSessions(ctx context.Context, tx Conn, where string, args ...any) (endedFamilies, error) {
	all, err := removeSessions(ctx, tx, where, args...)
	if err != nil {
		return endedFamilies{}, err
	}

	if err := announceEnd(ctx, tx, all.numbers); err != nil {
		return endedFamilies{}, err
	}

	granted, err := endGrants(ctx, tx, all.numbers)
	parents := all.numbers
	for err == nil && len(parents) > 0 {
		n := min(together, len(parents))
		var children endedRows
		// parent <> 0 lets the partial index fit. Children have no children.
		children, err = removeSessions(ctx, tx, "parent IN ("+places(n)+") AND parent <> 0", anys(parents[:n])...)
		all.hashes = append(all.hashes, children.hashes...)
		parents = parents[n:]
	}

	return endedFamilies{all.hashes, granted}, err
}

// removeSessions deletes the sessions that where chooses with their counts, and nothing else.
func removeSessions(ctx context.Context, tx Conn, where string, args ...any) (endedRows, error) {
	rows, err := tx.Query(ctx, "DELETE FROM sessions WHERE "+where+" RETURNING hash, login", args...)
	if err != nil {
		return endedRows{}, err
	}

	list, err := scanEnded(rows)
	if err != nil {
		return endedRows{}, err
	}

	return list, removeUses(ctx, tx, list.numbers)
}

// endedRows names deleted sessions by hash and login, or deleted tokens by hash and number.
type endedRows struct {
	hashes  []secret.Hash
	numbers []int64
}

// scanEnded reads the hash and the number of each deleted row: the caches need the first,
// the counts the second.
func scanEnded(rows Rows) (endedRows, error) {
	defer rows.Close()

	var list endedRows

	for rows.Next() {
		var b []byte
		var number int64
		if err := rows.Scan(&b, &number); err != nil {
			return endedRows{}, err
		}

		h, err := hash(b)
		if err != nil {
			return endedRows{}, err
		}

		list.hashes = append(list.hashes, h)
		list.numbers = append(list.numbers, number)
	}

	return list, rows.Err()
}

// hash reads a stored hash.
func hash(b []byte) (h secret.Hash, err error) {
	if len(b) != len(h) {
		return h, fmt.Errorf("stored hash of %d bytes, want %d", len(b), len(h))
	}
	return secret.Hash(b), nil
}
