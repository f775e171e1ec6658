package api

import (
	"net/http"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/config"
	"github.com/jeton-auth/jeton/internal/web"
)

// Overview is the state of the server.
type Overview struct {
	Node   Node   `json:"node" jsonschema:"The process that answers"`
	Counts Counts `json:"counts"`
}

// Node is the state of one process.
type Node struct {
	Version  string    `json:"version"`
	Started  time.Time `json:"started_at"`
	Services int       `json:"services" jsonschema:"Services of the configuration"`
	Database Database  `json:"database"`
	Cache    Cache     `json:"cache"`
	Hasher   Hasher    `json:"hasher"`
	// AuditLost counts floods; see package audit.
	AuditLost   int64 `json:"audit_lost" jsonschema:"Audit events that were dropped since the start"`
	Connections int   `json:"connections" jsonschema:"Open connections of clients"`
}

// Database is the state of the database.
type Database struct {
	Kind    string    `json:"kind" jsonschema:"sqlite or postgresql"`
	Up      bool      `json:"up" jsonschema:"Whether it can be read and written"`
	Bound   int64     `json:"revocation_bound_ms" jsonschema:"Longest time until all nodes refuse what was revoked"`
	Renewed time.Time `json:"lease_renewed_at,omitzero" jsonschema:"Of the lease of the cache. Absent on SQLite"`
	InUse   int       `json:"connections_in_use,omitempty"`
	Most    int       `json:"connections_max,omitempty"`
	Nodes   []Peer    `json:"nodes" jsonschema:"Processes that share it"`
}

// Peer is a process that shares the database.
type Peer struct {
	ID      string `json:"id"`
	Current bool   `json:"current" jsonschema:"Whether it is the one that answers"`
	Bound   int64  `json:"revocation_bound_ms"`
}

// Cache is what a process has in memory.
type Cache struct {
	Sessions int `json:"sessions"`
	Limit    int `json:"limit" jsonschema:"Of sessions, and of tokens"`
}

// Hasher is the queue of passwords to check.
type Hasher struct {
	Waiting int `json:"waiting"`
	Limit   int `json:"limit" jsonschema:"How many may wait; further logins get 503"`
	Workers int `json:"workers"`
}

// Counts is how much is stored. Counting a million rows takes a while, so that it may be a minute old.
type Counts struct {
	At       time.Time `json:"counted_at"`
	Users    int64     `json:"users"`
	Sessions int64     `json:"sessions" jsonschema:"That have not expired"`
	Tokens   int64     `json:"tokens" jsonschema:"Stored ones that have not expired"`
}

// overview answers GET /overview.
func (a *API) overview(w *web.Reply, r *http.Request, _ caller) error {
	if a.Node == nil {
		return jeton.WithDetail(jeton.ErrNotFound, "no server is running on this data directory")
	}

	counts, err := a.Counts(r.Context())
	if err != nil {
		return err
	}

	return web.JSON(w, http.StatusOK, Overview{a.Node(r.Context()), counts})
}

// Impact is what ends with a user.
type Impact struct {
	Sessions int64 `json:"sessions"`
	Tokens   int64 `json:"tokens" jsonschema:"Stored ones. Signed tokens that are not counted are refused, too"`
}

// impact answers GET /users/{id}/impact: what disabling or removing the user ends.
func (a *API) impact(w *web.Reply, r *http.Request, c caller) error {
	acct, err := a.target(r, c)
	if err != nil {
		return err
	}

	var out Impact
	out.Sessions, err = a.Sessions.Count(r.Context(), acct.Name)
	if err != nil {
		return err
	}

	out.Tokens, err = a.Tokens.Count(r.Context(), acct.Name)
	if err != nil {
		return err
	}

	return web.JSON(w, http.StatusOK, out)
}

// linkLifetime is how long a link that signs a user in is valid.
const linkLifetime = time.Hour

// SignInLink is a link that signs a user in once.
type SignInLink struct {
	URL     string    `json:"url" jsonschema:"Contains a secret, returned only here"`
	Expires time.Time `json:"expires_at"`
}

// signInLink answers POST /users/{id}/sign-in-link. An earlier link of the user ends.
func (a *API) signInLink(w *web.Reply, r *http.Request, c caller) error {
	if a.LinkURL == nil {
		return jeton.WithDetail(jeton.ErrNotFound, "there are no pages to sign in at; see issuer.pages")
	}

	acct, err := a.target(r, c)
	if err != nil {
		return err
	}
	if acct.Disabled || !acct.ValidAt(config.IssuerName) {
		return jeton.WithDetail(jeton.ErrConflict, "the user is disabled, or valid at one service only")
	}

	expires := w.Start.Add(linkLifetime)
	secret, err := a.Logins.GrantLink(r.Context(), acct, expires)
	if err != nil {
		return err
	}

	a.Audit.Record(a.event(w, c, audit.UserLink, "user:"+acct.Name))

	return web.JSON(w, http.StatusCreated, SignInLink{a.LinkURL(secret), expires})
}
