package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"sync"
	"time"

	"jeton/internal/account"
	"jeton/internal/api"
	"jeton/internal/audit"
	"jeton/internal/config"
	"jeton/internal/gate"
	"jeton/internal/limit"
	"jeton/internal/login"
	"jeton/internal/password"
	"jeton/internal/session"
	"jeton/internal/store/sqlite"
)

// core is everything behind the doors, on one data folder.
type core struct {
	folder   *folder
	db       *sqlite.DB
	hasher   *password.Pool
	accounts *account.Accounts
	sessions *session.Sessions
	audit    *audit.Log
	gate     *gate.Gate
	logins   *login.Logins
}

// openCore takes hold of the data folder and opens what is in it.
func openCore(ctx context.Context, c Config, conf *config.Config) (*core, error) {
	f, err := holdFolder(c.DataDir)
	if err != nil {
		return nil, err
	}
	k := &core{folder: f}
	if err := k.open(ctx, c, conf); err != nil {
		k.close()
		return nil, err
	}
	return k, nil
}

func (k *core) open(ctx context.Context, c Config, conf *config.Config) (err error) {
	if k.db, err = sqlite.Open(ctx, sqlite.Config{Path: k.folder.file(fileDB), Log: c.Log}); err != nil {
		return err
	}
	k.hasher, err = password.New(password.Config{Workers: conf.Hashing.Workers, Queue: conf.Hashing.Queue, Command: c.HasherCommand, Log: c.Log})
	if err != nil {
		return err
	}
	k.audit = audit.New(audit.Config{Store: k.db, Log: c.Log, Now: c.Now, Keep: conf.Audit.Keep.Std()})
	k.sessions = session.New(session.Config{Store: k.db, Now: c.Now, Log: c.Log, Cache: conf.Cache.Sessions})
	k.accounts = account.New(account.Config{Store: k.db, Hasher: k.hasher, Now: c.Now, Log: c.Log, Changed: k.sessions.Forget})
	k.gate = gate.New(k.sessions, k.audit)
	t := conf.Throttle
	guard, err := limit.New(limit.Config{
		Pair:    limit.Rate{Burst: t.PairBurst, Every: t.PairEvery.Std()},
		Account: limit.Rate{Burst: t.AccountBurst, Every: t.AccountEvery.Std()},
		Source:  limit.Rate{Burst: t.SourceBurst, Every: t.SourceEvery.Std()},
	})
	if err != nil {
		return err
	}
	k.logins = login.New(login.Config{Accounts: k.accounts, Sessions: k.sessions, Guard: guard, Audit: k.audit, Now: c.Now})
	return nil
}

// run does the background work until ctx ends, and returns when all of it has.
func (k *core) run(ctx context.Context, log *slog.Logger) {
	var wg sync.WaitGroup
	for name, work := range map[string]func(context.Context) error{"audit": k.audit.Run, "sessions": k.sessions.Run, "hasher": k.hasher.Run} {
		wg.Go(func() {
			if err := work(ctx); err != nil && !errors.Is(err, context.Canceled) {
				log.Error("background work ended", "work", name, "error", err)
			}
		})
	}
	wg.Wait()
}

func (k *core) close() {
	if k.db != nil {
		_ = k.db.Close()
	}
	k.folder.release()
}

func (k *core) api(c Config, status func() api.Status) *api.API {
	return &api.API{Accounts: k.accounts, Sessions: k.sessions, Audit: k.audit, Gate: k.gate, Status: status, Now: c.Now}
}

// declared prepares the people of a configuration.
func declared(conf *config.Config) ([]account.Account, error) {
	var people []account.Declared
	for _, u := range conf.Users {
		people = append(people, account.Declared{Name: u.Name, Hash: u.Secret(), Groups: u.Groups, Disabled: u.Disabled})
	}
	accounts, err := account.CheckDeclared(people)
	if err != nil && conf.Path != "" {
		return nil, fmt.Errorf("%s: %w", conf.Path, err)
	}
	return accounts, err
}

// Offline opens the data folder for one command while no server is up, and returns the
// operators' API over it. The function it returns ends its use. It returns ErrInUse
// when a server holds the folder.
func Offline(ctx context.Context, c Config) (http.Handler, func(), error) {
	c = c.withDefaults()
	k, err := openCore(ctx, c, c.File)
	if err != nil {
		return nil, nil, err
	}
	status := func() api.Status { return api.Status{Version: c.Version, PID: os.Getpid(), Started: c.Now()} }
	m := newMetrics(c.Version, k.audit.Lost)
	d, err := newDoor(door{name: "control", gate: k.gate, operator: true, log: c.Log, metrics: m}, k.api(c, status).Routes())
	if err != nil {
		k.close()
		return nil, nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		k.run(ctx, c.Log)
	}()
	end := func() {
		cancel()
		<-done
		k.close()
	}
	return &front{only: d, now: c.Now, log: c.Log}, end, nil
}

// withDefaults fills in what a caller left out.
func (c Config) withDefaults() Config {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}
