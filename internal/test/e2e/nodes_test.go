//go:build unix

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jeton-auth/jeton/internal/test/pgtest"
)

// The users of testdata/nodes.yaml; bossName creates the others.
const (
	onNodes  = "testdata/nodes.yaml"
	bossName = "boss" // has crashPW, too
)

// nodes are servers that share a database, each by a connection of its own that can be disturbed.
type nodes struct {
	pg    *pgtest.Cluster
	list  []*node
	crash string // cookies of a session that no test ends
	boss  string // cookies of a session of the user who manages users
}

// node is one of them.
type node struct {
	number int
	line   *pgtest.Proxy
	server *Server // of the goroutine of the test
	client atomic.Pointer[Client]
	healed atomic.Int64 // when a fault of it was last over, in history time; 0: there was none
}

// newNodes starts as many nodes as there are bounds. program is as in Options.
func newNodes(t *testing.T, pg *pgtest.Cluster, program string, bounds ...string) *nodes {
	t.Helper()
	name, err := pg.Create(t.Context())
	if err != nil {
		t.Fatal(err)
	}

	all := &nodes{pg: pg}
	for i, bound := range bounds {
		line, err := pgtest.NewProxy(pg.Addr())
		if err != nil {
			t.Fatal(err)
		}

		t.Cleanup(line.Close)
		o := Options{
			Program: program,
			Config:  onNodes,
			DataDir: filepath.Join(t.TempDir(), "data"),
			Env: []string{
				"DATABASE=" + pg.Via(line.Addr(), name), "STALENESS=" + bound,
			},
		}

		if i > 0 {
			shareSecret(t, all.list[0].server.DataDir, o.DataDir)
		}

		n := &node{number: i, line: line, server: Start(t, o)}
		n.meet(t)
		all.list = append(all.list, n)
	}

	all.crash = all.list[0].talk().MustLogin(t, crashName, crashPW)
	all.boss = all.list[0].talk().MustLogin(t, bossName, crashPW)

	return all
}

// close stops the nodes, so that other tests can use their connections.
func (all *nodes) close() {
	for _, n := range all.list {
		n.server.Kill()
		n.line.Close()
	}
}

// shareSecret copies the secret that all nodes need.
func shareSecret(t *testing.T, from, to string) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(from, "keys.secret"))
	if err == nil {
		err = os.Mkdir(to, 0o700)
	}

	if err == nil {
		err = os.WriteFile(filepath.Join(to, "keys.secret"), b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// meet makes the client of a node that has just started.
func (n *node) meet(t *testing.T) {
	t.Helper()
	c := n.server.Client(t)
	// A node that is stopped must not block the test.
	c.http.Timeout = 4 * time.Second
	n.client.Store(c)
}

func (n *node) talk() *Client { return n.client.Load() }

// revive starts a node that was killed, again if it did not find its database.
func (n *node) revive(t *testing.T) {
	t.Helper()
	n.server.Kill()
	o := n.server.Options
	for deadline := time.Now().Add(Patience); ; {
		n.server = Launch(t, o)
		if n.server.Up(t) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("node %d does not start, want it up again:\n%s%s", n.number, n.server.Out, n.server.Err)
		}
	}

	n.meet(t)
}

// stop and goOn suspend and resume a node.
func (n *node) stop(t *testing.T) { n.server.Signal(t, syscall.SIGSTOP) }

// goOn continues a node that was stopped by SIGSTOP.
func (n *node) goOn(t *testing.T) { n.server.Signal(t, syscall.SIGCONT) }

// heal ends the faults of the line between the node and the database.
func (n *node) heal(t *testing.T) {
	t.Helper()
	if err := n.line.Heal(); err != nil {
		t.Fatal(err)
	}
}

// waitReady waits until every node answers, and returns when each has received from all others.
func (all *nodes) waitReady(t *testing.T) {
	t.Helper()

	for _, n := range all.list {
		Wait(t, fmt.Sprintf("node %d to be well", n.number), func() bool {
			for range 3 {
				a, err := n.talk().Do(http.MethodPost, "/free", all.crash)
				if err != nil || a.Status == http.StatusServiceUnavailable {
					return false
				}
				if a.Status != http.StatusOK {
					t.Fatalf("active session: got %v, want 200", a)
				}
			}

			return true
		})
	}
}

// kinds of credentials.
type holdingKind int

const (
	aSession holdingKind = iota
	aToken
	aPassword // a name with it, in every request
)

// credential is a credential, and the limit of its uses.
type credential struct {
	kind     holdingKind
	secret   string   // cookies of a session, the token, or the header of a password
	accessor string   // of a token
	own      int      // uses that a token has over all routes; 0: it does not count
	owner    *account // who can be disabled, or nil
}

// account is a user who can be disabled.
type account struct {
	name, password, id string
}

// show sends a request with a credential to a node; body is sent as JSON unless nil.
func (c *Client) show(method, path string, h *credential, body any) (Answer, error) {
	switch h.kind {
	case aSession:
		return c.json(method, path, "Cookie", h.secret, body)
	case aPassword:
		return c.json(method, path, "Authorization", h.secret, body)
	}

	return c.json(method, path, "Authorization", "Bearer "+h.secret, body)
}

// json sends a JSON body with one header, such as a credential.
func (c *Client) json(method, path, header, value string, body any) (Answer, error) {
	var b []byte
	if body != nil {
		var err error
		if b, err = json.Marshal(body); err != nil {
			return Answer{}, err
		}
	}

	r, err := http.NewRequest(method, c.url+path, bytes.NewReader(b))
	if err != nil {
		return Answer{}, err
	}

	r.Header.Set(header, value)
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}

	return c.Send(r)
}

