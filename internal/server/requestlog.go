package server

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/config"
	"github.com/jeton-auth/jeton/internal/gate"
	"github.com/jeton-auth/jeton/internal/secret"
	"github.com/jeton-auth/jeton/internal/web"
)

// logRequest writes the line of a request that has been answered, if log.requests asks for it. The
// guide documents its fields: programs read them. The query is not in it, nor any header.
func (f *front) logRequest(w *web.Reply, r *http.Request, service string) {
	refused := w.Refused != ""
	if f.requests != config.RequestsAll && (f.requests != config.RequestsRefused || !refused) {
		return
	}

	outcome := audit.OK
	if refused {
		outcome = w.Refused
	}

	route := ""
	if service != "" {
		route = w.Route
	}

	actor := ""
	who := gate.From(w).Principal()
	if who.Name != "" {
		actor = gate.Actor(who)
	}

	took := f.now().Sub(w.Start)

	to := f.log
	if f.lines != nil {
		to = f.lines
	}

	to.LogAttrs(
		context.Background(), slog.LevelInfo, "request", slog.String("source", web.AddressText(w.Source)),
		slog.String("outcome", outcome), slog.Int("status", w.Status()), slog.String("method", r.Method),
		slog.String("path", secret.RedactPath(r.URL.Path)), slog.String("service", service),
		slog.String("route", route), slog.String("actor", actor), slog.Int64("bytes", w.Bytes()),
		slog.Float64("duration_ms", float64(took)/float64(time.Millisecond)),
		slog.String("request_id", w.ID), slog.String("trace_id", w.TraceID), slog.String("upstream", w.Upstream),
	)
}

// nameOf returns the name of the service of a mux; "" without one.
func nameOf(d *mux) string {
	if d == nil {
		return ""
	}
	return d.name
}
