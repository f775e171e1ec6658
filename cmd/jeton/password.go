package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"jeton"
	"jeton/internal/password"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// passwordSource is where a command takes a password from. There is no flag for the
// password itself: it would stand in the list of processes.
type passwordSource struct {
	stdin bool
	file  string
}

func (s *passwordSource) flags(c *cobra.Command) {
	c.Flags().BoolVar(&s.stdin, "password-stdin", false, "read the password from standard input")
	c.Flags().StringVar(&s.file, "password-file", "", "read the password from a file")
}

// maxPasswordInput bounds what is read in search of a password, in bytes.
const maxPasswordInput = 4 << 10

// read returns the password: from the file, from standard input, or by asking. One last
// end of line is cut off; everything else counts.
func (s *passwordSource) read(c *cobra.Command, prompt string, twice bool) (jeton.Secret, error) {
	switch {
	case s.stdin && s.file != "":
		return jeton.Secret{}, usage{errors.New("--password-stdin and --password-file exclude each other")}
	case s.stdin:
		return readPassword(c.InOrStdin(), "standard input")
	case s.file != "":
		f, err := os.Open(s.file)
		if err != nil {
			return jeton.Secret{}, fmt.Errorf("password file: %w", err)
		}
		defer f.Close()
		return readPassword(f, s.file)
	}
	if !term.IsTerminal(int(os.Stdin.Fd())) {
		return jeton.Secret{}, usage{errors.New("there is no terminal to ask for the password: use --password-stdin or --password-file")}
	}
	first, err := ask(prompt)
	if err != nil || !twice {
		return first, err
	}
	second, err := ask("The same again")
	if err != nil {
		return second, err
	}
	if first.Reveal() != second.Reveal() {
		return jeton.Secret{}, errors.New("the two passwords differ")
	}
	return first, nil
}

func readPassword(r io.Reader, from string) (jeton.Secret, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxPasswordInput+1))
	if err != nil {
		return jeton.Secret{}, fmt.Errorf("read password from %s: %w", from, err)
	}
	if len(b) > maxPasswordInput {
		return jeton.Secret{}, fmt.Errorf("%s holds more than a password", from)
	}
	text := strings.TrimSuffix(strings.TrimSuffix(string(b), "\n"), "\r")
	if text == "" {
		return jeton.Secret{}, fmt.Errorf("%s holds no password", from)
	}
	return jeton.NewSecret(text), nil
}

func ask(prompt string) (jeton.Secret, error) {
	fmt.Fprint(os.Stderr, prompt+": ")
	b, err := term.ReadPassword(int(os.Stdin.Fd()))
	fmt.Fprintln(os.Stderr)
	if err != nil {
		return jeton.Secret{}, fmt.Errorf("read password: %w", err)
	}
	return jeton.NewSecret(string(b)), nil
}

// confirm asks a question that is answered by yes or no.
func confirm(in io.Reader, question string) bool {
	fmt.Fprint(os.Stderr, question+" [y/N] ")
	line, _ := bufio.NewReader(in).ReadString('\n')
	return strings.EqualFold(strings.TrimSpace(line), "y")
}

func hashPasswordCommand() *cobra.Command {
	var pw passwordSource
	c := &cobra.Command{
		Use: "hash-password", Short: "Hash a password for password_hash in the configuration file", Args: noArgs,
		Example: `  jeton hash-password
  printf %s "$PASSWORD" | jeton hash-password --password-stdin`,
		RunE: func(c *cobra.Command, _ []string) error {
			secret, err := pw.read(c, "Password", true)
			if err != nil {
				return err
			}
			if err := password.CheckNew(secret); err != nil {
				return err
			}
			phc, err := hashOnce(c.Context(), secret)
			if err != nil {
				return err
			}
			fmt.Fprintln(c.OutOrStdout(), phc)
			return nil
		},
	}
	pw.flags(c)
	return c
}

func hashOnce(ctx context.Context, secret jeton.Secret) (string, error) {
	pool, err := password.New(password.Config{Workers: 1, Queue: 1})
	if err != nil {
		return "", err
	}
	ctx, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- pool.Run(ctx) }()
	defer func() {
		stop()
		<-ended
	}()
	return pool.Hash(ctx, secret)
}
