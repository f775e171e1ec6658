package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/jeton-auth/jeton"
)

// webIdentityFile returns the absolute path of a file, where it and the role can be printed
// as NAME=VALUE without quotes: every shell and every service manager reads those alike.
func webIdentityFile(file, role string) (string, error) {
	path, err := filepath.Abs(file)
	if err != nil {
		return "", fmt.Errorf("--write: %w", err)
	}
	if strings.Trim(path, plainPath) != "" {
		return "", usage{errors.New("--write: name a file whose whole path is of letters, digits and _ . / : @ % + , = -")}
	}

	if strings.Trim(role, plainPath) != "" {
		return "", usage{errors.New("--role-arn is not the name of a role")}
	}

	return path, nil
}

// writeWebIdentity makes a signed token the file path.
func writeWebIdentity(path string, k credential) error {
	text := k.token.Reveal()
	if !strings.HasPrefix(text, "eyJ") || strings.Count(text, ".") != 2 {
		return jeton.WithDetail(
			jeton.ErrInvalid,
			"AWS takes signed tokens alone, and the token is opaque: give the service tokens with 'format: jwt'",
		)
	}
	if err := replaceFile(path, text); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}

	return nil
}

// replaceFile makes text the file path, which only its owner can open. Who reads it finds
// the old text or the new one.
func replaceFile(path, text string) error {
	temp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*") // 0600
	if err != nil {
		return err
	}
	defer os.Remove(temp.Name()) // where it was not renamed

	_, err = temp.WriteString(text)
	if err == nil {
		err = temp.Sync()
	}
	if err = errors.Join(err, temp.Close()); err != nil {
		return err
	}

	return os.Rename(temp.Name(), path)
}

// freshFile keeps a token in a file.
type freshFile struct {
	get      func(context.Context) (credential, error) // a new one when it is time for that
	put      func(credential) error
	wait     func(context.Context, time.Duration) error
	now      func() time.Time
	complain func(error)
}

const (
	// freshest is how long the file is left alone at least, and after a failure.
	freshest = 5 * time.Second
	// stalest is how long at most: a clock that jumped, or a machine that slept, is noticed.
	stalest = 15 * time.Minute
)

// run looks at half of the time that the token has left whether there is another one, and
// writes that, until ctx ends. A failure does not end it: the token in the file may be good.
func (f *freshFile) run(ctx context.Context, in credential) {
	for {
		wait := stalest
		if !in.expires.IsZero() {
			wait = min(in.expires.Sub(f.now())/2, stalest)
		}
		if f.wait(ctx, max(wait, freshest)) != nil {
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
