package jeton

import (
	"encoding/json"
	"fmt"
	"log/slog"
)

// Secret is a password, token or key in memory. However it is printed, logged or
// encoded it shows as [secret]; Reveal is the only way to its text, so that
// every place that uses one can be found by name.
//
// The text is behind a pointer because fmt does not ask the methods of a value that it
// finds in an unexported field: it prints the value, and an address reveals nothing.
type Secret struct{ text *string }

// NewSecret wraps text. A Secret is safe for concurrent use.
func NewSecret(text string) Secret { return Secret{&text} }

// masked is what a secret prints as, in every format.
const masked = "[secret]"

// Reveal returns the text itself.
func (s Secret) Reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

// IsZero reports whether there is no secret: the zero Secret, or one with an empty text.
func (s Secret) IsZero() bool { return s.Reveal() == "" }

// String returns a mask, never the text.
func (s Secret) String() string { return masked }

// GoString returns a mask, never the text.
func (s Secret) GoString() string { return masked }

// Format writes a mask, whatever the verb.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(masked)) }

// LogValue returns a mask, never the text.
func (s Secret) LogValue() slog.Value { return slog.StringValue(masked) }

// MarshalText returns a mask, never the text.
func (s Secret) MarshalText() ([]byte, error) { return []byte(masked), nil }

// MarshalJSON returns a mask, never the text.
func (s Secret) MarshalJSON() ([]byte, error) { return json.Marshal(masked) }

// UnmarshalText reads the text of a secret.
func (s *Secret) UnmarshalText(text []byte) error {
	*s = NewSecret(string(text))
	return nil
}
