package postgres

import (
	"context"
	"time"

	"github.com/jeton-auth/jeton/internal/store/statements"
)

// Stats describes a node and its database at one moment.
type Stats struct {
	Up bool // the database answers, as far as this node knows
	// LeaseRenewed is when the poll began that renewed the lease, or zero without a lease.
	LeaseRenewed time.Time
	// Connections of the pool. The node protocol has two more.
	InUse  int
	Open   int
	Max    int
	Waited int64 // how often a request waited for a connection, since the start
}

// Stats returns the current state. It sends the database nothing.
func (db *DB) Stats() Stats {
	p := db.pool.Stat()
	s := Stats{
		Up:     db.link.isUp(),
		InUse:  int(p.AcquiredConns()),
		Open:   int(p.TotalConns()),
		Max:    int(p.MaxConns()),
		Waited: p.EmptyAcquireCount(),
	}

	renewed := db.node.renewed.Load()
	if renewed != nil {
		s.LeaseRenewed = *renewed
	}

	return s
}

// Peer is a node that uses the database.
type Peer struct {
	ID    string
	Self  bool          // this node
	Bound time.Duration // how old its cache may be
}

// Peers returns the nodes that use the database, this one included. A node that stopped without notice is among them
// for a while.
func (db *DB) Peers(ctx context.Context) ([]Peer, error) {
	rows, err := db.pool.Query(ctx, "SELECT id, bound FROM nodes WHERE NOT gone ORDER BY id")
	if err != nil {
		return nil, statements.Unavailable(err)
	}
	defer rows.Close()

	var list []Peer
	for rows.Next() {
		var p Peer
		var bound int64
		if err := rows.Scan(&p.ID, &bound); err != nil {
			return nil, statements.Unavailable(err)
		}

		p.Self = p.ID == db.node.id
		p.Bound = time.Duration(bound) * time.Millisecond
		list = append(list, p)
	}

	return list, statements.Unavailable(rows.Err())
}
