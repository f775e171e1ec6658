package signin

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/client"
	"github.com/jeton-auth/jeton/internal/limit"
	"github.com/jeton-auth/jeton/internal/openid"
	"github.com/jeton-auth/jeton/internal/secret"
	"github.com/jeton-auth/jeton/internal/ticket"
	"github.com/jeton-auth/jeton/internal/token"
)

const (
	// DeviceLifetime is how long a device waits for the user.
	DeviceLifetime = 10 * time.Minute
	// DeviceInterval is how often a device asks.
	DeviceInterval = 5 * time.Second

	// pollEvery is the shortest time between two questions of a device: networks delay some and not others.
	pollEvery = DeviceInterval - time.Second
	// maxPolled bounds the devices whose questions are counted.
	maxPolled = 10_000

	// What the secrets of tickets derive from: a user code, and a device code.
	userOf   = "device user"
	answerOf = "device answer"
)

// The answers to a device that gets no tokens (RFC 8628, section 3.5).
var (
	ErrDevicePending = jeton.WithDetail(jeton.ErrTooEarly, "the user has not answered yet")
	ErrDeviceSlow    = jeton.WithDetail(jeton.ErrTooMany, "ask every 5 seconds")
	ErrDeviceDenied  = jeton.WithDetail(jeton.ErrForbidden, "the user has refused")
	ErrDeviceExpired = jeton.WithDetail(jeton.ErrExpired, "the device code has expired; begin again")
)

// ErrDeviceClient is a client that may not use the device grant.
var ErrDeviceClient = jeton.WithDetail(jeton.ErrInvalid, "the client may not use the device grant; set device_grant")

// RequestLimits limits what costs memory or a row before a user is known.
type RequestLimits struct {
	device *limit.Limiter // device codes for a network
	poll   *limit.Limiter // questions of a device
	push   *limit.Limiter // requests that public clients push from a network

	document *limit.Limiter // documents of clients that a network makes us fetch

	passkey *limit.Limiter // challenges for a network: each sign-in page gets one
}

// NewRequestLimits returns limits without any use.
func NewRequestLimits() (RequestLimits, error) {
	// Of no account and no source by itself: one device must not stop another.
	none := limit.Rate{Burst: 1 << 20, Every: time.Microsecond}
	some := limit.Rate{Burst: 20, Every: 10 * time.Second}
	// The users of a company are behind one address, and sign in within minutes.
	many := limit.Rate{Burst: 300, Every: time.Second}

	device, err := limit.New(limit.Config{Pair: some, Account: none, Source: some})
	if err != nil {
		return RequestLimits{}, err
	}

	push, err := limit.New(limit.Config{Pair: many, Account: none, Source: many})
	if err != nil {
		return RequestLimits{}, err
	}

	document, err := limit.New(limit.Config{Pair: some, Account: none, Source: some})
	if err != nil {
		return RequestLimits{}, err
	}

	poll, err := limit.New(limit.Config{
		Pair:    limit.Rate{Burst: 1, Every: pollEvery},
		Account: none,
		Source:  none,
		MaxKeys: maxPolled,
	})
	if err != nil {
		return RequestLimits{}, err
	}

	passkey, err := limit.New(limit.Config{Pair: many, Account: none, Source: many})

	return RequestLimits{
		device:   device,
		poll:     poll,
		push:     push,
		document: document,
		passkey:  passkey,
	}, err
}

// DeviceRequest is the request of a client for a device code (RFC 8628, section 3.1).
type DeviceRequest struct {
	Credential ClientCredential
	Scopes     []string
	Resources  []string // at most one
	Targets    []Target // the services that tokens can be for
	Source     netip.Addr
	Request    string // ID of the request
}

// DeviceBegun is what a device shows and what it asks with.
type DeviceBegun struct {
	Code     jeton.Secret
	UserCode string // as in BCDF-GHJK
}

// device is what the ticket of a user code holds.
type device struct {
	Client   string      `json:"client"`
	Scopes   []string    `json:"scopes"`
	Resource string      `json:"resource,omitempty"` // name of a service
	Answer   secret.Hash `json:"answer"`             // of the ticket that the answer becomes
}

