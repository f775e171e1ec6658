package server

import (
	"context"
	"slices"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/config"
	"github.com/jeton-auth/jeton/internal/pages"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/signin"
)

// managers returns the users in groups who manage others, of whom two factors are required, or nil if none are. Without
// the pages, no user can add a second factor.
func (k *core) managers(conf *config.Config, groups []string) *signin.Managers {
	if conf.Issuer == nil || !conf.Issuer.Pages || conf.Issuer.Admins.Factors < 2 {
		return nil
	}

	return &signin.Managers{
		Groups:   groups,
		Grace:    conf.Issuer.Admins.Grace.Std(),
		Since:    k.managed,
		Accounts: k.accounts,
	}
}

// admins returns those who manage everything at the issuer, as managers does.
func (k *core) admins(conf *config.Config) *signin.Managers {
	return k.managers(conf, []string{pages.AdminGroup})
}

// managersAt returns those who manage the users of a service, as managers does. Of the classic API that is every
// caller, and no rule holds.
func (k *core) managersAt(conf *config.Config, service config.Service) *signin.Managers {
	u := service.UsersAPI
	if u == nil || u.Classic != nil {
		return nil
	}

	return k.managers(conf, u.Admins)
}

// allManagers returns those who manage others at the issuer or at a service, as managers does.
func (k *core) allManagers(conf *config.Config) *signin.Managers {
	all := k.admins(conf)
	for _, s := range conf.Services {
		at := k.managersAt(conf, s)
		if at != nil {
			all.Groups = append(all.Groups, at.Groups...)
		}
	}

	return all
}

// targets returns the services that tokens can be for, with those of whom they require more.
func (k *core) targets(conf *config.Config) []signin.Target {
	list := targets(conf)
	for i := range list {
		for _, s := range conf.Services {
			if s.Name == list[i].Service {
				list[i].Managers = k.managersAt(conf, s)
			}
		}
	}

	return list
}

// requiredBy returns what the services with names or audiences require of a user who creates a token.
func (k *core) requiredBy(
	ctx context.Context,
	conf *config.Config,
	names []string,
	user jeton.Principal,
) (policy.Require, error) {
	var rule policy.Require
	for _, t := range k.targets(conf) {
		if !slices.Contains(names, t.Service) && !slices.Contains(names, t.Terms.Audience) {
			continue
		}

		one, err := t.RequireOf(ctx, user, k.now())
		if err != nil {
			return rule, err
		}
		rule = rule.And(one)
	}

	return rule, nil
}
