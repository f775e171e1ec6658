//go:build !planted_unconditional

package sqlite

// spendOne is the conditional step that keeps "at most N": it changes a count only while
// the limit has not been reached, whatever runs at the same time. Counts go with their
// holder in one step (endSessions, endTokens), so where there is a count the holder is there.
const spendOne = `UPDATE uses SET used = used + 1 WHERE login = $1 AND budget = $2 AND used < $3`
