package policy

import "net/netip"

// UnknownSource is the source of a request whose trusted proxy names the client in a way that is not an address.
// It has a zone, so no network contains it, and equals the address of no client.
var UnknownSource = netip.IPv6Unspecified().WithZone("unknown")
