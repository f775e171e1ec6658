package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jeton-auth/jeton"
)

// revocation measures what happens around a logout.
type revocation struct {
	nodes               []*url.URL
	trust               *x509.CertPool // nil: whom the system trusts
	user                string
	password            jeton.Secret
	path, login, logout string // the last two may be "" until the service has told
	userField           string
	passwordField       string
	rounds, connections int
	after               time.Duration
	progress            func(done int)
}

// revoked is what came of it.
type revoked struct {
	Nodes        []string `json:"nodes"`
	Rounds       int      `json:"rounds"`
	Connections  int      `json:"connections"` // at each node
	Accepted     int64    `json:"uses_accepted"`
	Late         int64    `json:"uses_accepted_too_late"`
	Unclear      int64    `json:"uses_unclear"` // no answer, or one of 500 and above
	LastAccepted spread   `json:"last_accepted_minus_acknowledged_us"`
	Acknowledged spread   `json:"logout_acknowledged_after_us"`

	worst round
}

// breach is the error of a promise that was broken, or nil.
func (r *revoked) breach() error {
	if r.worst.last <= 0 {
		return nil
	}
	return fmt.Errorf("A SESSION WAS ACCEPTED AFTER ITS LOGOUT: %d uses were sent after the logout had been answered and were let through, the last %v after it, at %s",
		r.Late, r.worst.last, r.worst.where)
}

// round is one login and its end.
type round struct {
	last                    time.Duration // from the answer of the logout to the last use that was let through
	where                   string        // the node that let it through
	took                    time.Duration // from the logout to its answer
	accepted, late, unclear int64
}

// run does all rounds.
func (v *revocation) run(ctx context.Context) (*revoked, error) {
	if err := v.prepare(ctx); err != nil {
		return nil, err
	}

	var lines []*line
	for _, node := range v.nodes {
		for range v.connections {
			lines = append(lines, &line{at: node, trust: v.trust})
		}
	}

	defer func() {
		for _, l := range lines {
			l.hangUp()
		}
	}()

	result := &revoked{Rounds: v.rounds, Connections: v.connections}
	for _, node := range v.nodes {
		result.Nodes = append(result.Nodes, node.String())
	}

	var last, took []time.Duration
	for n, told := 0, time.Now(); n < v.rounds; n++ {
		r, err := v.round(ctx, v.nodes[n%len(v.nodes)], lines)
		if err != nil {
			return nil, fmt.Errorf("round %d: %w", n+1, err)
		}

		last, took = append(last, r.last), append(took, r.took)
		if n == 0 || r.last > result.worst.last {
			result.worst = r
		}

		result.Accepted, result.Late, result.Unclear = result.Accepted+
			r.accepted, result.Late+r.late, result.Unclear+r.unclear
		if time.Since(told) > 2*time.Second {
			told = time.Now()
			v.progress(n + 1)
		}
	}

	result.LastAccepted, result.Acknowledged = spreadOf(last), spreadOf(took)

	return result, nil
}

// prepare asks the first node how to log in, and all of them whether the path can be used
// to measure by.
func (v *revocation) prepare(ctx context.Context) error {
	var tells struct {
		Login    string `json:"login"`
		Logout   string `json:"logout"`
		User     string `json:"username_field"`
		Password string `json:"password_field"`
	}
	for i, node := range v.nodes {
		l := &line{at: node, trust: v.trust}
		defer l.hangUp()

		if i == 0 {
			a, err := l.ask(ctx, l.request(http.MethodGet, "/.well-known/jeton", "", ""))
			if err != nil {
				return err
			}

			if a.status == http.StatusOK {
				if err := json.Unmarshal(a.body, &tells); err != nil {
					return fmt.Errorf("%s does not tell how to log in: %w", node, err)
				}
			}
		}

		a, err := l.ask(ctx, l.request(http.MethodGet, v.path, "", ""))
		if err != nil {
			return err
		}
		if a.accepted() {
			return usage{fmt.Errorf(
				"%s%s is open to everybody; name a route with --path that asks for a login",
				node,
				v.path,
			)}
		}
	}

	v.login, v.logout = cmp.Or(v.login, tells.Login), cmp.Or(v.logout, tells.Logout)
	v.userField, v.passwordField = cmp.Or(tells.User, "username"), cmp.Or(tells.Password, "password")

	if v.login == "" || v.logout == "" {
		return usage{fmt.Errorf(
			"%s does not tell where to log in and out; name it with --login-path and --logout-path",
			v.nodes[0],
		)}
	}

	return nil
}

