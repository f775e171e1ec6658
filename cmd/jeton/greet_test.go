//go:build !walletonly

package main

import (
	"strings"
	"testing"

	"github.com/jeton-auth/jeton/internal/server"
)

func TestTheGreetingLeadsToThePages(t *testing.T) {
	const issuer, setup = "https://localhost:8443", "https://localhost:8443/setup/jtn_t_x"

	for _, tc := range []struct {
		name    string
		started server.Started
		want    []string
		not     []string
	}{
		{
			"without users",
			server.Started{
				Issuer:  server.Address{URL: issuer},
				Pages:   true,
				NoUsers: true,
				Setup:   setup,
			},
			[]string{issuer + "/account\n", "There are no users yet.", "  " + setup + "\n", "jeton user add admin"},
			nil,
		},
		{
			"without users and without pages",
			server.Started{NoUsers: true},
			[]string{"There are no users yet.", "jeton user add admin"},
			[]string{"link", "/account"},
		},
		{
			"with users",
			server.Started{Issuer: server.Address{URL: issuer}, Pages: true},
			[]string{issuer + "/account\n"},
			[]string{"no users", "link"},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var out strings.Builder
			greet(&out, tc.started)

			for _, want := range tc.want {
				if !strings.Contains(out.String(), want) {
					t.Errorf("greet printed %q, want %q in it", out.String(), want)
				}
			}
			for _, not := range tc.not {
				if strings.Contains(out.String(), not) {
					t.Errorf("greet printed %q, want no %q in it", out.String(), not)
				}
			}
		})
	}
}
