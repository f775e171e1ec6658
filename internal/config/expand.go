package config

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"
)

// maxExpanded bounds what one value may grow to.
const maxExpanded = 64 << 10

// expand replaces ${NAME} and ${NAME:-default} by what env says, once: what it
// puts in is not looked at again. As in a shell, the default stands for an empty
// variable too. $${ becomes ${. No error shows a value; it may be a secret.
func expand(text string, env func(string) (string, bool)) (string, error) {
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
			return "", errors.New("${ is not closed; write ${NAME}, or $${ for the two characters themselves")
		}

		value, err := lookup(text[i+2:i+length], env)
		if err != nil {
			return "", err
		}

		out.WriteString(text[:i] + value)
		if out.Len() > maxExpanded {
			return "", fmt.Errorf("grows over %d bytes; a shorter value is right", maxExpanded)
		}

		text = text[i+length+1:]
	}
}

var variable = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// lookup returns what stands between ${ and }: NAME, or NAME:-default.
func lookup(reference string, env func(string) (string, bool)) (string, error) {
	name, other, hasDefault := strings.Cut(reference, ":-")
	if !variable.MatchString(name) {
		return "", fmt.Errorf(
			"${%s} names no variable; write ${NAME} or ${NAME:-default}, or $${ for the two characters themselves",
			clip(name),
		)
	}
	if strings.Contains(other, "${") {
		return "", fmt.Errorf("the default of ${%s} holds ${; a default is plain text", name)
	}

	value, ok := env(name)
	switch {
	case hasDefault && value == "":
		return other, nil
	case !ok:
		return "", fmt.Errorf("variable %s is not set; set it, or write ${%s:-default}", name, name)
	case !utf8.ValidString(value):
		return "", fmt.Errorf("variable %s is not UTF-8; text is", name)
	}

	return value, nil
}
