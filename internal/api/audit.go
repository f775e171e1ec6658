package api

import (
	"net/http"
	"strconv"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/web"
)

// maxEvents bounds a page of the audit log.
const maxEvents = 1000

// listEvents answers GET /audit.
func (a *API) listEvents(w *web.Reply, r *http.Request, _ caller) error {
	after, err := queryNumber(r, "after", 0)
	if err != nil {
		return err
	}

	last, err := queryNumber(r, "last", 0)
	if err != nil {
		return err
	}

	limit, err := queryNumber(r, "limit", maxEvents)
	if err != nil {
		return err
	}

	since, err := queryTime(r, "since")
	if err != nil {
		return err
	}

	until, err := queryTime(r, "until")
	if err != nil {
		return err
	}

	q := r.URL.Query()
	events, err := a.Audit.Events(r.Context(), audit.Filter{
		After:   int64(after),
		Last:    last,
		Request: q.Get("request"),
		User:    q.Get("user"),
		Action:  q.Get("action"),
		Service: q.Get("service"),
		Outcome: q.Get("outcome"),
		Since:   since,
		Until:   until,
		Limit:   min(limit, maxEvents),
	})
	if err != nil {
		return err
	}

	return web.JSON(w, http.StatusOK, events)
}

// explain answers GET /explain/{request}: the decisions on one request.
func (a *API) explain(w *web.Reply, r *http.Request, _ caller) error {
	id := r.PathValue("request")
	events, err := a.Audit.Events(r.Context(), audit.Filter{Request: id})
	if err != nil {
		return err
	}

	// Refusals are in the audit log; accepted requests only in the memory of this node.
	if event, ok := a.Gate.Explain(id); ok {
		events = append(events, event)
	}
	if len(events) == 0 {
		return jeton.WithDetail(
			jeton.ErrNotFound,
			"no decision on request "+strconv.Quote(id)+" is known; accepted requests are remembered only briefly, "+
				"unless the route has audit: true",
		)
	}

	return web.JSON(w, http.StatusOK, events)
}
