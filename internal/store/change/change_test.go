package change_test

import (
	"testing"

	"github.com/jeton-auth/jeton/internal/secret"
	"github.com/jeton-auth/jeton/internal/store/change"

	"github.com/google/go-cmp/cmp"
)

func TestEverySubscriberReceivesEveryChange(t *testing.T) {
	all := []change.Change{{Kind: change.All}}

	for _, tc := range []struct {
		name    string
		publish change.Change
		want    []change.Change
	}{
		{
			"sessions",
			change.Change{Kind: change.Sessions, Hashes: []secret.Hash{{1}}},
			[]change.Change{{Kind: change.Sessions, Hashes: []secret.Hash{{1}}}},
		},
		{
			"sixteen users",
			change.Change{Kind: change.Users, IDs: make([]int64, 16)},
			[]change.Change{{Kind: change.Users, IDs: make([]int64, 16)}},
		},
		{"seventeen users invalidate everything", change.Change{Kind: change.Users, IDs: make([]int64, 17)}, all},
		{
			"seventeen clients",
			change.Change{Kind: change.Clients, IDs: make([]int64, 17)},
			[]change.Change{{Kind: change.Clients, IDs: make([]int64, 17)}},
		},
		{"everything", change.Change{Kind: change.All}, all},
		{"a kind of a newer node invalidates everything", change.Change{Kind: change.Replaced + 1}, all},
		{"no kind invalidates everything", change.Change{}, all},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var s change.Subscribers
			var first, second []change.Change
			s.Subscribe(func(c change.Change) { first = append(first, c) })
			s.Subscribe(func(c change.Change) { second = append(second, c) })

			s.Publish(tc.publish)

			for _, got := range [][]change.Change{first, second} {
				if diff := cmp.Diff(tc.want, got); diff != "" {
					t.Errorf("after Publish(%v) a subscriber got (-want +got):\n%s", tc.publish, diff)
				}
			}
		})
	}
}
