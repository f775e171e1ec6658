package storetest

import (
	"slices"
	"sync"

	"github.com/jeton-auth/jeton/internal/secret"
	"github.com/jeton-auth/jeton/internal/store/change"
)

// feed collects the changes that a store publishes.
type feed struct {
	mu   sync.Mutex
	list []change.Change
}

// subscribe returns the feed of a store from now on.
func subscribe(s Store) *feed {
	f := &feed{}
	s.Subscribe(func(c change.Change) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.list = append(f.list, c)
	})

	return f
}

// take removes the changes of a kind and returns what they name; hashes are sorted.
func (f *feed) take(kind change.Kind) (ids []int64, hashes []secret.Hash) {
	f.mu.Lock()
	defer f.mu.Unlock()

	f.list = slices.DeleteFunc(f.list, func(c change.Change) bool {
		if c.Kind != kind {
			return false
		}

		ids = append(ids, c.IDs...)
		hashes = append(hashes, c.Hashes...)

		return true
	})

	return ids, sorted(hashes)
}

// users returns the numbers of users published since the last call, as clients, sessions
// and tokens do for theirs.
func (f *feed) users() []int64 {
	ids, _ := f.take(change.Users)
	return ids
}

func (f *feed) clients() []int64 {
	ids, _ := f.take(change.Clients)
	return ids
}

func (f *feed) sessions() []secret.Hash {
	_, hashes := f.take(change.Sessions)
	return hashes
}

func (f *feed) tokens() []secret.Hash {
	_, hashes := f.take(change.Tokens)
	return hashes
}
