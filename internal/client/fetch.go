package client

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/jose"
	"github.com/jeton-auth/jeton/internal/outbound"
)

const (
	fetchTimeout = 5 * time.Second // for a whole request
	maxBody      = 64 << 10        // bytes of a response

	// A response is cached for the time in its header, within limits.
	defaultAge = 5 * time.Minute
	minAge     = time.Minute
	maxAge     = time.Hour

	// retryAfter is the time between a failure and the next request to the source.
	retryAfter = 10 * time.Second
	// refetchAfter is the minimum time between requests that an unknown kid causes. Callers
	// can invent kids.
	refetchAfter = 30 * time.Second
)

// fetcher fetches keys and caches them. Callers that need the same source at the same time
// share one request.
type fetcher struct {
	log     *slog.Logger
	timeout time.Duration

	mu      sync.Mutex
	sources map[Source]*remote
}

// newFetcher returns a fetcher that has fetched nothing.
func newFetcher(log *slog.Logger) *fetcher {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &fetcher{log: log, timeout: fetchTimeout, sources: map[Source]*remote{}}
}

// KeyCache fetches keys that are not of clients, as those of clients are fetched, and caches them. It is safe for
// concurrent use.
type KeyCache struct{ sources *fetcher }

// NewKeyCache returns a cache that has fetched nothing.
func NewKeyCache(log *slog.Logger) *KeyCache { return &KeyCache{newFetcher(log)} }

// Keys returns the keys of a source with the kid, or all of its keys (""): none when there is no such key, and
// jeton.ErrUnavailable when the source does not answer and nothing fresh is cached.
func (k *KeyCache) Keys(ctx context.Context, s Source, kid string, now time.Time) ([]jose.Key, error) {
	return k.sources.keys(ctx, s, kid, now)
}

// remote is the state of one source.
type remote struct {
	mu       sync.Mutex
	asked    time.Time // of the last request
	failed   bool      // the last request failed
	response *response // the last one; nil: none yet
	skipped  []string  // notes on entries of the last response that are not used
	request  *request  // in progress
}

// response is the keys that a source returned.
type response struct {
	keys   []jose.Key
	at     time.Time
	maxAge time.Duration
}

// request is one request that callers wait for. Its result is set before done is closed.
type request struct {
	done chan struct{}
	keys []jose.Key
	err  error
}

// keepOnly drops all sources but these.
func (f *fetcher) keepOnly(sources []Source) {
	f.mu.Lock()
	defer f.mu.Unlock()

	for s := range f.sources {
		if !slices.Contains(sources, s) {
			delete(f.sources, s)
		}
	}
}

// remote returns the state of a source, a new one if there is none.
func (f *fetcher) remote(s Source) *remote {
	f.mu.Lock()
	defer f.mu.Unlock()

	r, ok := f.sources[s]
	if !ok {
		r = &remote{}
		f.sources[s] = r
	}

	return r
}

// keys returns the key of a source with the kid, or all of its keys (""): none when there
// is no such key, and jeton.ErrUnavailable when the source does not answer and nothing
// fresh is cached. ctx ends the caller's waiting, but not the request: others wait for it.
func (f *fetcher) keys(ctx context.Context, s Source, kid string, now time.Time) ([]jose.Key, error) {
	r := f.remote(s)
	keys, req, err := r.look(kid, now, func(req *request) { go f.run(s, r, req, now) })
	if req == nil {
		return keys, err
	}

	// Nothing is locked here, so a slow source delays only the callers that need it.
	select {
	case <-req.done:
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: wait for the source of keys: %w", jeton.ErrUnavailable, ctx.Err())
	}

	if req.err != nil {
		return nil, errDown
	}

	return choose(req.keys, kid), nil
}

// errDown does not say why: the caller must not see it, and it is in the log.
var errDown = fmt.Errorf("%w: the source of keys does not answer", jeton.ErrUnavailable)

// look answers from the cache, or returns the request to wait for. It starts one when none
// is in progress.
func (r *remote) look(kid string, now time.Time, start func(*request)) ([]jose.Key, *request, error) {
	r.mu.Lock()
	defer r.mu.Unlock()

	fresh := r.response != nil && within(r.response.maxAge, r.response.at, now)
	if fresh {
		keys := choose(r.response.keys, kid)
		if len(keys) > 0 {
			return keys, nil, nil
		}
	}

	// Also for an invented kid: the flood joins the request in progress and starts none.
	if r.request != nil {
		return nil, r.request, nil
	}

	// A failed request leaves it unknown whether the source has the kid by now.
	switch {
	case r.failed && (within(retryAfter, r.asked, now) || fresh && within(refetchAfter, r.asked, now)):
		return nil, nil, errDown
	case fresh && within(refetchAfter, r.asked, now):
		return nil, nil, nil
	}

	// Set before the result is known: a failed request counts for the pause as well.
	r.asked = now
	r.request = &request{done: make(chan struct{})}
	start(r.request)

	return nil, r.request, nil
}

// within reports whether now is less than d after t. It may also be a little before t, as
// callers read the clock before they get here; a clock that has jumped back is further off.
func within(d time.Duration, t, now time.Time) bool {
	age := now.Sub(t)
	return age > -time.Minute && age < d
}

// choose returns the keys of a kid, each for another algorithm, or all keys for "".
func choose(keys []jose.Key, kid string) []jose.Key {
	if kid == "" {
		return keys
	}

	var chosen []jose.Key
	for _, k := range keys {
		if k.ID == kid {
			chosen = append(chosen, k)
		}
	}

	return chosen
}

