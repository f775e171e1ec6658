package pages

import (
	"embed"
	"encoding/json"
	"fmt"
	"html/template"
	"path"
	"strconv"
	"strings"
	"time"
)

//go:embed messages
var messageFiles embed.FS

// message is a message in one language. One with a number has a form for 1 and one for all others.
type message struct {
	One   string
	Other string
}

// UnmarshalJSON reads a text, or an object with the two forms.
func (m *message) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '"' {
		return json.Unmarshal(b, &m.Other)
	}

	var forms struct{ One, Other string }
	if err := json.Unmarshal(b, &forms); err != nil {
		return err
	}
	if forms.One == "" || forms.Other == "" {
		return fmt.Errorf("message %s: want the forms one and other", b)
	}

	*m = message(forms)

	return nil
}

// readMessages reads the catalogue of a language, which is in several files by part of the pages.
func readMessages(code string) (map[string]message, error) {
	dir := path.Join("messages", code)
	files, err := messageFiles.ReadDir(dir)
	if err != nil {
		return nil, err
	}

	all := map[string]message{}
	for _, f := range files {
		name := path.Join(dir, f.Name())
		b, err := messageFiles.ReadFile(name)
		if err != nil {
			return nil, err
		}

		var part map[string]message
		if err := json.Unmarshal(b, &part); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}

		for key, m := range part {
			if _, ok := all[key]; ok {
				return nil, fmt.Errorf("%s: key %s is also in another file", name, key)
			}
			all[key] = m
		}
	}

	return all, nil
}

// translate is the function t of templates: what is a Text, or a key with arguments.
func (l *language) translate(what any, args ...any) (template.HTML, error) {
	switch v := what.(type) {
	case Text:
		if v.Key == "" {
			return "", nil
		}
		return l.format(v.Key, v.Args)
	case *Text:
		if v == nil || v.Key == "" {
			return "", nil
		}
		return l.format(v.Key, v.Args)
	case string:
		return l.format(v, args)
	}

	return "", fmt.Errorf("t: want a key or a Text, got %T", what)
}

// format returns a message with its arguments as markup. The text of the message and every argument are escaped.
func (l *language) format(key string, args []any) (template.HTML, error) {
	m, ok := l.messages[key]
	if !ok {
		return "", fmt.Errorf("no message %q in the catalogue %s", key, l.code)
	}

	form := m.Other
	n, counts := firstNumber(args)
	if m.One != "" && counts && n == 1 {
		form = m.One
	}

	var b strings.Builder
	for form != "" {
		before, rest, found := strings.Cut(form, "{")
		b.WriteString(template.HTMLEscapeString(before))
		if !found {
			break
		}

		number, after, _ := strings.Cut(rest, "}")
		i, err := strconv.Atoi(number)
		if err != nil || i < 0 || i >= len(args) {
			return "", fmt.Errorf("message %q in the catalogue %s has no argument {%s}", key, l.code, number)
		}

		arg, err := l.argument(args[i])
		if err != nil {
			return "", err
		}

		b.WriteString(string(arg))
		form = after
	}

	return template.HTML(b.String()), nil
}

// firstNumber returns the first number among arguments, which chooses the form.
func firstNumber(args []any) (n int64, ok bool) {
	for _, arg := range args {
		switch v := arg.(type) {
		case int:
			return int64(v), true
		case int64:
			return v, true
		}
	}

	return 0, false
}

// argument returns an argument of a message as markup.
func (l *language) argument(arg any) (template.HTML, error) {
	switch v := arg.(type) {
	case string:
		return template.HTML(template.HTMLEscapeString(v)), nil
	case Strong:
		return markup("<strong>", template.HTML(template.HTMLEscapeString(string(v))), "</strong>"), nil
	case Code:
		return markup("<code>", template.HTML(template.HTMLEscapeString(string(v))), "</code>"), nil
	case Text:
		return l.translate(v)
	case int:
		return template.HTML(l.number(int64(v))), nil
	case int64:
		return template.HTML(l.number(v)), nil
	case time.Duration:
		return l.span(v)
	case time.Time:
		return l.when(v), nil
	case template.HTML:
		return v, nil
	}

	return "", fmt.Errorf("a message has an argument of type %T", arg)
}

// number returns a number with its thousands apart.
func (l *language) number(n int64) string {
	digits := strconv.FormatInt(n, 10)
	sign := ""
	if n < 0 {
		sign, digits = "-", digits[1:]
	}

	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + l.thousands + digits[i:]
	}

	return sign + digits
}
