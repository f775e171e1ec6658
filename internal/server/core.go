package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/account"
	"github.com/jeton-auth/jeton/internal/api"
	"github.com/jeton-auth/jeton/internal/approval"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/client"
	"github.com/jeton-auth/jeton/internal/config"
	"github.com/jeton-auth/jeton/internal/count"
	"github.com/jeton-auth/jeton/internal/factor"
	"github.com/jeton-auth/jeton/internal/gate"
	"github.com/jeton-auth/jeton/internal/invite"
	"github.com/jeton-auth/jeton/internal/keys"
	"github.com/jeton-auth/jeton/internal/limit"
	"github.com/jeton-auth/jeton/internal/mail"
	"github.com/jeton-auth/jeton/internal/openid"
	"github.com/jeton-auth/jeton/internal/pages"
	"github.com/jeton-auth/jeton/internal/password"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/session"
	"github.com/jeton-auth/jeton/internal/signin"
	"github.com/jeton-auth/jeton/internal/sweep"
	"github.com/jeton-auth/jeton/internal/ticket"
	"github.com/jeton-auth/jeton/internal/token"
	"github.com/jeton-auth/jeton/internal/web"

	"github.com/prometheus/client_golang/prometheus"
)

// core is everything behind the listeners, on one data directory.
type core struct {
	dir          *dataDir
	db           store
	hasher       *password.Pool
	accounts     *account.Accounts
	clients      *client.Clients
	sessions     *session.Sessions
	counts       *count.Counts
	subjects     *openid.Subjects
	keys         *keys.Ring
	tokens       *token.Tokens
	assertions   *token.Assertions
	tickets      *ticket.Tickets
	factors      *factor.Factors
	failures     *limit.Failures
	issuers      atomic.Pointer[[]string] // of the providers at which users can sign in
	audit        *audit.Log
	gate         *gate.Gate
	logins       *signin.Logins
	counted      counted
	secret       keys.Secret
	now          func() time.Time
	managed      time.Time // signin.Managers.Since
	logouts      *openid.Sender
	logoutCount  *prometheus.CounterVec
	mails        *mail.Sender
	invites      *invite.Invites
	approvals    *approval.Approvals
	mailCount    *prometheus.CounterVec
	invalidation prometheus.Histogram
}

// openCore opens what is in a data directory that this process holds, and releases it on an error.
func openCore(ctx context.Context, c Config, conf *config.Config, dir *dataDir) (*core, error) {
	k := &core{dir: dir, now: c.Now}
	if err := k.open(ctx, c, conf); err != nil {
		k.close()
		return nil, err
	}

	return k, nil
}

// open opens the parts in the order in which one needs another. On an error the caller closes
// those that are open.
func (k *core) open(ctx context.Context, c Config, conf *config.Config) (err error) {
	k.invalidation = newInvalidationHistogram()
	k.db, err = openStore(ctx, c, conf, k.dir, func(d time.Duration) { k.invalidation.Observe(d.Seconds()) })
	if err != nil {
		return err
	}

	k.hasher, err = password.New(password.Config{
		Workers: conf.Hashing.Workers,
		Queue:   conf.Hashing.Queue,
		Command: c.HasherCommand,
		Log:     c.Log,
		Params:  c.HashParams,
	})
	if err != nil {
		return err
	}

	clock := sweep.NewClock(k.db)
	k.audit = newAudit(c, conf, k.db, clock)

	k.sessions = session.New(session.Config{
		Store: k.db,
		Now:   c.Now,
		Log:   c.Log,
		Cache: conf.Cache.Sessions,
		Clock: clock,
	})

	k.openAccounts(c, conf)

	k.clients = client.New(client.Config{
		Store: k.db,
		Now:   c.Now,
		Log:   c.Log,
	})

	k.counts = count.New(k.db)
	k.gate = gate.New(k.sessions, k.counts, k.audit, c.Now)

	if err := patiently(ctx, c.Log, func() error { return k.openTokens(ctx, c, conf) }); err != nil {
		return err
	}

	k.openLogouts(c)
	k.openMail(c)
	if err := errors.Join(k.openInvites(c), k.openApprovals(c)); err != nil {
		return err
	}

	if err := patiently(ctx, c.Log, func() error { return k.openLogins(ctx, c, conf) }); err != nil {
		return err
	}

	return k.setMailer(conf)
}

// newAudit returns the audit log.
func newAudit(c Config, conf *config.Config, db store, clock *sweep.Clock) *audit.Log {
	return audit.New(audit.Config{
		Store: db,
		Log:   c.Log,
		Now:   c.Now,
		Keep:  conf.Audit.Keep.Std(),
		Clock: clock,

		MaxSize: conf.Audit.MaxSize,
	})
}

