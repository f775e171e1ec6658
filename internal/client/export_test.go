package client

import (
	"fmt"
	"time"
)

// SetTimeout makes a source that does not answer fail sooner.
func (cs *Clients) SetTimeout(d time.Duration) {
	cs.sources.timeout = d
	cs.documents.timeout = d
}

// KnownDocuments returns of how many documents something is known.
func (cs *Clients) KnownDocuments() int {
	cs.documents.mu.Lock()
	defer cs.documents.mu.Unlock()

	return len(cs.documents.known)
}

// KnowOthers makes room for far more documents than are kept.
func (cs *Clients) KnowOthers() {
	for i := range 20 * maxDocuments {
		cs.documents.release(cs.documents.hold(fmt.Sprintf("https://app.example/%d", i)))
	}
}
