//go:build planted_reading

package postgres

// spendBatch reads the counts, computes the new ones, and writes these, without a lock between
// the two: a planted bug. The tests over many nodes are expected to notice that two nodes count
// from the same number.
const spendBatch = `WITH seen AS MATERIALIZED (
  SELECT w.place, u.login, u.budget, u.used, LEAST(w.want, w.most - u.used) AS took
  FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[]) WITH ORDINALITY
    AS w (login, budget, want, most, place)
  JOIN uses u ON u.login = w.login AND u.budget = w.budget WHERE u.used < w.most
)
UPDATE uses u SET used = s.used + s.took, took = s.took FROM seen s
WHERE u.login = s.login AND u.budget = s.budget
RETURNING s.place, u.took, u.used`
