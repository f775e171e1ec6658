//go:build !planted_unconditional

package sqlite

// spendOne is the conditional step that keeps "at most N": it changes a count only while
// the limit has not been reached, whoever asks at the same time. Counts go with their
// session in one step (endSessions), so where there is a count the session is there.
const spendOne = `UPDATE uses SET used = used + 1 WHERE login = $1 AND budget = $2 AND used < $3`

// spendFirst takes the first use, if the session is there and has no count yet.
const spendFirst = `INSERT INTO uses (login, budget, used)
SELECT $1, $2, 1 WHERE EXISTS (SELECT 1 FROM sessions WHERE login = $1)
ON CONFLICT (login, budget) DO NOTHING`
