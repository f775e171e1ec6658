package signin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/account"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/client"
	"github.com/jeton-auth/jeton/internal/factor"
	"github.com/jeton-auth/jeton/internal/openid"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/token"
	"github.com/jeton-auth/jeton/internal/web"
)

// RelyingRequest is a relying party's request for tokens, with an authorization code or a refresh token.
type RelyingRequest struct {
	Credential ClientCredential
	Code       string
	Verifier   string // code_verifier (RFC 7636, section 4.1)
	Redirect   string // redirect_uri
	Refresh    string
	Device     string   // device code (RFC 8628)
	Scopes     []string // of a refresh; none: all that were granted
	Resources  []string // resource indicators (RFC 8707); none: as granted
	Targets    []Target // the services that tokens can be for
	Source     netip.Addr
	Request    string // ID of the request
}

// Relied is the tokens of a relying party, and what its ID token says.
type Relied struct {
	token.Issued
	Client   client.Client
	User     account.Account
	Subject  string // sub of the user for the client
	Session  string // sid of the sign-in session for the client
	SignedIn time.Time
	Methods  []string
	Nonce    string
	Level    string // acr; "": none
}

// errNoRelying is a client that may not use the grants of users.
var errNoRelying = jeton.WithDetail(jeton.ErrInvalid, "the client has no redirect_uris: it signs no users in")

// Relying proves a client and answers its authorization code or refresh token. It returns jeton.ErrNoCredential or
// jeton.ErrBadCredential for the client, as Client does; a *GrantError for the code or the token.
func (l *Logins) Relying(ctx context.Context, req RelyingRequest) (Relied, error) {
	trail := auditTrail{
		action:  audit.TokenIssue,
		actor:   "client:?",
		service: "issuer",
		source:  req.Source,
		request: req.Request,
	}

	out, err := l.relying(ctx, req, &trail)
	// That a device asks while its user types is no event.
	if err != nil && !errors.Is(err, ErrDevicePending) && !errors.Is(err, ErrDeviceSlow) {
		l.audit.Record(trail.event(l.now(), err))
	}
	if err != nil {
		return Relied{}, fmt.Errorf("tokens for a relying party: %w", err)
	}

	return out, nil
}

// GrantError is a refusal of a code or a refresh token, and not of the client that shows it.
type GrantError struct{ Err error }

// Error returns the text of the refusal.
func (g *GrantError) Error() string { return g.Err.Error() }

// Unwrap returns why.
func (g *GrantError) Unwrap() error { return g.Err }

// relying proves the client, and takes the code or the refresh token.
func (l *Logins) relying(ctx context.Context, req RelyingRequest, trail *auditTrail) (Relied, error) {
	req.Credential.Public = true

	c, err := l.relyingClient(ctx, req.Credential, trail)
	if err != nil {
		return Relied{}, err
	}
	if c.OpenID == nil {
		return Relied{}, trail.check("redirect_uris", "", errNoRelying)
	}

	var out Relied
	switch {
	case req.Refresh != "":
		out, err = l.refresh(ctx, c, req, trail)
	case req.Device != "":
		out, err = l.redeemDevice(ctx, c, req, trail)
	default:
		out, err = l.redeem(ctx, c, req, trail)
	}

	out.Client = c
	switch jeton.Outcome(err) {
	case jeton.ErrBadCredential, jeton.ErrSpent, jeton.ErrFactor:
		err = &GrantError{err}
	case jeton.ErrForbidden:
		if !errors.Is(err, errResource) {
			err = &GrantError{err}
		}
	}

	return out, err
}

// relyingClient proves the client. Where that is enough, a public one shows nothing but its name (RFC 6749, section
// 2.3).
func (l *Logins) relyingClient(ctx context.Context, cred ClientCredential, trail *auditTrail) (client.Client, error) {
	if cred.Assertion != "" || !cred.Secret.IsZero() || cred.ClientID == "" || !cred.Public {
		proved, err := l.proveClient(ctx, cred, trail)
		if err == nil {
			err = l.useOnce(ctx, proved.once, trail)
		}

		return proved.client, err
	}

	c, err := l.clients.FindForLogin(ctx, cred.ClientID)
	if err != nil {
		return c, trail.check("store", "", err)
	}

	trail.setClient(c)

	// A client that has a secret or a key must show it.
	switch {
	case c.ID == 0:
		return c, trail.fail("client", "", UnknownClient)
	case c.Disabled:
		return c, trail.fail("client", "", Reason(client.Disabled))
	case c.OpenID == nil || !c.OpenID.Public || c.Secret != nil || len(c.Keys) > 0 || c.Source != nil:
		return c, trail.check("given", "an assertion, or a client_id and a secret", jeton.ErrNoCredential)
	}

	trail.pass("public client", "no credential")

	return c, nil
}

// signedInAt returns when the user of a session was last proved (auth_time).
func signedInAt(s jeton.Session) time.Time {
	if s.Proved.After(s.Created) {
		return s.Proved
	}
	return s.Created
}

// ProvedAt returns when the user of a sign-in session was last proved: by this server, or afresh by another provider.
// It is the zero time for a session that began by a link, or at a provider where the user may have been signed in for a
// long time.
func ProvedAt(s jeton.Session) time.Time {
	if slices.ContainsFunc(s.AMR, byUpstream) || slices.Contains(s.AMR, byLink) {
		return s.Proved
	}

	return signedInAt(s)
}

