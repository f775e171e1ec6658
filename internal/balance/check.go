package balance

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"
)

// Check is how the health of servers is checked: GET of a path, below the path of the URL of the server.
type Check struct {
	Transport http.RoundTripper
	Path      string
	Interval  time.Duration
	Timeout   time.Duration
	Failures  int // in a row, until a server is unhealthy
}

// maxAnswer bounds how much of the body of a health check is read, so that the connection can be used again.
const maxAnswer = 64 << 10

// Run checks the health of the servers until ctx ends. The first check is made at once; until then all are healthy.
func (p *Pool) Run(ctx context.Context) {
	if p.Check == nil {
		return
	}

	var wg sync.WaitGroup
	for _, s := range p.Servers {
		wg.Go(func() { p.watch(ctx, s) })
	}

	wg.Wait()
}

// watch checks one server until ctx ends.
func (p *Pool) watch(ctx context.Context, s *Server) {
	tick := time.NewTicker(p.Check.Interval)
	defer tick.Stop()

	for failures := 0; ; {
		err := p.Check.ask(ctx, s)
		if ctx.Err() != nil {
			return
		}

		failures++
		if err == nil {
			failures = 0
		}
		p.judge(s, failures, err)

		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// judge sets the health of a server after a check, which failed unless err is nil.
func (p *Pool) judge(s *Server, failures int, err error) {
	switch {
	case err == nil:
		s.rest.Store(0)
		if s.failing.Swap(false) {
			p.Log.Info("an upstream is healthy again", "upstream", s.URL.Host)
		}

	case failures >= p.Check.Failures && !s.failing.Swap(true):
		p.Log.Warn("an upstream is unhealthy", "upstream", s.URL.Host, "error", err.Error())
	}
}

// ask makes one check. Every status from 200 to 299 is healthy; a redirect is none, as it may lead elsewhere.
func (c *Check) ask(ctx context.Context, s *Server) error {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()

	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL.JoinPath(c.Path).String(), nil)
	if err != nil {
		return err
	}
	r.Header.Set("User-Agent", "jeton health check")

	resp, err := c.Transport.RoundTrip(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()

	_, err = io.Copy(io.Discard, io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return err
	}
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return fmt.Errorf("status %d, want 200 to 299", resp.StatusCode)
	}

	return nil
}
