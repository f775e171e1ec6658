// Package systemd speaks with the service manager that started a server: it reports the server's state
// (sd_notify(3)), keeps its watchdog quiet, and takes the sockets that it has opened (sd_listen_fds(3)).
//
// Under another manager, or none, every function does nothing. The files with secrets that systemd passes
// (LoadCredential=) are the matter of package secretfile. The protocols are those of
// github.com/coreos/go-systemd.
package systemd

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// Ready reports that every listener answers, at the start and after a reload.
func Ready(log *slog.Logger) { notify(log, daemon.SdNotifyReady) }

// Reloading reports that a reload begins. Ready ends it, whether the new configuration was applied or refused.
func Reloading(log *slog.Logger) {
	// systemd wants to know which of the two messages is the later one (Type=notify-reload).
	notify(log, daemon.SdNotifyReloading+"\n"+daemon.SdNotifyMonotonicUsec())
}

// Stopping reports that the server takes no more requests and finishes those in flight.
func Stopping(log *slog.Logger) { notify(log, daemon.SdNotifyStopping) }

// notify sends a state. The server runs on if that fails, since nothing else depends on it.
func notify(log *slog.Logger, state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		log.Warn("cannot report the state to systemd", "error", err.Error())
	}
}

// Watch reports to the watchdog that the server is alive, twice in each of its intervals (WatchdogSec=), as long as
// alive returns in that time. It returns when ctx ends, and at once if there is no watchdog.
func Watch(ctx context.Context, log *slog.Logger, alive func(context.Context)) error {
	interval, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		return fmt.Errorf("watchdog of systemd: %w", err)
	}
	if interval == 0 {
		return nil
	}

	tick := time.NewTicker(interval / 2)
	defer tick.Stop()

	for {
		// A call that hangs holds this loop, too: systemd then gets no report, and restarts the server.
		alive(ctx)
		notify(log, daemon.SdNotifyWatchdog)

		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}