// BeginDevice proves a client and issues a device code with its user code. It returns the errors of Client, and
// ErrDeviceClient, jeton.ErrForbidden for a resource, jeton.ErrScope, or jeton.ErrTooMany.
func (l *Logins) BeginDevice(ctx context.Context, req DeviceRequest) (DeviceBegun, error) {
	trail := auditTrail{
		action:  audit.DeviceBegin,
		actor:   "client:?",
		service: "issuer",
		source:  req.Source,
		request: req.Request,
	}

	begun, err := l.beginDevice(ctx, req, &trail)
	l.audit.Record(trail.event(l.now(), err))
	if err != nil {
		return DeviceBegun{}, fmt.Errorf("device code: %w", err)
	}

	return begun, nil
}

// beginDevice does what BeginDevice says.
func (l *Logins) beginDevice(ctx context.Context, req DeviceRequest, trail *auditTrail) (DeviceBegun, error) {
	req.Credential.Public = true

	c, err := l.relyingClient(ctx, req.Credential, trail)
	if err != nil {
		return DeviceBegun{}, err
	}
	if c.OpenID == nil || !c.OpenID.DeviceGrant {
		return DeviceBegun{}, trail.check("device_grant", "", ErrDeviceClient)
	}

	d, err := deviceOf(c, req)
	if trail.check("requested", clip(fmt.Sprintf("%q for %q", req.Scopes, req.Resources)), err) != nil {
		return DeviceBegun{}, err
	}

	// It is not given back: each device code costs two rows.
	_, err = l.requests.device.Begin(l.now(), c.Name, req.Source, false)
	if trail.check("throttle", "", err) != nil {
		return DeviceBegun{}, err
	}

	return l.issueDevice(ctx, d)
}

// deviceOf returns what a client requests.
func deviceOf(c client.Client, req DeviceRequest) (device, error) {
	d := device{Client: c.Name}
	if len(req.Resources) > 1 {
		return d, jeton.WithDetail(jeton.ErrForbidden, "a token is for one service: request one resource")
	}

	var resource *client.Client
	if len(req.Resources) == 1 {
		target, ok := ForClient(req.Targets, c, req.Resources[0])
		if !ok {
			return d, jeton.ErrForbidden
		}
		d.Resource, resource = target.Service, &c
	}

	d.Scopes = UserScopes(req.Scopes, resource)
	if d.Resource == "" && !slices.Contains(d.Scopes, openid.ScopeOpenID) {
		return d, jeton.ErrScope
	}

	return d, nil
}

// UserScopes returns the scopes of a request that a user can grant, sorted and each once: for a service, also those of
// the client, which is nil else.
func UserScopes(asked []string, c *client.Client) []string {
	list := openid.Known(asked)
	if c == nil {
		return list
	}

	for _, scope := range c.Scopes {
		if slices.Contains(asked, scope) {
			list = append(list, scope)
		}
	}
	slices.Sort(list)

	return slices.Compact(list)
}

// issueDevice stores the tickets of a device code and of its user code.
func (l *Logins) issueDevice(ctx context.Context, d device) (DeviceBegun, error) {
	expires := l.now().Add(DeviceLifetime)
	userCode := newUserCode()
	shown := secret.HashOf(ticket.Derive(userOf, userCode))

	text, err := l.tickets.Issue(ctx, ticket.Ticket{
		Purpose: ticket.Device,
		Service: token.ServiceOfClient(d.Client),
		Data:    shown[:],
		Expires: expires,
	})
	if err != nil {
		return DeviceBegun{}, err
	}

	d.Answer = secret.HashOf(ticket.Derive(answerOf, text.Reveal()))
	data, err := json.Marshal(d)
	if err != nil {
		return DeviceBegun{}, err
	}

	return DeviceBegun{Code: text, UserCode: userCode}, l.tickets.Add(ctx, shown, ticket.Ticket{
		Purpose: ticket.User,
		Service: token.ServiceOfClient(d.Client),
		Data:    data,
		Expires: expires,
	})
}

// userCodeAlphabet has no vowels, so that no code is a word (RFC 8628, section 6.1).
const userCodeAlphabet = "BCDFGHJKLMNPQRSTVWXZ"

// userCodeLen is the number of letters of a user code, of 34 bits: the guesses of a user are limited.
const userCodeLen = 8

// newUserCode returns a random user code.
func newUserCode() string {
	// The largest multiple of the alphabet: each letter is equally likely.
	const limit = 256 - 256%len(userCodeAlphabet)

	var code []byte
	for len(code) < userCodeLen {
		var b [1]byte
		_, _ = rand.Read(b[:]) // never fails
		if int(b[0]) < limit {
			code = append(code, userCodeAlphabet[int(b[0])%len(userCodeAlphabet)])
		}
	}

	return string(code[:4]) + "-" + string(code[4:])
}

