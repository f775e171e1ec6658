//go:build !walletonly

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/api"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/config/yamlread"

	"github.com/spf13/cobra"
)

// auditCommand implements 'jeton audit'. With --follow it asks for new events twice a second,
// because the API has no stream; it needs a running server, since nothing else writes events.
func auditCommand() *cobra.Command {
	var p place
	var f eventFlags
	var follow, asJSON bool

	c := &cobra.Command{
		Use:   "audit",
		Short: "Show the audit log: logins, refusals and changes",
		Args:  noArgs,
		Example: `  jeton audit --last 20
  jeton audit --user diane --since 2h --outcome bad_credential
  jeton audit --follow --json | jq .`,
	}

	show := withControl(&p, func(ctx context.Context, c *cobra.Command, _ []string, ctl *control) error {
		if follow && ctl.offline {
			return exit{
				exitUnreachable,
				"no server is running on this data directory, so there are no new events; leave out --follow",
			}
		}

		show := func(e jeton.Event) { printEvent(c.OutOrStdout(), e, asJSON) }
		after, err := showEvents(ctx, ctl, f.query("last", int64(f.last)), 0, show)
		if err == nil && after == 0 {
			err = ctl.known(ctx, owners(&f.user, nil)()) // a user who was removed has events
		}
		// The number of the last event is the position: none is missed between two requests, and
		// none is shown twice.
		for err == nil && follow {
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(500 * time.Millisecond):
			}

			after, err = showEvents(ctx, ctl, f.query("after", after), after, show)
		}

		if ctx.Err() != nil {
			return nil // Ctrl-C is how --follow ends
		}

		return err
	})

	c.RunE = func(c *cobra.Command, args []string) error {
		if err := f.check(); err != nil {
			return err
		}
		return show(c, args)
	}

	p.flags(c)
	f.flags(c)
	c.Flags().BoolVarP(&follow, "follow", "f", false, "print new events as they occur")
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON document per line")

	return c
}

// eventFlags are the flags that choose events of the audit log.
type eventFlags struct {
	last         int
	since, until time.Time

	user, outcome, action, request, service string
}

func (f *eventFlags) flags(c *cobra.Command) {
	c.Flags().IntVar(&f.last, "last", 50, "number of past events")
	c.Flags().Var((*pastFlag)(&f.since), "since", "from this time on (RFC 3339, or how long ago, such as 2h or 7d)")
	c.Flags().Var((*pastFlag)(&f.until), "until", "before this time (RFC 3339, or how long ago)")
	c.Flags().StringVar(&f.user, "user", "", "by this user, or about it")
	c.Flags().StringVar(&f.outcome, "outcome", "", "of this outcome: ok, or the code of a refusal")
	c.Flags().StringVar(&f.action, "action", "", "of this action, such as login or token.create")
	c.Flags().StringVar(&f.request, "request", "", "of the request with this id")
	c.Flags().StringVar(&f.service, "service", "", "of this service")
}

// check refuses a number below 1, and an action or an outcome that no event has: an empty list would say that there was
// none.
func (f *eventFlags) check() error {
	if f.last < 1 {
		return usage{fmt.Errorf("invalid --last %d: want a number from 1 on", f.last)}
	}

	if f.action != "" && !slices.Contains(audit.Actions, f.action) {
		return usage{fmt.Errorf("invalid --action %q: %s", f.action, yamlread.Suggest(f.action, audit.Actions))}
	}

	outcomes := append([]string{audit.OK, jeton.CodeInternal}, jeton.Codes()...)
	if f.outcome != "" && !slices.Contains(outcomes, f.outcome) {
		return usage{fmt.Errorf("invalid --outcome %q: %s", f.outcome, yamlread.Suggest(f.outcome, outcomes))}
	}

	return nil
}

// query returns the query for chosen events, with a number that says where to begin.
func (f *eventFlags) query(from string, number int64) url.Values {
	q := url.Values{
		from:      {strconv.FormatInt(number, 10)},
		"user":    {f.user},
		"outcome": {f.outcome},
		"action":  {f.action},
		"request": {f.request},
		"service": {f.service},
	}

	for name, at := range map[string]time.Time{"since": f.since, "until": f.until} {
		if !at.IsZero() {
			q.Set(name, at.Format(time.RFC3339Nano))
		}
	}

	return q
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
