//go:build !planted_unconditional

package sqlite

// spendOne is the conditional step that keeps "at most N": it changes a row only while
// the limit has not been reached and the session is there, whoever asks at the same time.
const spendOne = `INSERT INTO uses (login, budget, used)
SELECT $1, $2, 1 WHERE EXISTS (SELECT 1 FROM sessions WHERE login = $1)
ON CONFLICT (login, budget) DO UPDATE SET used = used + 1 WHERE used < $3
RETURNING used`
