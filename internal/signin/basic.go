package signin

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/account"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/cache"
	"github.com/jeton-auth/jeton/internal/limit"
	"github.com/jeton-auth/jeton/internal/secret"
	"github.com/jeton-auth/jeton/internal/store/change"
)

const (
	// rememberFor is how long a password that was right need not be hashed again.
	rememberFor = 5 * time.Minute
	// rememberMost bounds how many are remembered.
	rememberMost = 20_000
)

// verified remembers names and passwords that were right, so that a client which sends
// them with every request (RFC 7617) costs one slow hash and not one each. They are
// known by an HMAC under a secret of this process: nothing in it tells a password. A
// change of the account makes it forget, before the change is answered.
type verified struct {
	secret [sha256.Size]byte
	people *cache.Cache[Verified]

	mu      sync.Mutex
	flights map[secret.Hash]chan struct{} // passwords that are being checked
}

func newVerified() *verified {
	v := &verified{people: cache.New[Verified](rememberMost, nil), flights: map[secret.Hash]chan struct{}{}}
	_, _ = rand.Read(v.secret[:]) // it never fails (crypto/rand)
	return v
}

// key is what a name and a password are known by. The length keeps the two apart.
func (v *verified) key(name, password string) secret.Hash {
	m := hmac.New(sha256.New, v.secret[:])
	var n [8]byte
	binary.BigEndian.PutUint64(n[:], uint64(len(name)))
	m.Write(n[:])
	m.Write([]byte(name))

	m.Write([]byte(password))
	return secret.Hash(m.Sum(nil))
}

// turn waits until nobody checks this password, and takes the turn. The function it
// returns passes it on.
func (v *verified) turn(ctx context.Context, k secret.Hash) (func(), error) {
	for {
		v.mu.Lock()
		other, busy := v.flights[k]
		if !busy {
			mine := make(chan struct{})
			v.flights[k] = mine
			v.mu.Unlock()

			return func() {
				v.mu.Lock()
				delete(v.flights, k)
				v.mu.Unlock()
				close(mine)
			}, nil
		}

		v.mu.Unlock()

		select {
		case <-other:
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: %w", jeton.ErrUnavailable, ctx.Err())
		}
	}
}

// Verified is somebody whose name and password were right a short while ago.
type Verified struct {
	Account account.Account
	At      time.Time
}

// Principal returns who it is.
func (v *Verified) Principal() jeton.Principal {
	return jeton.Principal{
		Kind:   jeton.KindUser,
		Name:   v.Account.Name,
		Groups: v.Account.Groups,
		Since:  v.At,
	}
}

// Describe tells the operator who it is.
func (v *Verified) Describe() (which, window string) {
	return fmt.Sprintf("password of user %s, checked %s", v.Account.Name, stamp(v.At)), "good for this request"
}

// invalidate makes the next request with the password of a user who changed check it again.
func (l *Logins) invalidate(c change.Change) {
	if c.Kind == change.Users || c.Kind == change.All {
		l.verified.people.DropIf(func(v *Verified) bool {
			return c.Kind == change.All || slices.Contains(c.IDs, v.Account.ID)
		})
	}
}

// Basic checks a name and a password that come with a request. It takes the throttle of a
// login, and its errors; where the password was right a short while ago and nothing has
// changed since, it costs no slow hash.
func (l *Logins) Basic(ctx context.Context, a PasswordRequest) (*Verified, error) {
	who := a.Name
	if a.ByEmail {
		who = "\x00" + who // an address is not the name that it looks like
	}

	k := l.verified.key(who, a.Password.Reveal())
	if err := l.feed.Fresh(ctx); err != nil {
		return nil, err
	}

	v := l.remembered(k)
	if v == nil {
		done, err := l.verified.turn(ctx, k)
		if err != nil {
			return nil, err
		}
		defer done()

		v = l.remembered(k)
		if v == nil {
			if v, err = l.verify(ctx, a, k); err != nil {
				return nil, err
			}
		}
	}

	if a.Allow != nil {
		if err := a.Allow.Check(v.Principal()); err != nil {
			return nil, err
		}
	}

	return v, nil
}

func (l *Logins) remembered(k secret.Hash) *Verified {
	v := l.verified.people.Get(k)
	if v == nil {
		return nil
	}

	since := l.now().Sub(v.At)
	if since < 0 || since >= rememberFor {
		return nil // a clock that jumps back does not make it last longer
	}

	return v
}

// verify checks a password the slow way, and remembers one that was right.
func (l *Logins) verify(ctx context.Context, a PasswordRequest, k secret.Hash) (*Verified, error) {
	t := trail{
		action:  audit.Login,
		service: a.Service,
		source:  a.Source,
		request: a.Request,
	}

	t.pass("way", "Basic (RFC 7617)")
	before := l.verified.people.Generation(k)
	acct, err := l.prove(ctx, a, &t)
	l.audit.Record(t.event(l.now(), err))

	if err != nil {
		return nil, fmt.Errorf("check password: %w", err)
	}

	v := &Verified{Account: acct, At: l.now()}
	l.verified.people.Renew(k, v, before) // one that is too old may be in its place

	return v, nil
}

// prove checks a name and a password: throttle, then the same work whether the name is
// unknown, the password wrong or the account disabled.
func (l *Logins) prove(ctx context.Context, a PasswordRequest, t *trail) (account.Account, error) {
	none := account.Account{}
	if a.Name != "" {
		t.actor = "user:?" // people type passwords into the wrong field
	}
	if a.Name == "" || a.Password.IsZero() {
		return none, t.check("given", "a name and a password", jeton.ErrNoCredential)
	}

	acct, err := l.accounts.FindForLogin(ctx, a.Name, a.ByEmail)
	if err != nil {
		return none, t.check("store", "", err)
	}
	if acct.Name != "" {
		t.actor = "user:" + acct.Name
	}

	known, err := l.accounts.KnownSource(ctx, acct.ID, limit.Network(a.Source), l.now().Add(-knownFor))
	if err != nil {
		return none, t.check("store", "", err)
	}

	attempt, err := l.limiter.Begin(l.now(), cmp.Or(acct.Name, a.Name), a.Source, known)
	if t.check("throttle", fmt.Sprintf("source %s, known to the account: %t", sourceKey(a.Source), known), err) != nil {
		return none, err
	}

	ok, err := l.accounts.Verify(ctx, acct, a.Password)
	if err != nil {
		// A caller who left after the work had begun has had it done.
		if errors.Is(err, jeton.ErrBusy) || errors.Is(err, jeton.ErrUnavailable) {
			attempt.Cancel()
		}
		return none, t.check("password", "could not be checked", err)
	}

	if err := t.check("password", "", judge(acct, ok)); err != nil {
		return none, err
	}

	attempt.Succeeded()

	return acct, nil
}
