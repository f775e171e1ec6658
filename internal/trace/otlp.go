package trace

import (
	"strconv"
	"time"
)

// The messages of OTLP 1 as JSON (opentelemetry-proto, trace/v1 and collector/trace/v1): names in lowerCamelCase, ids
// in hexadecimal, enums as numbers, and integers of 64 bits as strings.
type (
	exportRequest struct {
		ResourceSpans []resourceSpans `json:"resourceSpans"`
	}
	resourceSpans struct {
		Resource   resource     `json:"resource"`
		ScopeSpans []scopeSpans `json:"scopeSpans"`
	}
	resource struct {
		Attributes []attribute `json:"attributes"`
	}
	scopeSpans struct {
		Scope instrumentationScope `json:"scope"`
		Spans []wireSpan           `json:"spans"`
	}
	instrumentationScope struct {
		Name    string `json:"name"`
		Version string `json:"version,omitempty"`
	}
	wireSpan struct {
		TraceID      string      `json:"traceId"`
		SpanID       string      `json:"spanId"`
		ParentSpanID string      `json:"parentSpanId,omitempty"`
		Flags        int         `json:"flags"`
		Name         string      `json:"name"`
		Kind         int         `json:"kind"`
		Start        string      `json:"startTimeUnixNano"`
		End          string      `json:"endTimeUnixNano"`
		Attributes   []attribute `json:"attributes"`
		Status       *wireStatus `json:"status,omitempty"`
	}
	attribute struct {
		Key   string   `json:"key"`
		Value anyValue `json:"value"`
	}
	anyValue struct {
		String *string `json:"stringValue,omitempty"`
		Int    string  `json:"intValue,omitempty"`
	}
	wireStatus struct {
		Code int `json:"code"`
	}
	// exportResponse is the response of the collector.
	exportResponse struct {
		Partial struct {
			Rejected rejected `json:"rejectedSpans"`
			Message  string   `json:"errorMessage"`
		} `json:"partialSuccess"`
	}
)

// Numbers of the protocol.
const (
	kindServer  = 2
	statusError = 2
	flagSampled = 1
)

// rejected is an integer of 64 bits, which collectors send as a string or as a number.
type rejected int64

// UnmarshalJSON implements json.Unmarshaler.
func (r *rejected) UnmarshalJSON(b []byte) error {
	text := string(b)
	if len(text) > 1 && text[0] == '"' {
		text = text[1 : len(text)-1]
	}

	n, err := strconv.ParseInt(text, 10, 64)
	*r = rejected(max(n, 0))

	return err
}

// encode returns the message with some spans.
func (t *Tracer) encode(list []finished) exportRequest {
	spans := make([]wireSpan, len(list))
	for i, s := range list {
		spans[i] = s.wire()
	}

	about := attributes{}
	about.add("service.name", "jeton")
	about.add("service.version", t.c.Version)
	about.add("service.instance.id", t.c.Instance)

	return exportRequest{[]resourceSpans{{
		Resource:   resource{about},
		ScopeSpans: []scopeSpans{{instrumentationScope{"github.com/jeton-auth/jeton", t.c.Version}, spans}},
	}}}
}

// attributes describe a span or its sender.
type attributes []attribute

// add adds an attribute unless it is "".
func (list *attributes) add(key, text string) {
	if text != "" {
		*list = append(*list, attribute{key, anyValue{String: &text}})
	}
}

// wire returns a span as it is exported. Names of attributes are those of the semantic conventions of HTTP where there
// are some.
func (s finished) wire() wireSpan {
	out := wireSpan{
		TraceID:      s.trace,
		SpanID:       s.id,
		ParentSpanID: s.parent,
		Flags:        flagSampled,
		Name:         s.name(),
		Kind:         kindServer,
		Start:        nanoseconds(s.Began),
		End:          nanoseconds(s.Ended),
	}

	about := attributes{}
	about.add("http.request.method", method(s.Method))
	about.add("http.route", s.Route)
	about.add("jeton.service", s.Service)
	about.add("jeton.outcome", s.Outcome)
	about.add("jeton.request_id", s.RequestID)
	about.add("jeton.upstream", s.Upstream)
	out.Attributes = append(about, attribute{
		"http.response.status_code",
		anyValue{Int: strconv.Itoa(s.Status)},
	})
	if s.Status >= 500 {
		out.Status = &wireStatus{statusError}
	}

	return out
}

// name returns the name of a span, of which there are few: a method and a pattern.
func (s finished) name() string {
	verb := method(s.Method)
	if verb == otherMethod {
		verb = "HTTP"
	}
	if s.Route == "" {
		return verb
	}

	return verb + " " + s.Route
}

// otherMethod stands for methods that a caller has invented, as in the semantic conventions.
const otherMethod = "_OTHER"

// method returns a known method.
func method(name string) string {
	switch name {
	case "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS":
		return name
	}

	return otherMethod
}

// nanoseconds returns a time as the protocol has it.
func nanoseconds(t time.Time) string { return strconv.FormatInt(t.UnixNano(), 10) }