// openTokens opens the signing keys, the tokens and the tickets.
func (k *core) openTokens(ctx context.Context, c Config, conf *config.Config) (err error) {
	k.tickets = ticket.New(ticket.Config{
		Store: k.db,
		Now:   c.Now,
		Log:   c.Log,
		Clock: sweep.NewClock(k.db),
	})

	k.secret, err = loadSecret(ctx, c, conf, k.dir, k.db)
	if err != nil {
		return err
	}

	if err := k.openFactors(c, conf); err != nil {
		return err
	}

	n := needs(conf)
	k.keys, err = keys.New(keys.Config{
		Store:       k.db,
		Secret:      k.secret,
		Now:         c.Now,
		Log:         c.Log,
		RotateEvery: n.RotateEvery,
		PublishFor:  n.PublishFor,
		Keep:        n.Keep,
		Generate:    c.GenerateKey,
	})
	if err != nil {
		return err
	}

	k.assertions = token.NewAssertions(k.keys, c.Now)

	k.tokens, err = token.New(ctx, token.Config{
		Store:   k.db,
		Ring:    k.keys,
		Users:   k.accounts,
		Clients: k.clients,
		Counts:  k.counts,
		Now:     c.Now,
		Log:     c.Log,
		Cache:   conf.Cache.Sessions,
		Clock:   sweep.NewClock(k.db),

		RefreshKey: k.secret.Derive("refresh tokens"),
	})

	if err == nil {
		k.tokens.SetMaxPerUser(conf.PersonalTokens.MaxPerUser)
	}

	return err
}

// appName returns the name of the server in authenticator apps: the host of its issuer.
func appName(conf *config.Config) string {
	if conf.Issuer == nil {
		return "Jeton"
	}

	u, err := url.Parse(conf.Issuer.URL)
	if err != nil || u.Hostname() == "" {
		return "Jeton"
	}

	return u.Hostname()
}

// openLogins opens the logins with their throttle.
func (k *core) openLogins(ctx context.Context, c Config, conf *config.Config) error {
	t := conf.Throttle
	guard, err := limit.New(limit.Config{
		Pair:    limit.Rate{Burst: t.PairBurst, Every: t.PairEvery.Std()},
		Account: accountRate(conf),
		Source:  limit.Rate{Burst: t.SourceBurst, Every: t.SourceEvery.Std()},
	})
	if err != nil {
		return err
	}

	requests, err := signin.NewRequestLimits()
	if err != nil {
		return err
	}

	recoveries, err := signin.NewRecoveryLimiter()
	if err != nil {
		return err
	}

	// Assertions that were used after the backup are no longer known, so those from before
	// the restore are refused.
	restored, err := k.db.Restored(ctx)
	if err != nil {
		return err
	}

	k.managed, err = k.db.ManagersSince(ctx, c.Now())
	if err != nil {
		return err
	}

	k.subjects = openid.NewSubjects(k.db)
	k.logins = signin.New(signin.Config{
		Accounts: k.accounts,
		Sessions: k.sessions,
		Clients:  k.clients,
		Tokens:   k.tokens,
		Tickets:  k.tickets,
		Factors:  k.factors,
		Mails:    k.linkMails(recoveries),
		Limiter:  guard,
		Failures: k.failures,
		Counts:   k.counts,
		Subjects: k.subjects,
		Requests: requests,
		Feed:     k.db,
		Audit:    k.audit,
		Log:      c.Log,
		Now:      c.Now,
		Restored: restored,
	})

	return nil
}

// run runs the background work until ctx ends, and returns when all of it has ended.
func (k *core) run(ctx context.Context, log *slog.Logger) {
	var wg sync.WaitGroup
	for name, work := range map[string]func(context.Context) error{
		"accounts": k.accounts.Run,
		"audit":    k.audit.Run,
		"sessions": k.sessions.Run,
		"keys":     k.keys.Run,
		"tokens":   k.tokens.Run,
		"tickets":  k.tickets.Run,
		"factors":  k.factors.Run,
		"failures": k.failures.Run,
		"hasher":   k.hasher.Run,
		"logouts":  k.logouts.Run,
		"mail":     k.mails.Run,
		"invites":  k.invites.Run,
	} {
		wg.Go(func() {
			if err := work(ctx); err != nil && !errors.Is(err, context.Canceled) {
				log.Error("background work ended", "work", name, "error", err)
			}
		})
	}

	wg.Wait()
}

