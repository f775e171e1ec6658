package session

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/count"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/secret"
	"github.com/jeton-auth/jeton/internal/store/change"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var noon = time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)

// memory is a store that a test can make slow or fail. It keeps the contract of storetest as
// far as these tests need it.
type memory struct {
	change.Subscribers
	mu       sync.Mutex
	sessions map[secret.Hash]Record
	used     map[[2]int64]int64
	touched  map[int64]time.Time
	login    int64
	fail     error          // what every call answers
	found    func()         // called by FindSession between reading and answering
	lost     bool           // EndSessions ends the session and returns an error
	history  policy.History // what judges see
	asked    atomic.Int64   // calls of FindSession and Spend
	swept    func(before time.Time, limit int) (int, error)
	last     Start
}

func (m *memory) lock() (unlock func(), err error) {
	m.mu.Lock()
	return m.mu.Unlock, m.fail
}

func (m *memory) Fresh(context.Context) error  { return nil }
func (m *memory) Settle(context.Context) error { return nil }

func (m *memory) StartSession(
	_ context.Context,
	s Start,
	judge func(policy.History) ([]int64, error),
) error {
	unlock, err := m.lock()
	defer unlock()

	if err != nil {
		return err
	}

	evict, err := judge(m.history)
	if err != nil {
		return err
	}

	ended := m.end(func(r Record) bool { return slices.Contains(evict, r.Login) })
	m.Publish(change.Change{Kind: change.Sessions, Hashes: ended})
	m.login++
	m.last, s.Login = s, m.login
	m.sessions[s.Hash] = s.Record

	return nil
}

func (m *memory) end(chosen func(Record) bool) (ended []secret.Hash) {
	for h, r := range m.sessions {
		if chosen(r) {
			delete(m.sessions, h)
			ended = append(ended, h)
		}
	}

	return ended
}

func (m *memory) FindSession(_ context.Context, h secret.Hash) (Record, error) {
	m.asked.Add(1)
	unlock, err := m.lock()
	r, ok := m.sessions[h]
	found := m.found
	unlock()

	if found != nil {
		found()
	}
	if err == nil && !ok {
		err = jeton.ErrNotFound
	}

	return r, err
}

func (m *memory) Spend(_ context.Context, u count.Use) ([]int64, error) {
	m.asked.Add(1)
	unlock, err := m.lock()
	defer unlock()

	left := m.left(u)
	if err == nil && slices.Min(left) <= 0 {
		return left, jeton.ErrSpent
	}
	if err != nil {
		return nil, err
	}

	for i, b := range u.Budgets {
		m.used[[2]int64{u.HolderOf(b), b.ID}]++
		left[i]--
	}

	return left, nil
}

func (m *memory) left(u count.Use) (left []int64) {
	for _, b := range u.Budgets {
		left = append(left, b.Max-m.used[[2]int64{u.HolderOf(b), b.ID}])
	}
	return left
}

func (m *memory) Left(_ context.Context, u count.Use) ([]int64, error) {
	unlock, err := m.lock()
	defer unlock()
	return m.left(u), err
}

func (m *memory) EndSessions(_ context.Context, w Which, _ jeton.Event) (int, error) {
	unlock, err := m.lock()
	defer unlock()

	if err != nil {
		return 0, err
	}

	ended := m.end(func(r Record) bool {
		return (w.ID == "" || w.ID == r.ID) && (w.User == "" || w.User == r.Name) &&
			(w.Service == "" || w.Service == r.Service)
	})

	m.Publish(change.Change{Kind: change.Sessions, Hashes: ended})
	if m.lost {
		return 0, jeton.ErrUnavailable
	}

	return len(ended), nil
}

func (m *memory) ProveSession(_ context.Context, renewal Renewal, ev jeton.Event) error {
	unlock, err := m.lock()
	defer unlock()

	if err != nil {
		return err
	}

	r, ok := m.sessions[renewal.Shown]
	if !ok || r.ID != renewal.ID {
		return jeton.ErrNotFound
	}

	delete(m.sessions, renewal.Shown)
	r.Hash, r.Proved, r.LastUsed = renewal.Fresh, renewal.At, renewal.At
	if renewal.Methods != "" {
		r.Methods = renewal.Methods
	}
	m.sessions[renewal.Fresh] = r
	m.last.Event = ev
	m.Publish(change.Change{Kind: change.Replaced, Hashes: []secret.Hash{renewal.Shown}})

	return nil
}

func (m *memory) TouchSessions(_ context.Context, at map[int64]time.Time) error {
	unlock, err := m.lock()
	defer unlock()

	if err != nil {
		return err
	}

	for login, t := range at {
		m.touched[login] = t
	}

	return nil
}

func (m *memory) ListSessions(_ context.Context, w Which, limit int) (list []Record, err error) {
	unlock, err := m.lock()
	defer unlock()

	for _, r := range m.sessions {
		switch {
		case w.Before != 0 && r.Login >= w.Before, w.ID != "" && r.ID != w.ID, w.Login != 0 && r.Login != w.Login:
		default:
			list = append(list, r)
		}
	}

	slices.SortFunc(list, func(a, b Record) int { return int(b.Login - a.Login) })

	return list[:min(limit, len(list))], err
}

func (m *memory) CountSessions(context.Context, string, time.Time) (int64, error) {
	return int64(len(m.sessions)), m.fail
}

func (m *memory) AllowLogin(context.Context, string, string, jeton.Event) error { return m.fail }

func (m *memory) SweepSessions(_ context.Context, before time.Time, limit int) (int, error) {
	return m.swept(before, limit)
}

func (m *memory) BudgetID(context.Context, string, string) (int64, error) { return 1, m.fail }

// bench is the sessions of a server over a memory.
type bench struct {
	*Sessions
	*count.Counts
	m   *memory
	now time.Time
}

func newBench(cache int) *bench {
	b := &bench{
		m:   &memory{sessions: map[secret.Hash]Record{}, used: map[[2]int64]int64{}, touched: map[int64]time.Time{}},
		now: noon,
	}

	b.Counts = count.New(b.m)
	b.Sessions = New(Config{
		Store: b.m,
		Now:   func() time.Time { return b.now },
		Log:   slog.New(slog.DiscardHandler),
		Cache: cache,
	})

	return b
}

var (
	diane = Owner{
		ID:      7,
		Name:    "diane",
		Groups:  []string{"blue"},
		Version: 1,
	}
	terms = policy.Terms{
		Idle:        10 * time.Minute,
		Lifetime:    time.Hour,
		MaxSessions: policy.Unlimited,
		Relogin:     policy.Relogin{Max: policy.Unlimited},
	}
)

// start starts a session of diane at the shop.
func (b *bench) start(t testing.TB) Started {
	t.Helper()
	s, err := b.Start(t.Context(), diane, "shop", terms, jeton.Event{Source: "192.0.2.7"})
	if err != nil {
		t.Fatal(err)
	}

	return s
}

func (b *bench) find(t testing.TB, s Started) (*Live, error) {
	return b.Find(t.Context(), s.Secret.Reveal(), "shop", b.now)
}

// live finds a session that must be there.
func (b *bench) live(t testing.TB, s Started) *Live {
	t.Helper()
	l, err := b.find(t, s)
	if err != nil {
		t.Fatal(err)
	}

	return l
}

// cool makes the next Find of every session create a new value.
func (b *bench) cool() { b.table.cool() }

func (t *table) cool() {
	for i := range t.shards {
		for j := range t.shards[i].hot {
			t.shards[i].hot[j].Store(nil)
		}
	}
}
