//go:build !walletonly

package main

import (
	"testing"

	"github.com/jeton-auth/jeton/internal/server"
)

func TestAPreflightSaysHowToUpgrade(t *testing.T) {
	for _, tc := range []struct {
		name   string
		found  server.Preflight
		shared bool
		want   string
	}{
		{
			"a file without a server", server.Preflight{}, false,
			"start this version; no server is running",
		}, {
			"a file with its server", server.Preflight{Servers: 1}, false,
			"a restart: a server is running; it upgrades the schema when this version starts in its place",
		}, {
			"steps beside which nodes continue", server.Preflight{Servers: 2, Beside: true}, true,
			"rolling: replace one server after the other; those of the previous version continue (2 servers running)",
		}, {
			"a step beside which they cannot", server.Preflight{Servers: 2, Stop: "0009_x.sql"}, true,
			"with a stop, for 0009_x.sql: stop all servers of the previous version, then start this one; until then " +
				"it refuses to start (2 servers running)",
		}, {
			"such a step after they were stopped", server.Preflight{Stop: "0009_x.sql"}, true,
			"with a stop, for 0009_x.sql: do not start the previous version again (0 servers running)",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := howToUpgrade(tc.found, tc.shared); got != tc.want {
				t.Errorf("howToUpgrade = %q, want %q", got, tc.want)
			}
		})
	}
}
