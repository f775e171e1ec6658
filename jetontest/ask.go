package jetontest

import (
	"io"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"net/url"
	"strings"

	"github.com/jeton-auth/jeton"
)

// Answer is the response to a request, read to its end.
type Answer struct {
	Status int
	Header http.Header
	Body   string
	Early  []int // statuses of informational responses (1xx), in order
}

// Code returns the error code of the response, "" for success.
func (a Answer) Code() string { return a.Header.Get(jeton.HeaderError) }

// Left returns the number of uses left in decimal, "" where none are counted.
func (a Answer) Left() string { return a.Header.Get(jeton.HeaderUsesRemaining) }

// Request returns the id of the request.
func (a Answer) Request() string { return a.Header.Get(jeton.HeaderRequestID) }

// Cookies returns the cookies that the answer sets, as a request sends them back.
func (a Answer) Cookies() string {
	var pairs []string
	for _, line := range a.Header["Set-Cookie"] {
		// A negative MaxAge deletes the cookie, so a browser would not send it back.
		if c, err := http.ParseSetCookie(line); err == nil && c.MaxAge >= 0 {
			pairs = append(pairs, c.Name+"="+c.Value)
		}
	}

	return strings.Join(pairs, "; ")
}

// Ask sends one request, over HTTP/2 where there is TLS. It sends no cookies but those in
// header, which holds names and values in turn. Without a response it fails the test and
// returns the zero Answer. It may be called by any goroutine.
func (s *Server) Ask(method, service, path string, header ...string) Answer {
	s.t.Helper()
	return s.Send(s.plain, method, s.URL(service)+path, "", header...)
}

// Send is Ask with a given client, a full URL and a body.
func (s *Server) Send(c *http.Client, method, address, body string, header ...string) Answer {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), method, address, strings.NewReader(body))
	if err != nil {
		s.t.Error(err)
		return Answer{}
	}

	for i := 0; i+1 < len(header); i += 2 {
		if http.CanonicalHeaderKey(header[i]) == "Host" {
			r.Host = header[i+1]
		}

		// Appended, so that a test can send one header twice.
		r.Header[http.CanonicalHeaderKey(header[i])] = append(r.Header[http.CanonicalHeaderKey(header[i])], header[i+1])
	}

	var a Answer
	trace := &httptrace.ClientTrace{Got1xxResponse: func(code int, _ textproto.MIMEHeader) error {
		a.Early = append(a.Early, code)
		return nil
	}}

	resp, err := c.Do(r.WithContext(httptrace.WithClientTrace(r.Context(), trace)))
	if err != nil {
		s.t.Errorf("%s %s: %v", method, address, err)
		return Answer{}
	}
	defer resp.Body.Close()

	b, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Errorf("%s %s: read the answer: %v", method, address, err)
	}

	a.Status = resp.StatusCode
	a.Header = resp.Header
	a.Body = string(b)

	return a
}

// Enter logs in at a service, as Login does, and returns the Cookie header of the session.
func (s *Server) Enter(service, name, password string) string {
	s.t.Helper()
	a := s.TryEnter(service, name, password)
	if a.Status != http.StatusOK {
		s.t.Fatalf("log in as %s at %s: %d %s", name, service, a.Status, a.Code())
	}

	return a.Cookies()
}

// TryEnter is Enter for a login that may be refused.
func (s *Server) TryEnter(service, name, password string, header ...string) Answer {
	s.t.Helper()
	form := url.Values{"username": {name}, "password": {password}}
	header = append([]string{"Content-Type", "application/x-www-form-urlencoded"}, header...)
	return s.Send(s.plain, http.MethodPost, s.URL(service)+"/login", form.Encode(), header...)
}
