package server_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/jeton-auth/jeton/jetontest"
)

// streaming has a service whose upstream does not end its response.
const streaming = signingIn + `
  - name: files
    listen: localhost:0
    host: files.example
    accept: [basic]
    routes: [{match: GET /stream, upstream: {url: '${UPSTREAM}'}}]
`

// TestARequestWithAPasswordEndsAsASecondFactorIsAdded has a request in progress, whose password is not enough any more.
func TestARequestWithAPasswordEndsAsASecondFactorIsAdded(t *testing.T) {
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "first")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done() // until the gateway ends it
	}))
	defer upstream.Close()

	c := newHeldClock()
	s := jetontest.Start(t, streaming, jetontest.Clock(c.now), jetontest.Env("UPSTREAM", upstream.URL))
	s.AddUser("diane", right)
	b := newBrowser(t, s)
	b.signIn("diane")

	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL("files")+"/stream", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.SetBasicAuth("diane", right)
	stream, err := s.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = stream.Body.Close() }()
	first := make([]byte, len("first"))
	if _, err := io.ReadFull(stream.Body, first); err != nil || string(first) != "first" {
		t.Fatalf("the stream begins with %q, %v, want first", first, err)
	}

	b.enrol(c.now())
	if rest, err := io.ReadAll(stream.Body); err == nil {
		t.Errorf("end of the stream after %q = nil, want an error: it was cut", rest)
	}
}
