package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/password"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// passwordSource is where a command reads a password from. There is no flag for the password
// itself: it would be visible in the list of processes.
type passwordSource struct {
	stdin bool
	file  string
}

func (s *passwordSource) flags(c *cobra.Command) {
	c.Flags().BoolVar(&s.stdin, "password-stdin", false, "read the password from standard input")
	c.Flags().StringVar(&s.file, "password-file", "", "read the password from a file")
}

// tokenSource is where a command reads a token from. There is no flag for the token itself.
type tokenSource struct {
	stdin bool
	file  string
}

func (s *tokenSource) flags(c *cobra.Command) {
	c.Flags().BoolVar(
		&s.stdin, "token-stdin", false,
		"read a personal token from standard input, and use it as the identity's credential",
	)

	c.Flags().StringVar(&s.file, "token-file", "", "read a personal token from a file")
}

func (s *tokenSource) given() bool { return s.stdin || s.file != "" }

// read returns the token: from the file, from standard input, or by asking. White space around
// it is removed.
func (s *tokenSource) read(c *cobra.Command, prompt string) (jeton.Secret, error) {
	const limit = 16 << 10

	var in io.Reader
	switch {
	case s.stdin && s.file != "":
		return jeton.Secret{}, usage{errors.New("--token-stdin and --token-file exclude each other")}
	case s.stdin:
		in = c.InOrStdin()
	case s.file != "":
		f, err := os.Open(s.file)
		if err != nil {
			return jeton.Secret{}, fmt.Errorf("token file: %w", err)
		}
		defer f.Close()
		in = f
	case !term.IsTerminal(int(os.Stdin.Fd())):
		return jeton.Secret{}, usage{errors.New("no terminal to ask for the token: use --token-stdin or --token-file")}
	default:
		return ask(prompt)
	}

	b, err := io.ReadAll(io.LimitReader(in, limit+1))
	if err != nil {
		return jeton.Secret{}, fmt.Errorf("read token: %w", err)
	}

	text := strings.TrimSpace(string(b))
	if text == "" || len(b) > limit {
		return jeton.Secret{}, usage{errors.New("the input holds no token, or more than one")}
	}

	return jeton.NewSecret(text), nil
}

// maxPasswordInput bounds the input that holds a password, in bytes.
const maxPasswordInput = 4 << 10

// read returns the password: from the file, from standard input, or by asking. One end of line
// at the end is removed; everything else counts.
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
		return jeton.Secret{}, usage{errors.New(
			"no terminal to ask for the password: use --password-stdin or --password-file",
		)}
	}

	first, err := ask(prompt)
	if err != nil || !twice {
		return first, err
	}

	second, err := ask("Again")
	if err != nil {
		return second, err
	}
	if first.Reveal() != second.Reveal() {
		return jeton.Secret{}, errors.New("the two passwords differ")
	}

	return first, nil
}

// readPassword reads a password to the end of r. from is the name of the source, for errors,
// which never contain what was read.
func readPassword(r io.Reader, from string) (jeton.Secret, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxPasswordInput+1))
	if err != nil {
		return jeton.Secret{}, fmt.Errorf("read password from %s: %w", from, err)
	}
	if len(b) > maxPasswordInput {
		return jeton.Secret{}, usage{fmt.Errorf("%s is over 4 KiB and holds more than a password", from)}
	}

	text := strings.TrimSuffix(strings.TrimSuffix(string(b), "\n"), "\r")
	if text == "" {
		return jeton.Secret{}, usage{fmt.Errorf("%s holds no password", from)}
	}

	return jeton.NewSecret(text), nil
}

// ask reads a secret from the terminal, without echo. The prompt goes to standard error:
// standard output may be read by a program.
func ask(prompt string) (jeton.Secret, error) {
	fmt.Fprint(os.Stderr, prompt+": ")
	b, err := term.ReadPassword(int(os.Stdin.Fd()))
	fmt.Fprintln(os.Stderr)

	if err != nil {
		return jeton.Secret{}, fmt.Errorf("read password: %w", err)
	}

	return jeton.NewSecret(string(b)), nil
}

// hashPasswordCommand implements 'jeton hash-password'. It reads no configuration file, so
// passwords.min_length does not apply; the fixed limits of password.CheckNew do.
func hashPasswordCommand() *cobra.Command {
	var pw passwordSource
	c := &cobra.Command{
		Use:   "hash-password",
		Short: "Hash a password for password_hash in the configuration file",
		Args:  noArgs,
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

	return withFlags(c, &pw)
}

// hashOnce hashes one password in a child process, with the same parameters as a server.
func hashOnce(ctx context.Context, secret jeton.Secret) (phc string, err error) {
	err = withPool(ctx, func(ctx context.Context, pool *password.Pool) error {
		phc, err = pool.Hash(ctx, secret)
		return err
	})
	return phc, err
}

// withPool runs use with a pool for a single password.
func withPool(ctx context.Context, use func(ctx context.Context, pool *password.Pool) error) error {
	pool, err := password.New(password.Config{Workers: 1, Queue: 1})
	if err != nil {
		return err
	}

	ctx, stop := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = pool.Run(ctx)
	}()
	defer func() {
		stop()
		<-ended
	}()

	return use(ctx, pool)
}
