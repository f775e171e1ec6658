package storetest

import (
	"fmt"
	"sync"
	"testing"
)

// Subjects is the contract of openid.SubjectStore.
func Subjects(t *testing.T, open Open) {
	each(t, open, []test{
		{"the first secret of subjects stays", func(t *testing.T, s Store) {
			t.Helper()
			for _, fresh := range []string{"first", "second"} {
				got, err := s.SubjectSecret(t.Context(), fresh)
				if err != nil || got != "first" {
					t.Errorf("SubjectSecret(%s) = %q, %v; want first", fresh, got, err)
				}
			}
		}},
		{"callers at once get one secret", func(t *testing.T, s Store) {
			t.Helper()
			var got [8]string
			var all sync.WaitGroup
			for i := range got {
				all.Go(func() {
					var err error
					got[i], err = s.SubjectSecret(t.Context(), fmt.Sprint(i))
					if err != nil {
						t.Errorf("SubjectSecret: %v", err)
					}
				})
			}
			all.Wait()

			for i := range got {
				if got[i] == "" || got[i] != got[0] {
					t.Errorf("got %q, want one secret for all", got)
					return
				}
			}
		}},
	})
}
