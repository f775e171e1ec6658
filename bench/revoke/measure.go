package revoke

import (
	"cmp"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jeton-auth/jeton"
)

// measurement logs in and out and watches what is accepted around the logout.
type measurement struct {
	nodes               []*url.URL
	trust               *x509.CertPool // nil: the certificates of the system
	user                string
	password            jeton.Secret
	path, login, logout string // login and logout may be "" until discover has run
	userField           string
	passwordField       string
	rounds, connections int
	after               time.Duration
	progress            func(done int)
}

// round is the figures of one login and its logout.
type round struct {
	last                    time.Duration // from the answer to the logout to the last accepted use
	where                   string        // the node that accepted it
	took                    time.Duration // from the logout to its answer
	accepted, late, unclear int64
}

// run does all rounds.
func (m *measurement) run(ctx context.Context) (*result, error) {
	err := m.discover(ctx)
	if err != nil {
		return nil, err
	}

	err = m.checkPath(ctx)
	if err != nil {
		return nil, err
	}

	connections := m.connect()
	defer func() {
		for _, c := range connections {
			c.close()
		}
	}()

	all := &result{Rounds: m.rounds, Connections: m.connections}
	for _, node := range m.nodes {
		all.Nodes = append(all.Nodes, node.String())
	}

	var last, took []time.Duration
	reported := time.Now()
	// The node of the logout changes, as a revocation takes its way from each.
	for n := range m.rounds {
		r, err := m.round(ctx, m.nodes[n%len(m.nodes)], connections)
		if err != nil {
			return nil, fmt.Errorf("round %d: %w", n+1, err)
		}

		all.add(r)
		last = append(last, r.last)
		took = append(took, r.took)

		if time.Since(reported) > 2*time.Second {
			reported = time.Now()
			m.progress(n + 1)
		}
	}

	all.LastAccepted = spreadOf(last)
	all.Acknowledged = spreadOf(took)

	return all, nil
}

// connect returns the connections that use the session, the same number for each node.
func (m *measurement) connect() []*connection {
	var list []*connection
	for _, node := range m.nodes {
		for range m.connections {
			list = append(list, &connection{node: node, trust: m.trust})
		}
	}

	return list
}

// discover asks the first node how to log in and out.
func (m *measurement) discover(ctx context.Context) error {
	var service struct {
		Login    string `json:"login"`
		Logout   string `json:"logout"`
		User     string `json:"username_field"`
		Password string `json:"password_field"`
	}

	node := m.nodes[0]
	c := &connection{node: node, trust: m.trust}
	defer c.close()

	resp, err := c.do(ctx, c.request(http.MethodGet, "/.well-known/jeton", "", ""))
	if err != nil {
		return err
	}

	if resp.status == http.StatusOK {
		err := json.Unmarshal(resp.body, &service)
		if err != nil {
			return fmt.Errorf("%s/.well-known/jeton: %w", node, err)
		}
	}

	m.login = cmp.Or(m.login, service.Login)
	m.logout = cmp.Or(m.logout, service.Logout)
	m.userField = cmp.Or(service.User, "username")
	m.passwordField = cmp.Or(service.Password, "password")

	if m.login == "" || m.logout == "" {
		return fmt.Errorf("%s does not report its login and logout paths; "+
			"give them with --login-path and --logout-path", node)
	}

	return nil
}

// checkPath checks that the measured route needs a login at every node.
func (m *measurement) checkPath(ctx context.Context) error {
	for _, node := range m.nodes {
		c := &connection{node: node, trust: m.trust}
		resp, err := c.do(ctx, c.request(http.MethodGet, m.path, "", ""))
		c.close()

		if err != nil {
			return err
		}
		if resp.accepted() {
			return fmt.Errorf("%s%s needs no login; name a route that does with --path", node, m.path)
		}
	}

	return nil
}

// trial is the session of one round.
type trial struct {
	path, cookies string
	ending        atomic.Bool   // the logout may have been sent
	done          chan struct{} // closed when the connections may stop
}

// tally is what one connection saw of a trial.
type tally struct {
	accepted, unclear int64
	last              time.Time   // when the last accepted use was sent
	ending            []time.Time // when each accepted use since trial.ending was sent
	err               error       // why nothing can be measured
}

// maxLogouts bounds how often a logout is tried.
const maxLogouts = 30

