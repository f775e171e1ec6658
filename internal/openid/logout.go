package openid

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/client"
	"github.com/jeton-auth/jeton/internal/keys"
	"github.com/jeton-auth/jeton/internal/outbox"
	"github.com/jeton-auth/jeton/internal/secret"
	"github.com/jeton-auth/jeton/internal/store/change"
)

// Logout says that a relying party is to learn of the end of a sign-in session.
type Logout struct {
	Login    int64 // number of the login of the session
	ClientID int64
	Client   string
	Session  string // sid
	Subject  string // sub
	Tries    int    // of this node and others, with the one that begins
}

// LogoutStore keeps the logouts that are to be sent. What ends a sign-in session makes them due, in the same step. Its
// methods are safe for concurrent use, on many nodes.
type LogoutStore interface {
	Subscribe(func(change.Change))
	// NextLogout returns when a logout is due, perhaps in the past, and whether there is one.
	NextLogout(ctx context.Context) (at time.Time, waiting bool, err error)
	// ClaimLogouts returns at most limit logouts that are due, and counts a try for each. It makes them due again
	// after the time that again returns for that number of tries. Of many nodes, one gets each. Those of the clients
	// to skip, by number, stay due.
	ClaimLogouts(
		ctx context.Context,
		now time.Time,
		limit int,
		skip []int64,
		again func(tries int) time.Duration,
	) ([]Logout, error)
	// DropLogout deletes a logout.
	DropLogout(ctx context.Context, l Logout) error
}

const (
	// logoutTimeout is how long a relying party may take to answer, from the first byte of the request on.
	logoutTimeout = 5 * time.Second
	// logoutsAtOnce bounds the requests of a node that are in progress.
	logoutsAtOnce = 64
	// logoutShare is which part of the free places a claim takes, but at least one. No more is claimed for a client
	// that holds as many, so none gets twice its share: it takes over twenty clients that do not answer to hold all.
	logoutShare = 8
	// logoutTries is how often a logout is sent: for about an hour, by retryLogout.
	logoutTries = 13
)

// retryLogout returns how long after a try the next one begins. It is longer than logoutTimeout, so that no other node
// sends while one still waits for the answer.
func retryLogout(tries int) time.Duration {
	const first, longest = 10 * time.Second, 10 * time.Minute
	return min(first<<min(tries-1, 10), longest)
}

// Sender sends logout tokens to relying parties whose sessions have ended (OpenID Connect Back-Channel Logout 1.0). A
// relying party may get one twice, after a crash, and none is lost. It is safe for concurrent use.
type Sender struct {
	conf   SenderConfig
	box    *outbox.Box[Logout]
	issuer atomic.Pointer[string]

	mu   sync.Mutex
	busy map[int64]int // requests in progress, by the number of the client
}

// SenderConfig is what NewSender needs.
type SenderConfig struct {
	Store   LogoutStore
	Clients *client.Clients
	Ring    *keys.Ring
	Audit   *audit.Log
	Now     func() time.Time
	Log     *slog.Logger
	Count   func(outcome string) // of each try
}

// The outcomes of a try.
const (
	LogoutSent    = "sent"
	LogoutFailed  = "failed" // and tried again
	LogoutGivenUp = "given_up"
)

// NewSender returns a sender. Run sends.
func NewSender(c SenderConfig) *Sender {
	s := &Sender{conf: c, busy: map[int64]int{}}
	s.box = outbox.New(outbox.Config[Logout]{
		Feed:   c.Store,
		Next:   c.Store.NextLogout,
		Claim:  s.claim,
		Do:     s.deliver,
		AtOnce: logoutsAtOnce,
		Ready:  func() bool { return s.issuer.Load() != nil },
		Failed: func(err error) { c.Log.Warn("send logout tokens", "error", err) },
		Now:    c.Now,
	})

	return s
}

// SetIssuer sets the address of the issuer. Before the first call, nothing is sent.
func (s *Sender) SetIssuer(url string) {
	s.issuer.Store(&url)
	s.box.Wake()
}

