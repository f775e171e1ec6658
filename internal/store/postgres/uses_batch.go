//go:build !planted_reading

package postgres

// spendBatch takes uses of many counts at once: of each as many as are wanted and left. A
// row that has to be waited for is looked at again when its turn has come, so that no node
// counts from what another has changed; rows are locked in one order on all nodes. A first
// use makes the row, if the holder is there and nobody is ending it at this moment. It
// returns for each wish, by its place, how many were taken, how many are used, and whether
// the holder is there; what it says of a count that it did not touch is as of its start.
const spendBatch = `WITH wish AS MATERIALIZED (
  SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[]) WITH ORDINALITY AS w (login, budget, want, most, place)
), held AS MATERIALIZED (
  SELECT u.login, u.budget, u.used, LEAST(w.want, w.most - u.used) AS count FROM wish w JOIN uses u ON u.login = w.login AND u.budget = w.budget
  WHERE u.used < w.most ORDER BY u.login, u.budget FOR UPDATE OF u
), taken AS (
  UPDATE uses u SET used = h.used + h.count FROM held h WHERE u.login = h.login AND u.budget = h.budget
  RETURNING u.login, u.budget, u.used, h.count
), first AS (
  INSERT INTO uses (login, budget, used) SELECT w.login, w.budget, LEAST(w.want, w.most) FROM wish w
  WHERE NOT EXISTS (SELECT 1 FROM uses u WHERE u.login = w.login AND u.budget = w.budget) AND (` + holds + `)
  ORDER BY w.login, w.budget ON CONFLICT DO NOTHING
  RETURNING login, budget, used, used AS count
)` + spentBatch
