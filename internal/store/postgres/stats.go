package postgres

import "time"

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
