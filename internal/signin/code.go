package signin

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/account"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/limit"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/secret"
	"github.com/jeton-auth/jeton/internal/session"
	"github.com/jeton-auth/jeton/internal/ticket"
	"github.com/jeton-auth/jeton/internal/token"
)

// codeLifetime is how long an authorization code is valid: long enough for one redirect.
const codeLifetime = time.Minute

// CodeGrant is what an authorization code is bound to.
type CodeGrant struct {
	Live      *session.Live // sign-in session of the user
	Service   string        // that may use the code
	Redirect  string        // redirect_uri of the authorization request
	Challenge string        // code_challenge, of method S256 (RFC 7636, section 4.2); "": none
	// Client is the relying party that may use the code, in place of a service, for Scopes.
	Client string
	Scopes []string
	Nonce  string
	Levels []string // acr_values
	// Resource is the service that the access tokens are for; "": the issuer.
	Resource string
}

// codeData is what the ticket of a code holds beside its own fields.
type codeData struct {
	Redirect  string   `json:"redirect_uri"`
	Challenge string   `json:"code_challenge"`
	Scopes    []string `json:"scopes,omitempty"`
	Nonce     string   `json:"nonce,omitempty"`
	Levels    []string `json:"acr_values,omitempty"`
	Resource  string   `json:"resource,omitempty"` // name of a service
	Denied    bool     `json:"denied,omitempty"`   // the user refused a device: there are no tokens

	// How and when the user was proved as the code was issued, for a relying party. What the session proves later is
	// not what its ID token is about. No methods: the code is one of an earlier version.
	Methods  []string  `json:"amr,omitempty"`
	SignedIn time.Time `json:"auth_time,omitzero"`
}

// prove stores how the user of a sign-in session was proved.
func (c *codeData) prove(ctx context.Context, sessions *session.Sessions, live *session.Live) error {
	proof, err := sessions.Proof(ctx, live)
	if err != nil {
		return fmt.Errorf("proof of the user: %w", err)
	}

	c.Methods = proof.Methods
	c.SignedIn = live.Created
	if proof.At.After(live.Created) {
		c.SignedIn = proof.At
	}

	return nil
}

// proved returns the sign-in session of a code as it was when the code was issued.
func (c *codeData) proved(parent jeton.Session) jeton.Session {
	if len(c.Methods) > 0 {
		parent.AMR, parent.Proved = c.Methods, c.SignedIn
	}

	return parent
}

// GrantCode issues an authorization code (RFC 6749, section 4.1.2). It ends with the sign-in session.
func (l *Logins) GrantCode(ctx context.Context, g CodeGrant) (jeton.Secret, error) {
	if g.Client != "" {
		g.Service = token.ServiceOfClient(g.Client)
	}

	in := codeData{
		Redirect:  g.Redirect,
		Challenge: g.Challenge,
		Scopes:    g.Scopes,
		Nonce:     g.Nonce,
		Levels:    g.Levels,
		Resource:  g.Resource,
	}
	if g.Client != "" {
		if err := in.prove(ctx, l.sessions, g.Live); err != nil {
			return jeton.Secret{}, err
		}
	}

	data, err := json.Marshal(in)
	if err != nil {
		return jeton.Secret{}, err
	}

	return l.tickets.Issue(ctx, ticket.Ticket{
		Purpose: ticket.Code,
		Subject: g.Live.User,
		Login:   g.Live.Login,
		Service: g.Service,
		Data:    data,
		Expires: l.now().Add(codeLifetime),
	})
}

// CodeRequest is the attempt of a service to start a session for an authorization code.
type CodeRequest struct {
	Code     string
	Verifier string // code_verifier (RFC 7636, section 4.1)
	Redirect string // that the browser came back to
	Service  string
	Terms    policy.Terms
	Allow    *policy.Allow // nil: every user
	Source   netip.Addr
	Request  string // ID of the request
	Device   session.Device
	Replaces int64 // login that ends as this one begins, or 0
}

// Code starts a session at a service, as the child of the sign-in session that a code comes from. It
// returns jeton.ErrBadCredential for a code that is unknown, expired, used, or bound to something
// else; jeton.ErrForbidden, jeton.ErrRelogin or jeton.ErrSessionsFull as for any login.
//
// A code is used up by the attempt. The second use of one ends the sessions that the sign-in session
// has at the service: one of the two users of the code has stolen it (RFC 6749, section 4.1.2). Of two
// uses at once neither is left with a session.
func (l *Logins) Code(ctx context.Context, req CodeRequest) (session.Started, jeton.Principal, error) {
	trail := auditTrail{
		action:  audit.Login,
		service: req.Service,
		source:  req.Source,
		request: req.Request,
	}

	return l.logIn(&trail, "code", func() (session.Started, account.Account, error) {
		return l.continueAt(ctx, req, &trail)
	})
}

// logIn starts the session of a user who is proved by something other than a password, and records a failure.
func (l *Logins) logIn(
	trail *auditTrail,
	what string,
	start func() (session.Started, account.Account, error),
) (session.Started, jeton.Principal, error) {
	started, acct, err := start()
	if err != nil {
		l.audit.Record(trail.event(l.now(), err))
		return session.Started{}, jeton.Principal{}, fmt.Errorf("log in by %s: %w", what, err)
	}

	user := principal(acct, started.At)
	user.Session = started.ID

	return started, user, nil
}

