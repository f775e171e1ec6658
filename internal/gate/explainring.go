package gate

import (
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/session"
)

// recentDecisions holds the last decisions that admitted a request, so that an operator can
// ask why. They are not worth a write each. It holds about two thousand decisions in at most
// a few megabytes, whatever the requests contain.
type recentDecisions struct {
	shards [16]struct {
		mu   sync.Mutex
		ring [128]recentDecision
		next uint
		_    [32]byte // keeps neighbours off one cache line
	}
}

// recentDecision has plain values only. The request, its body and the gate.Service with its
// readers would keep secrets, and the routes of a configuration that was replaced, in memory.
type recentDecision struct {
	text        []byte // request ID, then method and path; reused by the next decision in the slot
	idLen       int
	service     string
	route       string
	access      policy.Access
	source      netip.Addr
	now         time.Time
	credential  Credential // see kept
	lastUsed    time.Time
	proof       session.Proof
	factorsFrom time.Time
	left        int64
	counted     bool
	free        bool
}

// add stores a decision in place of the oldest of its shard. It is called for every
// accepted request, so it allocates as little as it can.
func (r *recentDecisions) add(req *Request, d Decision) {
	if req.RequestID == "" {
		return
	}

	credential := kept(d.credential)

	// Our ids are random, so their first byte spreads them over the shards.
	s := &r.shards[uint(req.RequestID[0])%uint(len(r.shards))]
	s.mu.Lock()
	defer s.mu.Unlock()

	slot := &s.ring[s.next%uint(len(s.ring))]
	s.next++

	// A copy: the strings of the request may keep its whole head in memory.
	text := append(slot.text[:0], req.RequestID...)

	*slot = recentDecision{
		text:        appendTarget(text, req),
		idLen:       len(text),
		service:     req.Service.Name,
		route:       req.Route,
		access:      req.Access,
		source:      req.Source,
		now:         req.Now,
		credential:  credential,
		lastUsed:    d.lastUsed,
		proof:       d.proof,
		factorsFrom: d.factorsFrom,
		left:        d.left,
		counted:     d.counted,
		free:        d.free,
	}
}

// find returns the audit event of a decision.
func (r *recentDecisions) find(requestID string) (jeton.Event, bool) {
	if requestID == "" {
		return jeton.Event{}, false
	}

	s := &r.shards[uint(requestID[0])%uint(len(r.shards))]
	s.mu.Lock()
	defer s.mu.Unlock()

	for i := range s.ring {
		if string(s.ring[i].id()) == requestID {
			return s.ring[i].event(), true
		}
	}

	return jeton.Event{}, false
}

func (r *recentDecision) id() []byte { return r.text[:r.idLen] }

// event returns the decision as an event of the audit log.
func (r *recentDecision) event() jeton.Event {
	req := Request{
		Service:   &Service{Name: r.service},
		Access:    r.access,
		Route:     r.route,
		Source:    r.source,
		RequestID: string(r.id()),
		Now:       r.now,
	}

	e := admitted(&req, &Decision{
		credential:  r.credential,
		lastUsed:    r.lastUsed,
		proof:       r.proof,
		factorsFrom: r.factorsFrom,
		left:        r.left,
		counted:     r.counted,
		free:        r.free,
	})
	e.Target = string(r.text[r.idLen:])

	return e
}

// kept returns what the ring may keep of a credential. Sessions and tokens are values of our
// own caches, which know no request. Of every other kind, which may hold the form or the
// password that it was read from, only the description is kept.
func kept(c Credential) Credential {
	switch c.(type) {
	case nil, sessionCredential, tokenCredential:
		return c
	}

	which, window := c.Describe()
	p := c.Principal()

	groups := make([]string, min(len(p.Groups), maxGroups))
	for i := range groups {
		groups[i] = bounded(p.Groups[i])
	}

	return described{
		principal: jeton.Principal{Kind: p.Kind, Name: bounded(p.Name), Groups: groups},
		which:     bounded(which),
		window:    bounded(window),
	}
}

// maxGroups bounds the groups that the ring keeps of a user.
const maxGroups = 16

// bounded returns a copy of a text of at most 128 bytes.
func bounded(text string) string {
	const maxText = 128

	if len(text) <= maxText {
		return strings.Clone(text)
	}

	return strings.ToValidUTF8(text[:maxText], "") + "…"
}

// described is a credential of which only the description is left.
type described struct {
	PerRequest
	principal     jeton.Principal
	which, window string
}

// Principal implements Credential.
func (d described) Principal() jeton.Principal { return d.principal }

// Describe implements Credential.
func (d described) Describe() (which, window string) { return d.which, d.window }
