package sqlite

import (
	"fmt"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/client"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/secret"
	"github.com/jeton-auth/jeton/internal/ticket"
	"github.com/jeton-auth/jeton/internal/token"
)

// BenchmarkRefresh finds a grant and turns it on, for 64 callers, which share commits. So it measures the store's part
// of a refresh: cpu-µs is the processor time of each.
func BenchmarkRefresh(b *testing.B) {
	s := newBench(b)
	u, err := s.FindUser(b.Context(), "diane")
	must(b, err)
	must(b, s.AddClient(b.Context(), client.Client{
		Name:    "wiki",
		Folded:  "wiki",
		Version: 1,
	}, jeton.Event{}))
	c, err := s.FindClient(b.Context(), "wiki")
	must(b, err)

	record := token.Record{
		Kind:     token.Granted,
		Format:   policy.Opaque,
		Owner:    token.UserOwner(u),
		Audience: []string{"https://issuer.example"},
		Scopes:   []string{"openid"},
		MaxUses:  policy.Unlimited,
		Window:   policy.Window{Opens: noon, Closes: noon.Add(time.Hour)},
		Created:  noon,
	}

	var made atomic.Int64
	access := func() token.Record {
		r := record
		r.Kind = token.Access
		r.Accessor = fmt.Sprint("t_", made.Add(1))
		r.Hash = secret.HashOf(r.Accessor)

		return r
	}

	var families [64]secret.Hash
	for i := range families {
		code := secret.HashOf(fmt.Sprint("code ", i))
		must(b, s.AddTicket(b.Context(), code, ticket.Ticket{
			Purpose: ticket.Code,
			Subject: u.ID,
			Login:   s.use.Holder,
			Expires: noon.Add(time.Minute),
		}))

		g := token.Grant{
			Record:   record,
			Client:   c.ID,
			Login:    s.use.Holder,
			Code:     code,
			TakeCode: true,
			Offline:  true,
			SignedIn: noon,
		}
		g.Accessor = fmt.Sprint("family ", i)
		g.Hash = secret.HashOf(g.Accessor)
		families[i] = g.Hash
		must(b, s.AddGrant(b.Context(), g, access(), jeton.Event{}))
	}

	var next atomic.Int64
	began := processorTime(b)

	b.ReportAllocs()
	b.SetParallelism(64)
	b.RunParallel(func(pb *testing.PB) {
		family := families[next.Add(1)%int64(len(families))]
		for pb.Next() {
			g, err := s.FindGrant(b.Context(), family)
			if err == nil {
				err = s.TurnGrant(b.Context(), g, false, access(), jeton.Event{Time: noon, Action: "token.issue"})
			}
			if err != nil {
				b.Error(err)
				return
			}
		}
	})

	b.ReportMetric(float64((processorTime(b)-began).Microseconds())/float64(b.N), "cpu-µs/op")
}

// processorTime returns how much processor time this process has used.
func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}

	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
