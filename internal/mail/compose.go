package mail

import (
	"bytes"
	"embed"
	"fmt"
	htmltemplate "html/template"
	"strings"
	"text/template"
	"time"
)

// texts has a file for each kind in each language: the subject, an empty line, paragraphs.
//
//go:embed templates
var texts embed.FS

// DefaultLanguage is that of mails without another one.
const DefaultLanguage = "en"

// Letter is what a template shows.
type Letter struct {
	Facts
	Site  string    // name of the organisation
	To    string    // address
	Link  string    // path at the authorization server; in a template the whole address; or ""
	Until time.Time // when the link expires
}

// Content is a mail to send.
type Content struct {
	Subject string
	Text    string
	HTML    string
}

// frame shows paragraphs as HTML. It has no image, no style from elsewhere and no other link: its sender does not learn
// when it is read.
var frame = htmltemplate.Must(htmltemplate.New("").Parse(`<!DOCTYPE html>
<html lang="{{.Language}}">
<head><meta charset="utf-8"><title>{{.Subject}}</title></head>
<body style="font-family: sans-serif; line-height: 1.5; max-width: 36em; margin: 2em auto; padding: 0 1em">
{{range .Paragraphs}}{{if eq . $.Link}}<p><a href="{{.}}">{{.}}</a></p>
{{else}}<p>{{.}}</p>
{{end}}{{end}}</body>
</html>
`))

// compose returns the content of a letter in a language, in DefaultLanguage for one that we do not have.
func compose(k Kind, language string, l Letter) (Content, error) {
	t, err := load(k, language)
	if err != nil {
		language = DefaultLanguage
		t, err = load(k, language)
	}
	if err != nil {
		return Content{}, err
	}

	var b bytes.Buffer
	if err := t.Execute(&b, l); err != nil {
		return Content{}, fmt.Errorf("template of mail %s: %w", k, err)
	}

	subject, text, _ := strings.Cut(b.String(), "\n\n")
	c := Content{Subject: strings.TrimSpace(subject), Text: text}

	var html bytes.Buffer
	err = frame.Execute(&html, map[string]any{
		"Language":   language,
		"Subject":    c.Subject,
		"Link":       l.Link,
		"Paragraphs": strings.Split(strings.TrimSpace(text), "\n\n"),
	})
	c.HTML = html.String()

	return c, err
}

// notMe is the end of every notice: what the user does who did not do it.
const notMe = "not-me.txt"

// load reads a template.
func load(k Kind, language string) (*template.Template, error) {
	file := string(k) + ".txt"
	t := template.New(file).Funcs(template.FuncMap{"when": when}).Option("missingkey=error")
	dir := "templates/" + language + "/"

	return t.ParseFS(texts, dir+file, dir+notMe)
}

// when writes a time for users anywhere: the time zone of the reader is not known.
func when(at time.Time) string { return at.UTC().Format("2006-01-02 15:04 UTC") }
