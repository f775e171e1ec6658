package browser

import (
	"bufio"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/jeton-auth/jeton/internal/test/need"
)

//go:embed node.mjs
var nodeScript []byte

// packages is the folder with the lock file of the packages of npm.
const packages = "../e2e/testdata/npm"

// node is the process that the tests share: Node with puppeteer, which starts Firefox at the first tab
// and judges markup. Commands go to its standard input, one a line; it ends when that ends.
type node struct {
	once sync.Once
	err  error
	dir  string
	cmd  *exec.Cmd
	in   io.WriteCloser

	mu      sync.Mutex
	next    int
	waiting map[int]chan answer
	tabs    map[int]*firefoxTab
}

// answer is a line that the process writes: the result of a command, or what a tab has seen.
type answer struct {
	ID    int             `json:"id"`
	Value json.RawMessage `json:"value"`
	Error string          `json:"error"`

	Tab    int    `json:"tab"`
	Notice notice `json:"notice"`
}

// start starts the process with the first test that needs it.
func (n *node) start(modules string, command []string) error {
	n.once.Do(func() { n.err = n.launch(modules, command) })
	return n.err
}

func (n *node) launch(modules string, command []string) error {
	var err error
	n.dir, err = os.MkdirTemp("", "jeton-node-")
	if err != nil {
		return err
	}

	// Node looks for modules beside the script that imports them.
	script := filepath.Join(n.dir, "node.mjs")
	err = errors.Join(
		os.WriteFile(script, nodeScript, 0o600),
		os.Symlink(modules, filepath.Join(n.dir, "node_modules")),
	)
	if err != nil {
		return err
	}

	n.cmd = exec.Command(command[0], append(command[1:], script)...)
	n.cmd.Dir = n.dir
	n.cmd.Env = append(os.Environ(), "TMPDIR="+n.dir, "HOSTS="+strings.Join(Hosts, ","))
	n.cmd.Stderr = os.Stderr
	n.waiting = map[int]chan answer{}
	n.tabs = map[int]*firefoxTab{}

	n.in, err = n.cmd.StdinPipe()
	if err != nil {
		return err
	}

	out, err := n.cmd.StdoutPipe()
	if err != nil {
		return err
	}

	err = n.cmd.Start()
	if err != nil {
		return err
	}

	go n.read(out)

	return nil
}

// read hands each line to who waits for it, until the process ends.
func (n *node) read(out io.Reader) {
	lines := bufio.NewReader(out)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return
		}

		var a answer
		err = json.Unmarshal(line, &a)
		if err != nil {
			continue // not for us: a library wrote it
		}

		n.deliver(a)
	}
}

func (n *node) deliver(a answer) {
	n.mu.Lock()
	defer n.mu.Unlock()

	if a.ID == 0 {
		tab := n.tabs[a.Tab]
		if tab != nil {
			tab.seen = append(tab.seen, a.Notice)
		}
		return
	}

	n.waiting[a.ID] <- a
	delete(n.waiting, a.ID)
}

// call sends a command and waits for its result. The body of an async function is run with the page of
// the tab and with args; tab 0 has no page.
func (n *node) call(ctx context.Context, tab int, body string, args ...any) (json.RawMessage, error) {
	n.mu.Lock()
	n.next++
	id := n.next
	done := make(chan answer, 1)
	n.waiting[id] = done
	n.mu.Unlock()

	line, err := json.Marshal(map[string]any{
		"id":   id,
		"tab":  tab,
		"body": body,
		"args": args,
	})
	if err != nil {
		return nil, err
	}

	n.mu.Lock()
	_, err = n.in.Write(append(line, '\n'))
	n.mu.Unlock()
	if err != nil {
		return nil, err
	}

	select {
	case a := <-done:
		if a.Error != "" {
			return nil, errors.New(a.Error)
		}
		return a.Value, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// stop ends the process and its browser, if there is one.
func (n *node) stop() error {
	if n.cmd == nil {
		return os.RemoveAll(n.dir)
	}

	return errors.Join(n.in.Close(), n.cmd.Wait(), os.RemoveAll(n.dir))
}

// startNode starts the shared process.
func startNode(t testing.TB) *node {
	t.Helper()
	modules, command := need.NodeModules(t, packages)

	err := shared.node.start(modules, command)
	if err != nil {
		t.Fatalf("start node: %v", err)
	}

	return &shared.node
}
