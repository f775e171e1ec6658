package client

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/jose"
)

// How a source is asked.
const (
	fetchTimeout = 5 * time.Second // for the whole of it
	maxBody      = 64 << 10        // bytes that are read
	// What was fetched is believed for so long as the source says, within bounds.
	usualLife, leastLife, mostLife = 5 * time.Minute, time.Minute, time.Hour
	// downFor is how long after a failure a source is not asked again.
	downFor = 10 * time.Second
	// missEvery is how often at most an unknown kid has a source asked again, so that
	// invented ones cost it nothing.
	missEvery = 30 * time.Second
)

// fetcher fetches keys and remembers them for a while. Of any number of callers that need
// the same source at once, one asks and all get what it got.
type fetcher struct {
	log     *slog.Logger
	timeout time.Duration

	mu      sync.Mutex
	sources map[Source]*remote
}

func newFetcher(log *slog.Logger) *fetcher {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &fetcher{log: log, timeout: fetchTimeout, sources: map[Source]*remote{}}
}

// remote is what is known of one source.
type remote struct {
	mu     sync.Mutex
	asked  time.Time // when it was last asked
	failed bool      // and whether that came to nothing
	got    *fetched  // what it said last; nil: nothing yet
	flight *flight   // being asked now
}

// fetched is what a source said.
type fetched struct {
	keys []jose.Key
	at   time.Time
	life time.Duration
}

// flight is one request that everybody waits for. Its result is set before done closes.
type flight struct {
	done chan struct{}
	keys []jose.Key
	err  error
}

// keepOnly forgets all sources but these.
func (f *fetcher) keepOnly(named []Source) {
	f.mu.Lock()
	defer f.mu.Unlock()

	for s := range f.sources {
		if !slices.Contains(named, s) {
			delete(f.sources, s)
		}
	}
}

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

// keys returns the keys of a source that have the kid, or all ("") of them: none when it
// has none such, and jeton.ErrUnavailable when it cannot be asked and nothing fresh is
// there. ctx ends the caller's waiting and not the request, which others wait for, too.
func (f *fetcher) keys(ctx context.Context, s Source, kid string, now time.Time) ([]jose.Key, error) {
	r := f.remote(s)
	keys, fl, err := r.look(kid, now, func(fl *flight) { go f.fly(s, r, fl, now) })
	if fl == nil {
		return keys, err
	}

	select {
	case <-fl.done:
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: wait for the source of keys: %w", jeton.ErrUnavailable, ctx.Err())
	}

	if fl.err != nil {
		return nil, errDown
	}

	return choose(fl.keys, kid), nil
}

// errDown says no more than that: the reason is the operator's, and in the log.
var errDown = fmt.Errorf("%w: the source of keys does not answer", jeton.ErrUnavailable)

// look answers from what is known, or returns the request to wait for, which it starts
// when nobody has.
func (r *remote) look(kid string, now time.Time, start func(*flight)) ([]jose.Key, *flight, error) {
	r.mu.Lock()
	defer r.mu.Unlock()

	fresh := r.got != nil && within(r.got.life, r.got.at, now)
	if fresh {
		keys := choose(r.got.keys, kid)
		if len(keys) > 0 {
			return keys, nil, nil
		}
	}

	if r.flight != nil {
		return nil, r.flight, nil
	}

	switch {
	case r.failed && within(downFor, r.asked, now):
		return nil, nil, errDown
	case fresh && within(missEvery, r.asked, now):
		// Whether the key has come since then is not known where the last request failed.
		if r.failed {
			return nil, nil, errDown
		}
		return nil, nil, nil
	}

	r.asked, r.flight = now, &flight{done: make(chan struct{})}
	start(r.flight)

	return nil, r.flight, nil
}

// within reports whether now is less than d after at. Callers' clocks are read a little
// before they get here, so a little before at is within it, too; a clock that has jumped
// back is not.
func within(d time.Duration, at, now time.Time) bool {
	age := now.Sub(at)
	return age > -time.Minute && age < d
}

func choose(keys []jose.Key, kid string) []jose.Key {
	if kid == "" {
		return keys
	}

	for _, k := range keys {
		if k.ID == kid {
			return []jose.Key{k}
		}
	}

	return nil
}

