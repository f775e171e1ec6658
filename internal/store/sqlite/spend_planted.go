//go:build planted_unconditional

package sqlite

// spendOne without its condition: a planted bug. A test builds the store with it and
// expects the check of recorded histories to notice.
const spendOne = `UPDATE uses SET used = used + 1 WHERE login = $1 AND budget = $2 AND $3 > 0`

const spendFirst = `INSERT INTO uses (login, budget, used)
SELECT $1, $2, 1 WHERE EXISTS (SELECT 1 FROM sessions WHERE login = $1)
ON CONFLICT (login, budget) DO NOTHING`
