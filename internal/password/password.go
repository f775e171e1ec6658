// Package password hashes and checks passwords.
//
// Hashes are argon2id, stored as PHC strings; hashes that other programs made are checked,
// too. Hashing is slow on purpose, so all of it goes through a Pool with a limit of work
// and of waiting callers; the pool rejects the others at once as busy. So memory and
// processor time are bounded, whatever the number of callers. Checking the password of an
// unknown user takes the same work, with the same result. A password is never logged. With
// a child process for the work, a flood of logins does not slow down the server.
//
// Our own hashes are in phc.go. The formats of other programs are listed in imported.go and
// computed in imported_kdf.go (PBKDF2, scrypt, digests) and imported_crypt.go (crypt(3)).
//
// A password is the bytes that were given: nothing is trimmed or normalised. Which ones may be
// set is in policy.go. Package limit
// has the throttling, and package account keeps the hashes.
package password

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"sync"
	"time"

	"github.com/jeton-auth/jeton"
)

// busyFor is how long a caller should wait after it met a full queue.
const busyFor = time.Second

// Config is what New needs. The zero value hashes in this process, on every
// processor, and queues no job.
type Config struct {
	Workers int          // passwords hashed at the same time; 0 means one for each processor
	Queue   int          // passwords that may wait
	Command []string     // argv of a process that runs Serve; nil means hash in this process
	Log     *slog.Logger // nil means no log
	Rand    io.Reader    // where salts come from; nil means crypto/rand
	Params  Params       // cost of a new hash; the zero value means Default, and only tests set another
	// Now is the time by which waiting and work are measured; nil means time.Now.
	Now func() time.Time
}

// Pool hashes passwords, a bounded number at a time. Its methods are safe for
// concurrent use. Nothing is hashed before Run is called or after it has returned.
type Pool struct {
	workers  int
	log      *slog.Logger
	rand     io.Reader
	params   Params   // of new hashes, and of the work for an unknown user
	children []*child // one a worker; nil: hash in this process
	jobs     chan *job
	now      func() time.Time
	times    times

	mu      sync.Mutex
	held    int // places taken: jobs that wait and jobs that have begun
	running bool
	stopped bool
}

// job is one hash to compute. It holds its place until it has ended or been skipped.
type job struct {
	ctx  context.Context // of the caller, which no longer waits once it has ended
	pw   jeton.Secret
	hash Hash // its key is only a length
	// imported is a hash that another program made, or "". The answer then also has the
	// verdict on it, and hash is work that is done in addition.
	imported string
	since    time.Time // it waits
	done     chan answer
}

// answer is the result of one job: a derived key or, for imported hashes, whether the
// password matches.
type answer struct {
	key []byte
	err error
}

// New returns a pool that is not running yet.
func New(cfg Config) (*Pool, error) {
	if cfg.Workers < 0 || cfg.Queue < 0 {
		return nil, fmt.Errorf(
			"password: Workers is %d and Queue is %d; neither may be negative",
			cfg.Workers, cfg.Queue,
		)
	}

	p := &Pool{
		workers: cfg.Workers,
		log:     cfg.Log,
		rand:    cfg.Rand,
		params:  cfg.Params,
		now:     cfg.Now,
	}
	if p.now == nil {
		p.now = time.Now
	}
	if p.params == (Params{}) {
		p.params = Default
	}
	if err := p.params.check(); err != nil {
		return nil, fmt.Errorf("password: %w", err)
	}

	if p.workers == 0 {
		p.workers = runtime.NumCPU()
	}
	if p.log == nil {
		p.log = slog.New(slog.DiscardHandler)
	}

	if p.rand == nil {
		p.rand = rand.Reader
	}

	// A place for each job that runs and each that waits: held never exceeds it.
	p.jobs = make(chan *job, p.workers+cfg.Queue)
	if len(cfg.Command) > 0 && childrenWork {
		// A process for each: one that shared its collector with another worker would wait
		// at every collection for a thread that the system, at this priority, is slow to run.
		for range p.workers {
			p.children = append(p.children, newChild(cfg.Command, p.log))
		}
	}

	return p, nil
}

// Waiting returns how many hashes wait for a worker now, how many may, and how many are computed at once.
func (p *Pool) Waiting() (now, limit, workers int) {
	return len(p.jobs), cap(p.jobs) - p.workers, p.workers
}

// Run does the work until ctx ends. Then work that has begun is ended, callers who
// still wait get jeton.ErrBusy, and no goroutine or process is left behind. It may
// be called once.
func (p *Pool) Run(ctx context.Context) error {
	p.mu.Lock()
	again := p.running
	p.running = true
	p.mu.Unlock()

	if again {
		return errors.New("password: Run was called twice")
	}

	var wg sync.WaitGroup
	for i := range p.workers {
		wg.Go(func() { p.work(ctx, i) })
	}

	<-ctx.Done()
	p.mu.Lock()
	p.stopped = true
	p.mu.Unlock()

	for _, c := range p.children {
		wg.Go(c.stop)
	}

	wg.Wait()

	// All workers have ended and derive adds no job, so the queue only shrinks.
	for {
		select {
		case j := <-p.jobs:
			p.end(j, answer{err: jeton.WithRetryAfter(jeton.ErrBusy, busyFor)})
		default:
			return nil
		}
	}
}

