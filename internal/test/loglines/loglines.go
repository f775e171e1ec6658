// Package loglines checks the log lines of running servers in tests.
//
// A line may have only a message of the code, with the fields of its call, each of the type that Fields says. The
// messages are made from the code by the tests of the module's root, which also write docs/reference/logs.md.
package loglines

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// List is what servers log.
type List struct {
	With     []string  `json:"with"` // fields that any line may have beside those of its message
	Messages []Message `json:"messages"`
}

// Message is the fixed text of a call, with its fields in order.
type Message struct {
	Text   string   `json:"msg"`
	Levels []string `json:"levels"`
	Fields []string `json:"fields"`
}

//go:embed messages.json
var encoded []byte

// known is the embedded list, by message.
var known = sync.OnceValues(func() (map[string]Message, []string) {
	var list List
	if err := json.Unmarshal(encoded, &list); err != nil {
		panic("loglines: messages.json: " + err.Error() + "; make generate writes it")
	}

	byText := map[string]Message{}
	for _, m := range list.Messages {
		byText[m.Text] = m
	}

	return byText, list.With
})

// Check returns an error if a line in JSON is not one of the list.
func Check(line []byte) error {
	var values map[string]any
	if err := json.Unmarshal(line, &values); err != nil {
		return fmt.Errorf("log line %.200q: %w", line, err)
	}

	messages, with := known()
	text, _ := values["msg"].(string)
	message, ok := messages[text]
	if !ok {
		return fmt.Errorf("log line %.200q: the message is not in docs/reference/logs.md; run make generate", line)
	}

	for _, name := range message.Fields {
		if _, ok := values[name]; !ok {
			return fmt.Errorf("log line %.200q: field %q is missing", line, name)
		}
	}

	for name, value := range values {
		err := message.allows(name, value, with)
		if err != nil {
			return fmt.Errorf("log line %.200q: %w", line, err)
		}
	}

	return nil
}

// allows returns an error if the message has no such field, or the field no such value.
func (m Message) allows(name string, value any, with []string) error {
	want := text
	switch {
	case name == "time":
		want = instant
	case name == "msg":
	case name == "level":
		level, _ := value.(string)
		if !slices.Contains(m.Levels, level) {
			return fmt.Errorf("got level %v, want one of %v", value, m.Levels)
		}
	case !slices.Contains(m.Fields, name) && !slices.Contains(with, name):
		return fmt.Errorf("field %q is not one of the message", name)
	default:
		f, _ := Find(name)
		want = f.Type
	}

	if !want.has(value) {
		return fmt.Errorf("field %q = %v, want %s", name, value, want)
	}

	return nil
}

// has reports whether a value is of a type.
func (t Type) has(value any) bool {
	var ok bool
	switch t {
	case text:
		_, ok = value.(string)
	case number:
		_, ok = value.(float64)
	case instant:
		s, _ := value.(string)
		_, err := time.Parse(time.RFC3339, s)
		ok = err == nil
	case truth:
		_, ok = value.(bool)
	case texts:
		_, ok = value.([]any)
	case object:
		_, ok = value.(map[string]any)
	}

	return ok
}

// CheckAll checks the lines of a program that writes a log and perhaps other text. The last line may be incomplete,
// if the program was killed.
func CheckAll(output string) error {
	for line := range strings.Lines(output) {
		if !strings.HasPrefix(line, `{"time":`) || !strings.HasSuffix(line, "\n") {
			continue
		}

		err := Check([]byte(line))
		if err != nil {
			return err
		}
	}

	return nil
}

// Checked is an io.Writer for a slog.JSONHandler that checks each line. It is safe for concurrent use.
type Checked struct {
	mu  sync.Mutex
	err error
}

// Write implements io.Writer.
func (c *Checked) Write(line []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()

	if c.err == nil {
		c.err = Check(bytes.TrimSpace(line))
	}

	return len(line), nil
}

// Err returns what was wrong with the first line that is not in the list.
func (c *Checked) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()

	return c.err
}
