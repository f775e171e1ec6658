package guard

import (
	"context"
	"crypto/sha256"
	"errors"
	"time"
)

// Step does what Run does at its pace.
func (g *Guard) Step(ctx context.Context) error {
	return errors.Join(g.keepKeys(ctx), g.listen(ctx))
}

// Void returns how many void hashes are remembered.
func (g *Guard) Void() int {
	g.feed.mu.RLock()
	defer g.feed.mu.RUnlock()
	return len(g.feed.young) + len(g.feed.old)
}

// Proofs returns how many signatures are remembered.
func (g *Guard) Proofs() int {
	g.proofs.mu.RLock()
	defer g.proofs.mu.RUnlock()
	return len(g.proofs.list)
}

// Late returns a function that keeps the proof of a token once more, as one who has checked
// its signature does when the keys change before he keeps it.
func (g *Guard) Late(text string) func() {
	p := g.proofs.get(sha256.Sum256([]byte(text)))
	return func() { g.proofs.add(p) }
}

// Age shows how the age of a time is measured.
func Age(now, then time.Time) time.Duration { return age(now, then) }

// Bounds that tests go to.
const (
	LookEvery = lookEvery
	MaxAnswer = maxAnswer
	KeepVoid  = keepVoid
	MaxProofs = maxProofs
	MaxAsking = maxAsking
)

// RedactPath is how the log shows a path.
func RedactPath(path string) string { return redactPath(path) }

// Outcome is how a guard answers an error.
type Outcome struct {
	Err    error
	Status int
	Title  string
	Code   string // in the challenge
}

// Outcomes returns how a guard answers each error.
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
