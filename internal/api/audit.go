package api

import (
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/web"
)

// maxEvents bounds a page of the audit log.
const maxEvents = 1000

// listEvents answers GET /audit. With last, the header Link leads to the events before.
func (a *API) listEvents(w *web.Reply, r *http.Request, _ caller) error {
	f, err := readFilter(r)
	if err != nil {
		return err
	}

	events, err := a.Audit.Events(r.Context(), f)
	if err != nil {
		return err
	}

	if f.Last > 0 && len(events) == min(f.Last, f.Limit) {
		a.linkEvents(w, r, "/audit", events[0].Seq)
	}

	return web.JSON(w, http.StatusOK, events)
}

// linkEvents leads to the events before one. No MAC is needed: a sequence number is in each event.
func (a *API) linkEvents(w *web.Reply, r *http.Request, path string, before int64) {
	q := r.URL.Query()
	q.Set("before", strconv.FormatInt(before, 10))
	w.Header().Set("Link", "<"+a.Prefix+path+"?"+q.Encode()+`>; rel="next"`)
}

// readFilter reads which events a query chooses.
func readFilter(r *http.Request) (audit.Filter, error) {
	var numbers [4]int
	for i, p := range []struct {
		name   string
		absent int
	}{{"after", 0}, {"before", 0}, {"last", 0}, {"limit", maxEvents}} {
		var err error
		numbers[i], err = queryNumber(r, p.name, p.absent)
		if err != nil {
			return audit.Filter{}, err
		}
	}

	since, err := queryTime(r, "since")
	if err != nil {
		return audit.Filter{}, err
	}

	until, err := queryTime(r, "until")
	if err != nil {
		return audit.Filter{}, err
	}

	q := r.URL.Query()

	return audit.Filter{
		After:   int64(numbers[0]),
		Before:  int64(numbers[1]),
		Last:    numbers[2],
		Request: q.Get("request"),
		User:    q.Get("user"),
		Action:  q.Get("action"),
		Service: q.Get("service"),
		Outcome: q.Get("outcome"),
		Since:   since,
		Until:   until,
		Limit:   min(numbers[3], maxEvents),
	}, nil
}

// OwnEvent is an audit event as the user sees it whom it concerns.
type OwnEvent struct {
	Seq     int64     `json:"seq"`
	Time    time.Time `json:"time"`
	Request string    `json:"request_id,omitempty"`
	Actor   string    `json:"actor,omitempty" jsonschema:"Who did it: user:NAME, operator, or absent"`
	Action  string    `json:"action"`
	Target  string    `json:"target,omitempty"`
	Service string    `json:"service,omitempty"`
	Outcome string    `json:"outcome" jsonschema:"ok, or the code of the refusal"`
	Source  string    `json:"source,omitempty" jsonschema:"Address, unless another subject did it"`
}

// listOwnEvents answers GET /users/me/events?limit=&before=: what the caller did and what was done to it, newest first.
// Reasons and checks are for operators.
func (a *API) listOwnEvents(w *web.Reply, r *http.Request, c caller) error {
	limit, err := pageLimit(r.URL.Query().Get("limit"), a.PageSize)
	if err != nil {
		return err
	}

	before, err := queryNumber(r, "before", 0)
	if err != nil {
		return err
	}

	acct, err := a.account(r.Context(), c)
	if err != nil {
		return err
	}

	// A user who was deleted may have had the same name.
	which := audit.Filter{
		User:   c.Name,
		Since:  acct.Created,
		Last:   limit,
		Before: int64(before),
	}

	events, err := a.Audit.Events(r.Context(), which)
	if err != nil {
		return err
	}

	list := []OwnEvent{}
	for _, e := range slices.Backward(events) {
		own := OwnEvent{
			Seq:     e.Seq,
			Time:    e.Time,
			Request: e.Request,
			Actor:   e.Actor,
			Action:  e.Action,
			Target:  e.Target,
			Service: e.Service,
			Outcome: e.Outcome,
		}
		if e.Actor == "" || e.Actor == c.actor() {
			own.Source = e.Source
		}
		list = append(list, own)
	}

	if len(events) == limit {
		a.linkEvents(w, r, "/users/me/events", events[0].Seq)
	}

	return web.JSON(w, http.StatusOK, list)
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
