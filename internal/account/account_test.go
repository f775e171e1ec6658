package account_test

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/account"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/password"
	"github.com/jeton-auth/jeton/internal/store/change"
	"github.com/jeton-auth/jeton/internal/store/sqlite"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var noon = time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)

// fixture is the users of a server with a real store, and a hasher that is cheap.
type fixture struct {
	*account.Accounts
	db      *sqlite.DB
	pool    *password.Pool
	changed []int64 // users whose caches were invalidated
}

func newFixture(t *testing.T, hashing bool) *fixture {
	t.Helper()

	db, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(t.TempDir(), "jeton.db")})
	must(t, err)
	t.Cleanup(func() { must(t, db.Close()) })

	b := &fixture{db: db}

	b.pool, err = password.New(password.Config{
		Workers: 1,
		Params:  password.Params{MemoryKiB: 64, Passes: 1, Lanes: 1},
	})

	must(t, err)

	if hashing {
		ctx, cancel := context.WithCancel(context.Background())
		var wg sync.WaitGroup
		wg.Go(func() { _ = b.pool.Run(ctx) })
		t.Cleanup(func() { cancel(); wg.Wait() })
	}

	db.Subscribe(func(c change.Change) {
		if c.Kind == change.Users {
			b.changed = append(b.changed, c.IDs...)
		}
	})

	b.Accounts = account.New(account.Config{
		Store:  db,
		Hasher: b.pool,
		Now:    func() time.Time { return noon },
		Log:    slog.New(slog.DiscardHandler),
	})

	return b
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// phc is a hash that costs little, without its key.
const phc = "$argon2id$v=19$m=64,t=1,p=1$c2FsdHNhbHRzYWx0c2FsdA$"

func (b *fixture) find(t *testing.T, name string) account.Account {
	t.Helper()
	a, err := b.FindForLogin(t.Context(), name, false, "shop")
	must(t, err)
	return a
}

// auditLog returns the actor, action, target and outcome of every event.
func (b *fixture) auditLog(t *testing.T) []string {
	t.Helper()

	events, err := b.db.Events(t.Context(), audit.Filter{})
	must(t, err)
	var lines []string
	for _, e := range events {
		lines = append(lines, e.Actor+" "+e.Action+" "+e.Target+" "+e.Outcome)
	}

	return lines
}

// TestEveryPasswordCheckNeedsTheHasher keeps the only worker busy. A check that returned
// without the hasher would be faster than the others, which reveals whether a user exists.
func TestEveryPasswordCheckNeedsTheHasher(t *testing.T) {
	b := newFixture(t, false)
	add := func(name, hash string, disabled bool) {
		must(t, b.db.AddUser(t.Context(), account.Account{
			Name:     name,
			Folded:   name,
			Password: hash,
			Version:  1,
			Disabled: disabled,
		}, jeton.Event{}))
	}

	hash := phc + strings.Repeat("A", 43)
	add("diane", hash, false)
	add("disabled", hash, true)
	add("without", "", false)
	ctx, cancel := context.WithCancel(t.Context())

	var wg sync.WaitGroup

	busy := make(chan struct{})
	wg.Go(func() { // the pool does not run, so this waits until the end
		close(busy)
		_, _ = b.pool.Hash(ctx, jeton.NewSecret("takes the place"))
	})

	defer wg.Wait()

	defer cancel()

	<-busy
	needsHasher := func(a account.Account, pw string) bool {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		ok, err := b.Verify(ctx, a, jeton.NewSecret(pw))
		return !ok && (errors.Is(err, jeton.ErrBusy) || errors.Is(err, context.DeadlineExceeded))
	}

	for _, tc := range []struct{ name, user, pw string }{
		{"a wrong password", "diane", "wrong password"},
		{"an unknown name", "unknown", "wrong password"},
		{"an invalid name", "no body:\x00", "wrong password"},
		{"no name", "", "wrong password"},
		{"a name much too long", strings.Repeat("x", 10_000), "wrong password"},
		{"a disabled account", "disabled", "wrong password"},
		{"an account without a password", "without", "wrong password"},
		{"an empty password", "diane", ""},
		{"an empty password of an unknown name", "unknown", ""},
		{"a password much too long", "diane", strings.Repeat("x", 10_000)},
	} {
		if !needsHasher(b.find(t, tc.user), tc.pw) {
			t.Errorf("%s: Verify did not wait for the hasher", tc.name)
		}
	}
}

