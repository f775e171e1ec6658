package wallet

import (
	"errors"
	"testing"

	"github.com/jeton-auth/jeton"
)

func TestTheDetailOfAServiceIsOneLineWithoutControlCharacters(t *testing.T) {
	err := explained(jeton.ErrForbidden, []byte(`{"detail":"no\u001b[2J\r\nmore \u009bjtn_u_0123456789"}`))

	want := "no [2J  more  "
	got := jeton.Detail(err)
	if len(got) < len(want) || got[:len(want)] != want || !errors.Is(err, jeton.ErrForbidden) {
		t.Errorf("got %q (%v), want one that begins with %q", got, err, want)
	}
}