// continueAt checks the code, uses it up, and starts the session.
func (l *Logins) continueAt(
	ctx context.Context,
	req CodeRequest,
	trail *auditTrail,
) (session.Started, account.Account, error) {
	code, err := l.tickets.Look(ctx, ticket.Code, req.Code)
	if errors.Is(err, jeton.ErrSpent) {
		return session.Started{}, account.Account{}, l.stolen(ctx, code, req.Code, trail)
	}
	if err := trail.check("code", "", err); err != nil {
		return session.Started{}, account.Account{}, err
	}

	started, acct, err := l.startFor(ctx, code, req, trail)
	switch {
	case err == nil:
		return started, acct, nil
	case errors.Is(err, jeton.ErrSpent):
		return session.Started{}, account.Account{}, l.stolen(ctx, code, req.Code, trail)
	}

	// The attempt uses the code up, too. Who has taken it meanwhile got a session by it.
	_, spent := l.tickets.Take(ctx, ticket.Code, req.Code)
	if errors.Is(spent, jeton.ErrSpent) {
		return session.Started{}, account.Account{}, l.stolen(ctx, code, req.Code, trail)
	}

	return session.Started{}, account.Account{}, err
}

// startFor checks a code, and starts the session in the step that takes it.
func (l *Logins) startFor(
	ctx context.Context,
	code ticket.Ticket,
	req CodeRequest,
	trail *auditTrail,
) (session.Started, account.Account, error) {
	if err := checkCode(code, req, trail); err != nil {
		return session.Started{}, account.Account{}, err
	}

	parent, acct, err := l.signedIn(ctx, code, req.Service, trail)
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
		Ticket:   secret.HashOf(req.Code),
		Parent:   code.Login,
		Methods:  strings.Join(parent.AMR, " "),
		Proved:   parent.Proved,
		Device:   req.Device,
	}

	started, err := l.open(ctx, owner, req.Service, req.Terms, req.Allow, trail)

	return started, acct, err
}

// stolen ends the session of the first use of a code, also of one still in progress: the code is revoked first, and no
// session starts for it from then on.
func (l *Logins) stolen(ctx context.Context, code ticket.Ticket, text string, trail *auditTrail) error {
	refusal := trail.fail("code", "", CodeUsed)

	if err := l.tickets.Revoke(ctx, ticket.Code, text); err != nil {
		return err
	}

	event := trail.event(l.now(), refusal)
	event.Action, event.Outcome = audit.SessionEnd, audit.OK

	ended, err := l.sessions.End(ctx, session.Which{Parent: code.Login, Service: code.Service}, event)
	if err != nil {
		return fmt.Errorf("end the sessions of a code that was used twice: %w", err)
	}

	trail.pass("sessions ended", fmt.Sprint(ended))

	return refusal
}

// checkCode checks what a code is bound to.
func checkCode(code ticket.Ticket, req CodeRequest, trail *auditTrail) error {
	_, err := boundCode(code, req.Service, req.Redirect, req.Verifier, trail)
	return err
}

// boundCode checks what a code is bound to, and returns what it holds.
func boundCode(code ticket.Ticket, service, redirect, verifier string, trail *auditTrail) (codeData, error) {
	var data codeData
	if err := json.Unmarshal(code.Data, &data); err != nil {
		return data, fmt.Errorf("data of a code: %w", err)
	}

	challenge := ""
	if verifier != "" {
		sum := sha256.Sum256([]byte(verifier))
		challenge = base64.RawURLEncoding.EncodeToString(sum[:])
	}

	// A verifier for a code without a challenge is refused, too: the challenge may have been removed on the way (RFC
	// 9700, section 4.8.2).
	return data, trail.require([]requirement{
		{code.Service != service, "service", clip(code.Service), OtherService},
		{data.Redirect != redirect, "redirect_uri", clip(redirect), OtherRedirect},
		{
			subtle.ConstantTimeCompare([]byte(challenge), []byte(data.Challenge)) != 1,
			"code_verifier", "", WrongVerifier,
		},
	})
}

// signedIn returns the sign-in session of a code and its user.
func (l *Logins) signedIn(
	ctx context.Context,
	code ticket.Ticket,
	service string,
	trail *auditTrail,
) (jeton.Session, account.Account, error) {
	var none jeton.Session

	list, _, err := l.sessions.List(ctx, session.Which{Login: code.Login}, 1)
	if err != nil {
		return none, account.Account{}, trail.check("store", "", err)
	}
	if len(list) == 0 {
		return none, account.Account{}, trail.fail("sign-in session", "", SignInEnded)
	}

	parent := list[0]
	trail.actor = "user:" + parent.User

	acct, err := l.accounts.FindCached(ctx, parent.User)
	if err != nil && !errors.Is(err, jeton.ErrNotFound) {
		return none, account.Account{}, trail.check("store", "", err)
	}

	err = trail.require([]requirement{
		{err != nil || acct.ID != code.Subject || !acct.ValidAt(service), "user", "", UnknownUser},
		{acct.Disabled, "user", "", Disabled},
	})
	if err != nil {
		return none, account.Account{}, err
	}

	trail.pass("sign-in session", "session:"+parent.ID)

	return parent, acct, nil
}
