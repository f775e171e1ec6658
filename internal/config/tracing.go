package config

import (
	"net/http"
	"net/url"
	"path/filepath"
	"strings"

	"github.com/jeton-auth/jeton/internal/outbound"
	"github.com/jeton-auth/jeton/internal/secretfile"
)

// Tracing is where spans of requests are exported to.
type Tracing struct {
	Endpoint    string `yaml:"endpoint" required:"true" doc:"URL of a collector of OTLP over HTTP that takes JSON, with its path, which usually is /v1/traces. http:// is for a collector on this machine."`
	HeadersFile string `yaml:"headers_file" absent:"none" doc:"File with headers of each export, one 'Name: value' a line, mode 0600 or 0640. Relative to this file."`
	CAFile      string `yaml:"ca_file" absent:"the system's authorities" doc:"PEM file with the certificate authority of the collector. Relative to this file."`
	Sample      int    `yaml:"sample" default:"10" min:"0" max:"100" doc:"How many percent of the requests get a span that come without a trace. Of those with the trace of a trusted proxy, all get one whose flag 'sampled' is set, and no others."`

	headers http.Header
}

// Headers returns the headers of each export.
func (t *Tracing) Headers() http.Header { return t.headers }

// tracing checks where spans are exported to.
func (c checker) tracing() {
	t := c.conf.Tracing
	if t == nil {
		return
	}

	u, err := url.Parse(t.Endpoint)
	switch {
	case !c.Valid(&t.Endpoint):
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.Fragment != "":
		// The value is not repeated: it may have a password in it.
		c.Fault(&t.Endpoint, "invalid URL: want one such as http://127.0.0.1:4318/v1/traces, without a password")
	case u.Scheme == "http" && !outbound.Loopback(u.Hostname()):
		c.Fault(&t.Endpoint, "http:// is for a collector on this machine; want https://, or an agent on this machine")
	case u.Path == "" || u.Path == "/":
		c.Fault(&t.Endpoint, "has no path; want that of the collector, such as /v1/traces")
	}

	if c.Has(&t.CAFile) {
		c.notEmpty(&t.CAFile)
	}
}

// tracingFiles reads the file with headers.
func (c checker) tracingFiles(t *Tracing, folder string) {
	if t.CAFile != "" {
		t.CAFile = relativeTo(folder, t.CAFile)
	}
	if !c.Has(&t.HeadersFile) {
		return
	}
	if t.HeadersFile == "" {
		c.Fault(&t.HeadersFile, "empty; want a file, or remove the key")
		return
	}

	t.HeadersFile = secretfile.Path(relativeTo(folder, t.HeadersFile))
	text, err := readSecret(t.HeadersFile)
	if err != nil {
		c.Fault(&t.HeadersFile, "cannot read the file: %v", err)
		return
	}

	t.headers = http.Header{}
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		name, value, found := strings.Cut(line, ":")
		value = strings.TrimSpace(value)
		switch {
		case line == "":
		case !found || !tokenPattern.MatchString(name) || value == "" || strings.ContainsFunc(value, isControl):
			c.Fault(&t.HeadersFile, "%s, line %d: want a header such as 'Authorization: Bearer KEY'",
				filepath.Base(t.HeadersFile), i+1)
		default:
			t.headers.Add(name, value)
		}
	}

	c.private(&t.HeadersFile)
}

// isControl reports whether a value of a header may not have a character.
func isControl(r rune) bool { return r < ' ' || r == 0x7f }
