// Package session starts, finds, renews and ends logins.
//
// A session is known by its secret, of which only the SHA-256 is kept, and named by
// a public id. It promises: a secret is good from its login until it ends by time,
// logout, eviction, a changed password or a disabled owner, and once the end has
// been answered it is never accepted again. When the store cannot tell, the answer is
// jeton.ErrUnavailable: nobody is logged out and nobody is let in.
//
// The package never sees an HTTP request and never checks a password; what a session has
// used is for internal/count.
package session

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/secret"
	"github.com/jeton-auth/jeton/internal/store/change"
)

// idPrefix is how every public id of a session begins.
const idPrefix = "s_"

const idLen = len(idPrefix) + secret.HandleLen

// Record is a session as the store keeps it.
type Record struct {
	Login    int64 // number of the login; never given twice, and what counts hang on
	ID       string
	Hash     secret.Hash
	User     int64
	Service  string
	Created  time.Time
	Expires  time.Time
	Idle     time.Duration
	LastUsed time.Time
	Source   string

	// The owner, as of when the record was read.
	Name   string
	Groups []string
}

// Start is a login to be recorded.
type Start struct {
	Record         // without Login
	Version  int64 // of the owner's credential that was proved
	Remember time.Time
	Network  string // that the owner is known by from now on
	Siblings bool   // judge looks at the open sessions, of which there may be many
	Event    jeton.Event
}

// Which chooses sessions to end or to list; set fields must all fit. The zero value ends
// none and lists all.
type Which struct {
	ID      string
	User    string
	Service string
	Not     string // id of one that stays; alone it chooses none
}

// Store keeps sessions. Methods are safe for concurrent use, on many nodes.
type Store interface {
	change.Feed
	// StartSession is one atomic step. It returns jeton.ErrBadCredential unless the owner
	// exists, is enabled, and its credential still has the version that was proved. It calls
	// judge with what the owner did at the service before. If judge returns no error, it ends
	// the sessions that judge names, adds this one, and adds the event; otherwise it changes
	// nothing. Without Siblings the history has no open sessions.
	//
	// judge runs inside the transaction, so that of two logins at once the second sees the
	// first. It holds up other writes, may be called again after a rollback, may modify the
	// history it is given, and must not call the store.
	StartSession(ctx context.Context, s Start, judge func(policy.History) (evict []int64, err error)) error
	// FindSession returns jeton.ErrNotFound for a hash it does not hold.
	FindSession(ctx context.Context, h secret.Hash) (Record, error)
	// EndSessions ends the chosen sessions, adds the event if it ended any, and returns how
	// many it ended.
	EndSessions(ctx context.Context, w Which, ev jeton.Event) (int, error)
	// TouchSessions notes when sessions were last used, by login. It is allowed to lose them.
	TouchSessions(ctx context.Context, at map[int64]time.Time) error
	// ListSessions returns the chosen sessions, newest first, at most limit.
	ListSessions(ctx context.Context, w Which, limit int) ([]Record, error)
	// AllowLogin forgets the logins of a user at a service, so that re-login terms
	// begin anew, and adds the event. It returns jeton.ErrNotFound for an unknown user.
	AllowLogin(ctx context.Context, user, service string, ev jeton.Event) error
	// SweepSessions removes at most limit sessions that ended by time before the given
	// time, with their counts, and says how many it removed.
	SweepSessions(ctx context.Context, before time.Time, limit int) (int, error)
}

// Sessions is what a server holds of its sessions.
type Sessions struct {
	store Store
	now   func() time.Time
	rand  io.Reader
	log   *slog.Logger
	table *table
}

// Config is what New needs.
type Config struct {
	Store Store
	Now   func() time.Time
	Log   *slog.Logger
	Rand  io.Reader // nil: crypto/rand
	Cache int       // sessions kept in memory, 48 bytes each
}

