//go:build !walletonly

package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/jeton-auth/jeton/internal/config"
	"github.com/jeton-auth/jeton/internal/server"

	"github.com/spf13/cobra"
)

// maxHealthcheck bounds a check: the supervisor of a container waits for it.
const maxHealthcheck = 5 * time.Second

// healthCommand implements 'jeton healthcheck'. It needs neither curl nor the admin listener, and never
// opens the data itself.
func healthCommand() *cobra.Command {
	var p place
	var live bool

	c := &cobra.Command{
		Use:   "healthcheck",
		Short: "Report whether the running server should get requests, for containers",
		Args:  failing(noArgs),
		Long: `Report by the exit code whether the server on the data directory should get requests: 0 if it
answers and its database can be read and written, 1 otherwise, also while it starts or stops.
It asks on the control socket, for 5 seconds at most, and changes nothing. It is what /readyz
of the admin address reports, for a container that has no other program. With --live it is
what /livez reports: 0 as long as the server answers, also while it starts or its database is
away, which a restart would not mend.`,
		Example: `  jeton healthcheck
  jeton healthcheck --live
  podman run --health-cmd "/usr/bin/jeton healthcheck" --health-interval 10s jeton:0.1.0`,
	}

	c.RunE = failing(func(c *cobra.Command, _ []string) error {
		dir, err := p.directory(config.DataDir(p.path(), os.LookupEnv))
		if err != nil {
			return err
		}

		ctx, cancel := context.WithTimeout(c.Context(), maxHealthcheck)
		defer cancel()

		conn, err := server.DialControl(ctx, dir)
		if err != nil {
			return fmt.Errorf("no server answers on %s: %w", dir, err)
		}
		_ = conn.Close()

		running := &control{http: &http.Client{Transport: dialing(dir)}, end: func() {}}
		err = running.call(ctx, http.MethodGet, "/api/v1/ready", nil, nil)
		if live && !errors.Is(err, errNoAnswer) {
			return nil
		}

		return err
	})

	p.flags(c)
	c.Flags().BoolVar(&live, "live", false, "report only whether the server answers")

	return c
}
