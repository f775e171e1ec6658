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

// bench is the people of a server, with a real store and real hashing.
type bench struct {
	*account.Accounts
	db      *sqlite.DB
	pool    *password.Pool
	changed []int64
}

func newBench(t *testing.T, hashing bool) *bench {
	t.Helper()
	db, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(t.TempDir(), "jeton.db")})
	must(t, err)
	t.Cleanup(func() { must(t, db.Close()) })
	b := &bench{db: db}
	b.pool, err = password.New(password.Config{Workers: 1})
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

func (b *bench) find(t *testing.T, name string) account.Account {
	t.Helper()
	a, err := b.FindForLogin(t.Context(), name, false)
	must(t, err)
	return a
}

// record returns the action, target and actor of every event.
func (b *bench) record(t *testing.T) []string {
	t.Helper()
	events, err := b.db.Events(t.Context(), audit.Filter{})
	must(t, err)
	var lines []string
	for _, e := range events {
		lines = append(lines, e.Actor+" "+e.Action+" "+e.Target+" "+e.Outcome)
	}

	return lines
}

// TestEveryAnswerCostsTheSameWork has the only place at the hasher taken. Whoever then
// asks for work is told that it is busy; who would answer without work could be told
// apart by time.
func TestEveryAnswerCostsTheSameWork(t *testing.T) {
	b := newBench(t, false)
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
	wg.Go(func() { // the pool does not run, so this one waits until the end
		close(busy)
		_, _ = b.pool.Hash(ctx, jeton.NewSecret("takes the place"))
	})

	defer wg.Wait()

	defer cancel()

	<-busy
	asks := func(a account.Account, pw string) bool {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		ok, err := b.Verify(ctx, a, jeton.NewSecret(pw))
		return !ok && (errors.Is(err, jeton.ErrBusy) || errors.Is(err, context.DeadlineExceeded))
	}

	for _, tc := range []struct{ name, user, pw string }{
		{"a wrong password", "diane", "wrong password"},
		{"an unknown name", "nobody", "wrong password"},
		{"a name that nobody can have", "no body:\x00", "wrong password"},
		{"no name", "", "wrong password"},
		{"a name much too long", strings.Repeat("x", 10_000), "wrong password"},
		{"a disabled account", "disabled", "wrong password"},
		{"an account without a password", "without", "wrong password"},
		{"an empty password", "diane", ""},
		{"an empty password of nobody", "nobody", ""},
		{"a password much too long", "diane", strings.Repeat("x", 10_000)},
	} {
		if !asks(b.find(t, tc.user), tc.pw) {
			t.Errorf("%s is answered without work", tc.name)
		}
	}
}

func TestVerify(t *testing.T) {
	b := newBench(t, true)
	_, err := b.Add(t.Context(), "operator", account.NewUser{
		Name:     "diane",
		Password: jeton.NewSecret("right password"),
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
		{"right", diane, "right password", true},
		{"wrong", diane, "wrong password", false},
		{"in another case", diane, "Right password", false},
		{"with a blank behind", diane, "right password ", false},
		{"empty", diane, "", false},
		{"of nobody", account.Account{}, "right password", false},
		{"of nobody, empty", account.Account{}, "", false},
		{"right, of a disabled account: who asks judges that", disabled, "right password", true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if ok, err := b.Verify(t.Context(), tc.acct, jeton.NewSecret(tc.pw)); ok != tc.want || err != nil {
				t.Errorf("Verify = %t, %v, want %t", ok, err, tc.want)
			}
		})
	}
}

func TestAWeakHashIsMadeStronger(t *testing.T) {
	b := newBench(t, true)
	// A hash that was made when half the memory was enough.
	weak := "$argon2id$v=19$m=8192,t=1,p=1$c2FsdHNhbHRzYWx0c2FsdA$NFOYVnXJ/mad/gDuc2yy9dgHymBR8VZGkemQLdmKewk"
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
		t.Errorf("the hash is new: %t; version %d after %d", after.Password != weak, after.Version, before.Version)
	}
	if ok, err := b.Verify(t.Context(), after, jeton.NewSecret("right password")); !ok || err != nil {
		t.Errorf("Verify with the new hash = %t, %v", ok, err)
	}
}

