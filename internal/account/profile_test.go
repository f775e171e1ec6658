package account_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/account"
)

func TestNewProfile(t *testing.T) {
	long := strings.Repeat("x", 257)
	for _, tc := range []struct {
		name, email, first string
		want               account.Profile
		err                error
	}{
		{"nothing", "", "", account.Profile{}, nil},
		{
			"an address with space around it",
			" Diane@Example.org ",
			"",
			account.Profile{Email: "Diane@Example.org", EmailFolded: "diane@example.org"},
			nil,
		},
		{
			"an address outside ASCII is folded, too",
			"STRASSE@ß.example",
			"",
			account.Profile{Email: "STRASSE@ß.example", EmailFolded: "strasse@ss.example"},
			nil,
		},
		{"a first name of any characters", "", "<b>'; DROP", account.Profile{First: "<b>'; DROP"}, nil},
		{"no @", "diane", "", account.Profile{}, jeton.ErrInvalid},
		{"two @", "a@b@c", "", account.Profile{}, jeton.ErrInvalid},
		{"no domain", "a@", "", account.Profile{}, jeton.ErrInvalid},
		{"a line break", "a@b\nc", "", account.Profile{}, jeton.ErrInvalid},
		{"an address that is too long", long + "@x", "", account.Profile{}, jeton.ErrInvalid},
		{"a name that is too long", "", long, account.Profile{}, jeton.ErrInvalid},
		{"a name with a NUL", "", "a\x00b", account.Profile{}, jeton.ErrInvalid},
		{"a name that is not UTF-8", "", "\xff", account.Profile{}, jeton.ErrInvalid},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := account.NewProfile(tc.email, tc.first, "")
			if got != tc.want || !errors.Is(err, tc.err) {
				t.Errorf("NewProfile(%q, %q) = %+v, %v, want %+v, %v", tc.email, tc.first, got, err, tc.want, tc.err)
			}
		})
	}
}
