package secret_test

import (
	"testing"

	"github.com/jeton-auth/jeton/internal/secret"
)

func TestMask(t *testing.T) {
	for _, tc := range []struct{ name, text, want string }{
		{"nothing that is secret", `asked for ["reports"]`, `asked for ["reports"]`},
		{"a secret of ours", `asked for ["jtn_c_7Gm0aZ"] and more`, `asked for ["[secret]"] and more`},
		{"a secret of a session, which has other characters", "jtn_s_a-b_c", "[secret]"},
		{"a signed token", "sub eyJhbGciOiJ9.eyJpc3MifQ.c2ln-_", "sub [secret]"},
		{"a signed token without a signature", "eyJhbGciOiJ9.eyJpc3MifQ.", "[secret]"},
		{"two of them", "jtn_a_1 jtn_p_2", "[secret] [secret]"},
		{"a name with dots", "api.example.org", "api.example.org"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := secret.Mask(tc.text)
			if got != tc.want {
				t.Errorf("Mask(%q) = %q, want %q", tc.text, got, tc.want)
			}
		})
	}
}
