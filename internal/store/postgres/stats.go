package postgres

import "time"

// Stats is how a node and its database stand at one moment.
type Stats struct {
	Up bool // the database is there, as far as this node knows
	// LeaseRenewed is when the poll began that memory is as new as. It is zero while this node
	// may judge nothing from memory.
	LeaseRenewed time.Time
	// Connections of the pool: in use, open, and at most. Two more are this node's own.
	InUse, Open, Max int
	Waited           int64 // how often somebody had to wait for one, since the start
}

// Stats tells how things stand. It asks the database nothing.
func (db *DB) Stats() Stats {
	p := db.pool.Stat()
	s := Stats{
		Up:     db.link.isUp(),
		InUse:  int(p.AcquiredConns()),
		Open:   int(p.TotalConns()),
		Max:    int(p.MaxConns()),
		Waited: p.EmptyAcquireCount(),
	}

	t := db.node.renewed.Load()
	if t != nil {
		s.LeaseRenewed = *t
	}

	return s
}