// close closes what openCore has opened. The background work must have ended.
func (k *core) close() {
	// openCore may have failed before there was a store.
	if k.db != nil {
		_ = k.db.Close()
	}

	// Last: as soon as the lock is free, another process may open the store.
	k.dir.release()
}

// apiConfig returns what the REST API needs everywhere. conf returns the current configuration; it is called for each
// request, as a reload changes it. start is that when the API is made.
func (k *core) apiConfig(start *config.Config, conf func() *config.Config) api.Config {
	a := api.Config{
		Accounts:  k.accounts,
		Clients:   k.clients,
		Sessions:  k.sessions,
		Tokens:    k.tokens,
		Keys:      k.keys,
		Audit:     k.audit,
		Gate:      k.gate,
		Logins:    k.logins,
		Factors:   k.factors,
		Invites:   k.invites,
		Approvals: k.approvals,
		CursorKey: k.secret.Derive("cursor of users"),
		Audiences: func(names []string) ([]string, error) { return audiences(conf(), names) },
		Requires: func(ctx context.Context, names []string, user jeton.Principal) (policy.Require, error) {
			return k.requiredBy(ctx, conf(), names, user)
		},
		ProviderOf: func(issuer string) string { return providerOf(conf(), issuer) },
		Scopes:     func(names []string, user jeton.Principal) []string { return userScopes(conf(), names, user) },
	}

	issuer := start.Issuer
	if issuer != nil && issuer.Pages {
		a.RecoveryURL = func(secret jeton.Secret) string { return issuer.URL + pages.RecoverPath(secret) }
		a.InviteURL = func(secret jeton.Secret) string { return issuer.URL + pages.InvitePath(secret) }
		a.IssuerURL = issuer.URL
		a.LinkURL = func(secret jeton.Secret) string { return issuer.URL + pages.LinkPath(secret) }
	}

	return a
}

// controlRoutes returns the routes of the API on the control socket. running is nil where no server runs.
func (k *core) controlRoutes(
	c Config,
	status func() api.Status,
	running *Server,
	start *config.Config,
	conf func() *config.Config,
) []web.Route {
	a := k.apiConfig(start, conf)
	a.ServicesOf = func() []api.Service { return servicesOf(conf()) }
	if running != nil {
		running.showState(&a)
		a.Loaded = running.loaded
		a.Reload = running.Reload
		a.Ready = running.isStarted
	}

	a.Prefix = "/api/v1"
	a.PageSize = math.MaxInt32
	a.Operator = true
	a.Status = status
	a.TestMail = func(ctx context.Context, to string) error { return k.testMail(ctx, conf(), c.Now(), to) }
	a.Backup = func(ctx context.Context, to io.Writer) error { return k.backup(ctx, c, to) }

	return api.New(a).Table().Routes()
}

// audiences returns the audiences of services.
func audiences(conf *config.Config, names []string) ([]string, error) {
	var list, known []string
	for _, t := range targets(conf) {
		known = append(known, t.Service)
		if slices.Contains(names, t.Service) {
			list = append(list, t.Terms.Audience)
		}
	}

	for _, name := range names {
		if !slices.Contains(known, name) {
			return nil, jeton.WithDetail(
				jeton.ErrInvalid,
				fmt.Sprintf("invalid service %.60q: want one that accepts tokens: %v", name, known),
			)
		}
	}

	return list, nil
}

// userScopes returns the scopes that a user has at one of the services at least.
func userScopes(conf *config.Config, names []string, user jeton.Principal) []string {
	var list []string
	for _, t := range targets(conf) {
		if slices.Contains(names, t.Service) {
			list = append(list, t.Grants.Of(user)...)
		}
	}

	return list
}

// passwordPolicy returns what a configuration demands of new passwords.
func passwordPolicy(conf *config.Config) password.Policy {
	p := password.Policy{MinLength: conf.Passwords.MinLength, Words: slices.Clone(conf.Passwords.Words)}
	for _, s := range conf.Services {
		p.Words = append(p.Words, s.Name)
	}

	return p
}

// declared returns the users of a configuration.
func declared(conf *config.Config) ([]account.Account, error) {
	var users []account.Declared
	for _, u := range conf.Users {
		users = append(users, account.Declared{
			Name:     u.Name,
			Hash:     u.Secret(),
			Groups:   u.Groups,
			Disabled: u.Disabled,
			Email:    u.Email,
			First:    u.FirstName,
			Last:     u.LastName,
		})
	}

	accounts, err := account.CheckDeclared(users)
	if err != nil && conf.Path != "" {
		return nil, fmt.Errorf("%s: %w", conf.Path, err)
	}

	return accounts, err
}

// withDefaults fills in absent fields.
func (c Config) withDefaults() Config {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}

	return c
}
