package trace

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// attempts is how often a batch is sent, if the response of the collector allows a retry.
const attempts = 3

// maxResponse is the maximum that is read of a response.
const maxResponse = 64 << 10

// retryableError is a response after which the same spans may be sent again.
type retryableError struct {
	status int
	after  time.Duration // of Retry-After; 0: none
}

// Error implements error.
func (e retryableError) Error() string { return fmt.Sprint("the collector returned status ", e.status) }

// Run exports spans until ctx ends, then what is left, for at most a second. Spans that end later are dropped: after a
// reload, those of requests that began before it.
func (t *Tracer) Run(ctx context.Context) {
	tick := time.NewTicker(t.c.sendEvery)
	defer tick.Stop()

	failing := false
	for {
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), t.c.closeTime)
			defer cancel()
			t.drain(last, &failing)
			t.ended.Store(true)
			t.dropQueue()

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

// dropQueue drops what is in the queue. Run calls it after it has set ended, and End after it has queued a span and
// found ended set: so one of them finds every span that is queued after the last export.
func (t *Tracer) dropQueue() {
	for {
		select {
		case <-t.queue:
			t.c.Dropped.Add(1)
		default:
			return
		}
	}
}

// take returns what is in the queue, at most a batch.
func (t *Tracer) take() (list []finished) {
	for len(list) < t.c.batchSize {
		select {
		case s := <-t.queue:
			list = append(list, s)
		default:
			return list
		}
	}

	return list
}

// export sends a batch, again after a retryableError.
func (t *Tracer) export(ctx context.Context, list []finished) error {
	body, err := json.Marshal(t.encode(list))
	if err != nil {
		return err
	}

	for n := 1; ; n++ {
		err := t.post(ctx, body)
		var retryable retryableError
		if !errors.As(err, &retryable) || n == attempts {
			return err
		}

		wait := t.c.retryWait
		if retryable.after > 0 {
			wait = min(retryable.after, 10*t.c.retryWait)
		}

		select {
		case <-ctx.Done():
			return err
		case <-time.After(wait):
		}
	}
}

// withoutURL returns why a request failed. The error of package http repeats the URL, whose query may have a key in it.
func withoutURL(err error) error {
	var of *url.Error
	if errors.As(err, &of) {
		return of.Err
	}
	return err
}

// post sends a body once.
func (t *Tracer) post(ctx context.Context, body []byte) error {
	ctx, cancel := context.WithTimeout(ctx, t.c.sendLimit)
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

	response, err := t.c.Client.Do(r)
	if err != nil {
		return withoutURL(err)
	}
	defer func() { _ = response.Body.Close() }()

	result, err := io.ReadAll(io.LimitReader(response.Body, maxResponse))
	if err != nil {
		return err
	}

	return t.checkResponse(response, result)
}

// checkResponse returns an error unless the collector took the spans, and counts those that it rejected (OTLP
// specification, OTLP/HTTP response).
func (t *Tracer) checkResponse(response *http.Response, body []byte) error {
	switch response.StatusCode {
	case http.StatusOK:
		var result exportResponse
		if json.Unmarshal(body, &result) == nil && result.Partial.Rejected > 0 {
			t.c.Dropped.Add(int64(result.Partial.Rejected))
		}

		return nil
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		seconds, _ := strconv.Atoi(response.Header.Get("Retry-After")) // 0 for a date
		return retryableError{response.StatusCode, time.Duration(seconds) * time.Second}
	}

	return fmt.Errorf("the collector returned status %d", response.StatusCode)
}