// run makes the request and gives the result to every caller that waits for it.
func (f *fetcher) run(s Source, r *remote, req *request, now time.Time) {
	// Not the context of a caller: one that gives up must not end the request of the others.
	ctx, cancel := context.WithTimeout(context.Background(), f.timeout)
	defer cancel()

	keys, skipped, age, err := s.fetch(ctx)

	r.mu.Lock()
	recovered := r.failed && err == nil
	r.request = nil
	r.failed = err != nil
	newlySkipped := err == nil && len(skipped) > 0 && !slices.Equal(skipped, r.skipped)
	if err == nil {
		r.skipped = skipped
		// After a failure, the last response stays: it is used until its own age ends.
		r.response = &response{keys, now, age}
	}
	r.mu.Unlock()

	switch {
	case err != nil:
		f.log.Warn("keys were not fetched; what needs them is answered 503", "url", s.place(), "error", err)
	case recovered:
		f.log.Info("keys are fetched again", "url", s.place(), "keys", len(keys))
	}

	if newlySkipped {
		f.log.Warn("keys of a source are not used", "url", s.place(), "keys", len(keys), "skipped", skipped)
	}

	// Written before done is closed, which makes it visible to the callers that wait.
	req.keys, req.err = keys, err
	close(req.done)
}

// fetch fetches the keys of the source. It returns them with notes on the skipped ones and the
// time to cache them.
func (s Source) fetch(ctx context.Context) (keys []jose.Key, skipped []string, age time.Duration, err error) {
	if s.Format == FormatIssuer {
		s, err = s.discover(ctx)
		if err != nil {
			return nil, nil, 0, err
		}
	}

	body, age, err := s.get(ctx)
	if err != nil {
		return nil, nil, 0, err
	}

	// A response that cannot be parsed is a failure, and never replaces a cached one.
	keys, skipped, err = s.parse(body)
	if err != nil {
		return nil, nil, 0, err
	}

	return keys, skipped, age, nil
}

// get returns what is at the address of the source, or in its file, and the time to cache it.
func (s Source) get(ctx context.Context) (body []byte, age time.Duration, err error) {
	if s.File != "" {
		body, err = s.readFile()
		return body, minAge, err
	}

	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL, nil)
	if err != nil {
		return nil, 0, err
	}

	r.Header.Set("Accept", s.accepts())
	r.Header.Set("User-Agent", "jeton")

	c, err := s.target().Client(r.URL.Scheme)
	if err != nil {
		return nil, 0, err
	}

	resp, err := c.Do(r)
	var failed *url.Error
	if errors.As(err, &failed) {
		err = failed.Err // without the URL, whose query is not logged
	}
	if err != nil {
		return nil, 0, err
	}
	defer resp.Body.Close()

	body, err = s.read(resp)

	return body, maxAgeOf(resp.Header), err
}

// read checks a response and returns its body.
func (s Source) read(resp *http.Response) ([]byte, error) {
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("status %s; want 200, and no redirect is followed", resp.Status)
	}

	kind := resp.Header.Get("Content-Type")
	if s.Format != FormatPEM && !maybeJSON(kind) {
		return nil, fmt.Errorf("content type %q; want JSON", kind)
	}

	return outbound.ReadBody(resp, maxBody)
}

// accepts returns the header Accept. A keyserver of PEM files often sends them as plain
// text.
func (s Source) accepts() string {
	if s.Format != FormatPEM {
		return "application/jwk-set+json, application/json"
	}
	return "application/x-pem-file, text/plain, */*"
}

// maybeJSON reports whether a response of a media type can be JSON. Servers of plain files
// do not always name it.
func maybeJSON(kind string) bool {
	if kind == "" {
		return true
	}

	media, _, err := mime.ParseMediaType(kind)
	if err != nil {
		return false
	}

	switch media {
	case "application/json", "text/plain", "application/octet-stream":
		return true
	}

	return strings.HasSuffix(media, "+json")
}

// parse reads the keys in a response. Of a JWK Set, keys that cannot be used are skipped with a
// note, so that one new kind of key does not disable the others.
func (s Source) parse(body []byte) (keys []jose.Key, skipped []string, err error) {
	switch s.Format {
	case FormatJWKS:
		return jose.ParseSet(body)
	case FormatPEM:
		k, err := jose.ParsePEM(body, s.Alg, "")
		if err != nil {
			return nil, nil, err
		}
		return []jose.Key{k}, nil, nil
	}

	return nil, nil, errors.New("the source has no format")
}

// maxAgeOf returns how long a response is cached (RFC 9111, section 5.2.2).
func maxAgeOf(h http.Header) time.Duration {
	age := defaultAge
	for directive := range strings.SplitSeq(strings.Join(h.Values("Cache-Control"), ","), ",") {
		name, value, _ := strings.Cut(strings.ToLower(strings.TrimSpace(directive)), "=")
		switch name {
		// Not 0: every assertion of the client would then be a request to its source.
		case "no-store", "no-cache":
			return minAge
		case "max-age":
			n, err := strconv.ParseInt(strings.Trim(value, `"`), 10, 64)
			if err != nil || n < 0 {
				return minAge
			}

			// The inner limit keeps the multiplication from overflowing.
			age = min(time.Duration(min(n, 1<<20))*time.Second, maxAge)
		}
	}

	return max(age, minAge)
}
