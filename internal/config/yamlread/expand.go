package yamlread

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"
)

// maxExpanded bounds the length of one value after expansion.
const maxExpanded = 64 << 10

// expand replaces ${NAME} and ${NAME:-default} by what env has, once: the result is
// not expanded again. As in a shell, the default also replaces an empty variable.
// $${ becomes ${. No error shows a value, because it may be a secret.
func expand(text string, env Env) (string, error) {
	var out strings.Builder
	for {
		i := strings.Index(text, "${")
		if i < 0 {
			out.WriteString(text)
			return out.String(), nil
		}

		if i > 0 && text[i-1] == '$' {
			out.WriteString(text[:i-1] + "${")
			text = text[i+2:]
			continue
		}

		length := strings.IndexByte(text[i:], '}')
		if length < 0 {
			return "", errors.New("missing } after ${: write ${NAME}, or $${ for the two characters themselves")
		}

		value, err := lookup(text[i+2:i+length], env)
		if err != nil {
			return "", err
		}

		out.WriteString(text[:i] + value)
		if out.Len() > maxExpanded {
			return "", fmt.Errorf("invalid value: longer than %d bytes after expansion; shorten it", maxExpanded)
		}

		text = text[i+length+1:]
	}
}

// variable is the name of a variable, as POSIX shells permit it.
var variable = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// lookup returns the value of what stands between ${ and }: NAME, or NAME:-default.
func lookup(reference string, env Env) (string, error) {
	name, fallback, hasDefault := strings.Cut(reference, ":-")
	if !variable.MatchString(name) {
		return "", fmt.Errorf(
			"invalid variable ${%s}: want ${NAME} or ${NAME:-default}, or $${ for the two characters themselves",
			clip(name),
		)
	}
	if strings.Contains(fallback, "${") {
		return "", fmt.Errorf("invalid default of ${%s}: want plain text without ${", name)
	}

	value, ok := env(name)
	switch {
	case hasDefault && value == "":
		return fallback, nil
	case !ok:
		return "", fmt.Errorf("variable %s is not set; set it, or write ${%s:-default}", name, name)
	case !utf8.ValidString(value):
		return "", fmt.Errorf("invalid value of variable %s: want UTF-8", name)
	}

	return value, nil
}
