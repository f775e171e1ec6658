package main

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jeton-auth/jeton/internal/config"
	"github.com/jeton-auth/jeton/internal/config/yamlread"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// withFlags adds groups of flags to a command and returns it.
func withFlags(c *cobra.Command, groups ...interface{ flags(*cobra.Command) }) *cobra.Command {
	for _, g := range groups {
		g.flags(c)
	}
	return c
}

// flagError returns the error about a flag: what is wrong with its value, the nearest flag, and where the help is.
func flagError(c *cobra.Command, err error) error {
	hint := fmt.Sprintf("see '%s --help'", c.CommandPath())

	var unknown *pflag.NotExistError
	var invalid *pflag.InvalidValueError
	var parsed *strconv.NumError
	switch {
	case errors.As(err, &unknown):
		var known []string
		c.Flags().VisitAll(func(f *pflag.Flag) { known = append(known, f.Name) })
		near := yamlread.Nearest(unknown.GetSpecifiedName(), known)
		if near != "" && unknown.GetSpecifiedShortnames() == "" {
			hint = "did you mean --" + near + "? " + hint
		}
	case errors.As(err, &invalid) && errors.As(err, &parsed):
		// The text of package strconv names a function of Go.
		err = fmt.Errorf(
			"invalid argument %q for \"--%s\" flag: want %s",
			invalid.GetValue(), invalid.GetFlag().Name, wanted(invalid.GetFlag().Value.Type(), parsed),
		)
	}

	return usage{fmt.Errorf("%w; %s", err, hint)}
}

// wanted returns which values a flag of a type may have.
func wanted(kind string, err *strconv.NumError) string {
	switch {
	case kind == "bool":
		return "true or false"
	case errors.Is(err, strconv.ErrRange):
		return "a smaller number"
	}

	return "a whole number"
}

// noArgs refuses arguments.
func noArgs(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}

	hint := fmt.Sprintf("see '%s --help'", c.CommandPath())
	if c.Flags().Lookup("config") != nil && strings.HasSuffix(args[0], ".yaml") {
		hint = "name the configuration with --config " + args[0]
	}

	return usage{fmt.Errorf("%s takes no argument, got %q; %s", c.CommandPath(), args[0], hint)}
}

// exactArgs requires the named arguments, none of them empty.
func exactArgs(names ...string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) != len(names) {
			return usage{fmt.Errorf("%[1]s takes %[2]s; see '%[1]s --help'", c.CommandPath(), strings.Join(names, " "))}
		}

		// As of a variable of a script that is not set.
		for i, arg := range args {
			if arg == "" {
				return usage{fmt.Errorf("%s of %s is empty; see '%[2]s --help'", names[i], c.CommandPath())}
			}
		}

		return nil
	}
}

// emptyRemoves marks a command whose lists may be empty: they replace lists.
const emptyRemoves = "an empty list removes all"

// filled are the flags with one value that is never empty.
var filled = []string{"action", "as", "for", "outcome", "request"}

// checkLists refuses a list that is empty, or has an empty entry, and an identity without a name: with
// --scope "$SCOPE", a script whose variable is not set would get a token with all scopes.
func checkLists(c *cobra.Command) error {
	if c.Annotations[emptyRemoves] != "" {
		return nil
	}

	var fault error
	c.Flags().Visit(func(f *pflag.Flag) {
		list, ok := f.Value.(pflag.SliceValue)
		empty := ok && (len(list.GetSlice()) == 0 || slices.Contains(list.GetSlice(), ""))
		if empty || slices.Contains(filled, f.Name) && f.Value.String() == "" {
			const text = "--%s is empty; leave the flag out for the default; see '%s --help'"
			fault = usage{fmt.Errorf(text, f.Name, c.CommandPath())}
		}
	})

	return fault
}

// filledFlag is a string flag that refuses an empty value: a script whose variable is not set must not get the default.
// Without the flag it is empty.
type filledFlag string

// Type is that of a string flag, as help shows it.
func (t *filledFlag) Type() string { return "string" }

func (t *filledFlag) String() string { return string(*t) }

// Set reads the flag.
func (t *filledFlag) Set(text string) error {
	if text == "" {
		return errors.New("it is empty; leave the flag out for the default")
	}

	*t = filledFlag(text)

	return nil
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

// durationFlag is a flag with a length of time, as the configuration file has it: with days.
type durationFlag time.Duration

// Type is that of a duration flag, as help shows it.
func (d *durationFlag) Type() string { return "duration" }

func (d *durationFlag) String() string {
	if *d == 0 {
		return ""
	}
	return config.Duration(*d).String()
}

// Set reads the flag.
func (d *durationFlag) Set(text string) error {
	length, err := yamlread.ParseDuration(text)
	if err != nil {
		return err
	}
	if length <= 0 {
		return errors.New("want more than 0, such as 10m")
	}

	*d = durationFlag(length)

	return nil
}

// usesFlag is a flag with a number of uses. A script that has computed 0 is to get no unlimited token.
type usesFlag int64

// Type is that of a number, as help shows it.
func (n *usesFlag) Type() string { return "int" }

func (n *usesFlag) String() string { return strconv.FormatInt(int64(*n), 10) }

// Set reads the flag.
func (n *usesFlag) Set(text string) error {
	uses, err := strconv.ParseInt(text, 10, 64)
	if errors.Is(err, strconv.ErrRange) {
		return fmt.Errorf("want a number of 1 to %d", int64(math.MaxInt64))
	}
	if err != nil || uses < 1 {
		return errors.New("want a number of 1 or more")
	}

	*n = usesFlag(uses)

	return nil
}

// pastFlag is a flag with a time in the past: RFC 3339, or how long ago.
type pastFlag time.Time

// Type is that of a string flag, as help shows it.
func (t *pastFlag) Type() string { return "string" }

func (t *pastFlag) String() string { return (*timeFlag)(t).String() }

// Set reads the flag.
func (t *pastFlag) Set(text string) error {
	ago, err := yamlread.ParseDuration(text)
	if err == nil {
		*t = pastFlag(time.Now().Add(-ago.Std()))
		return nil
	}

	if (*timeFlag)(t).Set(text) != nil {
		return errors.New("want a time such as 2026-03-01T12:00:00Z, or how long ago, such as 2h or 7d")
	}

	return nil
}
