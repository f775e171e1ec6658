package pages

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strings"
	"testing"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/web"
)

// TestANoticeLoadsNothing checks that the page works at a service: its style is in it, and its policy names the hash of
// that style and permits nothing else.
func TestANoticeLoadsNothing(t *testing.T) {
	p := newPages(t)

	for kind, framed := range map[web.NoticeKind]bool{
		web.NoticeFailed:  false,
		web.NoticeForm:    false,
		web.NoticeFrame:   true,
		web.NoticeLoop:    false,
		web.NoticeRefused: false,
		web.NoticeClient:  false,
		web.NoticeFactor:  false,
		web.NoticeProof:   false,
	} {
		w, rec := newReply()
		p.Notice(w, get("/", "de"), http.StatusForbidden, web.Notice{
			Kind:    kind,
			Service: "reports",
			User:    "diane",
			Link:    "/.jeton/start?to=%2F",
			Problem: jeton.Problem{Request: "the-id-of-it"},
		})

		body := rec.Body.String()
		_, rest, _ := strings.Cut(body, "<style>")
		style, _, found := strings.Cut(rest, "</style>")
		sum := sha256.Sum256([]byte(style))

		want := "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) +
			"'; base-uri 'none'; form-action 'none'"
		if !framed {
			want += "; frame-ancestors 'none'"
		}

		h := rec.Header()
		if got := h.Get("Content-Security-Policy"); !found || got != want {
			t.Errorf("%s: the policy is %q, want %q", kind, got, want)
		}
		if framed != (h.Get("X-Frame-Options") == "") {
			t.Errorf("%s: X-Frame-Options = %q, want frames allowed: %t", kind, h.Get("X-Frame-Options"), framed)
		}
		if rec.Code != http.StatusForbidden || h.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d, Cache-Control %q, want 403, no-store", kind, rec.Code, h.Get("Cache-Control"))
		}

		for _, bad := range []string{"<script", "<link", "<img", "<form", "ZgotmplZ"} {
			if strings.Contains(body, bad) {
				t.Errorf("%s: the page has %s, want none", kind, bad)
			}
		}
		if !strings.Contains(body, `href="/.jeton/start?to=%2F" target="_top"`) {
			t.Errorf("%s: page = %s, want a link to sign in", kind, body)
		}
	}
}
