// Package session starts, finds and ends sessions.
//
// A session has a secret, of which only the SHA-256 is stored, and a public id. The secret
// is accepted from the login until the session expires or is ended: by logout, eviction, a
// password change or the disabling of its owner. Once that has been answered, the secret is
// never accepted again. If the store does not answer, the result is jeton.ErrUnavailable:
// no user is logged out and no request is let in.
//
// A session at a service may be the child of a sign-in session at the issuer: it ends with it, in
// the same transaction, and never expires later.
//
// Package signin checks passwords, and package count spends uses. The package never sees an
// HTTP request.
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
	"github.com/jeton-auth/jeton/internal/cache"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/secret"
	"github.com/jeton-auth/jeton/internal/store/change"
	"github.com/jeton-auth/jeton/internal/sweep"
)

// idPrefix is the prefix of every public id of a session.
const idPrefix = "s_"

const idLen = len(idPrefix) + secret.HandleLen

// Record is a session as stored.
type Record struct {
	Login    int64 // number of the login; never reused, and counts refer to it
	ID       string
	Hash     secret.Hash
	User     int64
	Service  string
	Created  time.Time
	Expires  time.Time
	Idle     time.Duration
	LastUsed time.Time
	Source   string
	Parent   int64     // login of the sign-in session that it ends with, or 0
	Methods  string    // how the user was proved at the login: values of RFC 8176, separated by spaces
	Proved   time.Time // when the user was last proved by a password; zero: never
	Agent    string    // User-Agent of the login, printable, at most maxAgent bytes

	ParentID string // public id of the parent; only ListSessions sets it

	// The owner, as of when the record was read.
	Name   string
	Groups []string
}

// Start is a session to store.
type Start struct {
	Record         // without Login
	Version  int64 // of the owner's credential that was proved
	Remember time.Time
	Network  string      // to remember as known for the owner
	Device   secret.Hash // to remember, too; zero: none
	Siblings bool        // judge needs the open sessions, of which there may be many
	Ticket   secret.Hash // of the ticket that it starts for, and takes; zero: none
	Issuer   string      // of an identity that the owner must have; "": of none
	Second   bool        // the owner has shown more than one factor
	Event    jeton.Event
}

// Which selects sessions to end or to list; all set fields must match. The zero value ends none
// and lists all.
type Which struct {
	ID      string
	Login   int64
	User    string
	Service string
	Parent  int64  // login of a sign-in session, whose children are selected
	Not     string // id of a session to leave, with its family; alone it selects none
	Before  int64  // number of a login, for the next page of ListSessions alone; 0: the first

	// Family selects, with an ID, the whole family of the session that the other fields select: the
	// sign-in session and all its children.
	Family bool

	// All, alone, selects every session of every user.
	All bool
}

// Selects reports whether w names sessions to end: without a field that does, or with Family and no
// ID, it names none.
func (w Which) Selects() bool {
	if w.All {
		return w == Which{All: true} // what would end less names what has been forgotten to be removed
	}

	return w != Which{Not: w.Not, Before: w.Before, Family: w.Family} && (w.ID != "" || !w.Family)
}

