//go:build !walletonly

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"syscall"

	"github.com/jeton-auth/jeton/internal/config"
	"github.com/jeton-auth/jeton/internal/password"
	"github.com/jeton-auth/jeton/internal/server"
	"github.com/jeton-auth/jeton/internal/systemd"

	"github.com/spf13/cobra"
)

// serveCommand implements 'jeton serve'.
func serveCommand() *cobra.Command {
	var p place
	c := &cobra.Command{
		Use:   "serve",
		Short: "Run the server and its gateway",
		Long: `Run the server and its gateway until SIGTERM or Ctrl-C.

Without a configuration file one service listens on https://127.0.0.1:8443, with a
self-signed certificate. SIGHUP reloads the configuration and the certificates; an invalid
file is refused, and the running configuration stays.

With --port, a second server without a file can run on the machine: its admin listener
has the next port. It needs a data directory of its own.`,
		Example: `  jeton serve
  jeton serve --port 8543 --data-dir second
  jeton serve --config jeton.yaml --data-dir /var/lib/jeton`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if c.Flags().Changed("port") && (p.port < 1 || p.port > 65534) {
				return usage{fmt.Errorf("invalid --port %d: want 1 to 65534", p.port)}
			}

			return serve(c.Context(), &p, c.OutOrStdout())
		},
	}

	c.Flags().IntVar(&p.port, "port", 0, "port of a server without a configuration file (default 8443)")

	return withFlags(c, &p)
}

// serve runs a server until ctx ends. Its log goes to standard error; out gets only the
// addresses.
func serve(ctx context.Context, p *place, out io.Writer) error {
	conf, dir, err := p.open()
	if err != nil {
		return err
	}

	survivePipes()

	lines := newLogWriter(os.Stderr)
	defer lines.flush(logPatience)
	log := logger(conf.Log, lines)
	if os.Getenv("GOGC") == "" {
		// The heap is small and most garbage comes from requests: collecting half as often
		// costs a few megabytes and saves a few percent of a processor.
		debug.SetGCPercent(200)
	}

	for _, name := range config.UnknownEnv(os.Environ()) {
		log.Warn("unknown environment variable", "name", name)
	}

	sockets, err := systemd.Inherited()
	if err != nil {
		return err
	}

	c := server.Config{
		File:          conf,
		Sockets:       sockets,
		Load:          p.load,
		DataDir:       dir,
		Log:           log,
		LogLost:       lines.lost.Load,
		Version:       version(),
		HasherCommand: hasher(),
	}

	var s *server.Server
	c.Started = func(started server.Started) {
		greet(out, started)
		systemd.Ready(log)
		go watch(ctx, s, log)
	}

	if s, err = server.New(c); err != nil {
		return err
	}
	context.AfterFunc(ctx, func() { systemd.Stopping(log) })

	// Before the server runs: a SIGHUP that is not handled ends the process.
	reloadOnHangup(ctx, s, log)

	err = s.Run(ctx)
	if errors.Is(err, server.ErrInUse) {
		return fmt.Errorf("%w; a second server needs a directory of its own: --data-dir", err)
	}

	return err
}

// watch keeps the watchdog of systemd quiet until ctx ends.
func watch(ctx context.Context, s *server.Server, log *slog.Logger) {
	if err := systemd.Watch(ctx, log, s.Alive); err != nil {
		log.Warn("the watchdog will restart this server", "error", err.Error())
	}
}

// hasher is the command of the process that hashes passwords: this program, and on Linux this
// very file, even if an upgrade has replaced it meanwhile.
func hasher() []string {
	if runtime.GOOS == "linux" {
		return []string{"/proc/self/exe", "hasher"}
	}

	self, err := os.Executable()
	if err != nil {
		return nil
	}

	return []string{self, "hasher"}
}

