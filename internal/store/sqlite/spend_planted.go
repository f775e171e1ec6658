//go:build planted_unconditional

package sqlite

// spendOne without its condition: a planted bug. A test builds the store with it and
// expects the check of recorded histories to notice.
const spendOne = `UPDATE uses SET used = used + 1 WHERE login = $1 AND budget = $2 AND $3 > 0`
