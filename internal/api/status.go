package api

import (
	"net/http"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/web"
)

// Status is the state of the server. Only operators get more than the first member.
type Status struct {
	Status   string    `json:"status" jsonschema:"OK"`
	Version  string    `json:"version,omitempty"`
	PID      int       `json:"pid,omitempty" jsonschema:"Process id"`
	Started  time.Time `json:"started_at,omitzero"`
	Services []string  `json:"services,omitempty" jsonschema:"Names of the services"`
}

// status answers GET /status.
func (a *API) status(w *web.Reply, _ *http.Request, c caller) error {
	var s Status
	// A version helps an attacker to choose an exploit.
	if c.operator {
		s = a.Status()
	}

	s.Status = "OK"

	return web.JSON(w, http.StatusOK, s)
}

// Stats are numbers about the server.
type Stats struct {
	Users int64 `json:"users"`
}

// stats answers GET /stats.
func (a *API) stats(w *web.Reply, r *http.Request, _ caller) error {
	n, err := a.Accounts.Count(r.Context(), a.ownService())
	if err != nil {
		return err
	}
	return web.JSON(w, http.StatusOK, Stats{n})
}

// unauthorized answers GET /unauthorized: for tests of how a client handles a 401.
func unauthorized(*web.Reply, *http.Request, caller) error { return jeton.ErrNoCredential }

// forbidden answers GET /forbidden, for the same purpose.
func forbidden(*web.Reply, *http.Request, caller) error { return jeton.ErrForbidden }

// backup answers GET /backup: everything that the server keeps, as 'jeton restore' reads it.
func (a *API) backup(w *web.Reply, r *http.Request, c caller) error {
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Cache-Control", "no-store")

	err := a.Backup(r.Context(), w)
	if err != nil && w.Status() != 0 {
		panic(http.ErrAbortHandler) // half a backup must not look complete
	}
	if err != nil {
		return err
	}

	// After the last byte: an event for a copy that the operator did not get would mislead.
	a.Audit.Record(a.event(w, c, audit.Backup, "database"))

	return nil
}
