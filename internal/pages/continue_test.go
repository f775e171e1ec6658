package pages

import (
	"net/url"
	"testing"

	"github.com/jeton-auth/jeton/internal/openid"
)

// TestWhatARequestIsSealedWithIsHandedOn holds the pages to what the authorization endpoint expects back.
func TestWhatARequestIsSealedWithIsHandedOn(t *testing.T) {
	for _, tc := range []struct {
		name   string
		sealed bool // the request has the time at which it was asked
	}{
		{"a request with the time at which it was asked", true},
		{"a request without it, to whose prompt the page was the answer", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			query := url.Values{"extra": {"foobar"}}
			for _, name := range openid.SealedParams() {
				query.Set(name, "value of "+name)
			}
			if tc.sealed {
				query.Set("asked", "value of asked")
			}

			want := url.Values{}
			for name := range query {
				want.Set(name, query.Get(name))
			}
			want.Del("extra")
			if !tc.sealed {
				want.Del("prompt")
			}

			if got := carried(query); got.Encode() != want.Encode() {
				t.Errorf("got %v, want %v", got, want)
			}
			if got, want := destination(query), "/oauth2/authorize?"+want.Encode(); got != want {
				t.Errorf("leads to %s, want %s", got, want)
			}
		})
	}
}
