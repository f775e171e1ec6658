package signin_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // the algorithm of TOTP
	"encoding/base32"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/account"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/factor"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/secret"
	"github.com/jeton-auth/jeton/internal/session"
	"github.com/jeton-auth/jeton/internal/signin"
	"github.com/jeton-auth/jeton/internal/store/sqlite"
	"github.com/jeton-auth/jeton/internal/ticket"
)

// noon is when everything here happens.
var noon = time.Unix(1_800_000_000, 0)

// must fails the test if there is an error.
func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// codeOf returns the code of an authenticator app at noon (RFC 6238).
func codeOf(t *testing.T, app jeton.Secret) string {
	t.Helper()
	key, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(app.Reveal())
	must(t, err)

	m := hmac.New(sha1.New, key)
	_ = binary.Write(m, binary.BigEndian, factor.StepAt(noon)) // a hash takes everything
	sum := m.Sum(nil)

	return fmt.Sprintf("%06d", binary.BigEndian.Uint32(sum[sum[19]&15:])&(1<<31-1)%1_000_000)
}

// enrolling is a server with the user diane, whose authenticator app waits for its code.
type enrolling struct {
	db      *sqlite.DB
	logins  *signin.Logins
	factors *factor.Factors
	diane   account.Account
	owner   factor.Owner // diane
	app     factor.Enrolment

	// start, if set, is called once as a session starts: after the factors of its user were listed.
	start func()
	// judge, if set, is called once as the code of an app is judged: after the sign-in was found.
	judge func()
}

func newEnrolling(t *testing.T) *enrolling {
	t.Helper()
	db, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(t.TempDir(), "jeton.db")})
	must(t, err)
	t.Cleanup(func() { must(t, db.Close()) })

	e := &enrolling{}
	now := func() time.Time { return noon }
	log := slog.New(slog.DiscardHandler)
	e.db = db
	e.factors, err = factor.New(factor.Config{
		Store:  db,
		Now:    e.judges,
		Log:    log,
		Key:    bytes.Repeat([]byte{1}, 32),
		Issuer: "Jeton",
	})
	must(t, err)
	e.logins = signin.New(signin.Config{
		Accounts: account.New(account.Config{Store: db, Now: now, Log: log}),
		Sessions: session.New(session.Config{
			Store: db,
			Now:   e.starts,
			Log:   log,
			Cache: 10,
		}),
		Tickets: ticket.New(ticket.Config{Store: db, Now: now, Log: log}),
		Factors: e.factors,
		Mails:   signin.Mails{Wake: func() {}},
		Feed:    db,
		Audit:   audit.New(audit.Config{Store: db, Log: log, Now: now}),
		Log:     log,
		Now:     now,
	})

	must(t, db.AddUser(t.Context(), account.Account{
		UUID:    "00000000-0000-4000-8000-000000000001",
		Name:    "diane",
		Folded:  "diane",
		Version: 1,
	}, jeton.Event{Action: audit.UserAdd}))
	e.diane, err = db.FindUser(t.Context(), "diane")
	must(t, err)
	e.owner = factor.Owner{ID: e.diane.ID, Name: e.diane.Name}
	e.app, err = e.factors.EnrolTOTP(t.Context(), e.owner, "")
	must(t, err)

	return e
}

// starts returns the time at which a session starts.
func (e *enrolling) starts() time.Time { return once(&e.start) }

// judges returns the time at which a code is judged.
func (e *enrolling) judges() time.Time { return once(&e.judge) }

// once calls what is set, once, and returns the time.
func once(hook *func()) time.Time {
	call := *hook
	*hook = nil
	if call != nil {
		call()
	}

	return noon
}

// TestASignInAsksForAFactorThatWasAddedMeanwhile confirms the app after a sign-in has found no second factor, and
// before its session is stored.
func TestASignInAsksForAFactorThatWasAddedMeanwhile(t *testing.T) {
	for _, tc := range []struct {
		service string
		waits   bool
	}{
		{"issuer", true},
		{"shop", false},
	} {
		t.Run(tc.service, func(t *testing.T) {
			e := newEnrolling(t)
			link, err := e.logins.GrantLink(t.Context(), e.diane, noon.Add(time.Hour))
			must(t, err)
			e.start = func() {
				code := codeOf(t, e.app.Secret)
				must(t, e.factors.ConfirmTOTP(t.Context(), e.owner, e.app.ID, code, jeton.Event{}))
			}

			_, _, err = e.logins.Link(t.Context(), signin.LinkRequest{
				Secret:  link.Reveal(),
				Service: tc.service,
				Terms:   policy.Terms{Lifetime: time.Hour, Idle: time.Hour, MaxSessions: policy.Unlimited},
			})
			var awaits *signin.AwaitsFactor
			if !errors.Is(err, jeton.ErrFactor) || errors.As(err, &awaits) != tc.waits {
				t.Errorf("got %v, want %v, with a page for the code: %t", err, jeton.ErrFactor, tc.waits)
			}
		})
	}
}

// TestARecoveryThatWasRevokedMeanwhileConfirmsNoApp revokes the sign-in of a recovery code after it was found, and
// before the new app is confirmed.
func TestARecoveryThatWasRevokedMeanwhileConfirmsNoApp(t *testing.T) {
	e := newEnrolling(t)
	must(t, e.factors.ConfirmTOTP(t.Context(), e.owner, e.app.ID, codeOf(t, e.app.Secret), jeton.Event{}))
	codes, err := e.factors.NewRecoveryCodes(t.Context(), e.owner, jeton.Event{})
	must(t, err)
	link, err := e.logins.GrantLink(t.Context(), e.diane, noon.Add(time.Hour))
	must(t, err)

	terms := policy.Terms{Lifetime: time.Hour, Idle: time.Hour, MaxSessions: policy.Unlimited}
	_, _, err = e.logins.Link(t.Context(), signin.LinkRequest{
		Secret:  link.Reveal(),
		Service: "issuer",
		Terms:   terms,
	})
	var awaits *signin.AwaitsFactor
	if !errors.As(err, &awaits) {
		t.Fatalf("Link = %v, want a sign-in that awaits its factor", err)
	}
	next, err := e.logins.Recover(t.Context(), signin.FactorRequest{
		Ticket: awaits.Ticket.Reveal(),
		Code:   codes[0].Reveal(),
	})
	must(t, err)
	shown, err := e.logins.AwaitedFactor(t.Context(), next.Reveal())
	must(t, err)

	e.judge = func() {
		must(t, e.db.RevokeTicket(t.Context(), ticket.Factor, secret.HashOf(next.Reveal())))
	}
	_, _, err = e.logins.Factor(t.Context(), signin.FactorRequest{
		Ticket: next.Reveal(),
		Code:   codeOf(t, shown.App.Secret),
		Terms:  terms,
	})
	if signin.ReasonOf(err) != signin.SignInEnded {
		t.Errorf("Factor = %v, want the refusal %q", err, signin.SignInEnded)
	}

	list, err := e.factors.List(t.Context(), e.diane.ID)
	must(t, err)
	var apps []string
	for _, one := range list {
		if one.Kind == factor.TOTP {
			apps = append(apps, one.ID)
		}
	}
	if !slices.Equal(apps, []string{e.app.ID}) {
		t.Errorf("the user has the apps %v, want %s alone, which the sign-in did not replace", apps, e.app.ID)
	}
}
