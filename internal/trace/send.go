package trace

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

// attempts is how often a batch is sent, if the receiver says that it may succeed later.
const attempts = 3

// maxAnswer bounds what is read of an answer.
const maxAnswer = 64 << 10

// errLater is the answer of a receiver that may take the same spans later.
type errLater struct {
	status int
	after  time.Duration // 0: it does not say when
}

// Error implements error.
func (e errLater) Error() string { return fmt.Sprint("the receiver answered ", e.status) }

// Run exports spans until ctx ends, then what is left, for at most a second.
func (t *Tracer) Run(ctx context.Context) {
	tick := time.NewTicker(t.c.every)
	defer tick.Stop()

	failing := false
	for {
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), t.c.closing)
			defer cancel()
			t.drain(last, &failing)

			return
		case <-tick.C:
			t.drain(ctx, &failing)
		}
	}
}

// drain exports the spans of the queue, in batches. failing is whether the last batch could not be exported: so the
// log has one line when that begins, and one when it ends.
func (t *Tracer) drain(ctx context.Context, failing *bool) {
	for {
		list := t.take()
		if len(list) == 0 {
			return
		}

		err := t.export(ctx, list)
		if err != nil {
			t.c.Dropped.Add(int64(len(list)))
		}

		switch {
		case err != nil && !*failing:
			t.c.Log.Warn("spans were not exported; see tracing.endpoint", "error", err)
		case err == nil && *failing:
			t.c.Log.Info("spans are exported again")
		}
		*failing = err != nil
	}
}

// take returns what is in the queue, at most a batch.
func (t *Tracer) take() (list []span) {
	for len(list) < t.c.batch {
		select {
		case s := <-t.queue:
			list = append(list, s)
		default:
			return list
		}
	}

	return list
}

// export sends a batch, again if the receiver wants it later.
func (t *Tracer) export(ctx context.Context, list []span) error {
	body, err := json.Marshal(t.encode(list))
	if err != nil {
		return err
	}

	for n := 1; ; n++ {
		err := t.post(ctx, body)
		var later errLater
		if !errors.As(err, &later) || n == attempts {
			return err
		}

		wait := t.c.wait
		if later.after > 0 {
			wait = min(later.after, 10*t.c.wait)
		}

		select {
		case <-ctx.Done():
			return err
		case <-time.After(wait):
		}
	}
}

// post sends a body once.
func (t *Tracer) post(ctx context.Context, body []byte) error {
	ctx, cancel := context.WithTimeout(ctx, t.c.limit)
	defer cancel()

	r, err := http.NewRequestWithContext(ctx, http.MethodPost, t.c.Endpoint, bytes.NewReader(body))
	if err != nil {
		return err
	}
	for name, values := range t.c.Header {
		r.Header[name] = values
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", "jeton/"+t.c.Version)

	answer, err := t.c.Client.Do(r)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()

	said, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	if err != nil {
		return err
	}

	return t.judge(answer, said)
}

// judge returns what an answer means (OTLP specification, OTLP/HTTP response).
func (t *Tracer) judge(answer *http.Response, body []byte) error {
	switch answer.StatusCode {
	case http.StatusOK:
		var said response
		if json.Unmarshal(body, &said) == nil && said.Partial.Rejected > 0 {
			t.c.Dropped.Add(int64(said.Partial.Rejected))
		}

		return nil
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		seconds, _ := strconv.Atoi(answer.Header.Get("Retry-After")) // 0 for a date
		return errLater{answer.StatusCode, time.Duration(seconds) * time.Second}
	}

	return fmt.Errorf("the receiver answered %d", answer.StatusCode)
}
