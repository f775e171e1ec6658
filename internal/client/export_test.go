package client

import "time"

// SetTimeout makes a source that does not answer fail sooner.
func (cs *Clients) SetTimeout(d time.Duration) {
	cs.sources.timeout = d
	cs.documents.timeout = d
}