func TestVerify(t *testing.T) {
	b := newFixture(t, true)
	_, err := b.Add(t.Context(), "operator", account.NewUser{
		Name:     "diane",
		Password: jeton.NewSecret("the right password"),
	})

	must(t, err)
	diane := b.find(t, "diane")
	disabled := diane
	disabled.Disabled = true

	for _, tc := range []struct {
		name string
		acct account.Account
		pw   string
		want bool
	}{
		{"right", diane, "the right password", true},
		{"wrong", diane, "wrong password", false},
		{"in another case", diane, "Right password", false},
		{"with a space after it", diane, "the right password ", false},
		{"empty", diane, "", false},
		{"of no user", account.Account{}, "the right password", false},
		{"of no user, empty", account.Account{}, "", false},
		{"right, of a disabled account, which the caller checks", disabled, "the right password", true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if ok, err := b.Verify(t.Context(), tc.acct, jeton.NewSecret(tc.pw)); ok != tc.want || err != nil {
				t.Errorf("Verify = %t, %v, want %t", ok, err, tc.want)
			}
		})
	}
}

func TestVerifyReplacesAWeakHash(t *testing.T) {
	b := newFixture(t, true)
	// Half the memory of a new hash.
	weak := "$argon2id$v=19$m=32,t=1,p=1$c2FsdHNhbHRzYWx0c2FsdA$+S4DcO8MoJziJQozomV6GgyT3ou5ZhZ8Yt+vy8LGwR8"
	must(t, b.db.AddUser(t.Context(), account.Account{
		Name:     "diane",
		Folded:   "diane",
		Password: weak,
		Version:  1,
	}, jeton.Event{}))

	before := b.find(t, "diane")
	if ok, err := b.Verify(t.Context(), before, jeton.NewSecret("wrong password")); ok || err != nil {
		t.Fatalf("Verify = %t, %v", ok, err)
	}

	if b.find(t, "diane").Password != weak {
		t.Error("a wrong password replaced the hash")
	}

	if ok, err := b.Verify(t.Context(), before, jeton.NewSecret("right password")); !ok || err != nil {
		t.Fatalf("Verify = %t, %v", ok, err)
	}

	after := b.find(t, "diane")
	if after.Password == weak || after.Version != before.Version {
		t.Errorf(
			"hash replaced = %t, version = %d; want true, %d",
			after.Password != weak, after.Version, before.Version,
		)
	}
	if ok, err := b.Verify(t.Context(), after, jeton.NewSecret("right password")); !ok || err != nil {
		t.Errorf("Verify with the new hash = %t, %v", ok, err)
	}
}

