package gate

import (
	"slices"
	"sync"
)

// recent holds the last decisions that let a request through, so that an operator can
// ask why while it is fresh. They are not worth a write each. Its size is bounded:
// about two thousand decisions, half a megabyte.
type recent struct {
	shards [16]struct {
		mu   sync.Mutex
		ring [128]decision
		next uint
		_    [32]byte // keeps neighbours off one cache line
	}
}

type decision struct {
	question Request // without header, method and path
	pass     Decision
	target   []byte // method and path, copied: the request's own hold all of its head in memory
}

func (r *recent) add(q *Request, pass Decision) {
	if q.RequestID == "" {
		return
	}

	s := &r.shards[uint(q.RequestID[0])%uint(len(r.shards))]
	s.mu.Lock()
	d := &s.ring[s.next%uint(len(s.ring))]
	d.question, d.pass = *q, pass
	d.question.Header = nil

	d.question.Method = ""
	d.question.Path = "" // nor are secrets remembered
	d.target = appendTarget(d.target[:0], q)
	s.next++
	s.mu.Unlock()
}

func (r *recent) find(request string) (decision, bool) {
	if request == "" {
		return decision{}, false
	}

	s := &r.shards[uint(request[0])%uint(len(r.shards))]
	s.mu.Lock()
	defer s.mu.Unlock()

	for i := range s.ring {
		if s.ring[i].question.RequestID == request {
			d := s.ring[i]
			d.target = slices.Clone(d.target) // the ring's own is written over
			return d, true
		}
	}

	return decision{}, false
}
