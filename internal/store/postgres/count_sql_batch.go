//go:build !planted_reading

package postgres

// spendBatch takes uses of many counts at once: of each as many as are wanted and left. A
// row that has to be waited for is looked at again when its turn has come, so that no node
// counts from what another has changed. The wishes are sorted, and looked up one by one, so that
// nodes lock rows in one order; where PostgreSQL chooses another plan it finds the deadlock, and
// takes one of the two back. Wishes for which it finds no count with a use left have no row in its answer.
const spendBatch = `UPDATE uses u SET used = u.used + LEAST(w.want, w.most - u.used), took = LEAST(w.want, w.most - u.used)
FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[]) WITH ORDINALITY AS w (login, budget, want, most, place)
WHERE u.login = w.login AND u.budget = w.budget AND u.used < w.most
RETURNING w.place, u.took, u.used`
