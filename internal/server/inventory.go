package server

import (
	"context"
	"errors"

	"github.com/jeton-auth/jeton/internal/store/move"
	"github.com/jeton-auth/jeton/internal/store/postgres"
)

// Inventory is what a database has, without what is in it.
type Inventory struct {
	Schema []Migration      `json:"schema"`
	Rows   map[string]int64 `json:"rows,omitempty"`  // by table; only of the schema of this program
	Nodes  []string         `json:"nodes,omitempty"` // ids of the nodes of a shared database
}

// TakeInventory counts the rows of a database, whose server may be running. It changes nothing.
func TakeInventory(ctx context.Context, c Config) (out Inventory, err error) {
	c = c.withDefaults()
	out.Schema, err = Migrations(ctx, c)
	if err != nil {
		return out, err
	}
	for _, m := range out.Schema {
		if !m.Applied {
			return out, nil
		}
	}

	db, _, err := c.readOlder(ctx)
	if err != nil {
		return out, err
	}

	out.Rows, err = move.Counts(ctx, db)
	shared, many := db.(*postgres.Side)
	if err == nil && many {
		out.Nodes, err = shared.Nodes(ctx)
	}

	return out, errors.Join(err, db.Close())
}
