package sqlite

import (
	"testing"

	"github.com/jeton-auth/jeton/internal/policy"
)

// BenchmarkSpend takes uses of 64 callers, which share commits.
func BenchmarkSpend(b *testing.B) {
	s := newBench(b)
	u := s.use
	u.Budgets = []policy.Budget{{ID: u.Budgets[0].ID, Name: "*", Max: 1 << 40}}

	b.ReportAllocs()
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			_, err := s.Spend(b.Context(), u)
			if err != nil {
				b.Error(err)
				return
			}
		}
	})
}
