package guard

import (
	"context"
	"crypto/sha256"
	"errors"
	"time"
)

// Step fetches keys and revocations once, as Run does at its pace.
func (g *Guard) Step(ctx context.Context) error {
	return errors.Join(g.refreshKeys(ctx), g.updateRevocations(ctx))
}

// Revoked returns how many revocations are kept.
func (g *Guard) Revoked() int {
	g.revoked.mu.RLock()
	defer g.revoked.mu.RUnlock()
	return len(g.revoked.newer) + len(g.revoked.older)
}

// Verified returns how many verified tokens are cached.
func (g *Guard) Verified() int {
	g.verified.mu.RLock()
	defer g.verified.mu.RUnlock()
	return len(g.verified.list)
}

// AddAgain returns a function that caches a verified token again, like a Check that verified the
// signature just before the keys changed.
func (g *Guard) AddAgain(text string) func() {
	v := g.verified.get(sha256.Sum256([]byte(text)))
	return func() { g.verified.add(v) }
}

// Age returns the age of a time.
func Age(now, then time.Time) time.Duration { return age(now, then) }

// Limits that tests reach.
const (
	UnknownKeyInterval = unknownKeyInterval
	MaxBody            = maxBody
	KeepRevoked        = keepRevoked
	MaxVerified        = maxVerified
	MaxLookups         = maxLookups
)

// Outcome is the response to an error.
type Outcome struct {
	Err    error
	Status int
	Title  string
	Code   string // in the challenge
}

// Outcomes returns the response to each error.
func Outcomes() []Outcome {
	var list []Outcome
	for _, o := range outcomes {
		list = append(list, Outcome{
			Err:    o.err,
			Status: o.status,
			Title:  o.title,
			Code:   o.code,
		})
	}
	return list
}