// Run sends what is due until ctx ends.
func (s *Sender) Run(ctx context.Context) error { return s.box.Run(ctx) }

// claim claims logouts of clients that are not slow to answer those before. limit is how many places are free.
func (s *Sender) claim(ctx context.Context, now time.Time, limit int) ([]Logout, error) {
	share := max(1, limit/logoutShare)

	s.mu.Lock()
	var skip []int64
	for id, n := range s.busy {
		if n >= share {
			skip = append(skip, id)
		}
	}
	s.mu.Unlock()

	list, err := s.conf.Store.ClaimLogouts(ctx, now, share, skip, retryLogout)
	if err != nil {
		return nil, err // nothing is delivered, so nothing would count these down again
	}

	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range list {
		s.busy[l.ClientID]++
	}

	return list, nil
}

// ended notes the end of a request to a client.
func (s *Sender) ended(id int64) {
	s.mu.Lock()
	defer s.mu.Unlock()

	s.busy[id]--
	if s.busy[id] == 0 {
		delete(s.busy, id)
	}
}

// deliver sends one logout token, or gives it up.
func (s *Sender) deliver(ctx context.Context, l Logout) {
	defer s.ended(l.ClientID)

	c, err := s.conf.Clients.FindForLogin(ctx, l.Client)
	wanted := err != nil || c.ID == l.ClientID && !c.Disabled && c.OpenID != nil && c.OpenID.BackchannelLogoutURI != ""
	if wanted && err == nil {
		err = s.post(ctx, *s.issuer.Load(), c, l)
	}

	switch {
	case ctx.Err() != nil:
		return // the server stops: this node or another one tries again
	case !wanted:
	case err == nil:
		s.conf.Count(LogoutSent)
	case l.Tries < logoutTries:
		s.conf.Count(LogoutFailed)
		s.conf.Log.Warn("logout token was not delivered", "client", l.Client, "try", l.Tries, "error", err)

		return
	default:
		s.conf.Count(LogoutGivenUp)
		s.conf.Audit.Record(jeton.Event{
			Time:    s.conf.Now(),
			Actor:   "client:" + l.Client,
			Action:  audit.LogoutSend,
			Target:  "session:" + l.Session,
			Outcome: jeton.Code(jeton.ErrUnavailable),
			Reason:  fmt.Sprintf("no logout token was accepted in %d tries: %v", l.Tries, err),
		})
	}

	if err := s.conf.Store.DropLogout(ctx, l); err != nil {
		s.conf.Log.Warn("delete logout that was sent", "client", l.Client, "error", err)
	}
}

// post sends a logout token (OpenID Connect Back-Channel Logout 1.0, section 2.5).
func (s *Sender) post(ctx context.Context, issuer string, c client.Client, l Logout) error {
	ctx, cancel := context.WithTimeout(ctx, logoutTimeout)
	defer cancel()

	id, err := secret.ID("l_", s.conf.Now(), rand.Reader)
	if err != nil {
		return err
	}

	now := s.conf.Now()
	text, err := logoutToken{
		Issuer:   issuer,
		Subject:  l.Subject,
		Audience: c.Name,
		Issued:   now.Unix(),
		Expires:  now.Add(logoutLifetime).Unix(),
		ID:       id,
		Events:   map[string]struct{}{logoutEvent: {}},
		Session:  l.Session,
	}.sign(ctx, s.conf.Ring, client.IDTokenAlg(c.OpenID))
	if err != nil {
		return err
	}

	form := url.Values{"logout_token": {text}}.Encode()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.OpenID.BackchannelLogoutURI, strings.NewReader(form))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("User-Agent", "jeton")

	by, err := client.Backchannel(c.OpenID).Client(r.URL.Scheme)
	if err != nil {
		return err
	}

	resp, err := by.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()

	// Read and not used: the connection ends in order. What is longer is cut off.
	_, _ = io.CopyN(io.Discard, resp.Body, 16<<10)
	if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusNoContent {
		return errors.New("status " + resp.Status + "; want 200 or 204, and no redirect is followed")
	}

	return nil
}
