package account_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/account"
)

func TestGroups(t *testing.T) {
	for _, tc := range []struct {
		name string
		in   []string
		want []string // nil: refused
	}{
		{"none", nil, []string{}},
		{"sorted, each once", []string{"c", "a", "b", "a"}, []string{"a", "b", "c"}},
		{"groups that differ in case", []string{"b", "B"}, []string{"B", "b"}},
		{"another script", []string{"größe"}, []string{"größe"}},
		{"of the maximum length", []string{strings.Repeat("g", 128)}, []string{strings.Repeat("g", 128)}},
		{"too long", []string{strings.Repeat("g", 129)}, nil},
		{"empty", []string{"a", ""}, nil},
		{"a space", []string{"a b"}, nil},
		{"a comma, which would be two in a header", []string{"a,admin"}, nil},
		{"a line break", []string{"a\nb"}, nil},
		{"a zero byte", []string{"a\x00"}, nil},
		{"delete", []string{"a\x7f"}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			before := slices.Clone(tc.in)
			got, err := account.Groups(tc.in)
			if !slices.Equal(got, tc.want) || (got == nil) != (tc.want == nil) {
				t.Errorf("Groups(%q) = %q, %v, want %q", tc.in, got, err, tc.want)
			}

			if (err != nil) != (tc.want == nil) || err != nil && !errors.Is(err, jeton.ErrInvalid) {
				t.Errorf("Groups(%q) = %v, want ErrInvalid only for a refused list", tc.in, err)
			}
			if !slices.Equal(tc.in, before) {
				t.Errorf("Groups changed its argument to %q, want %q", tc.in, before)
			}
		})
	}
}
