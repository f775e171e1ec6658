package audit

import (
	"fmt"
	"slices"
	"time"

	"github.com/jeton-auth/jeton"
)

const (
	// sumInterval is how long refusals that are alike are summed before an event has their number.
	sumInterval = time.Minute
	// maxSingle is how many refusals that are alike have an event each in an interval. An operator can look these up by
	// the id of the request. While half of the bucket is left there are more.
	maxSingle = 60
	// maxSums is how many likenesses have a sum each in an interval. All further ones share one.
	maxSums = 128
)

// likeness is what refusals that are summed have in common.
type likeness struct{ source, actor, action, service, outcome, reason string }

// likenessOf returns what an event has in common with those that it is summed with.
func likenessOf(e jeton.Event) likeness {
	like := likeness{
		source:  e.Source,
		actor:   e.Actor,
		action:  e.Action,
		service: e.Service,
		outcome: e.Outcome,
		reason:  e.Reason,
	}
	// Of a login it is who the caller claims to be: one source could use up all sums.
	if kindOf(e) == kindLogin {
		like.actor = ""
	}

	return like
}

// sum is the refusals of one likeness in an interval.
type sum struct {
	single int         // that have an event each
	more   int64       // all others
	last   jeton.Event // of the others
}

// sums are the refusals of one kind in an interval. The caller locks.
type sums struct {
	began time.Time // of the first refusal
	of    map[likeness]*sum
}

// find returns the sum of a refusal.
func (s *sums) find(e jeton.Event) *sum {
	if len(s.of) == 0 {
		s.began = e.Time
		s.of = map[likeness]*sum{}
	}

	like := likenessOf(e)
	if s.of[like] == nil && len(s.of) >= maxSums {
		like = likeness{}
	}
	if s.of[like] == nil {
		s.of[like] = &sum{}
	}

	return s.of[like]
}

// due reports whether the interval is over. A clock that was set back ends it, too.
func (s *sums) due(now time.Time) bool {
	passed := now.Sub(s.began)
	return len(s.of) > 0 && (passed >= sumInterval || passed < -sumInterval)
}

// take ends the interval, and returns an event for each sum: the last refusal, with the number of all.
func (s *sums) take() []jeton.Event {
	var events []jeton.Event
	for like, one := range s.of {
		if one.more == 0 {
			continue
		}

		// The sum of all further likenesses must not blame the source of the last one for the others.
		of := "refusals like it"
		if like == (likeness{}) {
			of = "refusals of all sources and reasons"
		}

		e := one.last
		if one.more > 1 {
			e.Reason += fmt.Sprintf(" (the last of %d %s that have no other event)", one.more, of)
		}
		events = append(events, e)
	}

	s.of = nil
	slices.SortFunc(events, func(a, b jeton.Event) int { return a.Time.Compare(b.Time) })

	return events
}
