package session

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/policy"
)

// List returns at most limit of the selected sessions that have not expired, newest first. next is
// Which.Before of the next page, 0 if this is the last.
func (s *Sessions) List(ctx context.Context, w Which, limit int) (page []jeton.Session, next int64, err error) {
	page = []jeton.Session{}

	// Idle sessions are left out and stay in the store until they expire. Without a bound, a million of
	// them would hold up one request; a page after that many reads is short, and has a next one.
	const maxReads = 10
	for range maxReads {
		records, err := s.store.ListSessions(ctx, w, limit+1)
		if err != nil {
			return nil, 0, fmt.Errorf("list sessions: %w", err)
		}

		for _, r := range records {
			if len(page) == limit {
				return page, w.Before, nil
			}

			w.Before = r.Login
			if s.open(&r) {
				page = append(page, public(r))
			}
		}

		if len(records) <= limit {
			return page, 0, nil
		}
	}

	return page, w.Before, nil
}

// Services returns the names of the services at which a sign-in session has sessions that follow from it, sorted. Of
// very many, some are missing: the names are for a user to read.
func (s *Sessions) Services(ctx context.Context, login int64) ([]string, error) {
	const most = 50

	list, _, err := s.List(ctx, Which{Parent: login}, most)
	if err != nil {
		return nil, err
	}

	var names []string
	for _, child := range list {
		names = append(names, child.Service)
	}
	slices.Sort(names)

	return slices.Compact(names), nil
}

// Newest returns the newest session of a user at a service that has not expired, or jeton.ErrNotFound. It is for a
// look: nothing is cached.
func (s *Sessions) Newest(ctx context.Context, user, service string) (*Live, error) {
	const most = 100 // idle ones are left out
	records, err := s.store.ListSessions(ctx, Which{User: user, Service: service}, most)
	if err != nil {
		return nil, fmt.Errorf("list sessions: %w", err)
	}

	for _, r := range records {
		if s.open(&r) {
			return newLive(&r), nil
		}
	}

	return nil, jeton.ErrNotFound
}

// open reports whether a session has not expired, and sets its last use to the latest that is known.
func (s *Sessions) open(r *Record) bool {
	// The stored last use is up to flushEvery old, and the cache may have a later one.
	used := s.table.lastUsed(&r.Hash, r.Login)
	if used > r.LastUsed.UnixMilli() {
		r.LastUsed = time.UnixMilli(used)
	}

	now := s.now()

	return now.Before(r.Expires) && policy.Idle(r.LastUsed, r.Idle, now) == nil
}

// public returns what callers may see of a session.
func public(r Record) jeton.Session {
	return jeton.Session{
		ID:       r.ID,
		Parent:   r.ParentID,
		User:     r.Name,
		Service:  r.Service,
		Created:  r.Created,
		LastUsed: r.LastUsed,
		Expires:  r.Expires,
		Source:   r.Source,
		Agent:    r.Agent,
		AMR:      strings.Fields(r.Methods),
		Proved:   r.Proved,
	}
}

// Count returns how many sessions of a user have not expired; "": of all users. Idle ones are counted.
func (s *Sessions) Count(ctx context.Context, user string) (int64, error) {
	n, err := s.store.CountSessions(ctx, user, s.now())
	if err != nil {
		return 0, fmt.Errorf("count sessions: %w", err)
	}
	return n, nil
}
