package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// Inspect returns the clock of a database, and what its user lacks to work with the tables and to upgrade them, such as
// "INSERT on tokens". It changes nothing.
func Inspect(ctx context.Context, c Config) (clock time.Time, lacking []string, err error) {
	c = c.withDefaults()
	settings, err := c.parse()
	if err != nil {
		return time.Time{}, nil, err
	}

	conn, err := pgx.ConnectConfig(ctx, settings.ConnConfig)
	if err != nil {
		return time.Time{}, nil, fmt.Errorf("open database %s: %w", c.Where, explainOpen(err))
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()

	err = conn.QueryRow(ctx, `SELECT clock_timestamp()`).Scan(&clock)
	if err != nil {
		return time.Time{}, nil, fmt.Errorf("read the clock of the database: %w", err)
	}

	rows, err := conn.Query(ctx, lackingRights)
	if err == nil {
		lacking, err = pgx.CollectRows(rows, pgx.RowTo[string])
	}
	if err != nil {
		return time.Time{}, nil, fmt.Errorf("read the rights of the database user: %w", err)
	}

	return clock, lacking, nil
}

// lackingRights lists the rights that the user does not have in the schema of the tables.
const lackingRights = `
SELECT r || ' on ' || relname FROM pg_class, unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) r
WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r' AND NOT has_table_privilege(pg_class.oid, r)
UNION ALL SELECT 'CREATE on schema ' || current_schema() WHERE NOT has_schema_privilege(current_schema(), 'CREATE')
ORDER BY 1`
