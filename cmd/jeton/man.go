package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// manCommand implements 'jeton man'.
func manCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "man DIR",
		Short: "Write the manual pages into a directory",
		Long: `Write a manual page for each command into a directory, which is made if it is missing.
The pages are of section 1.`,
		Example: `  jeton man /usr/local/share/man/man1
  jeton man . && man -l ./jeton-serve.1`,
		Args: exactArgs("DIR"),
		RunE: func(c *cobra.Command, args []string) error {
			n, err := writeManual(c.Root(), args[0])
			if err != nil {
				return err
			}

			fmt.Fprintf(c.OutOrStdout(), "wrote %s into %s\n", plural(n, "page"), args[0])

			return nil
		},
	}
}

// writeManual writes a page for each command and returns their number.
func writeManual(root *cobra.Command, dir string) (int, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return 0, err
	}

	root.InitDefaultCompletionCmd() // cobra adds it only when a command runs

	pages := 0
	var visit func(c *cobra.Command) error
	visit = func(c *cobra.Command) error {
		path := filepath.Join(dir, manName(c)+".1")
		err := os.Remove(path) // of an earlier version
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err := writeNew(path, []byte(manual(c)), 0o644); err != nil {
			return err
		}

		pages++
		for _, sub := range manCommands(c) {
			if err := visit(sub); err != nil {
				return err
			}
		}

		return nil
	}

	return pages, visit(root)
}

// manName returns the name of the page of a command, as in jeton-user-add.
func manName(c *cobra.Command) string { return strings.ReplaceAll(c.CommandPath(), " ", "-") }

// manCommands returns the commands of a group that have a page.
func manCommands(c *cobra.Command) []*cobra.Command {
	var list []*cobra.Command
	for _, sub := range c.Commands() {
		if !sub.Hidden && sub.Name() != "help" {
			list = append(list, sub)
		}
	}

	return list
}

// manual returns the page of a command, for the macros man(7) of roff.
func manual(c *cobra.Command) string {
	var b strings.Builder
	name := manName(c)
	fmt.Fprintf(&b, ".TH %s 1 \"\" \"jeton %s\"\n", roff(strings.ToUpper(name)), roff(version()))
	fmt.Fprintf(&b, ".SH NAME\n%s \\- %s\n", roff(name), roff(c.Short))
	fmt.Fprintf(&b, ".SH SYNOPSIS\n%s\n", roff(c.UseLine()))

	text := c.Long
	if text == "" {
		text = c.Short + "."
	}
	fmt.Fprintf(&b, ".SH DESCRIPTION\n%s", manParagraphs(text))

	if c.Example != "" {
		fmt.Fprintf(&b, ".SH EXAMPLES\n.nf\n%s\n.fi\n", roff(c.Example))
	}

	// Every command has --help, and a page above or below.
	fmt.Fprintf(&b, ".SH OPTIONS\n%s", manFlags(c))
	fmt.Fprintf(&b, ".SH SEE ALSO\n%s\n", roff(strings.Join(manAlso(c), ", ")))

	return b.String()
}

// manParagraphs returns paragraphs. One with a line that begins with a space keeps its lines.
func manParagraphs(text string) string {
	var b strings.Builder
	for part := range strings.SplitSeq(strings.Trim(text, "\n"), "\n\n") {
		form := ".PP\n%s\n"
		if strings.Contains("\n"+part, "\n ") {
			form = ".PP\n.nf\n%s\n.fi\n"
		}
		fmt.Fprintf(&b, form, roff(part))
	}

	return b.String()
}

// manFlags returns the flags of a command, those of its groups last.
func manFlags(c *cobra.Command) string {
	var b strings.Builder
	show := func(f *pflag.Flag) {
		if f.Hidden {
			return
		}

		kind, usage := pflag.UnquoteUsage(f)
		flag := strings.TrimSpace("--" + f.Name + " " + kind)
		if f.Shorthand != "" {
			flag = "-" + f.Shorthand + ", " + flag
		}
		fmt.Fprintf(&b, ".TP\n%s\n%s\n", roff(flag), roff(usage))
	}

	c.InitDefaultHelpFlag()
	c.NonInheritedFlags().VisitAll(show)
	c.InheritedFlags().VisitAll(show)

	return b.String()
}

// manAlso returns the pages of the commands above and below.
func manAlso(c *cobra.Command) []string {
	var list []string
	if c.HasParent() {
		list = append(list, manName(c.Parent())+"(1)")
	}
	for _, sub := range manCommands(c) {
		list = append(list, manName(sub)+"(1)")
	}

	return list
}

// roff returns text that roff prints as it is: without escapes, and no line is a request.
func roff(text string) string {
	text = strings.NewReplacer(`\`, `\e`, "-", `\-`).Replace(text)
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, ".") || strings.HasPrefix(line, "'") {
			lines[i] = `\&` + line
		}
	}

	return strings.Join(lines, "\n")
}
