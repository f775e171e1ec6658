package e2e

import "sync"

// tally has n clients send a request at once and counts their statuses.
func tally(n int, ask func() int) map[int]int {
	var mu sync.Mutex
	var ready, done sync.WaitGroup

	got := map[int]int{}
	ready.Add(n)

	for range n {
		done.Go(func() {
			ready.Done()
			ready.Wait()
			status := ask()
			mu.Lock()
			got[status]++

			mu.Unlock()
		})
	}

	done.Wait()

	return got
}
