package wallet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"github.com/jeton-auth/jeton"
)

const (
	envIdentity = "JETON_IDENTITY"
	dotName     = ".jeton"
	maxDotFile  = 64 << 10
)

// Choice is what a caller was told about who should act.
type Choice struct {
	// Flag is the name given for this very call, or "".
	Flag string
	// Getenv reads JETON_IDENTITY; by default it is that of the wallet.
	Getenv func(string) string
	// Dir is where the search for a .jeton file begins; "" searches none.
	Dir string
}

// Select tells which identity acts at the origin of rawURL, and how that was
// decided, in words for people. The first rule that names one wins:
//
//  1. Choice.Flag;
//  2. JETON_IDENTITY: a name, or name@https://host for one origin only;
//  3. the nearest .jeton file, from Choice.Dir up to the home folder or the root
//     of the file system, that says something about this origin;
//  4. the only identity that the wallet holds for the origin.
//
// It returns jeton.ErrNotFound when the wallet does not hold the identity that
// was named, ErrNoCredential when it holds none for the origin, and ErrAmbiguous
// when it holds several and nothing names one; the texts list what there is.
// Select changes nothing: there is no current identity.
//
// A .jeton file has a line `identity = diane` for every origin, or lines
// `https://app.example = diane` for one each, which go first. Empty lines are
// skipped, and what follows # too. It must be a regular file of at most 64 KiB,
// owned by the current user or the administrator, that not everybody can write;
// otherwise it is an error. It holds no secret and chooses among identities that
// the wallet has for the origin anyway.
func (w *Wallet) Select(ctx context.Context, rawURL string, c Choice) (name, how string, err error) {
	o, err := ParseOrigin(rawURL)
	if err != nil {
		return "", "", err
	}

	d, err := w.file.read(ctx)
	if err != nil {
		return "", "", err
	}

	have := d.names(o)
	name, how, err = w.named(o, c)
	if err != nil {
		return "", "", err
	}

	switch {
	case name != "" && d.find(o, name) != nil:
		return name, how, nil
	case name != "" && len(have) > 0:
		return "", "", jeton.WithDetail(
			jeton.ErrNotFound,
			fmt.Sprintf("no identity %q for %s (chosen by %s); there are: %s", name, o, how, strings.Join(have, ", ")),
		)
	case name != "":
		return "", "", jeton.WithDetail(
			jeton.ErrNotFound,
			fmt.Sprintf("no identity %q for %s (chosen by %s); log it in first", name, o, how),
		)
	case len(have) == 1:
		return have[0], "the only identity for " + string(o), nil
	case len(have) == 0:
		return "", "", jeton.WithDetail(
			jeton.ErrNoCredential,
			fmt.Sprintf("the wallet holds no identity for %s; log one in first", o),
		)
	}

	return "", "", jeton.WithDetail(jeton.ErrAmbiguous, fmt.Sprintf("which identity should act at %s? There are: %s. Name one with --as, %s or a %s file",
		o, strings.Join(have, ", "), envIdentity, dotName))
}

// named returns the identity that the caller, the environment or a file names.
func (w *Wallet) named(o Origin, c Choice) (name, how string, err error) {
	if c.Flag != "" {
		return c.Flag, "--as", nil
	}
	if c.Getenv == nil {
		c.Getenv = w.getenv
	}

	text := c.Getenv(envIdentity)
	if text != "" {
		name, at, err := splitName(text)
		if err != nil {
			return "", "", fmt.Errorf("%s: %w", envIdentity, err)
		}
		if at == "" || at == o {
			return name, envIdentity, nil
		}
	}

	if c.Dir == "" {
		return "", "", nil
	}

	dir, err := filepath.Abs(c.Dir)
	if err != nil {
		return "", "", fmt.Errorf("look for %s: %w", dotName, err)
	}

	for {
		path := filepath.Join(dir, dotName)
		rules, err := readDotFile(path)
		if err != nil {
			return "", "", fmt.Errorf("read %s: %w", path, err)
		}

		for _, key := range []string{string(o), everyOrigin} {
			if rule, ok := rules[key]; ok {
				return rule.name, fmt.Sprintf("%s, line %d", path, rule.line), nil
			}
		}

		up := filepath.Dir(dir)
		if up == dir || (w.home != "" && dir == filepath.Clean(w.home)) {
			return "", "", nil
		}

		dir = up
	}
}

