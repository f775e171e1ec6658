package gateway

import (
	"bytes"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/jeton-auth/jeton/internal/secret"
)

// sealOf returns the seal of a service with a key of one repeated byte.
func sealOf(t testing.TB, key byte, service string) secret.Seal {
	t.Helper()
	s, err := newSeal(bytes.Repeat([]byte{key}, 32), service)
	if err != nil {
		t.Fatal(err)
	}

	return s
}

// begun is a pending sign-in.
var begun = pending{
	Path:     "/reports/7?a=b&c=<d>",
	Verifier: "verifier",
	Browser:  []byte("hash of the cookie"),
	Round:    2,
	Expires:  time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC),
}

func TestAStateOpensAtItsServiceOnly(t *testing.T) {
	state, err := sealOf(t, 1, "shop").Close(begun)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(state, "verifier") {
		t.Errorf("state = %s, want it without the code_verifier", state)
	}

	for _, tc := range []struct {
		name  string
		seal  secret.Seal
		state string
		ok    bool
	}{
		{"its service", sealOf(t, 1, "shop"), state, true},
		{"another service", sealOf(t, 1, "blog"), state, false},
		{"another key", sealOf(t, 2, "shop"), state, false},
		{"without its last character", sealOf(t, 1, "shop"), state[:len(state)-1], false},
		{"with a character more", sealOf(t, 1, "shop"), state + "A", false},
		{"with another first character", sealOf(t, 1, "shop"), "-" + state[1:], state[0] == '-'},
		{"nothing", sealOf(t, 1, "shop"), "", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var got pending
			err := tc.seal.Open(tc.state, &got)
			if (err == nil) != tc.ok {
				t.Fatalf("Open = %v, want opened: %t", err, tc.ok)
			}
			if tc.ok && !reflect.DeepEqual(got, begun) {
				t.Errorf("Open = %+v, want %+v", got, begun)
			}
		})
	}
}

// TestAStateFitsIntoAnAddress bounds the longest state: proxies and servers limit an address to 8 KiB.
func TestAStateFitsIntoAnAddress(t *testing.T) {
	p := begun
	p.Path = "/" + strings.Repeat("&", 2047)
	p.Verifier = secret.Random()
	p.Browser = make([]byte, 32)

	state, err := sealOf(t, 1, "shop").Close(p)
	if err != nil || len(state) > 3100 {
		t.Errorf("a state has %d bytes, %v, want at most 3100", len(state), err)
	}
}
