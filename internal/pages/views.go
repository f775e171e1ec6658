package pages

import (
	"html/template"
	"strings"
)

// Text is a message of the catalogues with its arguments: strings, numbers, time.Time, time.Duration, Strong, Code or
// another Text. Templates print it with {{t .Field}}. Its zero value prints nothing.
type Text struct {
	Key  string
	Args []any
}

// text returns a message. The key is written out, so that a test finds it.
func text(key string, args ...any) Text { return Text{key, args} }

// Strong is an argument that stands out, such as the name of what a sentence is about.
type Strong string

// Code is an argument that is set as code, such as a path.
type Code string

// Link is a link or a button that leads somewhere.
type Link struct {
	Text    Text
	URL     string // of ours, or checked by package config
	Current bool   // the page that is shown
}

// The kinds of Note.
const (
	Info = ""
	Good = "good"
	Warn = "warn"
	Bad  = "bad"
)

// Note is a message in a box: {{template "note" .Note}}. One of kind Bad is read out at once.
type Note struct {
	Kind    string
	Text    Text   // one sentence
	More    Text   // what to do
	Detail  string // of the server, in English
	Request string // id to look up in the audit log
	Link    *Link
	Focus   bool // the page begins here
}

// Field is a field of a form: {{template "field" .Name}}.
type Field struct {
	Name         string // also the id of the element
	Label        Text
	Hint         Text
	Error        Text
	Value        string // never a secret
	Type         string // "": text
	Autocomplete string
	InputMode    string
	Pattern      string
	Min          string
	Max          string
	Rules        string // passwordrules
	Required     bool
	ReadOnly     bool
	Invalid      bool // also without an Error of its own
	NoCapitals   bool // no keyboard begins it with a capital letter
	Focus        bool
	NoteBelongs  bool // the note of the page is about this field
	MaxLength    int
}

// Input returns the type of the element.
func (f Field) Input() string {
	if f.Type == "" {
		return "text"
	}
	return f.Type
}

// Described returns the ids of the elements that describe the field, or "".
func (f Field) Described() string {
	var ids []string
	if f.NoteBelongs {
		ids = append(ids, "note")
	}
	if f.Error.Key != "" {
		ids = append(ids, f.Name+"-error")
	}
	if f.Hint.Key != "" {
		ids = append(ids, f.Name+"-hint")
	}

	return strings.Join(ids, " ")
}

// Choice is one of several values: {{template "choices" .Choices}} inside of a select or as checkboxes.
type Choice struct {
	Value    string
	Text     Text   // or
	Label    string // a name that is the same in every language
	Hint     Text
	Selected bool
	Disabled bool
}

// Select is a field with choices: {{template "select" .Field}}.
type Select struct {
	Name    string
	Label   Text
	Hint    Text
	Choices []Choice
}

// Checks is a group of checkboxes: {{template "checks" .Field}}.
type Checks struct {
	Name    string
	Label   Text
	Hint    Text
	Error   Text
	Focus   bool // on the first one
	Choices []Choice
}

// Meter shows how much is left: {{template "meter" .Left}}.
type Meter struct {
	Text  Text // says the same in words
	Value int64
	Max   int64
}

// State returns "spent" for nothing left, "low" for a tenth and less, or "".
func (m Meter) State() string {
	switch {
	case m.Value <= 0:
		return "spent"
	case m.Max > 0 && m.Value*10 <= m.Max:
		return "low"
	}

	return ""
}

// Tag is a word beside a name: {{template "tag" .}}.
type Tag struct {
	Kind string // as in Note
	Text Text
	Name string // instead of Text: a name that is the same in every language
}

// Empty is shown in place of an empty list: {{template "empty" .Empty}}. It says what the list is for.
type Empty struct {
	Text   Text
	Action *Link
}

// Pager leads to the pages before and after: {{template "pager" .Pager}}. Nothing is shown without either.
type Pager struct {
	First string // URL; "": this is the first page
	Next  string // URL; "": this is the last page
}

// Step is a check of a decision: {{template "steps" .Steps}}.
type Step struct {
	Label  Text // or
	Name   string
	Words  Text // or
	Value  string
	Result string // pass, fail or skip
}

// Verdict returns the result in words, for users who do not see its sign.
func (s Step) Verdict() Text {
	switch s.Result {
	case "pass":
		return text("step.pass")
	case "fail":
		return text("step.fail")
	}

	return text("step.skip")
}

// markup joins safe markup.
func markup(parts ...template.HTML) template.HTML {
	var b strings.Builder
	for _, part := range parts {
		b.WriteString(string(part))
	}

	return template.HTML(b.String())
}
