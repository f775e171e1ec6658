package client

import "time"

// SetTimeout makes a source that does not answer fail sooner.
func (cs *Clients) SetTimeout(d time.Duration) { cs.sources.timeout = d }

// MayDial is the rule for the address that is dialled in the end.
func (s Source) MayDial(address string, plain bool) error { return s.mayDial(address, plain) }

// Public is the rule for addresses.
var Public = public