// Store keeps sessions. Methods are safe for concurrent use, on many nodes.
type Store interface {
	change.Feed
	// StartSession is one atomic step. It returns jeton.ErrBadCredential unless the owner
	// exists, is enabled, and its credential still has the version that was proved; nor unless a
	// Parent is a session of the owner that has no parent itself and expires no earlier than this
	// one; nor with an Issuer unless the owner has an identity of it; nor with a Ticket that was
	// revoked. It takes the ticket, or returns jeton.ErrSpent if that was taken. Without Second and a Parent it
	// returns jeton.ErrFactor if the owner has an authenticator app: one that was confirmed before this step was not
	// asked for, and one that is confirmed after it ends this session. With Second it returns jeton.ErrBadCredential if
	// the owner has no second factor left: all were reset since one was shown. It calls judge with what the
	// owner did at the service before. If judge returns no error, it ends the sessions that judge
	// names with their children, adds this one, and adds the event; otherwise it changes nothing.
	// Unless it has a Parent, its device becomes known, or the network if it has none, and if that was not known for
	// DeviceLifetime the owner gets a notice.
	// Without Siblings the history has no open sessions.
	//
	// judge runs inside the transaction, so that of two logins at once the second sees the
	// first. It holds up other writes, may be called again after a rollback, may modify the
	// history it is given, and must not call the store.
	StartSession(ctx context.Context, s Start, judge func(policy.History) (evict []int64, err error)) error
	// FindSession returns jeton.ErrNotFound for a hash it does not hold.
	FindSession(ctx context.Context, h secret.Hash) (Record, error)
	// EndSessions ends the selected sessions and their children in one step, adds the event if it
	// ended any, and returns how many it ended. It ends none if w.Selects reports false.
	EndSessions(ctx context.Context, w Which, ev jeton.Event) (int, error)
	// ProveSession stores when the user of a session was proved again, replaces the hash of its
	// secret, and adds the event. It returns jeton.ErrNotFound if there is no such session with the
	// hash that was shown.
	ProveSession(ctx context.Context, r Renewal, ev jeton.Event) error
	// TouchSessions stores last uses, by login. A crash may lose them.
	TouchSessions(ctx context.Context, at map[int64]time.Time) error
	// ListSessions returns at most limit of the selected sessions, newest first.
	ListSessions(ctx context.Context, w Which, limit int) ([]Record, error)
	// CountSessions returns how many sessions of a user expire after a time; "": of all users.
	CountSessions(ctx context.Context, user string, after time.Time) (int64, error)
	// AllowLogin deletes the login history of a user at a service, so that re-login terms start
	// again, and adds the event. It returns jeton.ErrNotFound for an unknown user.
	AllowLogin(ctx context.Context, user, service string, ev jeton.Event) error
	// SweepSessions deletes at most limit sessions that expired before the given time, with
	// their counts, and returns how many it deleted.
	SweepSessions(ctx context.Context, before time.Time, limit int) (int, error)
}

// Sessions starts, finds and ends the sessions of a server.
type Sessions struct {
	store Store
	now   func() time.Time
	rand  io.Reader
	log   *slog.Logger
	table *table
	clock *sweep.Clock

	replaced replaced
	proofs   *cache.Cache[Proof] // by the hash of the secret, which every proof replaces
}

// Config is what New needs.
type Config struct {
	Store Store
	Now   func() time.Time
	Log   *slog.Logger
	Rand  io.Reader // nil: crypto/rand
	Cache int       // sessions to cache, 48 bytes each

	Clock *sweep.Clock // that expired sessions are deleted by; nil: Now
}

// New returns the sessions of a server. Run writes last uses and deletes expired sessions.
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
		clock: c.Clock,

		proofs: cache.New[Proof](maxProofs, nil),
	}

	// Before anything is cached, so that no change is missed.
	c.Store.Subscribe(s.invalidate)

	return s
}

// Owner is the user that a session is started for, who has just been proved.
type Owner struct {
	ID      int64
	Name    string
	Groups  []string
	Version int64 // of the credential that was proved

	Network  string // of the login; remembered as known for the owner
	Replaces int64  // login that this one replaces, or 0

	Ticket  secret.Hash // of the ticket that it starts for; zero: none
	Issuer  string      // of the identity that the owner signs in with; "": none
	Parent  int64       // login of the sign-in session that the new one ends with, or 0
	Methods string      // how the owner was proved: values of RFC 8176, separated by spaces
	Second  bool        // more than one factor was shown
	Proved  time.Time   // when by a password, or afresh at another provider; zero: by neither
	Device  Device
}

// Started is a new session. Only the caller has its secret.
type Started struct {
	Secret jeton.Secret
	ID     string
	At     time.Time
	Ends   time.Time
	Device jeton.Secret // of the owner's device, for the browser to keep
}

// Start starts a session of the owner at a service under the terms, always with a new secret.
// The event gets the session's id as its target and is added in the same transaction. With a
// Parent the session expires no later than that, perhaps a 32nd of the time earlier. Start then
// returns jeton.ErrBadCredential if the parent has ended, expired, or been idle for too long. With a
// Ticket it does so if that was revoked, and with an Issuer if the owner has no identity of it. The
// ticket is taken by the same step; jeton.ErrSpent means that it was taken before. jeton.ErrFactor means
// that the owner has a second factor by now, which was not shown.
func (s *Sessions) Start(
	ctx context.Context,
	o Owner,
	service string,
	t policy.Terms,
	ev jeton.Event,
) (Started, error) {
	now := s.now()
	lifetime, err := s.lifetime(ctx, o, now, t.Lifetime)
	if err != nil {
		return Started{}, err
	}

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
			Expires:  now.Add(lifetime),
			Idle:     t.Idle,
			LastUsed: now,
			Source:   ev.Source,
			Parent:   o.Parent,
			Methods:  o.Methods,
			Proved:   o.Proved,
			Agent:    cleanAgent(o.Device.Agent),
			Name:     o.Name,
			Groups:   o.Groups,
		},
		Version:  o.Version,
		Remember: now,
		Siblings: t.MaxSessions != policy.Unlimited,
		Network:  o.Network,
		Device:   o.Device.Hash(),
		Ticket:   o.Ticket,
		Issuer:   o.Issuer,
		Second:   o.Second,
		Event:    ev,
	}
	if t.Relogin.NeedsHistory() {
		in.Remember = t.Relogin.HistoryFrom(now)
	}

	// The terms are judged inside the transaction: of two logins at once the second sees the
	// first.
	err = s.store.StartSession(ctx, in, judge(t, o.Replaces, now))
	if err != nil {
		return Started{}, fmt.Errorf("start session: %w", err)
	}

	return Started{text, id, now, in.Expires, o.Device.Secret}, nil
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

