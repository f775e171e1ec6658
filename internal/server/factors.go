package server

import (
	"github.com/jeton-auth/jeton/internal/config"
	"github.com/jeton-auth/jeton/internal/factor"
	"github.com/jeton-auth/jeton/internal/limit"
	"github.com/jeton-auth/jeton/internal/sweep"
)

// openFactors opens the failed attempts on accounts, and the factors.
func (k *core) openFactors(c Config, conf *config.Config) (err error) {
	k.failures, err = limit.NewFailures(limit.FailuresConfig{
		Store:   k.db,
		Now:     c.Now,
		Account: accountRate(conf),
		Key:     k.secret.Derive("names of failed attempts"),
		Log:     c.Log,
		Clock:   sweep.NewClock(k.db),
	})
	if err != nil {
		return err
	}

	k.factors, err = factor.New(factor.Config{
		Store:  k.db,
		Failed: k.failures.Add,

		Providers: k.providers,

		Now:    c.Now,
		Log:    c.Log,
		Clock:  sweep.NewClock(k.db),
		Key:    k.secret.Derive("secrets of factors"),
		Issuer: appName(conf),
	})

	return err
}

// accountRate returns the budget of one account.
func accountRate(conf *config.Config) limit.Rate {
	return limit.Rate{Burst: conf.Throttle.AccountBurst, Every: conf.Throttle.AccountEvery.Std()}
}
