package postgres

import (
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/session"
	"github.com/jeton-auth/jeton/internal/ticket"
)

// TestTheEndOfAParentEndsItsChildOnAnotherNode has the child in the cache of both nodes. Once the end
// is answered on one, neither accepts it.
func TestTheEndOfAParentEndsItsChildOnAnotherNode(t *testing.T) {
	_, nodes := twoNodes(t)
	u := addUser(t, nodes[0], "diane")
	parent := startSession(t, nodes[0], u, "parent")

	var caches [2]*session.Sessions
	for i, db := range nodes {
		caches[i] = session.New(session.Config{
			Store: db,
			Now:   func() time.Time { return noon },
			Log:   slog.New(slog.DiscardHandler),
			Cache: 1024,
		})
	}

	terms := policy.Terms{
		Idle:        time.Hour,
		Lifetime:    time.Hour,
		MaxSessions: policy.Unlimited,
		Relogin:     policy.Relogin{Max: policy.Unlimited},
	}
	owner := session.Owner{
		ID:      u.ID,
		Name:    u.Name,
		Version: u.Version,
		Parent:  parent,
	}
	child, err := caches[1].Start(t.Context(), owner, "bank", terms, jeton.Event{Time: noon})
	must(t, err)

	for i, c := range caches {
		if _, err := c.Find(t.Context(), child.Secret.Reveal(), "bank", noon); err != nil {
			t.Fatalf("node %d: Find = %v before the end", i, err)
		}
	}

	n, err := caches[0].End(t.Context(), session.Which{ID: "s_parent"}, jeton.Event{Time: noon})
	if err != nil || n != 2 {
		t.Errorf("End = %d, %v, want the parent and its child", n, err)
	}

	for i, c := range caches {
		if _, err := c.Find(t.Context(), child.Secret.Reveal(), "bank", noon); !errors.Is(err, jeton.ErrBadCredential) {
			t.Errorf("node %d: Find = %v after the end, want ErrBadCredential", i, err)
		}
	}

	if _, err := caches[1].Start(t.Context(), owner, "bank", terms, jeton.Event{Time: noon}); !errors.Is(
		err, jeton.ErrBadCredential,
	) {
		t.Errorf("Start = %v after the end, want ErrBadCredential", err)
	}
}

// TestATicketThatWasTakenIsSpentOnEveryNode asks a node that starts after another has taken it.
func TestATicketThatWasTakenIsSpentOnEveryNode(t *testing.T) {
	url, nodes := twoNodes(t)
	tickets := func(db *DB) *ticket.Tickets {
		return ticket.New(ticket.Config{Store: db, Now: func() time.Time { return noon }})
	}

	text, err := tickets(nodes[0]).Issue(t.Context(), ticket.Ticket{
		Purpose: ticket.Code,
		Expires: noon.Add(time.Minute),
	})
	must(t, err)
	_, err = tickets(nodes[1]).Take(t.Context(), ticket.Code, text.Reveal())
	must(t, err)

	for i, db := range []*DB{nodes[0], nodes[1], openNode(t, url, Config{})} {
		_, err := tickets(db).Take(t.Context(), ticket.Code, text.Reveal())
		if !errors.Is(err, jeton.ErrSpent) {
			t.Errorf("node %d: Take = %v, want ErrSpent", i, err)
		}
	}
}
