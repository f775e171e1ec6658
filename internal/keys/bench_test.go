package keys_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/jose"
	"github.com/jeton-auth/jeton/internal/keys"
	"github.com/jeton-auth/jeton/internal/store/sqlite"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var noon = time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)

const (
	day        = 24 * time.Hour
	every      = 30 * day
	publishFor = 10 * time.Minute
	keep       = 25 * time.Hour
)

var (
	ec = keys.Pair{Kind: keys.Access, Alg: jose.ES256}
	ed = keys.Pair{Kind: keys.Access, Alg: jose.EdDSA}
)

func needs(pairs ...keys.Pair) keys.Needs {
	return keys.Needs{
		Pairs:       pairs,
		RotateEvery: every,
		PublishFor:  publishFor,
		Keep:        keep,
	}
}

// bench is the keys of one server on a real store, with a clock that a test sets.
type bench struct {
	*keys.Ring
	dir    string
	db     *sqlite.DB
	store  *counted
	secret keys.Secret
	now    *atomic.Int64 // milliseconds
}

// counted is a store that counts its calls.
type counted struct {
	keys.Store
	lists, changes atomic.Int64
	during         func() // called when a step begins, unless it is nil
	reading        func() // called before the keys are read, unless it is nil
}

func (c *counted) ListKeys(ctx context.Context) ([]keys.Record, error) {
	c.lists.Add(1)
	if c.reading != nil {
		c.reading()
	}
	return c.Store.ListKeys(ctx)
}

func (c *counted) ChangeKeys(
	ctx context.Context,
	decide func([]keys.Record) ([]keys.Record, []string, []jeton.Event, error),
) error {
	c.changes.Add(1)
	if c.during != nil {
		c.during()
	}
	return c.Store.ChangeKeys(ctx, decide)
}

// empty returns a bench whose store has no key.
func empty(t *testing.T) *bench {
	t.Helper()
	b := &bench{dir: t.TempDir(), now: &atomic.Int64{}}
	b.set(noon)
	var err error
	b.db, err = sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(b.dir, "jeton.db")})
	must(t, err)

	t.Cleanup(func() { _ = b.db.Close() })
	b.secret, err = keys.LoadSecret(filepath.Join(b.dir, "keys.secret"))
	must(t, err)
	b.store = &counted{Store: b.db}
	b.Ring = b.ring(t, b.secret)

	return b
}

// with returns a bench with a key for each pair.
func with(t *testing.T, pairs ...keys.Pair) *bench {
	t.Helper()
	b := empty(t)
	must(t, b.Configure(t.Context(), needs(pairs...)))
	return b
}

// ring returns another ring on the same store, as another node has it.
func (b *bench) ring(t *testing.T, secret keys.Secret) *keys.Ring {
	t.Helper()
	r, err := keys.New(keys.Config{
		Store:       b.store,
		Secret:      secret,
		Now:         b.time,
		Log:         slog.New(slog.DiscardHandler),
		RotateEvery: every,
		PublishFor:  publishFor,
		Keep:        keep,
	})

	must(t, err)
	return r
}

// restarted returns the ring of a server that has started again.
func (b *bench) restarted(t *testing.T, pairs ...keys.Pair) *keys.Ring {
	t.Helper()
	secret, err := keys.LoadSecret(filepath.Join(b.dir, "keys.secret"))
	must(t, err)
	r := b.ring(t, secret)
	must(t, r.Configure(t.Context(), needs(pairs...)))

	return r
}

func (b *bench) time() time.Time         { return time.UnixMilli(b.now.Load()) }
func (b *bench) set(at time.Time)        { b.now.Store(at.UnixMilli()) }
func (b *bench) forward(d time.Duration) { b.now.Add(d.Milliseconds()) }
func (b *bench) tick(t *testing.T)       { t.Helper(); must(t, b.Tick(t.Context())) }

// stored returns what the store holds.
func (b *bench) stored(t *testing.T) []keys.Record {
	t.Helper()
	list, err := b.db.ListKeys(t.Context())
	must(t, err)
	return list
}

// put changes records in the store without the ring.
func (b *bench) put(t *testing.T, list ...keys.Record) {
	t.Helper()
	must(
		t,
		b.db.ChangeKeys(t.Context(), func([]keys.Record) ([]keys.Record, []string, []jeton.Event, error) {
			return list, nil, nil, nil
		}),
	)
}

// events returns the audit events as text, oldest first.
func (b *bench) events(t *testing.T) []string {
	t.Helper()
	events, err := b.db.Events(t.Context(), audit.Filter{})
	must(t, err)
	list := []string{}
	for _, e := range events {
		list = append(list, strings.Join([]string{e.Actor, e.Action, e.Target, e.Outcome}, " "))
	}

	return list
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// signs returns the kid that signs.
func signs(t *testing.T, r *keys.Ring, p keys.Pair) string {
	t.Helper()
	s, err := r.Signer(p.Kind, p.Alg)
	must(t, err)
	return s.Signer.Key().ID
}

func checks(r *keys.Ring, kid string) bool {
	k, ok := r.Verifier(keys.Access, kid)
	return ok && k.ID == kid
}

// published returns the kids of the set.
func published(t *testing.T, r *keys.Ring) []string {
	t.Helper()
	body, _ := r.JWKS()
	list, _, err := jose.ParseSet(body)
	must(t, err)
	kids := []string{}
	for _, k := range list {
		kids = append(kids, k.ID)
	}

	return kids
}

// listed returns kid and status of the listed keys.
func listed(t *testing.T, r *keys.Ring) map[string]string {
	t.Helper()
	list, err := r.List(t.Context())
	must(t, err)
	found := map[string]string{}
	for _, k := range list {
		found[k.ID] = k.Status
	}

	return found
}

func rotated(t *testing.T, r *keys.Ring, now bool) string {
	t.Helper()
	list, err := r.Rotate(t.Context(), "operator", "", now)
	must(t, err)

	if len(list) != 1 {
		t.Fatalf("Rotate returns %+v, want one key", list)
	}

	return list[0].ID
}

func mint(r *keys.Ring, p keys.Pair) (string, error) {
	s, err := r.Signer(p.Kind, p.Alg)
	if err != nil {
		return "", err
	}
	return s.Sign([]byte(`{"sub":"x"}`))
}

// check verifies a token as its receiver does.
func check(r *keys.Ring, text string) error {
	token, err := jose.Parse(text)
	if err != nil {
		return err
	}

	k, ok := r.Verifier(keys.Access, token.Header.KeyID)
	if !ok {
		return fmt.Errorf("%w: %s", errUnknown, token.Header.KeyID)
	}
	if token.Header.Type != "at+jwt" {
		return fmt.Errorf("token of type %q", token.Header.Type)
	}

	return token.Verify(k)
}

var errUnknown = errors.New("no valid key with that kid")

func signAndCheck(r *keys.Ring, p keys.Pair) error {
	text, err := mint(r, p)
	if err != nil {
		return err
	}
	return check(r, text)
}
