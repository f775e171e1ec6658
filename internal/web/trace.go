package web

import (
	"net/http"
	"regexp"
	"strings"
)

// The headers of a trace (W3C Trace Context, sections 3.2 and 3.3).
const (
	HeaderTraceParent = "Traceparent"
	HeaderTraceState  = "Tracestate"
)

// maxTraceState bounds what is passed on of a trace: twice what every system must take (section 3.3.1.5).
const maxTraceState = 1024

// traceMember is an entry of Tracestate (section 3.3.1.3).
var traceMember = regexp.MustCompile(
	`^[a-z0-9][a-z0-9_*/-]{0,240}(@[a-z][a-z0-9_*/-]{0,13})?=[ -+\--<>-~]{0,255}[!-+\--<>-~]$`)

// KeepTrace removes the headers of a trace that are invalid, as section 4 of W3C Trace Context demands, and returns the
// id of the trace, or "" if there is none.
func KeepTrace(h http.Header) (id string) {
	lines := h[HeaderTraceParent]
	if len(lines) == 1 {
		id = traceID(lines[0])
	}

	if id == "" {
		DropTrace(h)
		return ""
	}

	states := h[HeaderTraceState]
	if len(states) > 0 && !validState(strings.Join(states, ",")) {
		delete(h, HeaderTraceState)
	}

	return id
}

// DropTrace removes the headers of a trace.
func DropTrace(h http.Header) {
	delete(h, HeaderTraceParent)
	delete(h, HeaderTraceState)
}

// traceID returns the id in a Traceparent, or "" if that is invalid. A later version may have more fields at its end.
func traceID(text string) string {
	const length = len("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
	if len(text) < length || text[2] != '-' || text[35] != '-' || text[52] != '-' {
		return ""
	}

	version, id := text[:2], text[3:35]
	parent, rest := text[36:52], text[length:]
	switch {
	case !isHex(version+id+parent+text[53:55]) || version == "ff":
		return ""
	case strings.Trim(id, "0") == "" || strings.Trim(parent, "0") == "":
		return ""
	case rest != "" && (version == "00" || rest[0] != '-' || len(rest) > maxTraceState):
		return ""
	}

	return id
}

// isHex reports whether text has digits of base 16 in lower case only.
func isHex(text string) bool { return strings.Trim(text, "0123456789abcdef") == "" }

// validState reports whether the lines of Tracestate, joined, are valid.
func validState(text string) bool {
	if len(text) > maxTraceState {
		return false
	}

	keys := map[string]bool{}
	for item := range strings.SplitSeq(text, ",") {
		item = strings.Trim(item, " \t")
		if item == "" {
			continue
		}

		key, _, _ := strings.Cut(item, "=")
		if !traceMember.MatchString(item) || keys[key] {
			return false
		}
		keys[key] = true
	}

	return len(keys) > 0 && len(keys) <= 32
}
