package e2e

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/jeton-auth/jeton/internal/test/need"
)

// TestASQLiteServerIsUpgradedUnderLoad restarts a server with the new version, as systemd does: the socket stays open,
// so that connections wait. No request fails. Then it goes back to the copy, which names what is lost.
func TestASQLiteServerIsUpgradedUnderLoad(t *testing.T) {
	need.Soak(t)
	sources := newSources(t)
	from, to := sources.build(t, sources.previous(t, "sqlite")), Program(t)

	m := newManager(t)
	old := m.options(file(t, upgradeConfig))
	old.Program = from
	old.Port = fmt.Sprint(m.port)
	old.DataDir = filepath.Join(t.TempDir(), "data")
	server := Start(t, old)

	l := &traffic{t: t, balancer: &balancer{}}
	l.join(t, old.Port).ready.Store(true) // a client that knows nothing of the restart
	l.begin()
	l.goOn("every caller to go on with the previous version")

	l.terminate(server)

	next := old
	next.Program = to
	server = Start(t, next)
	l.goOn("every caller to go on with the new version")
	next.Under, next.Files = nil, nil
	next.Must(t, "correct horse battery staple", "user", "add", "late", "--password-stdin")
	l.end()

	l.terminate(server)
	l.goBack(next, old)
}

// lost finds the schema in the refusal of an undo.
var lost = regexp.MustCompile(`(?s)would lose: .*sessions [0-9]+.*; --force ([0-9]+) gives it up`)

// goBack undoes the upgrade and starts the previous version.
func (l *traffic) goBack(next, old Options) {
	l.t.Helper()
	copies, err := filepath.Glob(filepath.Join(next.DataDir, "jeton.db.before-*"))
	if err != nil || len(copies) == 0 {
		l.t.Logf("no step of the schema was missing (%v, %v): nothing is to be undone", copies, err)
		Start(l.t, old)
		_, err := l.want(200, "GET", appHost, "/free", "", "Cookie", l.session)
		l.must(err)
		return
	}

	refused := next.Jeton(l.t, "", "migrate", "undo")
	found := lost.FindStringSubmatch(refused.Err)
	if refused.Code == 0 || found == nil || !strings.Contains(refused.Err, "users 1") {
		l.t.Fatalf("undo after the new version was used = %d %q, want a refusal that names tables",
			refused.Code, refused.Err)
	}

	said := next.Must(l.t, "", "migrate", "undo", "--force", found[1])
	for _, want := range []string{"given up: 1 row in users", "in audit", "in sessions"} {
		if !strings.Contains(said, want) {
			l.t.Errorf("undo = %q, want %q in it", said, want)
		}
	}

	Start(l.t, old)
	if a, err := l.send("GET", appHost, "/free", "", "Cookie", l.session); err != nil || a.Status != 401 {
		l.t.Errorf("session after the undo: got %v, %v, want 401: it may have been revoked meanwhile", a, err)
	}
	_, err = l.want(200, "POST", appHost, "/login", formLogin)
	l.must(err)
	late := "username=late&password=correct+horse+battery+staple"
	_, err = l.want(401, "POST", appHost, "/login", late)
	l.must(err)

	kept, err := filepath.Glob(filepath.Join(next.DataDir, "jeton.db.before-undo-*"))
	if err != nil || len(kept) == 0 {
		l.t.Errorf("upgraded databases that are kept = %q, %v, want one", kept, err)
	}
}