// trial is the session of one round, and how far its end has come.
type trial struct {
	path, cookies string
	ending        atomic.Bool   // its logout may have been sent
	over          chan struct{} // closed when nobody has to try it any more
}

// tally is what a connection saw of a trial.
type tally struct {
	accepted, unclear int64
	last              time.Time   // when the last use was sent that was let through
	ending            []time.Time // the same of each since the logout may have been sent
	err               error       // why nothing can be measured
}

// round logs in at a node, has every line use the session, and logs out.
func (v *revocation) round(ctx context.Context, at *url.URL, lines []*line) (round, error) {
	own := &line{at: at, trust: v.trust}
	defer own.hangUp()

	cookies, err := v.enter(ctx, own)
	if err != nil {
		return round{}, err
	}

	t := &trial{path: v.path, cookies: cookies, over: make(chan struct{})}
	var warm, work sync.WaitGroup

	seen := make([]tally, len(lines))
	for i, l := range lines {
		warm.Add(1)
		work.Go(func() { seen[i] = l.use(ctx, t, sync.OnceFunc(warm.Done)) })
	}

	warm.Wait()
	t.ending.Store(true)
	out, err := own.ask(ctx, own.request(http.MethodPost, v.logout, cookies, ""))
	answered := time.Now()

	if err == nil && !out.accepted() {
		err = fmt.Errorf("the logout at %s is answered %d", at, out.status)
	}
	if err == nil {
		err = rest(ctx, v.after)
	}

	close(t.over)
	work.Wait()
	r := round{took: answered.Sub(out.sent)}
	for i, u := range seen {
		if u.err != nil {
			return r, u.err
		}

		r.accepted, r.unclear = r.accepted+u.accepted, r.unclear+u.unclear
		d := u.last.Sub(answered)
		if i == 0 || d > r.last {
			r.last, r.where = d, lines[i].at.String()
		}

		for _, sent := range u.ending {
			if sent.After(answered) {
				r.late++
			}
		}
	}

	return r, err
}

// enter logs in and returns the cookies of the session.
func (v *revocation) enter(ctx context.Context, l *line) (string, error) {
	form := url.Values{v.userField: {v.user}, v.passwordField: {v.password.Reveal()}}
	a, err := l.ask(ctx, l.request(http.MethodPost, v.login, "", form.Encode()))
	if err != nil {
		return "", err
	}

	var pairs []string
	for _, c := range (&http.Response{Header: a.header}).Cookies() {
		pairs = append(pairs, c.Name+"="+c.Value)
	}

	if !a.accepted() || len(pairs) == 0 {
		what := fmt.Errorf("log in as %s at %s: it is answered %d", v.user, l.at, a.status)
		kind := jeton.FromCode(a.header.Get(jeton.HeaderError))
		if kind != nil {
			what = fmt.Errorf("%w: %w", what, kind)
		}

		return "", what
	}

	return strings.Join(pairs, "; "), nil
}