// again sends a request until the response is not 503: for what a test needs before it
// begins.
func again(t *testing.T, what string, want int, ask func() (Answer, error)) Answer {
	t.Helper()
	var a Answer
	Wait(t, what, func() bool {
		var err error
		a, err = ask()
		return err == nil && a.Status != http.StatusServiceUnavailable
	})

	if a.Status != want {
		t.Fatalf("%s: %v, want %d", what, a, want)
	}

	return a
}

// session logs in.
func (all *nodes) session(t *testing.T, name, password string, owner *account) *credential {
	t.Helper()
	h := &credential{kind: aSession, owner: owner}
	again(t, "log in as "+name, http.StatusOK, func() (a Answer, err error) {
		h.secret, a, err = all.any().Login(name, password)
		return a, err
	})

	return h
}

// token makes a personal token of the user of the cookies.
func (all *nodes) token(t *testing.T, cookies string, own int, owner *account) *credential {
	t.Helper()
	wish := map[string]any{"name": "a token", "expires_at": time.Now().Add(24 * time.Hour)}
	if own > 0 {
		wish["max_uses"] = own
	}

	a := again(t, "make a token", http.StatusCreated, func() (Answer, error) {
		return all.any().json(http.MethodPost, "/api/v1/users/me/tokens", "Cookie", cookies, wish)
	})

	var made struct{ Accessor, Token string }
	if err := json.Unmarshal([]byte(a.Body), &made); err != nil || !strings.HasPrefix(made.Token, "jtn_p_") {
		t.Fatalf("new token: got %v, want one that begins with jtn_p_", a)
	}

	return &credential{
		kind:     aToken,
		secret:   made.Token,
		accessor: made.Accessor,
		own:      own,
		owner:    owner,
	}
}

// signed gets a signed token of a user.
func (all *nodes) signed(t *testing.T, acct *account) *credential {
	t.Helper()
	a := again(t, "get a signed token", http.StatusOK, func() (Answer, error) {
		return all.any().json(http.MethodGet, "/token", "Authorization", basic(acct.name, acct.password), nil)
	})

	var made struct{ Token string }
	if err := json.Unmarshal([]byte(a.Body), &made); err != nil || strings.Count(made.Token, ".") != 2 {
		t.Fatalf("signed token: got %v, want a JWT", a)
	}

	return &credential{kind: aToken, secret: made.Token, owner: acct}
}

// newAccount makes a user.
func (all *nodes) newAccount(t *testing.T, name string) *account {
	t.Helper()
	acct := &account{name: name, password: "the first of " + name}

	a := again(t, "make a user", http.StatusCreated, func() (Answer, error) {
		return all.any().json(http.MethodPost, "/api/v1/users", "Cookie", all.boss, map[string]any{
			"name":     name,
			"password": acct.password,
		})
	})

	var made struct{ ID string }
	if err := json.Unmarshal([]byte(a.Body), &made); err != nil || made.ID == "" {
		t.Fatalf("new user: got %v, want one with an id", a)
	}

	acct.id = made.ID

	return acct
}

// any returns the client of one of the nodes.
func (all *nodes) any() *Client { return all.list[rand.IntN(len(all.list))].talk() }

// change changes a user at a node.
func (all *nodes) change(c *Client, acct *account, what map[string]any) (Answer, error) {
	return c.json(http.MethodPut, "/api/v1/users/"+acct.id, "Cookie", all.boss, what)
}

// warm uses a credential at every node, so that each has it in its cache. It takes no use.
func (all *nodes) warm(t *testing.T, h *credential) {
	t.Helper()
	method := http.MethodPost
	if h.own > 0 {
		method = http.MethodHead
	}

	for _, n := range all.list {
		again(t, fmt.Sprintf("show a new credential to node %d", n.number), http.StatusOK, func() (Answer, error) {
			return n.talk().show(method, "/free", h, nil)
		})
	}
}

// pause waits, at most until the test ends.
func pause(t *testing.T, d time.Duration) {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	<-ctx.Done()
}
