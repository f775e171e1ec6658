package server_test

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/jeton-auth/jeton/jetontest"
)

const slow = `
services:
  - name: app
    listen: localhost:0
    routes: [{match: '/{rest...}', open: true, upstream: {url: '${UP}'}}]
`

// TestSlowClientsAreCut uses clients that stop reading, or sending, while their connection stays open. The limits come
// with a reload.
func TestSlowClientsAreCut(t *testing.T) {
	gone := make(chan struct{}, 10)
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, err := io.Copy(io.Discard, r.Body)
		for block := make([]byte, 64<<10); err == nil; {
			_, err = w.Write(block)
		}
		gone <- struct{}{}
	}))
	t.Cleanup(up.Close)

	s := jetontest.Start(t, "limits: {min_rate: 0}\n"+slow, jetontest.Env("UP", up.URL))
	if err := s.Reload("limits: {min_rate: 1000000, behind: 1s}\n" + slow); err != nil {
		t.Fatal(err)
	}

	h1, h2 := s.Client(jetontest.HTTP1()), s.Client()
	stuck, _ := net.Pipe() // never sends
	t.Cleanup(func() { _ = stuck.Close() })

	for _, tc := range []struct {
		name   string
		client *http.Client
		body   io.Reader
	}{
		{"a reader of HTTP/1", h1, nil},
		{"a reader of one stream of HTTP/2", h2, nil},
		{"a sender of HTTP/1", h1, stuck},
		{"a sender of HTTP/2", h2, stuck},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL("app")+"/x", tc.body)
			if err != nil {
				t.Fatal(err)
			}

			resp, err := tc.client.Do(r)
			if err == nil {
				defer resp.Body.Close() // and nothing is read
			}

			select {
			case <-gone:
			case <-time.After(30 * time.Second):
				t.Error("the client is still served after 30s, want it cut after about 1s")
			}
		})
	}
}
