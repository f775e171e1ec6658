package password

import (
	"sync"
	"time"
)

const (
	// slow is from which time on the log says that passwords take long: a user notices half of it.
	slow = 5 * time.Second
	// slowEvery is how often it says so, at most.
	slowEvery = time.Minute
)

// Times are how long passwords took since the start.
type Times struct {
	Passwords int64         // that were hashed or checked
	Waited    time.Duration // for a worker, all together
	Worked    time.Duration // from the worker's beginning to its end, all together
}

// times are the Times of a pool, and when the log last had some. It is safe for concurrent use.
type times struct {
	mu     sync.Mutex
	all    Times
	logged time.Time
	silent int // slow ones that the log did not get
}

// Times returns how long passwords took.
func (p *Pool) Times() Times {
	p.times.mu.Lock()
	defer p.times.mu.Unlock()

	return p.times.all
}

// note counts a password, and logs one that took long.
func (p *Pool) note(waited, worked time.Duration) {
	number, tell := p.times.add(p.now(), waited, worked)
	if !tell {
		return
	}

	// The hasher runs at the lowest priority, so that a flood of logins leaves the server fast: any other program of
	// the machine goes first.
	fix := "other programs use the processors, and the hasher comes last; move them, or add processors"
	if waited > worked {
		fix = "more logins come than the hasher can check; raise hashing.workers or add processors"
	}
	p.log.Warn(
		"a password took long to check, so logins are slow",
		"waited_ms", waited.Milliseconds(),
		"hashing_ms", worked.Milliseconds(),
		"count", number,
		"fix", fix,
	)
}

// add counts a password, and reports whether the log gets it and how many slow ones it stands for.
func (t *times) add(now time.Time, waited, worked time.Duration) (number int, tell bool) {
	t.mu.Lock()
	defer t.mu.Unlock()

	t.all.Passwords++
	t.all.Waited += waited
	t.all.Worked += worked
	if waited+worked < slow {
		return 0, false
	}

	t.silent++
	if !t.logged.IsZero() && now.Sub(t.logged) < slowEvery {
		return 0, false
	}

	number = t.silent
	t.logged, t.silent = now, 0

	return number, true
}