// use uses a session as fast as it can until the trial is over. warm is called when the
// session has been let through, or never will be.
func (l *line) use(ctx context.Context, t *trial, warm func()) (u tally) {
	const patience = 20 // answers that tell nothing, before the logout

	defer warm()

	request := l.request(http.MethodGet, t.path, t.cookies, "")
	for {
		select {
		case <-t.over:
			return u
		default:
		}

		a, err := l.ask(ctx, request)
		ending := t.ending.Load()
		switch {
		case err != nil || a.status >= http.StatusInternalServerError:
			u.unclear++
			if !ending && u.unclear > patience {
				u.err = cmp.Or(err, fmt.Errorf("%s answers %d", l.at, a.status))
				return u
			}
			time.Sleep(time.Millisecond)
		case a.accepted() && a.header.Get(jeton.HeaderUsesRemaining) != "":
			u.err = usage{fmt.Errorf("%s is counted; name another route with --path", t.path)}
			return u
		case a.accepted():
			u.accepted++
			u.last = a.sent
			if ending {
				u.ending = append(u.ending, a.sent)
			}
			warm()
		case !ending:
			u.err = fmt.Errorf(
				"GET %s at %s is answered %d although the session is good; --path names the route",
				t.path,
				l.at,
				a.status,
			)
			return u
		default:
			time.Sleep(time.Millisecond) // it has ended; there is no need to fill the record
		}
	}
}

// rest waits so long, or until ctx ends.
func rest(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// line is a connection to a node. It writes requests by itself, because net/http does not
// tell when the first byte of one is sent. It is for one goroutine.
type line struct {
	at    *url.URL
	trust *x509.CertPool
	conn  net.Conn // nil: not connected
	r     *bufio.Reader
	free  func() bool
}

// answer is what a node answered.
type answer struct {
	sent   time.Time // just before the first byte of the request
	status int
	header http.Header
	body   []byte
}

func (a answer) accepted() bool { return a.status >= 200 && a.status < 300 }

// request writes a request in the words of HTTP/1.1. A form makes its body.
func (l *line) request(method, path, cookies, form string) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: jeton-bench\r\n", method, path, l.at.Host)

	if cookies != "" {
		fmt.Fprintf(&b, "Cookie: %s\r\n", cookies)
	}
	if method == http.MethodPost {
		fmt.Fprintf(&b, "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\n", len(form))
	}

	b.WriteString("\r\n" + form)

	return b.Bytes()
}

// ask sends a request and reads the whole answer. After an error the next request makes a
// new connection.
func (l *line) ask(ctx context.Context, request []byte) (a answer, err error) {
	if l.conn == nil {
		if err := l.dial(ctx); err != nil {
			return a, fmt.Errorf("%w: connect to %s: %w", jeton.ErrUnavailable, l.at, err)
		}
	}
	defer func() {
		if err != nil {
			l.hangUp()
			err = fmt.Errorf("%w: ask %s: %w", jeton.ErrUnavailable, l.at, cmp.Or(ctx.Err(), err))
		}
	}()

	const most, patience = 1 << 20, 30 * time.Second
	_ = l.conn.SetDeadline(time.Now().Add(patience))
	a.sent = time.Now()

	if _, err := l.conn.Write(request); err != nil {
		return a, err
	}

	resp, err := http.ReadResponse(l.r, nil)
	if err != nil {
		return a, err
	}

	a.status, a.header = resp.StatusCode, resp.Header
	a.body, err = io.ReadAll(io.LimitReader(resp.Body, most+1))
	if err == nil && len(a.body) > most {
		err = errors.New("the answer is over 1 MiB")
	}

	if err == nil && resp.Close {
		l.hangUp()
	}

	return a, err
}

// dial connects. The connection ends with ctx.
func (l *line) dial(ctx context.Context) (err error) {
	port := l.at.Port()
	if port == "" {
		port = l.at.Scheme
	}

	address := net.JoinHostPort(l.at.Hostname(), port)
	d := net.Dialer{Timeout: 10 * time.Second}

	if l.at.Scheme == "https" {
		t := tls.Dialer{NetDialer: &d, Config: &tls.Config{RootCAs: l.trust, MinVersion: tls.VersionTLS12}}
		l.conn, err = t.DialContext(ctx, "tcp", address)
	} else {
		l.conn, err = d.DialContext(ctx, "tcp", address)
	}

	if err != nil {
		l.conn = nil // not one that holds nil
		return err
	}

	conn := l.conn
	l.r = bufio.NewReader(conn)
	l.free = context.AfterFunc(ctx, func() { _ = conn.Close() })

	return nil
}

func (l *line) hangUp() {
	if l.conn != nil {
		l.free()
		_ = l.conn.Close()
		l.conn = nil
	}
}
