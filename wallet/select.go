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

// Choice is what the caller knows about which identity to use.
type Choice struct {
	// Flag is the name given for this call, or "".
	Flag string
	// Getenv reads JETON_IDENTITY; by default it is the wallet's.
	Getenv func(string) string
	// Dir is where the search for a .jeton file begins; if "", there is no search.
	Dir string
}

// Select returns the name of the identity to use at the origin of rawURL, and the rule that
// decided, as text for the user. The first rule that names one wins:
//
//  1. Choice.Flag;
//  2. JETON_IDENTITY: a name, or name@https://host for one origin only;
//  3. the nearest .jeton file with a line for this origin, from Choice.Dir up to the
//     home directory or the root of the file system;
//  4. the only identity in the wallet for the origin.
//
// It returns jeton.ErrNotFound if the wallet does not hold the named identity,
// ErrNoCredential if it holds none for the origin, and ErrAmbiguous if it holds several and
// no rule names one. The texts list the identities. Select changes nothing: there is no
// current identity.
//
// A .jeton file has a line `identity = diane` for every origin, or lines
// `https://app.example = diane` for one each, which take precedence. Empty lines are
// skipped, and so is text after #. It must be a regular file of at most 64 KiB, owned by the
// current user or the administrator, and not writable by all users; otherwise it is an
// error. It holds no secret, and chooses only among identities that the wallet has.
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
	// A name that was chosen must exist. Another identity, even the only one, never stands
	// in for it.
	case name != "" && len(have) > 0:
		return "", "", jeton.WithDetail(
			jeton.ErrNotFound,
			fmt.Sprintf("no identity %q for %s (chosen by %s); the wallet has: %s",
				name, o, how, strings.Join(have, ", ")),
		)
	case name != "":
		return "", "", jeton.WithDetail(
			jeton.ErrNotFound,
			fmt.Sprintf("no identity %q for %s (chosen by %s); log in first", name, o, how),
		)
	case len(have) == 1:
		return have[0], "the only identity for " + string(o), nil
	case len(have) == 0:
		return "", "", jeton.WithDetail(
			jeton.ErrNoCredential,
			fmt.Sprintf("the wallet holds no identity for %s; log in first", o),
		)
	}

	return "", "", jeton.WithDetail(
		jeton.ErrAmbiguous,
		fmt.Sprintf(
			"more than one identity at %s: %s; choose one with --as, %s or a %s file",
			o, strings.Join(have, ", "), envIdentity, dotName,
		),
	)
}

// named returns the identity that the caller, the environment or a .jeton file names.
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
		// A name for another origin is ignored, and the next rule decides.
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
		// The search ends at the home directory: above it are the files of others.
		if up == dir || (w.home != "" && dir == filepath.Clean(w.home)) {
			return "", "", nil
		}

		dir = up
	}
}

// splitName parses name or name@origin. Names may contain @.
func splitName(text string) (name string, at Origin, err error) {
	name = text
	i := strings.Index(text, "://")
	if i >= 0 {
		// The last @ before the scheme, because a name may be an e-mail address.
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

// dotRule is one line of a .jeton file. Its number is for errors.
type dotRule struct {
	name string
	line int
}

// readDotFile returns the rules of a .jeton file; none if it does not exist.
func readDotFile(path string) (map[string]dotRule, error) {
	// Lstat, because a link could lead to a file that others can write.
	before, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}

	if !before.Mode().IsRegular() {
		return nil, jeton.WithDetail(jeton.ErrInvalid, "not a regular file")
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
	// The path may have been replaced by a link between the two calls.
	if !os.SameFile(before, info) {
		return nil, jeton.WithDetail(jeton.ErrConflict, "the file was replaced while it was opened")
	}

	if uid, ok := owner(info); ok && uid != os.Geteuid() && uid != 0 {
		return nil, fmt.Errorf("owned by user %d: %w", uid, ErrExposed)
	}
	if _, ok := owner(info); ok && info.Mode().Perm()&0o002 != 0 {
		return nil, fmt.Errorf("all users can write it: %w; run: chmod o-w %s", ErrExposed, path)
	}

	text, err := io.ReadAll(io.LimitReader(r, maxDotFile+1))
	if err != nil {
		return nil, err
	}

	return parseDot(text)
}

// parseDot parses the text of a .jeton file. Its keys are normalised origins or everyOrigin.
func parseDot(text []byte) (map[string]dotRule, error) {
	if len(text) > maxDotFile {
		return nil, jeton.WithDetail(jeton.ErrTooLarge, "over 64 KiB")
	}
	if !utf8.Valid(text) {
		return nil, jeton.WithDetail(jeton.ErrInvalid, "not UTF-8")
	}

	rules := map[string]dotRule{}
	n := 0
	for line := range strings.Lines(string(text)) {
		n++
		line, _, _ = strings.Cut(line, "#") // neither a name nor an origin contains #
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
				fmt.Sprintf("line %d: duplicate of %s in line %d", n, key, was.line),
			)
		}

		rules[key] = dotRule{name, n}
	}

	return rules, nil
}
