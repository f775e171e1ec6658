package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/jeton-auth/jeton"
)

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

// replaceFile atomically replaces the file path, which only its owner can open.
func replaceFile(path string, write func(io.Writer) error) error {
	temp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*") // 0600
	if err != nil {
		return err
	}
	defer os.Remove(temp.Name()) // if it was not renamed

	err = write(temp)
	if err == nil {
		err = temp.Sync()
	}
	if err = errors.Join(err, temp.Close()); err != nil {
		return err
	}

	return os.Rename(temp.Name(), path)
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