// New returns the sessions of a server. Run writes down last uses and sweeps.
func New(c Config) *Sessions {
	if c.Rand == nil {
		c.Rand = rand.Reader
	}

	s := &Sessions{
		store: c.Store,
		now:   c.Now,
		rand:  c.Rand,
		log:   c.Log,
		table: newTable(c.Cache),
	}

	c.Store.Subscribe(s.invalidate)

	return s
}

// Owner is who a session is started for: a subject that has just been proved.
type Owner struct {
	ID      int64
	Name    string
	Groups  []string
	Version int64 // of the credential that was proved

	Network  string // where the login comes from; the owner is known by it from now on
	Replaces int64  // login that ends as this one begins, or 0
}

// Started is a new session. The secret is in nobody's hands but the caller's.
type Started struct {
	Secret jeton.Secret
	ID     string
	At     time.Time
	Ends   time.Time
}

// Start makes a session of the owner at a service under the terms, always with a
// new secret. The event is completed with the session's id and recorded with it.
func (s *Sessions) Start(
	ctx context.Context,
	o Owner,
	service string,
	t policy.Terms,
	ev jeton.Event,
) (Started, error) {
	now := s.now()
	text, err := secret.NewSession(s.rand)
	if err != nil {
		return Started{}, err
	}

	// Ids sort by time, so that the store's index of them grows at one end.
	id, err := secret.ID(idPrefix, now, s.rand)
	if err != nil {
		return Started{}, err
	}

	ev.Target = "session:" + id
	in := Start{
		Record: Record{
			ID:       id,
			Hash:     secret.HashOf(text.Reveal()),
			User:     o.ID,
			Service:  service,
			Created:  now,
			Expires:  now.Add(t.Lifetime),
			Idle:     t.Idle,
			LastUsed: now,
			Source:   ev.Source,
			Name:     o.Name,
			Groups:   o.Groups,
		},
		Version:  o.Version,
		Remember: now,
		Siblings: t.MaxSessions != policy.Unlimited,
		Network:  o.Network,
		Event:    ev,
	}
	if t.Relogin.NeedsHistory() {
		in.Remember = t.Relogin.HistoryFrom(now)
	}

	err = s.store.StartSession(ctx, in, judge(t, o.Replaces, now))
	if err != nil {
		return Started{}, fmt.Errorf("start session: %w", err)
	}

	return Started{
		Secret: text,
		ID:     id,
		At:     now,
		Ends:   in.Expires,
	}, nil
}

// judge returns the function that decides, inside the transaction, whether the login is
// allowed and which sessions it evicts.
func judge(t policy.Terms, replaces int64, now time.Time) func(policy.History) ([]int64, error) {
	return func(h policy.History) ([]int64, error) {
		for i := range h.Open {
			// The stored last use is up to flushEvery old. A session counts as open until it
			// has certainly been idle for too long.
			h.Open[i].LastUsed = h.Open[i].LastUsed.Add(flushEvery)
		}

		// The session that this login replaces does not count towards the limit.
		h.Open = slices.DeleteFunc(h.Open, func(s policy.OpenSession) bool { return s.Login == replaces })

		evict, err := t.CheckLogin(h, now)
		if err == nil && replaces != 0 {
			evict = append(evict, replaces)
		}

		return evict, err
	}
}

// Find returns the session that a secret opens, as the service asked about sees it.
// It returns jeton.ErrBadCredential for what is not, or no longer, a session of the
// service, and jeton.ErrExpired for one that has ended by time.
func (s *Sessions) Find(ctx context.Context, text, service string, now time.Time) (*Live, error) {
	if !secret.IsSession(text) {
		return nil, jeton.ErrBadCredential
	}
	if err := s.store.Fresh(ctx); err != nil {
		return nil, err
	}

	h := secret.HashOf(text)
	live := s.table.get(&h)
	if live == nil {
		var err error
		if live, err = s.load(ctx, h, now); err != nil {
			return nil, err
		}
	} else if policy.Idle(live.LastUsed(), live.Idle, now) != nil {
		if err := s.seenElsewhere(ctx, h, live); err != nil {
			return nil, err
		}
	}

	if live.Service != service {
		return nil, jeton.ErrBadCredential
	}

	return live, nil
}