// round logs in at a node, uses the session on every connection, and logs out.
func (m *measurement) round(ctx context.Context, node *url.URL, connections []*connection) (round, error) {
	own := &connection{node: node, trust: m.trust}
	defer own.close()

	cookies, err := m.enter(ctx, own)
	if err != nil {
		return round{}, err
	}

	t := &trial{path: m.path, cookies: cookies, done: make(chan struct{})}
	var warm, work sync.WaitGroup

	seen := make([]tally, len(connections))
	for i, c := range connections {
		warm.Add(1)
		work.Go(func() { seen[i] = c.use(ctx, t, sync.OnceFunc(warm.Done)) })
	}

	// Only when every connection has been let in: each node then has the session in its
	// cache.
	warm.Wait()
	// Before the logout is sent: a use that is accepted from now on may be a breach, and
	// its instant is kept.
	t.ending.Store(true)
	resp, err := own.do(ctx, own.request(http.MethodPost, m.logout, cookies, ""))
	sent := resp.sent
	// A database that is slow for a moment ends nothing, or does not say so: clients try again.
	for tries := 1; err == nil && resp.status == http.StatusServiceUnavailable && tries < maxLogouts; tries++ {
		resp, err = own.do(ctx, own.request(http.MethodPost, m.logout, cookies, ""))
	}
	answered := time.Now()

	if err == nil && !resp.accepted() {
		err = fmt.Errorf("logout at %s = %d", node, resp.status)
	}
	if err == nil {
		// Uses go on after the answer: it is these that must all be refused.
		err = sleep(ctx, m.after)
	}

	close(t.done)
	work.Wait()

	r, tallyErr := sum(seen, connections, answered)
	r.took = answered.Sub(sent)

	return r, cmp.Or(tallyErr, err)
}

// sum adds up what the connections saw of a session whose logout was answered at an instant.
func sum(seen []tally, connections []*connection, answered time.Time) (round, error) {
	var r round

	for i, u := range seen {
		if u.err != nil {
			return r, u.err
		}

		r.accepted += u.accepted
		r.unclear += u.unclear

		since := u.last.Sub(answered)
		if i == 0 || since > r.last {
			r.last = since
			r.where = connections[i].node.String()
		}

		for _, sent := range u.ending {
			if sent.After(answered) {
				r.late++
			}
		}
	}

	return r, nil
}

// enter logs in and returns the cookies of the session.
func (m *measurement) enter(ctx context.Context, c *connection) (string, error) {
	form := url.Values{m.userField: {m.user}, m.passwordField: {m.password.Reveal()}}
	resp, err := c.do(ctx, c.request(http.MethodPost, m.login, "", form.Encode()))
	if err != nil {
		return "", err
	}

	var pairs []string
	for _, cookie := range (&http.Response{Header: resp.header}).Cookies() {
		pairs = append(pairs, cookie.Name+"="+cookie.Value)
	}

	if !resp.accepted() || len(pairs) == 0 {
		kind := jeton.FromCode(resp.header.Get(jeton.HeaderError))
		if kind == nil {
			kind = errors.New("no session cookie")
		}
		return "", fmt.Errorf("log in as %s at %s: status %d: %w", m.user, c.node, resp.status, kind)
	}

	return strings.Join(pairs, "; "), nil
}

// maxUnclear is how many unclear answers a connection accepts before the logout.
const maxUnclear = 20

// use uses a session as fast as it can until the trial is done. It calls warm when the
// session has been accepted, or never will be.
func (c *connection) use(ctx context.Context, t *trial, warm func()) tally {
	defer warm()

	var u tally
	request := c.request(http.MethodGet, t.path, t.cookies, "")

	for {
		select {
		case <-t.done:
			return u
		default:
		}

		resp, err := c.do(ctx, request)
		ending := t.ending.Load()

		switch {
		// Neither accepted nor refused. After the logout that is no breach; before it, the
		// node is not fit to be measured.
		case err != nil || resp.status >= http.StatusInternalServerError:
			u.unclear++
			if !ending && u.unclear > maxUnclear {
				u.err = cmp.Or(err, fmt.Errorf("GET %s at %s = %d", t.path, c.node, resp.status))
				return u
			}
			time.Sleep(time.Millisecond)
		case resp.accepted() && resp.header.Get(jeton.HeaderUsesRemaining) != "":
			u.err = fmt.Errorf("%s is counted; name another route with --path", t.path)
			return u
		case resp.accepted():
			u.accepted++
			u.last = resp.sent
			if ending {
				u.ending = append(u.ending, resp.sent)
			}
			warm()
		case !ending:
			u.err = fmt.Errorf("GET %s at %s with a new session = %d, want 2xx; --path names the route",
				t.path, c.node, resp.status)
			return u
		default:
			time.Sleep(time.Millisecond) // the session has ended: do not fill the audit log
		}
	}
}

// sleep waits, or returns the error of ctx when that ends first.
func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