// survivePipes keeps the process alive when the reader of its output has gone: without it, the
// next line ends the process by SIGPIPE, which service managers take for a clean exit. The child
// that hashes passwords starts with the default again, as a signal that is handled is reset.
func survivePipes() {
	// The channel is never read: the write returns an error, too.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
}

// logger returns the log of the server. The configuration has been checked: its level is one
// of slog's, in lower case.
func logger(c config.Log, to io.Writer) *slog.Logger {
	var level slog.Level
	// Package config accepts only the four levels, so this does not happen; a log that is
	// too loud is the safe side.
	if err := level.UnmarshalText([]byte(c.Level)); err != nil {
		level = slog.LevelInfo
	}

	options := &slog.HandlerOptions{Level: level}
	if c.Format == "text" {
		return slog.New(slog.NewTextHandler(to, options))
	}

	return slog.New(slog.NewJSONHandler(to, options))
}

// reloadOnHangup reloads the server at each SIGHUP until ctx ends. Signals that arrive during
// a reload count as one: the next reload reads the newest file anyway.
func reloadOnHangup(ctx context.Context, s *server.Server, log *slog.Logger) {
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	go func() {
		defer signal.Stop(hangup)

		for {
			select {
			case <-ctx.Done():
				return
			case <-hangup:
				if !s.Up() {
					log.Warn("not reloaded: the server has not started yet")
					continue // it is not ready either
				}

				systemd.Reloading(log)
				if err := s.Reload(ctx); err != nil {
					log.Error("invalid configuration; the running one stays", "error", err.Error())
				}
				systemd.Ready(log)
			}
		}
	}()
}

// greet prints where the server listens.
func greet(out io.Writer, s server.Started) {
	if s.Database != "" {
		fmt.Fprintf(out, "jeton is up, with its data in the database %s and its files in %s\n", s.Database, s.DataDir)
	} else {
		fmt.Fprintf(out, "jeton is up, with its data in %s\n", s.DataDir)
	}

	for _, a := range s.Services {
		fmt.Fprintf(out, "  %-16s %s", a.Service, a.URL)
		if a.Cert != "" {
			fmt.Fprintf(out, "   certificate %s", a.Cert)
		}
		fmt.Fprintln(out)
	}

	if s.Issuer.URL != "" {
		fmt.Fprintf(out, "  %-16s %s/.well-known/oauth-authorization-server", "issuer", s.Issuer.URL)
		if s.Issuer.Cert != "" {
			fmt.Fprintf(out, "   certificate %s", s.Issuer.Cert)
		}
		fmt.Fprintln(out)
	}

	if s.Pages {
		fmt.Fprintf(out, "  %-16s %s/account\n", "pages", s.Issuer.URL)
	}

	if s.Admin != "" {
		fmt.Fprintf(out, "  %-16s %s/healthz /readyz /metrics\n", "admin", s.Admin)
	}

	greetFirst(out, s)
}

// greetFirst prints how to add the first user.
func greetFirst(out io.Writer, s server.Started) {
	switch {
	case !s.NoUsers:
	case s.Setup != "":
		fmt.Fprintf(
			out,
			"There are no users yet. Add the first admin with this link, which is valid for an hour, once:\n"+
				"  %s\n"+
				"Or in another terminal:\n"+
				"  jeton user add admin --group admin --data-dir %s\n",
			s.Setup, s.DataDir,
		)
	default:
		fmt.Fprintf(
			out,
			"There are no users yet. Add the first admin, in another terminal:\n"+
				"  jeton user add admin --group admin --data-dir %s\n",
			s.DataDir,
		)
	}
}

// hasherCommand implements the child process of a server. It is hidden, because its input and
// output are a protocol of package password.
func hasherCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "hasher",
		Hidden: true,
		Args:   noArgs,
		Short:  "Hash passwords for a server (started by it)",
		RunE: func(c *cobra.Command, _ []string) error {
			return password.Serve(c.Context(), 0, os.Stdin, os.Stdout)
		},
	}
}
