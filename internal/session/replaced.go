package session

import (
	"sync"
	"time"

	"github.com/jeton-auth/jeton/internal/secret"
)

const (
	// replacedFor is how long a request may be under way with a secret that a proof has replaced.
	replacedFor = 10 * time.Second
	// maxReplaced bounds how many of them are remembered, of 40 bytes each.
	maxReplaced = 4096
)

// replaced remembers the secrets that a proof, on any node, has replaced a short time ago. They open nothing. It is
// safe for concurrent use.
type replaced struct {
	mu   sync.Mutex
	when map[secret.Hash]time.Time
}

// add remembers secrets. If there are too many they are forgotten: their requests are then refused like any other.
func (r *replaced) add(now time.Time, hashes ...secret.Hash) {
	r.mu.Lock()
	defer r.mu.Unlock()

	for old, at := range r.when {
		if now.Sub(at).Abs() > replacedFor {
			delete(r.when, old)
		}
	}

	if r.when == nil {
		r.when = map[secret.Hash]time.Time{}
	}
	for _, h := range hashes {
		if len(r.when) < maxReplaced {
			r.when[h] = now
		}
	}
}

// has reports whether a secret was replaced a short time ago.
func (r *replaced) has(h secret.Hash, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()

	at, ok := r.when[h]

	return ok && now.Sub(at).Abs() <= replacedFor
}

// Replaced reports whether a text is the secret that a session had until a proof replaced it, ten seconds ago or less.
// The secret is refused all the same. But the request that shows it may have been under way, and its browser has the
// new secret by now.
func (s *Sessions) Replaced(text string) bool {
	return secret.IsSession(text) && s.replaced.has(secret.HashOf(text), s.now())
}