// fly asks the source once and tells everybody who waits.
func (f *fetcher) fly(s Source, r *remote, fl *flight, now time.Time) {
	ctx, cancel := context.WithTimeout(context.Background(), f.timeout)
	defer cancel()

	keys, life, err := s.fetch(ctx)
	r.mu.Lock()
	recovered := r.failed && err == nil
	r.flight, r.failed = nil, err != nil

	if err == nil {
		r.got = &fetched{keys, now, life}
	}

	r.mu.Unlock()

	switch {
	case err != nil:
		f.log.Warn("keys were not fetched; clients that need them are answered 503", "url", s.URL, "error", err)
	case recovered:
		f.log.Info("keys are fetched again", "url", s.URL, "keys", len(keys))
	}

	fl.keys, fl.err = keys, err
	close(fl.done)
}

// fetch asks the source and reads its keys. A connection is for one request: there are so
// few that none is worth keeping.
func (s Source) fetch(ctx context.Context) (keys []jose.Key, life time.Duration, err error) {
	pool, err := s.authorities()
	if err != nil {
		return nil, 0, err
	}

	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL, nil)
	if err != nil {
		return nil, 0, err
	}

	r.Header.Set("Accept", s.accepts())
	r.Header.Set("User-Agent", "jeton")

	dialer := net.Dialer{ControlContext: func(_ context.Context, _, address string, _ syscall.RawConn) error {
		return s.mayDial(address, r.URL.Scheme != "https")
	}}

	asking := http.Client{
		Transport: &http.Transport{
			Proxy:                  nil, // one of the environment would be dialled in place of the source
			DialContext:            dialer.DialContext,
			TLSClientConfig:        &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12},
			DisableKeepAlives:      true,
			DisableCompression:     true,
			MaxResponseHeaderBytes: 16 << 10,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}

	answer, err := asking.Do(r)
	if err != nil {
		return nil, 0, err
	}
	defer answer.Body.Close()

	if answer.StatusCode != http.StatusOK {
		return nil, 0, fmt.Errorf("it answers %s; only 200 is taken, and no redirect followed", answer.Status)
	}

	kind := answer.Header.Get("Content-Type")
	if s.Format == FormatJWKS && !maybeJSON(kind) {
		return nil, 0, fmt.Errorf("it answers with %q, not with a JWK Set", kind)
	}

	body, err := io.ReadAll(io.LimitReader(answer.Body, maxBody+1))
	if err != nil {
		return nil, 0, fmt.Errorf("read the answer: %w", err)
	}
	if len(body) > maxBody {
		return nil, 0, fmt.Errorf("its answer is over %d KiB", maxBody>>10)
	}

	if keys, err = s.parse(body); err != nil {
		return nil, 0, err
	}

	return keys, lifeOf(answer.Header), nil
}

func (s Source) accepts() string {
	if s.Format == FormatJWKS {
		return "application/jwk-set+json, application/json"
	}
	return "application/x-pem-file, text/plain, */*"
}

// maybeJSON reports whether an answer of a media type can be JSON: said so, or left to
// the reader by a server that knows files only.
func maybeJSON(kind string) bool {
	if kind == "" {
		return true
	}

	media, _, err := mime.ParseMediaType(kind)
	if err != nil {
		return false
	}

	return media == "application/json" || strings.HasSuffix(
		media,
		"+json",
	) || media == "text/plain" || media == "application/octet-stream"
}

func (s Source) parse(body []byte) ([]jose.Key, error) {
	switch s.Format {
	case FormatJWKS:
		return jose.ParseSet(body)
	case FormatPEM:
		k, err := jose.ParsePEM(body, s.Alg, "")
		if err != nil {
			return nil, err
		}
		return []jose.Key{k}, nil
	}

	return nil, errors.New("it has no format")
}

// lifeOf returns how long an answer is believed (RFC 9111, section 5.2.2).
func lifeOf(h http.Header) time.Duration {
	life := usualLife
	for directive := range strings.SplitSeq(strings.Join(h.Values("Cache-Control"), ","), ",") {
		name, value, _ := strings.Cut(strings.ToLower(strings.TrimSpace(directive)), "=")
		switch name {
		case "no-store", "no-cache":
			return leastLife
		case "max-age":
			n, err := strconv.ParseInt(strings.Trim(value, `"`), 10, 64)
			if err != nil || n < 0 {
				return leastLife
			}
			life = min(time.Duration(min(n, 1<<20))*time.Second, mostLife)
		}
	}

	return max(life, leastLife)
}