func TestChangesAreRecordedAndTold(t *testing.T) {
	b := newBench(t, true)
	ctx, pw := t.Context(), jeton.NewSecret("right password")
	u, err := b.Add(ctx, "operator", account.NewUser{Name: "Diane", Password: pw, Groups: []string{"b", "a", "b"}})
	must(t, err)

	if u.Name != "Diane" || !slices.Equal(u.Groups, []string{
		"a",
		"b",
	}) || u.Disabled || u.Declared || !u.Created.Equal(noon) {
		t.Errorf("Add = %+v", u)
	}

	if a := b.find(
		t,
		"Diane",
	); strings.Contains(a.Password, "right") || !strings.HasPrefix(a.Password, "$argon2id$") || a.Version != 1 {
		t.Errorf("stored is a password %.10q of version %d", a.Password, a.Version)
	}

	id := b.find(t, "Diane").ID
	for _, tc := range []struct {
		name  string
		call  func() error
		wants string
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
		{"remove", func() error { return b.Remove(ctx, "operator", "Diane") }, "operator user.remove user:Diane ok"},
	} {
		b.changed = nil
		must(t, tc.call())
		lines := b.record(t)
		if lines[len(lines)-1] != tc.wants || !slices.Equal(b.changed, []int64{id}) {
			t.Errorf(
				"%s: recorded %q and told %v, want %q and %d",
				tc.name,
				lines[len(lines)-1],
				b.changed,
				tc.wants,
				id,
			)
		}
	}

	if a, err := b.Find(t.Context(), "Diane"); !errors.Is(err, jeton.ErrNotFound) || a.ID != 0 {
		t.Errorf("Find(a removed user) = %+v, %v, want ErrNotFound", a, err)
	}
	if a, err := b.FindID(t.Context(), ""); !errors.Is(err, jeton.ErrNotFound) || a.ID != 0 {
		t.Errorf("FindID(empty) = %+v, %v, want ErrNotFound", a, err)
	}
	if a, err := b.FindForLogin(t.Context(), "Diane", false); err != nil || a.ID != 0 {
		t.Errorf("FindForLogin(a removed user) = %+v, %v, want the zero account", a, err)
	}
}

func TestWhatIsRefusedChangesNothing(t *testing.T) {
	b := newBench(t, true)
	ctx, pw := t.Context(), jeton.NewSecret("right password")
	_, err := b.Add(ctx, "operator", account.NewUser{Name: "diane", Password: pw})
	must(t, err)
	before, lines := b.find(t, "diane"), b.record(t)

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
		{"nobody's password", func() error { return b.SetPassword(ctx, "operator", "nobody", pw) }, jeton.ErrNotFound},
		{"nobody's removal", func() error { return b.Remove(ctx, "operator", "nobody") }, jeton.ErrNotFound},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if err := tc.call(); !errors.Is(err, tc.want) {
				t.Errorf("%v, want %v", err, tc.want)
			}

			got := b.record(t)
			if !slices.Equal(got, lines) || len(b.changed) > 0 || b.find(t, "diane").Version != before.Version {
				t.Errorf("the record is %v, told was %v", got, b.changed)
			}
		})
	}
}

func TestDeclare(t *testing.T) {
	b := newBench(t, false)
	hash := jeton.NewSecret(phc + strings.Repeat("A", 43))

	people, err := account.CheckDeclared([]account.Declared{
		{Name: "Diane", Hash: hash, Groups: []string{"b", "a"}},
		{Name: "carl", Hash: hash, Disabled: true},
	})

	must(t, err)

	for range 2 {
		must(t, b.Declare(t.Context(), people))
	}

	users, err := b.List(t.Context())
	must(t, err)

	if len(users) != 2 || users[0].Name != "Diane" || !users[0].Declared || !slices.Equal(users[0].Groups, []string{
		"a",
		"b",
	}) || !users[1].Disabled || users[1].Groups == nil {
		t.Errorf("List = %+v", users)
	}

	if len(b.changed) != 0 || len(b.record(t)) != 2 {
		t.Errorf("told was %v, the record is %v", b.changed, b.record(t))
	}
	if err := b.Disable(t.Context(), "operator", "Diane", true); !errors.Is(err, jeton.ErrDeclared) {
		t.Errorf("Disable of who is declared: %v, want ErrDeclared", err)
	}

	must(t, b.Declare(t.Context(), people[:1]))
	if len(b.changed) != 1 {
		t.Errorf("told was %v, want who was removed", b.changed)
	}
}

func TestCheckDeclaredNamesEveryFault(t *testing.T) {
	good := jeton.NewSecret(phc + strings.Repeat("A", 43))
	secret := "not a hash but hunter2"

	_, err := account.CheckDeclared([]account.Declared{
		{
			Name: "diane",
			Hash: good,
		}, {
			Name: "a b",
			Hash: good,
		}, {
			Name: "carl",
			Hash: jeton.NewSecret(secret),
		}, {Name: "ben", Hash: good, Groups: []string{"a,b"}}, {Name: "eve"},
	})
	if err == nil {
		t.Fatal("CheckDeclared takes it")
	}

	for _, want := range []string{
		"users[1].name",
		"users[2].password_hash of carl",
		"users[3].groups of ben",
		"users[4].password_hash of eve",
		"jeton hash-password",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not say %q", err, want)
		}
	}

	if strings.Contains(err.Error(), "hunter2") {
		t.Errorf("%q shows what may be a password", err)
	}
}
