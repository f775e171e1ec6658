package signin

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/account"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/limit"
	"github.com/jeton-auth/jeton/internal/naming"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/session"
	"github.com/jeton-auth/jeton/internal/upstream"
)

// UpstreamRules say which users of another provider may sign in, and as whom.
type UpstreamRules struct {
	Name    string   // of the provider
	Domains []string // of verified e-mail addresses, in lower case; none: any user
	Groups  []string // of the provider, one of which the user is in; none: any user
	// Creates adds a user for an identity that is not connected. The user has none of the Reserved names, which the
	// configuration gives something to: a user of the provider could choose one. They are folded as naming.User does.
	Creates  bool
	Reserved []string
	// LinkDomains are the domains whose verified addresses connect an identity to the user with that address.
	LinkDomains []string
	// Mapped has the groups of ours for groups of the provider. A user is in them as the provider says.
	Mapped map[string][]string
}

// UpstreamRequest is a user's attempt to sign in at another provider.
type UpstreamRequest struct {
	Rules UpstreamRules
	// Redeem returns the identity that the provider asserts. It is called once, unless attempts come too fast.
	Redeem   func(ctx context.Context) (upstream.Identity, error)
	Fresh    bool   // the provider has proved the user just now
	Service  string // whose session starts
	Terms    policy.Terms
	Source   netip.Addr
	Request  string // ID of the request
	Device   session.Device
	Replaces int64 // login that ends as this one begins, or 0
}

// UpstreamMethod is the method of a session that began at a provider. RFC 8176 has no value for it, and permits others
// (section 2).
func UpstreamMethod(provider string) string { return session.Upstream + provider }

// byUpstream reports whether a method is that of a provider.
func byUpstream(method string) bool { return strings.HasPrefix(method, session.Upstream) }

// trail returns the trail of an attempt.
func (r UpstreamRequest) trail(action string) auditTrail {
	return auditTrail{
		action:  action,
		service: r.Service,
		source:  r.Source,
		request: r.Request,
	}
}

// Upstream starts a session for a user whom another provider has proved. It returns jeton.ErrBadCredential for an
// answer that is not for this sign-in, and for a user who is disabled; jeton.ErrForbidden for a user who may not sign
// in here; the errors of Redeem; jeton.ErrTooMany, jeton.ErrSessionsFull or jeton.ErrRelogin. ReasonOf has more.
func (l *Logins) Upstream(ctx context.Context, req UpstreamRequest) (session.Started, jeton.Principal, error) {
	trail := req.trail(audit.Login)

	return l.logIn(&trail, "provider", func() (session.Started, account.Account, error) {
		i, err := l.asserted(ctx, req, &trail)
		if err != nil {
			return session.Started{}, account.Account{}, err
		}

		acct, err := l.upstreamUser(ctx, req, i, &trail)
		if err != nil {
			return session.Started{}, account.Account{}, err
		}

		owner := session.Owner{
			ID:       acct.ID,
			Name:     acct.Name,
			Groups:   acct.Groups,
			Version:  acct.Version,
			Network:  limit.Network(req.Source),
			Replaces: req.Replaces,
			Issuer:   i.Issuer,
			Methods:  UpstreamMethod(req.Rules.Name),
			Device:   req.Device,
		}
		// Otherwise the proof may be as old as the session of the user there.
		if req.Fresh {
			owner.Proved = l.now()
		}

		started, err := l.open(ctx, owner, req.Service, req.Terms, nil, &trail)

		return started, acct, err
	})
}

// asserted returns the identity that the provider asserts, if its users may sign in. Failures are throttled for the
// network, since each costs a request at the provider, and not for the provider, whose users would be locked out.
func (l *Logins) asserted(ctx context.Context, req UpstreamRequest, trail *auditTrail) (upstream.Identity, error) {
	trail.pass("provider", req.Rules.Name)

	key := "provider at " + limit.Network(req.Source) // no name of a user has a space
	attempt, err := l.limiter.Begin(l.now(), key, req.Source, false)
	if err := trail.check("throttle", "", err); err != nil {
		return upstream.Identity{}, err
	}

	i, err := req.Redeem(ctx)
	switch {
	case err == nil:
		attempt.Succeeded()
	case jeton.Outcome(err) != jeton.ErrBadCredential:
		attempt.Cancel()
	}
	if err := trail.check("answer", "", err); err != nil {
		return upstream.Identity{}, err
	}

	trail.pass("identity", clip(i.Issuer+" "+i.Subject))
	r := req.Rules
	if len(r.Domains) > 0 && !slices.Contains(r.Domains, i.Domain()) {
		return upstream.Identity{}, trail.deny("allow.domains", clip(i.Email), NotAllowed)
	}
	if len(r.Groups) > 0 && !i.InGroup(r.Groups) {
		return upstream.Identity{}, trail.deny("allow.groups", clip(strings.Join(i.Groups, ",")), NotAllowed)
	}

	return i, nil
}

