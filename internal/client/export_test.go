package client

import "time"

// SetTimeout makes a source that does not answer fail sooner.
func (k *Clients) SetTimeout(d time.Duration) { k.sources.timeout = d }

// MayDial is the rule for the address that is dialled in the end.
func (s Source) MayDial(address string, plain bool) error { return s.mayDial(address, plain) }

// Public is the rule for addresses.
var Public = public
