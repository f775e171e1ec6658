//go:build unix

package e2e

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jeton-auth/jeton/internal/test/need"
	"github.com/jeton-auth/jeton/internal/test/pgtest"
)

// upgrade is two nodes of one version on a database, under load, that are replaced by another version.
type upgrade struct {
	*traffic
	from, to string // programs
	pg       *pgtest.Cluster
	url      string // of the database
	config   string // file
	nodes    [2]*upgraded
}

// upgraded is a node, which keeps its data directory when its program is replaced.
type upgraded struct {
	server  *Server
	dir     string
	backend *backend
}

// newUpgrade starts two nodes of a version, and the load.
func newUpgrade(t *testing.T, from, to string) *upgrade {
	t.Helper()
	pg := pgtest.Start(t)
	name, err := pg.Create(t.Context())
	if err != nil {
		t.Fatal(err)
	}

	u := &upgrade{
		traffic: &traffic{t: t, balancer: &balancer{}},
		from:    from,
		to:      to,
		pg:      pg,
		url:     pg.TCP(name),
	}
	u.config = file(t, "database: {url: '${DATABASE}', statement_timeout: 1.5s}\n"+upgradeConfig)

	for i := range u.nodes {
		u.nodes[i] = &upgraded{dir: filepath.Join(t.TempDir(), "data")}
		if i > 0 {
			shareSecret(t, u.nodes[0].dir, u.nodes[i].dir)
		}
		u.start(u.nodes[i], from)
	}
	u.begin()

	return u
}

// options are those of a node of a version.
func (u *upgrade) options(program, dir string) Options {
	return Options{
		Program: program,
		Config:  u.config,
		DataDir: dir,
		Port:    FreePort(u.t),
		Env:     []string{"DATABASE=" + u.url},
	}
}

// start starts a node, and lets the balancer use it once it is ready.
func (u *upgrade) start(n *upgraded, program string) {
	u.t.Helper()
	o := u.options(program, n.dir)
	n.server = Start(u.t, o)
	n.backend = u.join(u.t, o.Port)
	go n.backend.watch(n.server)
}

// replace stops a node and starts another version in its place, and waits until callers have used it.
func (u *upgrade) replace(n *upgraded, program string) {
	u.t.Helper()
	u.terminate(n.server)
	u.start(n, program)
	u.serves(n)
	u.goOn("every caller to go on beside the other version")
}

// serves waits until a node has answered requests.
func (u *upgrade) serves(n *upgraded) {
	u.t.Helper()
	Wait(u.t, "requests to the new node", func() bool { return n.backend.answered.Load() > 5 || u.t.Failed() })
}

// preflight is what the new version says before the upgrade.
func (u *upgrade) preflight() (rolling bool) {
	u.t.Helper()
	o := u.options(u.to, u.nodes[0].dir)
	var found struct {
		Steps    []string `json:"steps"`
		Servers  int      `json:"servers"`
		Continue bool     `json:"previous_version_continues"`
	}
	if err := json.Unmarshal([]byte(o.Must(u.t, "", "migrate", "preflight", "--output", "json")), &found); err != nil {
		u.t.Fatal(err)
	}

	want := "upgrade: with a stop, for "
	if found.Continue {
		want = "upgrade: rolling: replace one server after the other"
	}
	if text := o.Must(u.t, "", "migrate", "preflight"); found.Servers != 2 || !strings.Contains(text, want) {
		u.t.Errorf("preflight beside %d servers = %q, want %q in it, beside 2", found.Servers, text, want)
	}
	u.t.Logf("steps of the upgrade: %q; rolling: %v", found.Steps, found.Continue)

	return found.Continue
}

// roll replaces one node after the other, and goes back in the same way.
func (u *upgrade) roll() {
	for _, n := range u.nodes {
		u.replace(n, u.to)
	}
	for _, n := range u.nodes {
		u.replace(n, u.from)
	}
	u.end()
}

// stopAll stops the nodes, starts the new version, and goes back to the backup. Requests wait meanwhile.
func (u *upgrade) stopAll() {
	early := Launch(u.t, u.options(u.to, filepath.Join(u.secretDir(), "data")))
	if code := early.Code(u.t); code == 0 || !strings.Contains(early.Err.String(), "stop all of them") {
		u.t.Errorf("the new version beside running nodes exited with %d, want an error with what to do:\n%s",
			code, early.Err)
	}
	u.goOn("every caller to go on after the refusal")

	for _, n := range u.nodes {
		u.terminate(n.server)
	}
	for _, n := range u.nodes {
		u.start(n, u.to)
	}
	for _, n := range u.nodes {
		u.serves(n)
	}
	u.goOn("every caller to go on with the new version")
	u.end()
	u.restore()
}

// secretDir returns a folder whose data directory has the secret of the nodes.
func (u *upgrade) secretDir() string {
	dir := u.t.TempDir()
	shareSecret(u.t, u.nodes[0].dir, filepath.Join(dir, "data"))

	return dir
}

// restore goes back as 'jeton migrate undo' says: the previous version restores the backup into an empty database.
func (u *upgrade) restore() {
	u.t.Helper()
	for _, n := range u.nodes {
		u.terminate(n.server)
	}

	o := u.options(u.to, u.nodes[0].dir)
	undo := o.Jeton(u.t, "", "migrate", "undo")
	backups, err := filepath.Glob(filepath.Join(u.nodes[0].dir, "jeton.backup-before-*"))
	if err != nil || len(backups) != 1 || !strings.Contains(undo.Err, backups[0]) {
		u.t.Fatalf("backups %v, %v, and undo = %q, want one that it names", backups, err, undo.Err)
	}

	name, err := u.pg.Create(u.t.Context())
	if err != nil {
		u.t.Fatal(err)
	}
	u.url = u.pg.TCP(name)

	o = u.options(u.from, u.nodes[0].dir)
	o.Must(u.t, "", "restore", backups[0])
	u.start(u.nodes[0], u.from)

	if a, err := u.send("GET", appHost, "/free", "", "Cookie", u.session); err != nil || a.Status != 401 {
		u.t.Errorf("session after a restore: got %v, %v, want 401: it may have been revoked meanwhile", a, err)
	}
	if _, err := u.want(200, "POST", appHost, "/login", formLogin); err != nil {
		u.t.Error(err)
	}
}

func TestAnUpgradeOfTwoNodesUnderLoadFailsNoRequest(t *testing.T) {
	need.Soak(t)
	s := newSources(t)
	u := newUpgrade(t, s.build(t, s.previous(t, "postgres")), Program(t))

	if u.preflight() {
		u.roll()
	} else {
		u.stopAll()
	}
}

// TestAVersionWithAStepThatOnlyAddsIsRolledOut upgrades from the first version with the schema of today, to this one
// with a step after which the other goes on.
func TestAVersionWithAStepThatOnlyAddsIsRolledOut(t *testing.T) {
	need.Soak(t)
	s := newSources(t)
	u := newUpgrade(t, s.build(t, s.schema(t, "postgres")), s.next(t))

	if !u.preflight() {
		t.Fatal("preflight wants a stop, want an upgrade of one node after the other")
	}
	u.roll()

	undo := u.options(u.to, u.nodes[0].dir).Jeton(t, "", "migrate", "undo")
	if !strings.Contains(undo.Err, "start it; nothing is to be undone") {
		t.Errorf("undo = %q, want that the previous version works with the schema", undo.Err)
	}
}
