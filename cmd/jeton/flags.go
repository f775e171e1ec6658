package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// withFlags adds groups of flags to a command and returns it.
func withFlags(c *cobra.Command, groups ...interface{ flags(*cobra.Command) }) *cobra.Command {
	for _, g := range groups {
		g.flags(c)
	}
	return c
}

// noArgs refuses arguments.
func noArgs(c *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usage{fmt.Errorf("%[1]s takes no argument, got %[2]q; see '%[1]s --help'", c.CommandPath(), args[0])}
	}

	return nil
}

// exactArgs requires the named arguments.
func exactArgs(names ...string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) != len(names) {
			return usage{fmt.Errorf("%[1]s takes %[2]s; see '%[1]s --help'", c.CommandPath(), strings.Join(names, " "))}
		}

		return nil
	}
}

// timeFlag is a flag with a time. An empty one leaves the time unset.
type timeFlag time.Time

// Type is that of a string flag, as help shows it.
func (t *timeFlag) Type() string { return "string" }

func (t *timeFlag) String() string {
	if time.Time(*t).IsZero() {
		return ""
	}
	return time.Time(*t).Format(time.RFC3339)
}

// Set reads the flag.
func (t *timeFlag) Set(text string) error {
	if text == "" {
		return nil
	}

	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return errors.New("want a time such as 2026-03-01T12:00:00Z")
	}

	*t = timeFlag(at)

	return nil
}