// work does jobs in the order of their calls.
func (p *Pool) work(ctx context.Context, worker int) {
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case j := <-p.jobs:
			// A caller of a flood may have given up before its turn.
			if err := j.ctx.Err(); err != nil {
				p.end(j, answer{err: err}) // the caller has given up
				continue
			}

			began := p.now()
			a := p.do(ctx, worker, j)
			p.note(began.Sub(j.since), p.now().Sub(began))
			p.end(j, a)
		}
	}
}

// do derives one key, in the child of this worker or, without children, here.
func (p *Pool) do(ctx context.Context, worker int, j *job) answer {
	if p.children != nil {
		key, err := p.children[worker].derive(ctx, j)
		return answer{key, err}
	}

	// A copy that can be wiped; a string cannot.
	pw := []byte(j.pw.Reveal())
	defer clear(pw)

	if j.imported != "" {
		return answer{key: matchImported(j.imported, j.hash, pw)}
	}

	return answer{key: j.hash.derive(pw)}
}

// end gives up j's place, then answers.
func (p *Pool) end(j *job, a answer) {
	// The place is free before the caller knows: its next call must not find the queue full.
	p.mu.Lock()
	p.held--
	p.mu.Unlock()
	j.done <- a
}

// derive returns the key of pw with the cost and salt of h, when a worker is free. With an
// imported hash it checks that as well, and the key has one more byte: the verdict.
func (p *Pool) derive(ctx context.Context, h Hash, imported string, pw jeton.Secret) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}

	j := &job{
		ctx:      ctx,
		pw:       pw,
		hash:     h,
		imported: imported,
		since:    p.now(),
		done:     make(chan answer, 1),
	}
	p.mu.Lock()
	// Refused at once: a waiting caller would hold memory, and a flood would grow without
	// limit.
	full := p.stopped || p.held == cap(p.jobs)
	if !full {
		p.held++
		p.jobs <- j // has room: it holds no more jobs than there are places
	}

	p.mu.Unlock()
	if full {
		return nil, jeton.WithRetryAfter(jeton.ErrBusy, busyFor)
	}

	select {
	case a := <-j.done:
		return a.key, a.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Hash returns the PHC string of pw under a new salt. It refuses only what could
// never be checked, an empty password or one longer than Max, with jeton.ErrInvalid;
// CheckNew refuses more. When too many wait it returns jeton.ErrBusy at once; when
// ctx ends first, ctx.Err().
func (p *Pool) Hash(ctx context.Context, pw jeton.Secret) (string, error) {
	if !hashable(pw) {
		return "", jeton.WithDetail(jeton.ErrInvalid, fmt.Sprintf("a password has 1 to %d bytes", Max))
	}

	h := Hash{Params: p.params, salt: make([]byte, saltSize), key: make([]byte, keySize)}
	if _, err := io.ReadFull(p.rand, h.salt); err != nil {
		return "", fmt.Errorf("make salt: %w", err)
	}

	key, err := p.derive(ctx, h, "", pw)
	if err != nil {
		return "", fmt.Errorf("hash password: %w", err)
	}

	h.key = key

	return h.PHC(), nil
}

// Verify reports whether pw is the password whose hash is phc, and when it is,
// whether phc is weaker than Default and should be replaced by what Hash returns. A hash
// that another program made and Recognize knows is checked, too, and always to be
// replaced. With it, and with one that is weaker, the work of a default hash is done
// besides, so that none is checked in less.
//
// An empty phc means that the user does not exist: Verify does the work of a default
// hash and answers no. It does so too for a password that is empty or longer than
// Max, whatever phc is. A phc that Recognize refuses is an error that is none of jeton's
// outcomes, returned after the same work: the operator must replace the hash. Verify
// returns jeton.ErrBusy at once when the queue is full, and ctx.Err() when ctx ends first.
func (p *Pool) Verify(ctx context.Context, phc string, pw jeton.Secret) (ok, rehash bool, err error) {
	unknown := Hash{Params: p.params, salt: make([]byte, saltSize), key: make([]byte, keySize)}
	h, real := unknown, false
	var bad error
	var imported string
	if phc != "" {
		stored, err := Parse(phc)
		_, ferr := parseImported(phc)

		switch {
		case err == nil && !stored.weakerThan(p.params):
			h, real = stored, true
		case ferr == nil: // also one of ours that costs less than the default
			imported, real = phc, true
		case errors.Is(ferr, errUnknown):
			bad = fmt.Errorf("read stored hash: %w", err)
		default:
			bad = fmt.Errorf("read stored hash: %w", ferr)
		}
	}

	// Work and result are those of an unknown user; a password that is too long is never
	// hashed.
	if !hashable(pw) {
		h = unknown
		real = false
		imported = ""
		pw = jeton.Secret{}
	}

	key, err := p.derive(ctx, h, imported, pw)
	// After the work: an unreadable hash takes as long as a wrong password.
	if err == nil {
		err = bad
	}
	if err != nil {
		return false, false, fmt.Errorf("check password: %w", err)
	}

	if imported != "" {
		ok = key[len(key)-1] == matches
		return ok, ok, nil
	}

	// real comes last, and not as a condition before: the comparison is always made.
	ok = subtle.ConstantTimeCompare(key, h.key) == 1 && real
	return ok, ok && h.weakerThan(p.params), nil
}

// hashable reports whether a password can be hashed at all: not empty, at most Max bytes.
func hashable(pw jeton.Secret) bool {
	n := len(pw.Reveal())
	return n >= 1 && n <= Max
}
