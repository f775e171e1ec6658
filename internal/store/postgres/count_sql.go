package postgres

// The statements name a holder by its number as stored: a login, minus the number of a token, or
// the number of a user and count.UserHolders.
// A CTE named wish is what is asked for.

// firstUsesSQL takes the first uses of counts that have no row yet, if their holders exist and no
// transaction is removing them. It returns for each group how many it took, how many are used,
// and whether the holder exists; of a count that it did not touch, as of its start.
const firstUsesSQL = `WITH wish AS MATERIALIZED (
  SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[]) WITH ORDINALITY
    AS w (login, budget, want, most, place)
), fresh AS MATERIALIZED (
  SELECT * FROM wish w WHERE NOT EXISTS (SELECT 1 FROM uses u WHERE u.login = w.login AND u.budget = w.budget)
), first AS (
  INSERT INTO uses (login, budget, used, took)
  SELECT w.login, w.budget, LEAST(w.want, w.most), LEAST(w.want, w.most) FROM fresh w WHERE ` + holderLiveSQL + `
  ORDER BY w.login, w.budget ON CONFLICT DO NOTHING
  RETURNING login, budget, used
)
SELECT w.place, COALESCE(f.used, 0), COALESCE(f.used, u.used, 0), ` + holderExistsSQL + `
FROM wish w LEFT JOIN first f ON f.login = w.login AND f.budget = w.budget
LEFT JOIN uses u ON u.login = w.login AND u.budget = w.budget`

// holderLiveSQL is true of a wish w whose holder exists, and which no transaction is removing. It
// stays true until the end of the transaction.
const holderLiveSQL = `(EXISTS (SELECT 1 FROM sessions s WHERE s.login = w.login FOR KEY SHARE SKIP LOCKED)
  OR EXISTS (SELECT 1 FROM tokens t WHERE t.number = -w.login FOR KEY SHARE SKIP LOCKED)
  OR EXISTS (SELECT 1 FROM users u WHERE u.id = w.login - 4611686018427387904 FOR KEY SHARE SKIP LOCKED))`

// holderExistsSQL is true of a wish w whose holder exists.
const holderExistsSQL = `EXISTS (SELECT 1 FROM sessions s WHERE s.login = w.login)
  OR EXISTS (SELECT 1 FROM tokens t WHERE t.number = -w.login)
  OR EXISTS (SELECT 1 FROM users u WHERE u.id = w.login - 4611686018427387904)`

// insertCountsSQL inserts rows for counts of holders that exist.
const insertCountsSQL = `WITH fresh AS MATERIALIZED (
  SELECT DISTINCT w.login, w.budget FROM unnest($1::bigint[], $2::bigint[]) AS w (login, budget)
  WHERE NOT EXISTS (SELECT 1 FROM uses u WHERE u.login = w.login AND u.budget = w.budget)
)
INSERT INTO uses (login, budget, used, took) SELECT w.login, w.budget, 0, 0 FROM fresh w WHERE ` + holderLiveSQL + `
ORDER BY w.login, w.budget ON CONFLICT DO NOTHING`

// lockCountsSQL locks counts, in the same order on all nodes.
const lockCountsSQL = `WITH wish AS MATERIALIZED (
  SELECT DISTINCT w.login, w.budget FROM unnest($1::bigint[], $2::bigint[]) AS w (login, budget)
), held AS MATERIALIZED (
  SELECT u.login, u.budget, u.used FROM wish w JOIN uses u ON u.login = w.login AND u.budget = w.budget
  ORDER BY u.login, u.budget FOR UPDATE OF u
)
SELECT w.login, w.budget, h.used, ` + holderExistsSQL + `
FROM wish w LEFT JOIN held h ON h.login = w.login AND h.budget = w.budget`

// updateCountsSQL writes counts that are locked. A count only grows.
const updateCountsSQL = `UPDATE uses u SET used = w.used
FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]) AS w (login, budget, used)
WHERE u.login = w.login AND u.budget = w.budget AND u.used < w.used`