func (s *Sessions) load(ctx context.Context, h secret.Hash, now time.Time) (*Live, error) {
	before := s.table.since(&h)
	r, err := s.store.FindSession(ctx, h)
	if errors.Is(err, jeton.ErrNotFound) {
		return nil, jeton.ErrBadCredential
	}

	if err != nil {
		return nil, fmt.Errorf("find session: %w", err)
	}

	return s.table.add(&h, &r, before, now), nil
}

// seenElsewhere takes over a last use that another node has written down: a session that
// idles here may be busy there.
func (s *Sessions) seenElsewhere(ctx context.Context, h secret.Hash, live *Live) error {
	r, err := s.store.FindSession(ctx, h)
	if errors.Is(err, jeton.ErrNotFound) {
		return nil // it has been swept away, and stays idle
	}
	if err != nil {
		return fmt.Errorf("find session: %w", err)
	}

	live.heard(r.LastUsed.UnixMilli())

	return nil
}

// Used notes that the session let a request through.
func (s *Sessions) Used(l *Live, now time.Time) { s.table.touch(l, now) }

// End ends the chosen sessions and says how many. Ending none is not an error.
func (s *Sessions) End(ctx context.Context, w Which, ev jeton.Event) (int, error) {
	if (w == Which{Not: w.Not}) {
		return 0, jeton.WithDetail(jeton.ErrInvalid, "which sessions: name an id, a user or a service")
	}

	n, err := s.store.EndSessions(ctx, w, ev)
	if err != nil {
		return 0, fmt.Errorf("end sessions: %w", err)
	}

	return n, nil
}

// Ended returns when a session that was not found is accepted nowhere any more: another may
// have ended it a moment ago, whose answer waits for the same.
func (s *Sessions) Ended(ctx context.Context) error {
	if err := s.store.Settle(ctx); err != nil {
		return fmt.Errorf("wait for an end to be heard: %w", err)
	}
	return nil
}

// invalidate drops the sessions that a change concerns, so that the next look at one of them
// asks the store. To drop all takes no longer for many sessions.
func (s *Sessions) invalidate(c change.Change) {
	switch c.Kind {
	case change.Sessions:
		s.table.drop(c.Hashes...)
	case change.Users:
		for _, id := range c.IDs {
			s.table.forget(id)
		}
	case change.All:
		s.table.forgetAll()
	}
}

// List returns the chosen sessions that have not ended by time, newest first.
func (s *Sessions) List(ctx context.Context, w Which, limit int) ([]jeton.Session, error) {
	records, err := s.store.ListSessions(ctx, w, limit)
	if err != nil {
		return nil, fmt.Errorf("list sessions: %w", err)
	}

	now := s.now()
	list := []jeton.Session{}
	for _, r := range records {
		used := s.table.lastUsed(&r.Hash, r.Login)
		if used > r.LastUsed.UnixMilli() {
			r.LastUsed = time.UnixMilli(used)
		}
		if !now.Before(r.Expires) || policy.Idle(r.LastUsed, r.Idle, now) != nil {
			continue
		}

		list = append(list, jeton.Session{
			ID:       r.ID,
			User:     r.Name,
			Service:  r.Service,
			Created:  r.Created,
			LastUsed: r.LastUsed,
			Expires:  r.Expires,
			Source:   r.Source,
		})
	}

	return list, nil
}

// AllowLogin lets a user log in at a service again, whatever the terms say of the past.
func (s *Sessions) AllowLogin(ctx context.Context, user, service string, ev jeton.Event) error {
	if err := s.store.AllowLogin(ctx, user, service, ev); err != nil {
		return fmt.Errorf("allow login: %w", err)
	}
	return nil
}
