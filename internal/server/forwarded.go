package server

import (
	"log/slog"
	"net/http"
	"net/netip"
	"sync"

	"github.com/jeton-auth/jeton/internal/web"
)

// maxWarnedPeers is about how many peers a server warns: every client can send the header.
const maxWarnedPeers = 100

// untrustedPeers are the peers that sent X-Forwarded-For although they are not trusted. An operator who forgets to name
// a proxy sees only that all clients share one throttle. It is safe for concurrent use.
type untrustedPeers struct {
	mu     sync.Mutex
	warned map[netip.Addr]bool
}

// notice logs a warning about the first request of a peer that is not trusted and sends X-Forwarded-For.
func (u *untrustedPeers) notice(r *http.Request, trusted web.Proxies, log *slog.Logger) {
	if r.Header.Get("X-Forwarded-For") == "" {
		return
	}

	from := peer(r)
	if !from.IsValid() || trusted.Trusts(from) {
		return
	}

	if u.first(from) {
		log.Warn(
			"X-Forwarded-For is ignored, because its sender is not trusted; all clients behind it share one throttle; "+
				"if it is your proxy, name it in trusted_proxies",
			"peer", from,
		)
	}
}

// first reports whether a peer is new, and remembers it.
func (u *untrustedPeers) first(from netip.Addr) bool {
	u.mu.Lock()
	defer u.mu.Unlock()

	if u.warned[from] || len(u.warned) >= maxWarnedPeers {
		return false
	}
	if u.warned == nil {
		u.warned = map[netip.Addr]bool{}
	}

	u.warned[from] = true

	return true
}
