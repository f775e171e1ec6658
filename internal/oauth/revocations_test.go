package oauth_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
)

// TestRevocationList reads the list of revoked tokens, as a service does that checks tokens itself.
func TestRevocationList(t *testing.T) {
	f := newFixture(t, many)
	ci := f.client("ci")

	list := func(after int64) (out jeton.Revocations) {
		t.Helper()
		a := f.get(fmt.Sprint("/oauth2/revocations?after=", after))
		if err := json.Unmarshal(
			[]byte(a.Body),
			&out,
		); err != nil || a.Status != 200 || a.Header.Get("Cache-Control") != "no-store" {
			t.Fatalf("got %d %s, want 200", a.Status, a.Body)
		}

		return out
	}

	hash := func(text string) string {
		sum := sha256.Sum256([]byte(text))
		return base64.RawURLEncoding.EncodeToString(sum[:])
	}

	if out := list(0); len(out.Void) != 0 || out.More || out.Next != 0 {
		t.Errorf("at first: got %+v, want nothing", out)
	}

	token := f.Token(ci, "audience", "reports")
	claims := payload(t, token)
	f.revoke(ci, token)
	one := list(0)
	want := hash("jti:" + claims["jti"].(string))
	if !slices.Equal(one.Void, []string{want}) || one.More {
		t.Errorf("after a revocation: %+v, want %s", one, want)
	}

	f.MustControl("POST", "/api/v1/clients/ci/end-tokens", nil, nil)
	if out := list(one.Next); !slices.Equal(out.Void, []string{hash(claims["gen"].(string))}) || out.Next <= one.Next {
		t.Errorf("after the end of all: got %+v, want the hash of gen, and a later next", out)
	}

	last := list(0).Next
	if out := list(last); len(out.Void) != 0 || out.Next != last {
		t.Errorf("with nothing new: %+v, want next %d again", out, last)
	}

	f.restart()
	if out := list(0); len(out.Void) != 2 {
		t.Errorf("after a restart: got %+v, want 2 hashes", out)
	}

	f.clock.move(26 * time.Hour)
	if out := list(0); len(out.Void) != 0 {
		t.Errorf("after longer than any token lives: got %+v, want no hash", out)
	}

	for _, after := range []string{"-1", "x", "1.5", "99999999999999999999", "%00"} {
		if a := f.get("/oauth2/revocations?after=" + after); a.Status != 400 {
			t.Errorf("after=%s: got %d %s, want 400", after, a.Status, a.Body)
		}
	}
}
