package server

import (
	"context"
	"sync"
	"time"

	"github.com/jeton-auth/jeton/internal/api"
	"github.com/jeton-auth/jeton/internal/store/postgres"
)

// showState lets an API show the state of the server.
func (s *Server) showState(a *api.Config) {
	a.ServicesOf = s.shownServices
	a.Route = s.findRoute
	a.Node = s.node
	a.Counts = func(ctx context.Context) (api.Counts, error) { return s.core.count(ctx, s.c.Now()) }
}

// node returns the state of this process and of its database.
func (s *Server) node(ctx context.Context) api.Node {
	conf := s.current()
	waiting, limit, workers := s.core.hasher.Waiting()

	return api.Node{
		Version:  s.c.Version,
		Started:  s.start,
		Services: len(conf.Services),
		Database: s.core.database(ctx),
		Cache:    api.Cache{Sessions: s.core.counted.cached(), Limit: conf.Cache.Sessions},
		Hasher: api.Hasher{
			Waiting: waiting,
			Limit:   limit,
			Workers: workers,
		},
		AuditLost:   s.core.audit.Dropped(),
		Connections: int(s.connections.count()),
	}
}

// database returns the state of the database. Its nodes are empty if it does not answer.
func (k *core) database(ctx context.Context) api.Database {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()

	shared, many := k.db.(*postgres.DB)
	if !many {
		return api.Database{
			Kind:  "sqlite",
			Up:    k.db.Ping(ctx) == nil,
			Nodes: []api.Peer{{ID: "this process", Current: true}},
		}
	}

	stats := shared.Stats()
	d := api.Database{
		Kind:    "postgresql",
		Up:      stats.Up,
		Renewed: stats.LeaseRenewed,
		InUse:   stats.InUse,
		Most:    stats.Max,
		Nodes:   []api.Peer{},
	}

	peers, err := shared.Peers(ctx)
	if err != nil {
		return d
	}

	for _, p := range peers {
		d.Bound = max(d.Bound, p.Bound.Milliseconds())
		d.Nodes = append(d.Nodes, api.Peer{ID: p.ID, Current: p.Self, Bound: p.Bound.Milliseconds()})
	}

	return d
}

// countEvery is how old counts may be. A database counts a million rows in a tenth of a second or so, which each view
// of an overview must not cost.
const countEvery = time.Minute

// counted holds the counts of what is stored.
type counted struct {
	mu       sync.Mutex
	counts   api.Counts
	sessions int // in memory
}

// cached returns how many sessions were in memory when all was counted.
func (c *counted) cached() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.sessions
}

// count returns how much is stored, counted at most countEvery ago. Callers that come while it is counted wait.
func (k *core) count(ctx context.Context, now time.Time) (api.Counts, error) {
	c := &k.counted
	c.mu.Lock()
	defer c.mu.Unlock()

	age := now.Sub(c.counts.At)
	if age >= 0 && age < countEvery {
		return c.counts, nil
	}

	counts := api.Counts{At: now}
	var err error
	for _, kind := range []struct {
		n     *int64
		count func(ctx context.Context, of string) (int64, error)
	}{
		{&counts.Users, k.accounts.Count},
		{&counts.Sessions, k.sessions.Count},
		{&counts.Tokens, k.tokens.Count},
	} {
		*kind.n, err = kind.count(ctx, "")
		if err != nil {
			return api.Counts{}, err
		}
	}

	c.counts, c.sessions = counts, k.sessions.Cached()

	return counts, nil
}
