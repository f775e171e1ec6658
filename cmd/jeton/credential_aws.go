package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/wallet"

	"github.com/spf13/cobra"
)

// awsFlags are the flags of 'jeton credential aws'.
type awsFlags struct {
	as, file, role string
	watch          bool
}

// credentialAWS implements 'jeton credential aws'.
func credentialAWS() *cobra.Command {
	var a awsFlags

	c := &cobra.Command{
		Use:   "aws URL",
		Short: "Write a token to a file, for AWS tools (web identity)",
		Args:  exactArgs("URL"),
		Long: `Write the signed token of an identity to a file, which only its owner can open, and print
the variables that AWS tools read: they exchange the token for keys themselves
(AssumeRoleWithWebIdentity). Jeton has no AWS keys.

The file is replaced atomically. Tokens expire: run the command again before that, or let
--watch renew the file until it is stopped.`,
		Example: `  jeton credential aws https://shop.example --as ci --write ~/.aws/jeton.jwt --role-arn ARN
  export $(jeton credential aws https://shop.example --as ci --write /run/user/1000/jeton.jwt)`,
		RunE: func(c *cobra.Command, args []string) error { return a.run(c, args[0]) },
	}

	return withFlags(c, &a)
}

func (a *awsFlags) flags(c *cobra.Command) {
	c.Flags().StringVar(&a.as, "as", "", "name of the identity")
	c.Flags().StringVar(&a.file, "write", "", "file to write the token to (required)")
	c.Flags().StringVar(&a.role, "role-arn", "", "role, printed as AWS_ROLE_ARN")
	c.Flags().BoolVar(&a.watch, "watch", false, "renew the file until stopped")
	_ = c.MarkFlagRequired("write")
}

// run refuses --watch for a personal token before it writes anything: the file would go stale
// while the command looked as if it renewed it.
func (a *awsFlags) run(c *cobra.Command, url string) error {
	path, err := webIdentityFile(a.file, a.role)
	if err != nil {
		return err
	}

	return asIdentity(c.Context(), url, a.as, func(_ *wallet.Wallet, id *wallet.Identity) error {
		if a.watch && id.Info().Kind == wallet.KindToken {
			return jeton.WithDetail(
				jeton.ErrInvalid,
				"the wallet cannot renew a personal token: leave out --watch",
			)
		}

		return a.write(c, path, id)
	})
}

// write writes the file once, and with --watch until the command is stopped.
func (a *awsFlags) write(c *cobra.Command, path string, id *wallet.Identity) error {
	cred, err := credentialOf(c.Context(), id)
	if err != nil {
		return err
	}

	// The variables come after the file, so that a program that gets them finds a token there.
	if err := writeWebIdentity(path, cred); err != nil {
		return err
	}

	fmt.Fprintln(c.OutOrStdout(), "AWS_WEB_IDENTITY_TOKEN_FILE="+path)
	if a.role != "" {
		fmt.Fprintln(c.OutOrStdout(), "AWS_ROLE_ARN="+a.role)
	}
	if !a.watch {
		return nil
	}

	f := freshFile{
		get:      func(ctx context.Context) (credential, error) { return credentialOf(ctx, id) },
		put:      func(cred credential) error { return writeWebIdentity(path, cred) },
		wait:     pause,
		now:      time.Now,
		complain: func(err error) { fmt.Fprintln(c.ErrOrStderr(), "jeton: "+err.Error()) },
	}

	f.run(c.Context(), cred)

	return nil
}

// plainPath are the characters that need no quotes in NAME=VALUE, in any shell.
const plainPath = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./:@%+,=-\\"

// webIdentityFile returns the absolute path of a file, if it and the role can be printed as
// NAME=VALUE without quotes: every shell and service manager reads those alike.
func webIdentityFile(file, role string) (string, error) {
	path, err := filepath.Abs(file)
	if err != nil {
		return "", fmt.Errorf("--write: %w", err)
	}
	if strings.Trim(path, plainPath) != "" {
		return "", usage{errors.New(
			"invalid --write: want a file whose absolute path has only letters, digits and _ . / : @ % + , = -",
		)}
	}

	if strings.Trim(role, plainPath) != "" {
		return "", usage{errors.New("invalid --role-arn: want the ARN of a role")}
	}

	return path, nil
}

// writeWebIdentity writes a signed token to the file path.
func writeWebIdentity(path string, k credential) error {
	text := k.token.Reveal()
	if !strings.HasPrefix(text, "eyJ") || strings.Count(text, ".") != 2 {
		return jeton.WithDetail(
			jeton.ErrInvalid,
			"AWS accepts only signed tokens, and this one is opaque: set 'format: jwt' for the service's tokens",
		)
	}

	err := replaceFile(path, func(w io.Writer) error {
		_, err := io.WriteString(w, text)
		return err
	})
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}

	return nil
}

// freshFile keeps a file's token renewed.
type freshFile struct {
	get      func(context.Context) (credential, error) // renewed if due
	put      func(credential) error
	wait     func(context.Context, time.Duration) error
	now      func() time.Time
	complain func(error)
}

const (
	// minWait is the shortest time between two checks, also after a failure.
	minWait = 5 * time.Second
	// maxWait is the longest: a clock change, or a machine that slept, is noticed.
	maxWait = 15 * time.Minute
)

// run checks for a renewed token after half of the current one's remaining lifetime, and writes
// it, until ctx ends. A failure does not end it: the token in the file may still be valid.
func (f *freshFile) run(ctx context.Context, in credential) {
	for {
		wait := maxWait
		if !in.expires.IsZero() {
			wait = min(in.expires.Sub(f.now())/2, maxWait)
		}
		if f.wait(ctx, max(wait, minWait)) != nil {
			return
		}

		next, err := f.get(ctx)
		if err == nil && next.token.Reveal() != in.token.Reveal() {
			if err = f.put(next); err == nil {
				in = next
			}
		}

		if err != nil && ctx.Err() == nil {
			f.complain(err)
		}
	}
}
