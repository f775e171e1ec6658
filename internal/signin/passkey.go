package signin

import (
	"cmp"
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/account"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/factor"
	"github.com/jeton-auth/jeton/internal/factor/passkey"
	"github.com/jeton-auth/jeton/internal/limit"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/secret"
	"github.com/jeton-auth/jeton/internal/session"
	"github.com/jeton-auth/jeton/internal/ticket"
)

// The reasons for a passkey. Package passkey has those of the response.
const (
	ChallengeUsed    Reason = "the challenge has been answered before"
	ChallengeUnknown Reason = "the challenge has expired, or is not one of this ceremony"
	OtherBrowser     Reason = "the challenge was issued to another browser or session"
	UnknownKey       Reason = "the passkey is not registered, or has been removed"
	KeyOfOther       Reason = "the passkey is of another user"
)

// PasskeyRequest is what a browser sends back of a ceremony with a passkey.
type PasskeyRequest struct {
	Party    passkey.Party
	Response string // of the authenticator, as JSON
	Browser  string // value of the cookie that the ceremony began with
	Service  string // whose session starts
	Terms    policy.Terms
	Source   netip.Addr
	Request  string // ID of the request
	Device   session.Device
	Replaces int64 // login that ends as this one begins, or 0
}

// trail returns the trail of an attempt.
func (r PasskeyRequest) trail(action string) auditTrail {
	return auditTrail{
		action:  action,
		actor:   "user:?",
		service: r.Service,
		source:  r.Source,
		request: r.Request,
	}
}

// challenge is what the ticket of a ceremony holds. Its secret is the challenge that an authenticator signs.
type challenge struct {
	Browser secret.Hash `json:"browser"`          // of the value of its cookie
	Handle  []byte      `json:"handle,omitempty"` // of the user for whom a passkey is made
}

// bound is the user, and perhaps the session, that a ceremony is of; zero: the passkey alone says who the user is.
type bound struct{ user, login int64 }

// boundTo returns what a ceremony of a session is bound to.
func boundTo(live *session.Live) bound { return bound{live.User, live.Login} }

// issueChallenge issues the challenge of a ceremony, for a browser and perhaps a user or a session.
func (l *Logins) issueChallenge(
	ctx context.Context,
	p ticket.Purpose,
	browser string,
	handle []byte,
	of bound,
) ([]byte, error) {
	data, err := json.Marshal(challenge{secret.HashOf(browser), handle})
	if err != nil {
		return nil, err
	}

	text, err := l.tickets.Issue(ctx, ticket.Ticket{
		Purpose: p,
		Subject: of.user,
		Login:   of.login,
		Data:    data,
		Expires: l.now().Add(passkey.Timeout),
	})

	return []byte(text.Reveal()), err
}

// BeginPasskey returns the options for a sign-in with a passkey by a browser. It returns jeton.ErrTooMany for a network
// that begins more than can finish.
func (l *Logins) BeginPasskey(ctx context.Context, p passkey.Party, browser string, from netip.Addr) ([]byte, error) {
	// It is not given back: each challenge costs a row.
	_, err := l.requests.passkey.Begin(l.now(), "passkey", from, false)
	if err != nil {
		return nil, err
	}

	text, err := l.issueChallenge(ctx, ticket.Passkey, browser, nil, bound{})
	if err != nil {
		return nil, err
	}

	return p.Request(text, nil, true)
}

// Passkey starts a session for the user of a passkey, whom the authenticator has verified: two factors. It returns
// jeton.ErrBadCredential for any response that is not right, jeton.ErrSessionsFull or jeton.ErrRelogin. ReasonOf has
// more.
func (l *Logins) Passkey(ctx context.Context, req PasskeyRequest) (session.Started, jeton.Principal, error) {
	trail := req.trail(audit.Login)

	return l.logIn(&trail, "passkey", func() (session.Started, account.Account, error) {
		acct, proof, err := l.usePasskey(ctx, req, ticket.Passkey, bound{}, &trail)
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
			Methods:  strings.Join(proof.Methods(), " "),
			Proved:   l.now(),
			Device:   req.Device,
		}
		started, err := l.open(ctx, owner, req.Service, req.Terms, nil, &trail)

		return started, acct, err
	})
}

