package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/api"

	"github.com/spf13/cobra"
)

// auditCommand implements 'jeton audit'. With --follow it asks for new events twice a second,
// because the API has no stream; it needs a running server, since nothing else writes events.
func auditCommand() *cobra.Command {
	var p place
	var last int
	var follow, asJSON bool

	c := &cobra.Command{
		Use:   "audit",
		Short: "Show the audit log: logins, refusals and changes",
		Args:  noArgs,
		Example: `  jeton audit --last 20
  jeton audit --follow --json | jq .`,
	}

	c.RunE = withControl(&p, func(ctx context.Context, c *cobra.Command, _ []string, ctl *control) error {
		if follow && ctl.offline {
			return exit{
				exitUnreachable,
				"no server is running on this data directory, so there are no new events; leave out --follow",
			}
		}

		show := func(e jeton.Event) { printEvent(c.OutOrStdout(), e, asJSON) }
		after, err := showEvents(ctx, ctl, url.Values{"last": {strconv.Itoa(last)}}, 0, show)
		// The number of the last event is the position: none is missed between two requests, and
		// none is shown twice.
		for err == nil && follow {
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(500 * time.Millisecond):
			}

			after, err = showEvents(ctx, ctl, url.Values{"after": {strconv.FormatInt(after, 10)}}, after, show)
		}

		if ctx.Err() != nil {
			return nil // Ctrl-C is how --follow ends
		}

		return err
	})

	p.flags(c)
	c.Flags().IntVar(&last, "last", 50, "number of past events")
	c.Flags().BoolVarP(&follow, "follow", "f", false, "print new events as they occur")
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON document per line")

	return c
}

// showEvents shows the events of a query and returns the number of the last one.
func showEvents(
	ctx context.Context,
	ctl *control,
	query url.Values,
	after int64,
	show func(jeton.Event),
) (int64, error) {
	var events []jeton.Event
	if err := ctl.call(ctx, http.MethodGet, "/api/v1/audit?"+query.Encode(), nil, &events); err != nil {
		return after, err
	}

	for _, e := range events {
		show(e)
		after = e.Seq
	}

	return after, nil
}

// printEvent prints an event as one line, of text or of JSON. The columns are as wide as the
// longest common action and outcome; what follows them is labelled, because most events leave
// out some of it.
func printEvent(w io.Writer, e jeton.Event, asJSON bool) {
	if asJSON {
		b, err := json.Marshal(e)
		if err == nil {
			fmt.Fprintln(w, string(b))
		}
		return
	}

	line := fmt.Sprintf("%s  %-14s %-18s %s", when(e.Time), e.Action, e.Outcome, e.Actor)
	for _, part := range []struct{ label, text string }{
		{"", e.Target},
		{"at ", e.Service},
		{"from ", e.Source},
		{"request ", e.Request},
		{"", e.Reason},
	} {
		if part.text != "" {
			line += "  " + part.label + part.text
		}
	}

	fmt.Fprintln(w, oneLine(line))
}

// explainCommand implements 'jeton explain', for which the server keeps the decisions about
// accepted requests in a ring in memory. Refusals are in the audit log, hence found after a
// restart as well.
func explainCommand() *cobra.Command {
	var p place
	var out output

	c := &cobra.Command{
		Use:   "explain REQUEST_ID",
		Short: "Show why a request was accepted or refused",
		Args:  exactArgs("REQUEST_ID"),
		Long: `Show why a request was accepted or refused: every check of the decision, with the value
that it looked at. The id is in the response's X-Request-Id header and in the audit log.`,
		Example: `  jeton explain 7d2kx0c4m9q1r8t5v3w6`,
	}

	c.RunE = withControl(&p, func(ctx context.Context, c *cobra.Command, args []string, ctl *control) error {
		var events []jeton.Event
		if err := ctl.call(ctx, http.MethodGet, "/api/v1/explain/"+url.PathEscape(args[0]), nil, &events); err != nil {
			return err
		}

		if out.json {
			return printJSON(c.OutOrStdout(), events)
		}

		for _, e := range events {
			printEvent(c.OutOrStdout(), e, false)
			for _, check := range e.Checks {
				fmt.Fprintf(c.OutOrStdout(), "  %-5s %-16s %s\n", check.Result, check.Name, oneLine(check.Value))
			}
		}

		return nil
	})

	return withFlags(c, &p, &out)
}

// statusCommand implements 'jeton status'. It exits with 7 if no server is running, so that a
// script needs no output.
func statusCommand() *cobra.Command {
	var p place
	var out output

	c := &cobra.Command{
		Use:     "status",
		Short:   "Show whether a server is running on the data directory",
		Args:    noArgs,
		Example: `  jeton status`,
	}

	c.RunE = withControl(&p, func(ctx context.Context, c *cobra.Command, _ []string, ctl *control) error {
		var s api.Status
		if err := ctl.call(ctx, http.MethodGet, "/api/v1/status", nil, &s); err != nil {
			return err
		}
		if ctl.offline {
			return exit{exitUnreachable, "no server is running on this data directory"}
		}

		return out.print(c.OutOrStdout(), s, []string{
			"VERSION",
			"PID",
			"SINCE",
			"SERVICES",
		}, [][]string{{s.Version, strconv.Itoa(s.PID), when(s.Started), fmt.Sprint(s.Services)}})
	})

	return withFlags(c, &p, &out)
}
