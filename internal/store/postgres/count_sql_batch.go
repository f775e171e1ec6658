//go:build !planted_reading

package postgres

// spendBatch takes uses of many counts at once: of each as many as are wanted and left. A row
// that another transaction holds is read again when it is released, so that no node counts from
// what another has changed. The wishes are sorted and looked up one by one, so that all nodes
// lock rows in the same order. Where PostgreSQL chooses another plan, it finds the deadlock and
// rolls one of the two back. A wish for which no count has a use left has no row in the result.
const spendBatch = `UPDATE uses u
SET used = u.used + LEAST(w.want, w.most - u.used), took = LEAST(w.want, w.most - u.used)
FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[]) WITH ORDINALITY
  AS w (login, budget, want, most, place)
WHERE u.login = w.login AND u.budget = w.budget AND u.used < w.most
RETURNING w.place, u.took, u.used`
