package session

import (
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jeton-auth/jeton/internal/secret"
)

// endless is a store that has every session, of a number of users, each with texts of its
// own as a database reads them.
type endless struct {
	*memory
	users int64
	last  atomic.Int64
}

func (e *endless) FindSession(_ context.Context, h secret.Hash) (Record, error) {
	n := e.last.Add(1)
	id, err := secret.ID("s_", noon, rand.NewChaCha8(h))

	return Record{
		Login:    n,
		ID:       id,
		Hash:     h,
		User:     n%e.users + 1,
		Service:  fmt.Sprintf("shop-%d", 1),
		Created:  noon,
		Expires:  noon.Add(time.Hour),
		Idle:     10 * time.Minute,
		LastUsed: noon,
		Source:   fmt.Sprintf("192.0.%d.%d", n>>8&255, n&255),
		Name:     fmt.Sprintf("user-%07d", n%e.users+1),
		Groups:   []string{fmt.Sprintf("group-%d", n%10)},
	}, err
}

// text is the secret of a session.
func text(n int) string {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], uint64(n))
	return fmt.Sprintf("%s%043x", secret.SessionPrefix, b)
}

// filled returns sessions that are all in memory.
func filled(tb testing.TB, sessions int, users int64) (*Sessions, []string) {
	tb.Helper()
	s := New(Config{
		Store: &endless{memory: &memory{}, users: users},
		Now:   func() time.Time { return noon },
		Log:   slog.New(slog.DiscardHandler),
		Cache: sessions + sessions/8 + 10_000,
	})

	texts := make([]string, sessions)
	for i := range texts {
		texts[i] = text(i)
		if _, err := s.Find(tb.Context(), texts[i], "shop-1", noon); err != nil {
			tb.Fatal(err)
		}
	}

	return s, texts
}

func BenchmarkFind(b *testing.B) {
	for _, sessions := range []int{1, 1000, 1_000_000} {
		b.Run(fmt.Sprintf("%d sessions", sessions), func(b *testing.B) {
			s, texts := filled(b, sessions, int64(max(sessions/10, 1)))
			runtime.GC()
			b.ReportAllocs()
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for i := rand.IntN(len(texts)); pb.Next(); i = (i + 7919) % len(texts) {
					if _, err := s.Find(context.Background(), texts[i], "shop-1", noon); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}

// BenchmarkMemory measures the memory of a million sessions, and how long the collector
// takes to mark them.
func BenchmarkMemory(b *testing.B) {
	const sessions = 1_000_000
	for _, users := range []int64{1000, sessions} {
		b.Run(fmt.Sprintf("%d users", users), func(b *testing.B) {
			for b.Loop() {
				var before, after runtime.MemStats

				runtime.GC()
				runtime.ReadMemStats(&before)
				s, texts := filled(b, sessions, users)
				took := uint64(len(texts) * (16 + 64)) // which are ours
				runtime.GC()

				runtime.ReadMemStats(&after)
				start := time.Now()
				runtime.GC()
				b.ReportMetric(float64(time.Since(start).Milliseconds()), "ms/collection")
				b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc-took)/sessions, "B/session")

				runtime.KeepAlive(s)
				runtime.KeepAlive(texts)
			}
		})
	}
}