// Find returns the session of a secret at a service. It returns jeton.ErrBadCredential if
// there is none at that service, or no longer. It does not check the time: see Live.Check.
func (s *Sessions) Find(ctx context.Context, text, service string, now time.Time) (*Live, error) {
	// What cannot be a secret of a session costs neither a hash nor a query.
	if !secret.IsSession(text) {
		return nil, jeton.ErrBadCredential
	}

	// A node that may have missed a revocation must not answer from its cache.
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
		// Only now, so that a session in use costs no query.
		if err := s.seenElsewhere(ctx, h, live); err != nil {
			return nil, err
		}
	}

	// As for an unknown secret: a service learns nothing of the sessions of another.
	if live.Service != service {
		return nil, jeton.ErrBadCredential
	}

	return live, nil
}

// load reads a session from the store and caches it, or returns jeton.ErrBadCredential for
// an unknown secret.
func (s *Sessions) load(ctx context.Context, h secret.Hash, now time.Time) (*Live, error) {
	// Before the read: what is invalidated between the two is not cached.
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

// seenElsewhere reads the last use that another node has written: a session that is idle here
// may be busy there.
func (s *Sessions) seenElsewhere(ctx context.Context, h secret.Hash, live *Live) error {
	r, err := s.store.FindSession(ctx, h)
	if errors.Is(err, jeton.ErrNotFound) {
		return nil // it was deleted, and stays idle
	}
	if err != nil {
		return fmt.Errorf("find session: %w", err)
	}

	live.advance(r.LastUsed.UnixMilli())

	return nil
}

// Used records that a request of the session was accepted.
func (s *Sessions) Used(l *Live, now time.Time) { s.table.touch(l, now) }

// End ends the selected sessions and returns how many. Ending none is not an error.
func (s *Sessions) End(ctx context.Context, w Which, ev jeton.Event) (int, error) {
	// Refused and not ignored: a caller that names nothing has forgotten something.
	if !w.Selects() {
		return 0, jeton.WithDetail(jeton.ErrInvalid, "name a session id, a user or a service, or all alone")
	}

	n, err := s.store.EndSessions(ctx, w, ev)
	if err != nil {
		return 0, fmt.Errorf("end sessions: %w", err)
	}

	return n, nil
}

// Ended returns once a session that was not found is accepted by no node. Another caller may
// have ended it a moment ago, whose answer waits for the same.
func (s *Sessions) Ended(ctx context.Context) error {
	if err := s.store.Settle(ctx); err != nil {
		return fmt.Errorf("wait for other nodes: %w", err)
	}
	return nil
}

// invalidate drops the cached sessions that a change concerns. Dropping all of them takes the
// same time for any number.
func (s *Sessions) invalidate(c change.Change) {
	switch c.Kind {
	case change.Sessions:
		s.table.drop(c.Hashes...)
	case change.Replaced:
		// Remembered first: at each moment the secret is valid or known as replaced.
		s.replaced.add(s.now(), c.Hashes...)
		s.table.drop(c.Hashes...)
	case change.Users:
		for _, id := range c.IDs {
			s.table.forget(id)
		}
	case change.All:
		s.table.forgetAll()
	}
}

// Cached returns how many sessions this process has in memory.
func (s *Sessions) Cached() int { return s.table.kept() }

// AllowLogin lets a user log in at a service again, regardless of its re-login terms.
func (s *Sessions) AllowLogin(ctx context.Context, user, service string, ev jeton.Event) error {
	if err := s.store.AllowLogin(ctx, user, service, ev); err != nil {
		return fmt.Errorf("allow login: %w", err)
	}
	return nil
}