// UserCode returns a user code as it is shown, from what a user has typed: in any case, with or without dashes and
// spaces. It returns false for what cannot be one.
func UserCode(text string) (string, bool) {
	const longest = 64
	if len(text) > longest {
		return "", false
	}

	text = strings.ToUpper(strings.NewReplacer("-", "", " ", "").Replace(text))
	if len(text) != userCodeLen || strings.Trim(text, userCodeAlphabet) != "" {
		return "", false
	}

	return text[:4] + "-" + text[4:], true
}

// redeemDevice answers a device: with tokens, or with one of the errors above.
func (l *Logins) redeemDevice(
	ctx context.Context,
	c client.Client,
	req RelyingRequest,
	trail *auditTrail,
) (Relied, error) {
	if !secret.Is(secret.Ticket, req.Device) {
		return Relied{}, trail.check("device code", "", jeton.ErrBadCredential)
	}

	req.Code = ticket.Derive(answerOf, req.Device)
	answer, err := l.tickets.Look(ctx, ticket.Code, req.Code)
	if errors.Is(err, jeton.ErrBadCredential) {
		used, findErr := l.tokens.CodeUsed(ctx, secret.HashOf(req.Code))
		if findErr != nil {
			return Relied{}, findErr
		}
		if !used {
			return Relied{}, l.unanswered(ctx, c, req, trail)
		}
	} else if err != nil && !errors.Is(err, jeton.ErrSpent) {
		return Relied{}, trail.check("store", "", err)
	} else if answer.Service != token.ServiceOfClient(c.Name) {
		// Before it is taken: another client must not use it up.
		return Relied{}, trail.fail("service", clip(answer.Service), OtherService)
	}

	var data codeData
	if len(answer.Data) > 0 && json.Unmarshal(answer.Data, &data) == nil && data.Denied {
		return Relied{}, trail.check("answer", "", ErrDeviceDenied)
	}

	// Before the answer: a second use deletes that, and the code would look as if its user had not answered yet.
	_, err = l.tickets.Take(ctx, ticket.Device, req.Device)
	if err != nil && !errors.Is(err, jeton.ErrSpent) && !errors.Is(err, jeton.ErrBadCredential) {
		return Relied{}, trail.check("store", "", err)
	}

	return l.redeem(ctx, c, req, trail)
}

// unanswered returns why a device code without an answer gives no tokens.
func (l *Logins) unanswered(ctx context.Context, c client.Client, req RelyingRequest, trail *auditTrail) error {
	waiting, err := l.tickets.Look(ctx, ticket.Device, req.Device)
	switch {
	case errors.Is(err, jeton.ErrBadCredential):
		return trail.check("device code", "", ErrDeviceExpired)
	case errors.Is(err, jeton.ErrSpent):
		return trail.fail("device code", "", CodeUsed)
	case err != nil:
		return trail.check("store", "", err)
	case waiting.Service != token.ServiceOfClient(c.Name):
		return trail.fail("service", clip(waiting.Service), OtherService)
	}

	ended, err := l.answerEnded(ctx, waiting, req.Code)
	if err != nil {
		return trail.check("store", "", err)
	}
	if ended {
		return trail.check("answer", string(SignInEnded), ErrDeviceExpired)
	}

	hash := secret.HashOf(req.Device)
	_, err = l.requests.poll.Begin(l.now(), hex.EncodeToString(hash[:]), netip.Addr{}, false)
	if err != nil {
		return ErrDeviceSlow
	}

	return ErrDevicePending
}

// answerEnded reports whether the user of a device has answered, and the answer ended with the sign-in session.
func (l *Logins) answerEnded(ctx context.Context, waiting ticket.Ticket, answer string) (bool, error) {
	var shown secret.Hash
	if copy(shown[:], waiting.Data) < len(shown) {
		return false, nil // issued by an earlier version
	}

	taken, err := l.tickets.Taken(ctx, ticket.User, shown)
	if err != nil || !taken {
		return false, err
	}

	// Again: it may be there only since the look at it.
	_, err = l.tickets.Look(ctx, ticket.Code, answer)
	switch {
	case errors.Is(err, jeton.ErrBadCredential):
		return true, nil
	case errors.Is(err, jeton.ErrSpent):
		return false, nil
	}

	return false, err
}
