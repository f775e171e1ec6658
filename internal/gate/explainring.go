package gate

import (
	"slices"
	"sync"
)

// recentDecisions holds the last decisions that admitted a request, so that an operator can
// ask why. They are not worth a write each. Its size is bounded: about two thousand
// decisions, half a megabyte.
type recentDecisions struct {
	shards [16]struct {
		mu   sync.Mutex
		ring [128]recentDecision
		next uint
		_    [32]byte // keeps neighbours off one cache line
	}
}

type recentDecision struct {
	request  Request // without header, body, method and path
	decision Decision
	target   []byte // method and path, copied: the request's own keep its whole head in memory
}

func (r *recentDecisions) add(req *Request, d Decision) {
	if req.RequestID == "" {
		return
	}

	// Our ids are random, so their first byte spreads them over the shards.
	s := &r.shards[uint(req.RequestID[0])%uint(len(r.shards))]
	s.mu.Lock()
	defer s.mu.Unlock()

	slot := &s.ring[s.next%uint(len(s.ring))]
	slot.request, slot.decision = *req, d
	slot.target = appendTarget(slot.target[:0], req)
	s.next++

	// Secrets are in these.
	slot.request.Header, slot.request.Body = nil, nil

	slot.request.Method, slot.request.Path = "", ""
}

func (r *recentDecisions) find(requestID string) (recentDecision, bool) {
	if requestID == "" {
		return recentDecision{}, false
	}

	s := &r.shards[uint(requestID[0])%uint(len(r.shards))]
	s.mu.Lock()
	defer s.mu.Unlock()

	for i := range s.ring {
		if s.ring[i].request.RequestID == requestID {
			found := s.ring[i]
			found.target = slices.Clone(found.target) // the slot's own is overwritten
			return found, true
		}
	}

	return recentDecision{}, false
}
