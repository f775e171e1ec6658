package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/spf13/cobra"
)

// output is the flag that says how a result is printed. It is checked with the other flags:
// after the command has run it would be too late to refuse it, because a new secret is printed
// only once.
type output struct{ json bool }

func (o *output) flags(c *cobra.Command) {
	c.Flags().VarP(o, "output", "o", "table, or json for programs")
}

// Type is that of a string flag, as help shows it.
func (o *output) Type() string { return "string" }

func (o *output) String() string {
	if o.json {
		return "json"
	}
	return "table"
}

// Set reads the flag.
func (o *output) Set(format string) error {
	if format != "table" && format != "json" {
		return errors.New("want table or json")
	}

	o.json = format == "json"

	return nil
}

// print prints a result as JSON, or as a table of rows under headings.
func (o *output) print(w io.Writer, result any, headings []string, rows [][]string) error {
	if o.json {
		return printJSON(w, result)
	}

	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintln(t, strings.Join(headings, "\t"))

	for _, row := range rows {
		for i := range row {
			row[i] = oneLine(row[i])
		}
		fmt.Fprintln(t, strings.Join(row, "\t"))
	}

	return t.Flush()
}

// printJSON prints v indented, as one document with a newline at its end.
func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// oneLine replaces control characters, so that text from outside cannot move the cursor of a
// terminal, nor turn the direction of a line.
func oneLine(s string) string { return strings.Map(visible, s) }

// printable is oneLine for text that may have several lines, such as an error that quotes a service.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' {
			return r
		}
		return visible(r)
	}, s)
}

// maxWord is the longest word of an error that is printed whole, in characters: an e-mail address has 254 at most.
const maxWord = 256

// longWord is a word over maxWord, without the punctuation after it.
var longWord = regexp.MustCompile(fmt.Sprintf(`[^\s:;,"]{%d,}`, maxWord+1))

// clipWords cuts the words of an error that are too long to be read, such as a name that was refused for its length.
func clipWords(s string) string {
	return longWord.ReplaceAllStringFunc(s, func(word string) string {
		const shown = 64
		runes := []rune(word)

		return fmt.Sprintf("%s… (%d characters)", string(runes[:shown]), len(runes))
	})
}

// visible returns a character, or ? for one that controls the terminal, or the lines and the direction of a text.
func visible(r rune) rune {
	if unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp) {
		return '?'
	}
	return r
}

// plural formats a number of things: "1 session", "2 sessions".
func plural[N int | int64](n N, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// whenKnown is when for a time that may be unknown, such as the end of a token that was handed in.
func whenKnown(t time.Time) string {
	if t.IsZero() {
		return "unknown"
	}
	return when(t)
}

// when formats a time for a table, in the time zone of the terminal, with its offset from UTC.
func when(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.Local().Format("2006-01-02 15:04:05Z07:00")
}
