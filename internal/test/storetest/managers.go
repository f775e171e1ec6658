package storetest

import (
	"testing"
	"time"
)

// Managers is the contract of signin.ManagerStore.
func Managers(t *testing.T, open Open) {
	each(t, open, []test{
		{"the first time stays", func(t *testing.T, s Store) {
			t.Helper()
			for _, now := range []time.Time{noon, noon.Add(time.Hour)} {
				got, err := s.ManagersSince(t.Context(), now)
				if err != nil || !got.Equal(noon) {
					t.Errorf("ManagersSince(%v) = %v, %v; want %v", now, got, err, noon)
				}
			}
		}},
	})
}