// upstreamUser returns the user of an identity, with the groups that the provider says. Depending on the rules, a user
// is connected by the e-mail address, or added.
func (l *Logins) upstreamUser(
	ctx context.Context,
	req UpstreamRequest,
	i upstream.Identity,
	trail *auditTrail,
) (account.Account, error) {
	acct, err := l.accounts.FindIdentity(ctx, i.Issuer, i.Subject)
	if errors.Is(err, jeton.ErrNotFound) {
		acct, err = l.unconnected(ctx, req.Rules, i, trail)
	}
	if err != nil {
		return account.Account{}, err
	}

	trail.actor = "user:" + acct.Name
	err = trail.require([]requirement{
		{!acct.ValidAt(req.Service), "user", "", UnknownUser},
		{acct.Disabled, "user", "", Disabled},
	})
	if err != nil {
		return account.Account{}, err
	}
	trail.pass("user", "")

	acct, err = l.syncGroups(ctx, req.Rules, i, acct)

	return acct, trail.check("groups", strings.Join(acct.Groups, ","), err)
}

// unconnected returns the user for an identity that is not connected.
func (l *Logins) unconnected(
	ctx context.Context,
	rules UpstreamRules,
	i upstream.Identity,
	trail *auditTrail,
) (account.Account, error) {
	if i.Domain() != "" && slices.Contains(rules.LinkDomains, i.Domain()) {
		acct, err := l.connectByEmail(ctx, rules, i, trail)
		if !errors.Is(err, jeton.ErrNotFound) {
			return acct, err
		}
	}
	if !rules.Creates {
		return account.Account{}, trail.deny("user", "", NotConnected)
	}

	n := account.NewUser{
		Name:  i.Preferred,
		First: i.First,
		Last:  i.Last,
	}
	if i.Verified {
		n.Email = i.Email
	}
	if n.Name == "" {
		n.Name = n.Email
	}
	// A real name that is not valid keeps no user out.
	if naming.RealName(n.First) != nil || naming.RealName(n.Last) != nil {
		n.First, n.Last = "", ""
	}

	_, folded, err := naming.User(n.Name)
	if err == nil && slices.Contains(rules.Reserved, folded) {
		return account.Account{}, trail.deny("new user", clip(n.Name), ReservedName)
	}

	acct, err := l.accounts.AddWithIdentity(ctx, upstreamActor(rules), n, l.identity(i))
	outcome := jeton.Outcome(err)
	if outcome == jeton.ErrConflict || outcome == jeton.ErrInvalid {
		return account.Account{}, trail.deny("new user", clip(n.Name)+": "+jeton.Detail(err), NoNewUser)
	}

	return acct, trail.check("new user", acct.Name, err)
}

// connectByEmail connects an identity to the user with its verified address, or returns jeton.ErrNotFound. It does so
// only if an operator has set the address: with another address of their own, users could wait for the owner of it to
// sign in to their account.
func (l *Logins) connectByEmail(
	ctx context.Context,
	rules UpstreamRules,
	i upstream.Identity,
	trail *auditTrail,
) (account.Account, error) {
	acct, err := l.accounts.FindForLogin(ctx, i.Email, true, "issuer")
	if err != nil {
		return account.Account{}, trail.check("store", "", err)
	}
	if acct.ID == 0 {
		return account.Account{}, jeton.ErrNotFound
	}
	factors, err := l.factors.List(ctx, acct.ID)
	if err != nil {
		return account.Account{}, trail.check("store", "", err)
	}

	// A user who changes the address needs a proof: a password, another provider or a passkey.
	operators := func(a account.Account, others int) error {
		unused := a.Password == "" && others == 0 && len(factors) == 0
		if !sameAddress(a.Email, i.Email) || a.Disabled || !a.Declared && !unused {
			return &denied{NotConnected}
		}

		return nil
	}

	err = l.accounts.Connect(ctx, upstreamActor(rules), acct, 0, l.identity(i), operators)
	if errors.Is(err, jeton.ErrConflict) {
		return account.Account{}, trail.deny("user by e-mail", "user:"+acct.Name, AlreadyHasOne)
	}

	return acct, trail.check("user by e-mail", "user:"+acct.Name, err)
}

// sameAddress reports whether two addresses differ in the case of ASCII letters alone. What a user types is folded
// further, and then straße@ is strasse@, which may be of another user.
func sameAddress(a, b string) bool {
	lower := func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}

	return strings.Map(lower, a) == strings.Map(lower, b)
}

// syncGroups makes a user a member of those mapped groups that the provider says, and of no other mapped group.
func (l *Logins) syncGroups(
	ctx context.Context,
	rules UpstreamRules,
	i upstream.Identity,
	acct account.Account,
) (account.Account, error) {
	// The file says which groups a declared user has.
	if len(rules.Mapped) == 0 || acct.Declared {
		return acct, nil
	}

	var mapped, has []string
	for theirs, ours := range rules.Mapped {
		mapped = append(mapped, ours...)
		if slices.Contains(i.Groups, theirs) {
			has = append(has, ours...)
		}
	}

	return l.accounts.ChangeGroups(ctx, upstreamActor(rules), acct, func(current []string) []string {
		others := slices.DeleteFunc(slices.Clone(current), func(g string) bool { return slices.Contains(mapped, g) })
		return append(others, has...)
	})
}

// upstreamActor is who changes users as a provider says.
func upstreamActor(rules UpstreamRules) string { return "provider:" + rules.Name }

// identity returns an identity as it is stored.
func (l *Logins) identity(i upstream.Identity) account.Identity {
	return account.Identity{
		Issuer:  i.Issuer,
		Subject: i.Subject,
		Label:   i.Label(),
		Created: l.now().Truncate(time.Millisecond), // as stores keep it
	}
}
