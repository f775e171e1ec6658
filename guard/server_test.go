package guard_test

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/jeton-auth/jeton/guard"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/web"
)

// Guard is a public package and has copies of the server's tables.
func TestAgreesWithServer(t *testing.T) {
	outcomes := guard.Outcomes()
	if len(outcomes) == 0 {
		t.Fatal("Outcomes returns nothing")
	}

	for _, o := range outcomes {
		p := web.Problem(o.Err)
		if p.Status != o.Status || p.Title != o.Title {
			t.Errorf("%v = %d %q, want %d %q as at the server", o.Err, o.Status, o.Title, p.Status, p.Title)
		}

		code := serverCode(o.Err)
		if p.Status == http.StatusUnauthorized && code != o.Code || p.Status == http.StatusForbidden && code != o.Code {
			t.Errorf("challenge for %v has code %q, want %q as at the server", o.Err, o.Code, code)
		}
	}
}

// serverCode returns the code in the server's challenge for an error (RFC 6750, section 3.1).
func serverCode(err error) string {
	var w web.Reply
	rec := httptest.NewRecorder()
	w.Reset(rec, "", time.Time{}, netip.Addr{})
	web.Challenge{Schemes: policy.ByToken}.Set(&w, httptest.NewRequest("GET", "/", nil), err)

	_, code, _ := strings.Cut(rec.Header().Get("WWW-Authenticate"), `error="`)
	code, _, _ = strings.Cut(code, `"`)

	return code
}
