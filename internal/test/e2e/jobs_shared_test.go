package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jeton-auth/jeton"
)

// TestJobsOfAJobShareItsUsesOverTwoNodes makes a token with a few uses, jobs that share them, and jobs of those. All
// send more requests at once than they may, at both nodes.
func TestJobsOfAJobShareItsUsesOverTwoNodes(t *testing.T) {
	t.Parallel()
	const uses, most, each = 12, 4, 4

	var clients []*Client
	for _, s := range jobNodes(t, 1) {
		clients = append(clients, s.Client(t))
	}
	cookies := clients[0].MustLogin(t, "diane", crashPW)
	outer := leaseOf(t, clients[0], "Cookie", cookies, jeton.LeaseRequest{MaxUses: uses})

	// Two children at each node, each with a child of its own.
	list := []string{outer}
	for n := range 4 {
		c := clients[n%2]
		shared := jeton.LeaseRequest{MaxUses: most, SharedUses: true}
		child := leaseOf(t, c, "Authorization", "Bearer "+outer, shared)
		shared.MaxUses = 0 // what the child has
		list = append(list, child, leaseOf(t, c, "Authorization", "Bearer "+child, shared))
	}

	accepted := make([]atomic.Int64, len(list))
	var wg sync.WaitGroup
	for i, secret := range list {
		for n := range 2 * each {
			wg.Go(func() {
				path := fmt.Sprint("/own/", n)
				a, err := clients[n%2].json(http.MethodGet, path, "Authorization", "Bearer "+secret, nil)
				switch {
				case err != nil:
					t.Error(err)
				case a.Status == http.StatusOK:
					accepted[i].Add(1)
				case a.Status != http.StatusForbidden:
					t.Errorf("GET %s = %d, want 200 or 403", path, a.Status)
				}
			})
		}
	}
	wg.Wait()

	sum := accepted[0].Load()
	for i := 1; i < len(list); i += 2 {
		of := accepted[i].Load() + accepted[i+1].Load()
		if of > most {
			t.Errorf("a job and its job were accepted %d times, want at most %d", of, most)
		}
		sum += of
	}
	if sum != uses {
		t.Errorf("all were accepted %d times, want %d", sum, uses)
	}
}

// leaseOf makes a token for a job with a credential.
func leaseOf(t *testing.T, c *Client, header, value string, in jeton.LeaseRequest) string {
	t.Helper()
	in.Name = "job"
	in.Seconds = 600
	a := again(t, "make a token", http.StatusCreated, func() (Answer, error) {
		return c.json(http.MethodPost, "/.jeton/leases", header, value, in)
	})

	var made jeton.Lease
	if err := json.Unmarshal([]byte(a.Body), &made); err != nil || made.Secret == "" {
		t.Fatalf("answer %v, %v; want a token", a, err)
	}

	return made.Secret
}