// splitName reads name or name@origin. Names may hold an @ themselves.
func splitName(text string) (name string, at Origin, err error) {
	name = text
	i := strings.Index(text, "://")
	if i >= 0 {
		i = strings.LastIndexByte(text[:i], '@')
		if i < 0 {
			return "", "", jeton.WithDetail(jeton.ErrInvalid, "write it as name or name@https://host")
		}
		if at, err = ParseOrigin(text[i+1:]); err != nil {
			return "", "", err
		}

		name = text[:i]
	}

	return name, at, checkName(name)
}

// everyOrigin is the key of a .jeton line that is not for one origin.
const everyOrigin = "identity"

type dotRule struct {
	name string
	line int
}

// readDotFile returns the rules of a file, and none when it is not there.
func readDotFile(path string) (map[string]dotRule, error) {
	// Lstat, since a link could lead to a file that others write.
	before, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}

	if !before.Mode().IsRegular() {
		return nil, jeton.WithDetail(jeton.ErrInvalid, "it is not a regular file")
	}

	r, err := openFile(path)
	if err != nil {
		return nil, err
	}
	defer r.Close()

	info, err := r.Stat()
	if err != nil {
		return nil, err
	}
	if !os.SameFile(before, info) {
		return nil, jeton.WithDetail(jeton.ErrConflict, "it was replaced while it was opened")
	}

	if uid, ok := owner(info); ok && uid != os.Geteuid() && uid != 0 {
		return nil, fmt.Errorf("it belongs to user %d: %w", uid, ErrExposed)
	}
	if _, ok := owner(info); ok && info.Mode().Perm()&0o002 != 0 {
		return nil, fmt.Errorf("everybody can write it: %w; run: chmod o-w %s", ErrExposed, path)
	}

	text, err := io.ReadAll(io.LimitReader(r, maxDotFile+1))
	if err != nil {
		return nil, err
	}

	return parseDot(text)
}

// parseDot reads the text of a .jeton file: rules by normal origin or everyOrigin.
func parseDot(text []byte) (map[string]dotRule, error) {
	if len(text) > maxDotFile {
		return nil, jeton.WithDetail(jeton.ErrTooLarge, "it is over 64 KiB")
	}
	if !utf8.Valid(text) {
		return nil, jeton.WithDetail(jeton.ErrInvalid, "it is not text in UTF-8")
	}

	rules, n := map[string]dotRule{}, 0
	for line := range strings.Lines(string(text)) {
		n++
		line, _, _ = strings.Cut(line, "#") // neither a name nor an origin holds one
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}

		key, name, ok := strings.Cut(line, "=")
		key, name = strings.TrimSpace(key), strings.TrimSpace(name)

		if !ok {
			return nil, jeton.WithDetail(
				jeton.ErrInvalid,
				fmt.Sprintf("line %d: write `identity = NAME` or `https://HOST = NAME`", n),
			)
		}
		if err := checkName(name); err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}

		if key != everyOrigin {
			o, err := ParseOrigin(key)
			if err != nil {
				return nil, fmt.Errorf("line %d: %w", n, err)
			}
			key = string(o)
		}

		was, twice := rules[key]
		if twice {
			return nil, jeton.WithDetail(
				jeton.ErrInvalid,
				fmt.Sprintf("line %d: %s is there already, in line %d", n, key, was.line),
			)
		}

		rules[key] = dotRule{name, n}
	}

	return rules, nil
}