func TestChangesAreAuditedAndInvalidate(t *testing.T) {
	b := newFixture(t, true)
	ctx, pw := t.Context(), jeton.NewSecret("the right password")
	u, err := b.Add(ctx, "operator", account.NewUser{Name: "Diane", Password: pw, Groups: []string{"b", "a", "b"}})
	must(t, err)

	want := []string{"a", "b"}
	if u.Name != "Diane" || !slices.Equal(u.Groups, want) || u.Disabled || u.Declared || !u.Created.Equal(noon) {
		t.Errorf("Add = %+v, want Diane in groups a and b, made at noon", u)
	}

	stored := b.find(t, "Diane")
	if strings.Contains(stored.Password, "right") || !strings.HasPrefix(stored.Password, "$argon2id$") {
		t.Errorf("stored password = %.10q, want an argon2id hash", stored.Password)
	}
	if stored.Version != 1 {
		t.Errorf("version = %d, want 1", stored.Version)
	}

	for _, tc := range []struct {
		name string
		call func() error
		want string
	}{
		{
			"groups",
			func() error { return b.SetGroups(ctx, "operator", "Diane", nil) },
			"operator user.change user:Diane ok",
		},
		{
			"password",
			func() error { return b.SetPassword(ctx, "user:Diane", "Diane", pw) },
			"user:Diane user.password user:Diane ok",
		},
		{
			"disable",
			func() error { return b.Disable(ctx, "operator", "Diane", true) },
			"operator user.change user:Diane ok",
		},
		{
			"remove",
			func() error { return b.Remove(ctx, "operator", "Diane", false) },
			"operator user.remove user:Diane ok",
		},
	} {
		b.changed = nil
		must(t, tc.call())

		lines := b.auditLog(t)
		last := lines[len(lines)-1]
		if last != tc.want {
			t.Errorf("%s: audit log ends with %q, want %q", tc.name, last, tc.want)
		}

		if !slices.Equal(b.changed, []int64{stored.ID}) {
			t.Errorf("%s: invalidated users %v, want %d", tc.name, b.changed, stored.ID)
		}
	}

	if a, err := b.Find(t.Context(), "Diane"); !errors.Is(err, jeton.ErrNotFound) || a.ID != 0 {
		t.Errorf("Find(a removed user) = %+v, %v, want ErrNotFound", a, err)
	}
	if a, err := b.FindID(t.Context(), ""); !errors.Is(err, jeton.ErrNotFound) || a.ID != 0 {
		t.Errorf("FindID(empty) = %+v, %v, want ErrNotFound", a, err)
	}
	if a, err := b.FindForLogin(t.Context(), "Diane", false, "shop"); err != nil || a.ID != 0 {
		t.Errorf("FindForLogin(a removed user) = %+v, %v, want the zero account", a, err)
	}
}

func TestRefusedChangesChangeNothing(t *testing.T) {
	b := newFixture(t, true)
	ctx, pw := t.Context(), jeton.NewSecret("the right password")
	_, err := b.Add(ctx, "operator", account.NewUser{Name: "diane", Password: pw})
	must(t, err)

	before := b.find(t, "diane")

	lines := b.auditLog(t)

	b.changed = nil

	add := func(name string, pw jeton.Secret, groups ...string) error {
		_, err := b.Add(ctx, "operator", account.NewUser{Name: name, Password: pw, Groups: groups})
		return err
	}

	for _, tc := range []struct {
		name string
		call func() error
		want error
	}{
		{"a name that differs in case", func() error { return add("DIANE", pw) }, jeton.ErrConflict},
		{"no name", func() error { return add("", pw) }, jeton.ErrInvalid},
		{"a bad group", func() error { return add("carl", pw, "a b") }, jeton.ErrInvalid},
		{"a short password", func() error { return add("carl", jeton.NewSecret("short")) }, jeton.ErrInvalid},
		{
			"a short new password",
			func() error { return b.SetPassword(ctx, "operator", "diane", jeton.NewSecret("short")) },
			jeton.ErrInvalid,
		},
		{
			"a bad new group",
			func() error { return b.SetGroups(ctx, "operator", "diane", []string{""}) },
			jeton.ErrInvalid,
		},
		{
			"the password of an unknown user",
			func() error { return b.SetPassword(ctx, "operator", "unknown", pw) },
			jeton.ErrNotFound,
		},
		{
			"removal of an unknown user",
			func() error { return b.Remove(ctx, "operator", "unknown", false) },
			jeton.ErrNotFound,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if err := tc.call(); !errors.Is(err, tc.want) {
				t.Errorf("error = %v, want %v", err, tc.want)
			}

			if got := b.auditLog(t); !slices.Equal(got, lines) {
				t.Errorf("audit log = %v, want %v", got, lines)
			}
			if len(b.changed) > 0 || b.find(t, "diane").Version != before.Version {
				t.Errorf("invalidated users %v, want none and the same version", b.changed)
			}
		})
	}
}
