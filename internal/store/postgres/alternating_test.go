package postgres

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/account"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/client"
	"github.com/jeton-auth/jeton/internal/count"
	"github.com/jeton-auth/jeton/internal/factor"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/secret"
	"github.com/jeton-auth/jeton/internal/session"
	"github.com/jeton-auth/jeton/internal/ticket"
	"github.com/jeton-auth/jeton/internal/token"
)

// alternating is two nodes as one store: calls that may race go to each in turn.
type alternating struct {
	*DB
	other *DB
	calls atomic.Int64
}

// node returns the two nodes in turn, so that the suite sees what one node wrote on the
// other.
func (a *alternating) node() *DB {
	if a.calls.Add(1)%2 == 0 {
		return a.DB
	}
	return a.other
}

func (a *alternating) StartSession(
	ctx context.Context,
	s session.Start,
	judge func(policy.History) ([]int64, error),
) error {
	return a.node().StartSession(ctx, s, judge)
}

func (a *alternating) EndSessions(ctx context.Context, w session.Which, ev jeton.Event) (int, error) {
	return a.node().EndSessions(ctx, w, ev)
}

func (a *alternating) SweepSessions(ctx context.Context, before time.Time, limit int) (int, error) {
	return a.node().SweepSessions(ctx, before, limit)
}

func (a *alternating) ConfirmFactor(
	ctx context.Context,
	u factor.Use,
	addedAfter time.Time,
	ev *jeton.Event,
) error {
	return a.node().ConfirmFactor(ctx, u, addedAfter, ev)
}

func (a *alternating) RemoveFactors(
	ctx context.Context,
	user int64,
	w factor.Which,
	ev *jeton.Event,
) (int, error) {
	return a.node().RemoveFactors(ctx, user, w, ev)
}

func (a *alternating) RemoveIdentity(
	ctx context.Context,
	user int64,
	r account.Removal,
	ev jeton.Event,
) error {
	return a.node().RemoveIdentity(ctx, user, r, ev)
}

func (a *alternating) AddTicket(ctx context.Context, h secret.Hash, t ticket.Ticket) error {
	return a.node().AddTicket(ctx, h, t)
}

func (a *alternating) TakeTicket(
	ctx context.Context,
	p ticket.Purpose,
	h secret.Hash,
	now time.Time,
) (ticket.Ticket, error) {
	return a.node().TakeTicket(ctx, p, h, now)
}

func (a *alternating) FindTicket(
	ctx context.Context,
	p ticket.Purpose,
	h secret.Hash,
	now time.Time,
) (ticket.Ticket, error) {
	return a.node().FindTicket(ctx, p, h, now)
}

func (a *alternating) Spend(ctx context.Context, u count.Use) ([]int64, error) {
	return a.node().Spend(ctx, u)
}

func (a *alternating) AddUser(ctx context.Context, u account.Account, ev jeton.Event) error {
	return a.node().AddUser(ctx, u, ev)
}

func (a *alternating) ChangeUser(
	ctx context.Context,
	name string,
	c account.Change,
	now time.Time,
	ev jeton.Event,
) error {
	return a.node().ChangeUser(ctx, name, c, now, ev)
}

func (a *alternating) RemoveUser(ctx context.Context, name string, keepAdmin bool, ev jeton.Event) error {
	return a.node().RemoveUser(ctx, name, keepAdmin, ev)
}

func (a *alternating) AddClient(ctx context.Context, c client.Client, ev jeton.Event) error {
	return a.node().AddClient(ctx, c, ev)
}

func (a *alternating) MintToken(ctx context.Context, m token.Mint) error {
	return a.node().MintToken(ctx, m)
}

func (a *alternating) EndTokens(
	ctx context.Context,
	w token.Which,
	void *token.Void,
	ev jeton.Event,
) error {
	return a.node().EndTokens(ctx, w, void, ev)
}

func (a *alternating) ListVoid(ctx context.Context, after int64, now time.Time, limit int) ([]token.Voided, error) {
	return a.node().ListVoid(ctx, after, now, limit)
}

func (a *alternating) Append(ctx context.Context, events []jeton.Event) error {
	return a.node().Append(ctx, events)
}

func (a *alternating) Events(ctx context.Context, f audit.Filter) ([]jeton.Event, error) {
	return a.node().Events(ctx, f)
}

func (a *alternating) Close() error {
	_ = a.other.Close()
	return a.DB.Close()
}
