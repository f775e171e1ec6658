package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sort"
	"strings"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/wallet"

	"github.com/spf13/cobra"
)

// call is a request to send as an identity.
type call struct {
	as      string
	headers []string
	data    string
	include bool
	fail    bool
	repeat  int
}

// callCommand implements 'jeton call'. Its flags have the letters of curl's: -H, -d and -i.
func callCommand() *cobra.Command {
	var k call
	c := &cobra.Command{
		Use:   "call METHOD URL",
		Short: "Send a request as an identity of the wallet",
		Args:  exactArgs("METHOD", "URL"),
		Long: `Send a request as an identity of the wallet: --as, else JETON_IDENTITY, else the nearest
.jeton file, else the only identity that the wallet has for the origin.

The body of the response goes to standard output. The exit code is 3 if no uses are left, and
4 if the identity must log in again. With --fail, it is 1 for every other status of 400 and
above.`,
		Example: `  jeton call --as diane GET https://shop.example/orders
  jeton call --as carlos --repeat 4 -i GET https://localhost:5015/limited-info
  jeton call POST https://shop.example/orders -H 'Content-Type: application/json' -d @order.json`,
		RunE: func(c *cobra.Command, args []string) error { return k.run(c, args[0], args[1]) },
	}

	f := c.Flags()
	f.StringVar(&k.as, "as", "", "name of the identity")
	f.StringArrayVarP(&k.headers, "header", "H", nil, "header of the request, 'Name: value' (may be repeated)")
	f.StringVarP(&k.data, "data", "d", "", "body of the request; @FILE reads a file, @- standard input")
	f.BoolVarP(&k.include, "include", "i", false, "also print status and headers")

	f.BoolVar(&k.fail, "fail", false, "exit with an error for every status of 400 and above")
	f.IntVar(&k.repeat, "repeat", 1, "number of times to send it, one after another")

	return c
}

// run sends the request --repeat times, one after another, and returns the outcome of the
// last. The body is read before that, because standard input can be read only once.
func (k *call) run(c *cobra.Command, method, url string) error {
	if k.repeat < 1 {
		return usage{fmt.Errorf("invalid --repeat %d: want 1 or more", k.repeat)}
	}

	body, err := k.body(c.InOrStdin())
	if err != nil {
		return err
	}

	return asIdentity(c.Context(), url, k.as, func(_ *wallet.Wallet, id *wallet.Identity) error {
		var last error
		for range k.repeat {
			r, err := k.request(c.Context(), method, url, body)
			if err != nil {
				return err
			}

			// A refusal does not end the repetition: what follows the last use is of interest, too.
			last = k.send(id, r, c.OutOrStdout())
		}

		return last
	})
}

// body returns the request's body.
func (k *call) body(stdin io.Reader) (string, error) {
	file, ok := strings.CutPrefix(k.data, "@")
	if !ok {
		return k.data, nil
	}

	in, err := openInput(stdin, file)
	if err != nil {
		return "", fmt.Errorf("--data: %w", err)
	}
	defer in.Close()

	b, err := io.ReadAll(in)
	return string(b), err
}

// request makes a new request for each repetition: the reader of a body that was sent is used
// up. Of a header that is given twice, the last value is sent.
func (k *call) request(ctx context.Context, method, url, body string) (*http.Request, error) {
	r, err := http.NewRequestWithContext(ctx, strings.ToUpper(method), url, strings.NewReader(body))
	if err != nil {
		return nil, usage{err}
	}

	if body != "" {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded") // as curl does
	}

	for _, h := range k.headers {
		name, value, ok := strings.Cut(h, ":")
		if !ok {
			return nil, usage{fmt.Errorf("invalid header %q: want 'Name: value'", h)}
		}
		// Set and not Add: a flag replaces the type that --data implies.
		r.Header.Set(strings.TrimSpace(name), strings.TrimSpace(value))
	}

	return r, nil
}

// send sends one request and prints its response. An error of the network becomes
// jeton.ErrUpstream, exit code 7; an outcome of package jeton comes from the wallet itself,
// before a request was sent.
func (k *call) send(id *wallet.Identity, r *http.Request, out io.Writer) error {
	answer, err := id.Client().Do(r)
	if jeton.Outcome(err) != nil {
		return err // the wallet sent nothing
	}
	if err != nil {
		return fmt.Errorf("%w: %w", jeton.ErrUpstream, err)
	}
	defer answer.Body.Close()

	if k.include {
		printHead(out, answer)
	}
	if err := copyBody(out, answer.Body); err != nil {
		return err
	}

	return k.judge(id, answer)
}

// copyBody prints a body and ends it with a newline, so that the prompt is on its own line.
func copyBody(out io.Writer, body io.Reader) error {
	last := &lastByte{w: out}
	if _, err := io.Copy(last, body); err != nil {
		return fmt.Errorf("read the response: %w", err)
	}
	if last.any && last.b != '\n' {
		fmt.Fprintln(out)
	}

	return nil
}

// lastByte passes everything on and remembers the last byte, for copyBody.
type lastByte struct {
	w   io.Writer
	b   byte
	any bool
}

func (l *lastByte) Write(p []byte) (int, error) {
	if len(p) > 0 {
		l.b, l.any = p[len(p)-1], true
	}
	return l.w.Write(p)
}

// printHead prints the status line and the headers, sorted by name so that two runs can be
// compared. Control characters are replaced, because the server may be hostile to the
// terminal.
func printHead(out io.Writer, answer *http.Response) {
	fmt.Fprintf(out, "%s %s\n", answer.Proto, answer.Status)
	var names []string
	for name := range answer.Header {
		names = append(names, name)
	}

	sort.Strings(names)

	for _, name := range names {
		for _, value := range answer.Header[name] {
			if name == "Set-Cookie" {
				value = "[secret]" // output is pasted into tickets
			}
			fmt.Fprintf(out, "%s: %s\n", name, oneLine(value))
		}
	}

	fmt.Fprintln(out)
}

// judge returns the error that a response means for the identity.
func (k *call) judge(id *wallet.Identity, answer *http.Response) error {
	if why, ok := wallet.NeedsLogin(answer); ok {
		again := ""
		if id.Info().Kind == wallet.KindToken {
			again = " --token-stdin"
		}
		return fmt.Errorf("%w; run: jeton login %s --as %s%s", why, id.Origin(), id.Name(), again)
	}

	if k.fail && answer.StatusCode >= 400 {
		return exit{exitFailure, "got " + answer.Status + " from the service"}
	}

	return nil
}
