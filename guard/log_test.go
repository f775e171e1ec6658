package guard_test

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/jeton-auth/jeton/guard"
)

// TestTheLogContainsNoTokenFromAPath stands for a client that puts its token into the
// address.
func TestTheLogContainsNoTokenFromAPath(t *testing.T) {
	var log bytes.Buffer
	g, err := guard.New(guard.Config{
		Issuer:   "https://auth.example",
		Audience: "reports",
		Log:      slog.New(slog.NewTextHandler(&log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}

	h := g.Require()(http.NotFoundHandler())
	for _, path := range []string{"/x/jtn_p_canary", "/" + strings.Repeat("y", 5000)} {
		log.Reset()
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, httptest.NewRequest("GET", path, nil))
		out := log.String()
		if rec.Code != http.StatusUnauthorized || !strings.Contains(out, "request refused") ||
			strings.Contains(out, "canary") || len(out) > 1000 {
			t.Errorf("GET %.40s = %d, want 401 and a short line without the token; log: %.300s", path, rec.Code, out)
		}
	}
}
