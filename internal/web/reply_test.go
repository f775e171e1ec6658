package web_test

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/jeton-auth/jeton/internal/web"
)

// reply returns a reply to write to and what is written.
func reply() (*web.Reply, *httptest.ResponseRecorder) {
	rec := httptest.NewRecorder()
	w := &web.Reply{}
	w.Reset(rec, "the-id-of-it", time.Now(), netip.Addr{})
	return w, rec
}

func TestReplyCounts(t *testing.T) {
	w, _ := reply()
	w.WriteHeader(http.StatusEarlyHints)
	w.WriteHeader(http.StatusTeapot)

	if w.WriteHeader(http.StatusOK); w.Status() != http.StatusTeapot {
		t.Errorf("status %d, want the first that is final", w.Status())
	}

	w, rec := reply()
	_, _ = w.Write([]byte("four"))
	_, _ = w.Write([]byte("five!"))

	if w.Status() != http.StatusOK || w.Bytes() != 9 || w.Unwrap() != http.ResponseWriter(rec) {
		t.Errorf("status = %d, %d bytes, want 200, 9 bytes", w.Status(), w.Bytes())
	}

	w.Reset(rec, "another-id", time.Time{}, netip.Addr{})
	if w.Status() != 0 || w.Bytes() != 0 || w.Decision != nil {
		t.Errorf("reset reply = %d, %d bytes, %v, want nothing", w.Status(), w.Bytes(), w.Decision)
	}
	if _, _ = w.Write(nil); w.Status() != http.StatusOK {
		t.Errorf("status %d after a write, want 200", w.Status())
	}
}

// TestReplySpellsNames checks the names as they are sent, with a status and without one.
func TestReplySpellsNames(t *testing.T) {
	for _, tc := range []struct {
		name string
		send func(*web.Reply)
	}{
		{"a status", func(w *web.Reply) { w.WriteHeader(http.StatusUnauthorized) }},
		{"a body alone", func(w *web.Reply) { _, _ = w.Write([]byte("body")) }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w, rec := reply()
			w.Header().Set("WWW-Authenticate", "Basic")
			w.Header().Set("ETag", `"1"`)
			w.Header().Set("X-Request-Id", "1")
			tc.send(w)

			got := slices.Sorted(maps.Keys(rec.Header()))
			want := []string{"ETag", "WWW-Authenticate", "X-Request-Id"}
			if !slices.Equal(got, want) {
				t.Errorf("headers are %q, want %q", got, want)
			}
		})
	}
}