// mayUse checks that the user may sign in at the client.
func (l *Logins) mayUse(c client.Client, acct account.Account, trail *auditTrail) error {
	allow := client.Allowed(c.OpenID)
	if allow == nil {
		return nil
	}

	return trail.check("allowed users", allow.String(), allow.CheckLogin(principal(acct, l.now())))
}

// refresh takes a refresh token. The user is judged by the current groups.
func (l *Logins) refresh(
	ctx context.Context,
	c client.Client,
	req RelyingRequest,
	trail *auditTrail,
) (Relied, error) {
	var out Relied

	may := func(g *token.Grant) (token.GrantTerms, error) {
		var none token.GrantTerms
		trail.actor = "user:" + g.Owner.Name
		if g.Client != c.ID {
			return none, trail.fail("client", clip(g.Name), OtherService)
		}

		acct, err := l.accounts.FindCached(ctx, g.Owner.Name)
		if err != nil && !errors.Is(err, jeton.ErrNotFound) {
			return none, trail.check("user", "", err)
		}
		if err != nil || acct.ID != g.Owner.ID || !acct.ValidAt("issuer") {
			return none, trail.fail("user", "", UnknownUser)
		}
		if err := l.mayUse(c, acct, trail); err != nil {
			return none, err
		}

		methods := strings.Fields(g.Methods)
		terms, err := l.resource(ctx, c, acct, req, granted{g.ForService(), methods}, trail)
		if err != nil {
			return none, err
		}

		if err := narrow(g, c, req.Scopes, trail); err != nil {
			return none, err
		}
		if err := l.consented(ctx, c, acct, ConsentScopes(g.Scopes, g.ForService()), trail); err != nil {
			return none, err
		}

		subject, err := l.subjects.Of(ctx, c, acct.UUID)
		if err != nil {
			return none, trail.check("store", "", err)
		}

		g.Source = web.AddressText(req.Source)
		out = Relied{
			User:     acct,
			Subject:  subject,
			Session:  g.SessionID,
			SignedIn: g.SignedIn,
			Methods:  methods,
			// A grant of an earlier version has none.
			Level: cmp.Or(g.Level, factor.Level(methods, nil)),
		}

		return token.GrantTerms{Access: terms, MaxUses: client.RefreshUses(c.OpenID)}, nil
	}

	issued, _, err := l.tokens.Refresh(ctx, req.Refresh, may, trail.event(l.now(), nil))
	out.Issued = issued

	return out, trail.check("refresh token", "", err)
}

// narrow takes from a grant the scopes that the client has lost since, and those that a request does not name.
func narrow(g *token.Grant, c client.Client, asked []string, trail *auditTrail) error {
	lost := func(scope string) bool {
		return !slices.Contains(openid.Scopes(), scope) && !slices.Contains(c.Scopes, scope)
	}
	g.Scopes = slices.DeleteFunc(slices.Clone(g.Scopes), lost)
	if len(asked) == 0 {
		return nil
	}

	// RFC 6749, section 6: no more than what was granted, for these tokens alone.
	if !containsAll(g.Scopes, asked) {
		return trail.check("scopes", "", jeton.ErrScope)
	}
	g.Scopes = asked

	return nil
}

// errResource is a resource indicator that is not the one of the grant (RFC 8707, section 2.2).
var errResource = jeton.WithDetail(jeton.ErrForbidden, "resource is not the one that was granted")

// granted is what a user has granted to a client.
type granted struct {
	resource string   // name of a service; "": the issuer
	methods  []string // how the user was proved
}

// resource returns the terms of the access tokens of a grant for a service, or for the issuer. It checks that the
// client may still have them, the user may still log in there, and that the request names no other resource.
func (l *Logins) resource(
	ctx context.Context,
	c client.Client,
	acct account.Account,
	req RelyingRequest,
	by granted,
	trail *auditTrail,
) (*policy.TokenTerms, error) {
	shown := clip(fmt.Sprintf("requested %q", req.Resources))

	if by.resource == "" {
		if len(req.Resources) > 0 {
			return nil, trail.check("resource", shown, errResource)
		}

		return &policy.TokenTerms{
			Format:   policy.Opaque,
			Audience: req.Credential.Issuer,
			Delay:    client.ActivationDelay(c.OpenID),
			Lifetime: token.AccessLifetime,
			MaxUses:  policy.Unlimited,
		}, nil
	}

	target, ok := ForClient(req.Targets, c, by.resource)
	other := func(r string) bool { return !target.Named(r) }
	if !ok || slices.ContainsFunc(req.Resources, other) {
		return nil, trail.check("resource", shown, errResource)
	}

	trail.service = target.Service
	if target.Allow != nil {
		err := target.Allow.CheckLogin(principal(acct, l.now()))
		if trail.check("allowed users", target.Allow.String(), err) != nil {
			return nil, err
		}
	}

	rule, err := target.RequireOf(ctx, principal(acct, l.now()), l.now())
	if err != nil {
		return nil, trail.check("store", "", err)
	}
	if rule.Factors > 1 && !factor.Reaches(by.methods, factor.TwoFactors) {
		return nil, trail.check("second factor", strings.Join(by.methods, " "), errTwoFactors)
	}

	return &target.Terms, nil
}

// containsAll reports whether a list has all of the others.
func containsAll(list, others []string) bool {
	return !slices.ContainsFunc(others, func(s string) bool { return !slices.Contains(list, s) })
}