// usePasskey takes the challenge of a response, verifies the response, and stores the use of the passkey.
func (l *Logins) usePasskey(
	ctx context.Context,
	req PasskeyRequest,
	purpose ticket.Purpose,
	of bound,
	trail *auditTrail,
) (account.Account, passkey.Proof, error) {
	none := account.Account{}

	signed, err := passkey.ReadSigned([]byte(req.Response))
	if err := trail.check("response", "", err); err != nil {
		return none, passkey.Proof{}, err
	}

	// First of all, so that no response is tried twice.
	if _, err := l.takeChallenge(ctx, purpose, signed.Challenge, req.Browser, of, trail); err != nil {
		return none, passkey.Proof{}, err
	}

	one, acct, err := l.ownerOf(ctx, signed.ID, req.Service, of, trail)
	if err != nil {
		return none, passkey.Proof{}, err
	}

	key, err := one.Key()
	if err != nil {
		return none, passkey.Proof{}, trail.check("store", "", err)
	}

	proof, err := req.Party.Verify(signed.Challenge, signed, key, purpose != ticket.PasskeyFactor)
	if err := trail.check("passkey", one.ID, err); err != nil {
		return none, passkey.Proof{}, cmp.Or(l.failures.Add(ctx, acct.Name), err)
	}
	if proof.Repeated {
		value := fmt.Sprintf("%d after %d: the passkey is on several authenticators", proof.Count, key.Count)
		trail.pass("counter", value)
	}

	err = l.factors.UsePasskey(ctx, one, proof)
	switch {
	case errors.Is(err, jeton.ErrSpent):
		err = cmp.Or(l.failures.Add(ctx, acct.Name), passkey.Refuse(passkey.Cloned))
	case errors.Is(err, jeton.ErrNotFound):
		err = &refused{UnknownKey}
	}

	return acct, proof, trail.check("use", "", err)
}

// takeChallenge takes the challenge of a response: of any number of responses to it, one is verified.
func (l *Logins) takeChallenge(
	ctx context.Context,
	purpose ticket.Purpose,
	text []byte,
	browser string,
	of bound,
	trail *auditTrail,
) (challenge, error) {
	t, err := l.tickets.Take(ctx, purpose, string(text))
	switch {
	case errors.Is(err, jeton.ErrSpent):
		err = &refused{ChallengeUsed}
	case errors.Is(err, jeton.ErrBadCredential):
		err = &refused{ChallengeUnknown}
	}
	if err := trail.check("challenge", "", err); err != nil {
		return challenge{}, err
	}

	var c challenge
	if err := json.Unmarshal(t.Data, &c); err != nil {
		return c, err // it was encoded here
	}

	shown := secret.HashOf(browser)
	theirs := t.Subject == of.user && t.Login == of.login
	if subtle.ConstantTimeCompare(shown[:], c.Browser[:]) != 1 || !theirs {
		return c, trail.fail("browser", "", OtherBrowser)
	}

	return c, nil
}

// ownerOf returns the passkey of a credential ID, and its user, who is the one that the ceremony is of.
func (l *Logins) ownerOf(
	ctx context.Context,
	id []byte,
	service string,
	of bound,
	trail *auditTrail,
) (factor.Factor, account.Account, error) {
	one, err := l.factors.FindPasskey(ctx, id)
	if errors.Is(err, jeton.ErrNotFound) {
		return one, account.Account{}, trail.fail("passkey", "", UnknownKey)
	}
	if err != nil {
		return one, account.Account{}, trail.check("store", "", err)
	}

	acct, err := l.accounts.FindNumber(ctx, one.User)
	if err != nil && !errors.Is(err, jeton.ErrNotFound) {
		return one, account.Account{}, trail.check("store", "", err)
	}
	if acct.Name != "" {
		trail.actor = "user:" + acct.Name
	}

	return one, acct, trail.require([]requirement{
		{of.user != 0 && of.user != one.User, "passkey", one.ID, KeyOfOther},
		{!acct.ValidAt(service), "user", "", UnknownUser},
		{acct.Disabled, "user", "", Disabled},
	})
}

// BeginProvePasskey returns the options for a proof of the user of a session by one of the passkeys, or
// jeton.ErrNotFound if there are none.
func (l *Logins) BeginProvePasskey(
	ctx context.Context,
	p passkey.Party,
	browser string,
	live *session.Live,
) ([]byte, error) {
	list, err := l.passkeysOf(ctx, live.User)
	if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, jeton.ErrNotFound
	}

	text, err := l.issueChallenge(ctx, ticket.PasskeyProof, browser, nil, boundTo(live))
	if err != nil {
		return nil, err
	}

	return p.Request(text, keysOf(list), true)
}

// ProvePasskey proves the user of a session again by a passkey, and returns the session with its new secret.
func (l *Logins) ProvePasskey(
	ctx context.Context,
	live *session.Live,
	req PasskeyRequest,
) (session.Started, error) {
	trail := req.trail(audit.SessionProve)
	trail.actor = "user:" + live.Name

	renewed, err := l.provePasskey(ctx, live, req, &trail)
	if err != nil {
		l.audit.Record(trail.event(l.now(), err))
		return session.Started{}, fmt.Errorf("prove: %w", err)
	}

	return renewed, nil
}

// provePasskey does what ProvePasskey says. The store records the success.
func (l *Logins) provePasskey(
	ctx context.Context,
	live *session.Live,
	req PasskeyRequest,
	trail *auditTrail,
) (session.Started, error) {
	_, proof, err := l.usePasskey(ctx, req, ticket.PasskeyProof, boundTo(live), trail)
	if err != nil {
		return session.Started{}, err
	}

	return l.renew(ctx, live, strings.Join(proof.Methods(), " "), trail)
}
