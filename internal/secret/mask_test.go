package secret_test

import (
	"strings"
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
		{"an encrypted token", "eyJhbGciOiJ9.a.b.c.d and more", "[secret] and more"},
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

func TestRedactPath(t *testing.T) {
	long := "/" + strings.Repeat("é", 200)
	almost := "/" + strings.Repeat("x", 190)

	for _, tc := range []struct{ name, path, want string }{
		{"a path", "/a/b", "/a/b"},
		{"a token", "/a/jtn_p_secret/b", "/a/…"},
		{"a session secret at the start", "jtn_s_secret", "…"},
		{"a signed token", "/a/eyJhbGciOiJ9.eyJpc3MifQ.c2ln/b", "/a/…"},
		{"an encrypted token", "/a/eyJhbGciOiJ9.a.b.c.d", "/a/…"},
		{"a signed token before one of ours", "/eyJhbGciOiJ9.eyJpc3MifQ.c2ln/jtn_a_x", "/…"},
		{"one of ours before a signed token", "/jtn_a_x/eyJhbGciOiJ9.eyJpc3MifQ.c2ln", "/…"},
		{"the start of a signed token alone", "/eyJhbGciOiJ9.png", "/eyJhbGciOiJ9.png"},
		{"a line break, an escape and DEL", "/a\nb\x1bc\x7fd", "/a\ufffdb\ufffdc\ufffdd"},
		{"a control character of two bytes", "/a\u009bb", "/a\ufffdb"},
		{"not UTF-8", "/a\xffb", "/a\ufffdb"},
		{"200 bytes", "/" + strings.Repeat("x", 199), "/" + strings.Repeat("x", 199)},
		{"over 200 bytes, in the middle of a character", long, long[:199] + "…"},
		{"a signed token across byte 200", almost + "/eyJhbGciOiJ9.eyJ.c", almost + "/…"},
		{"a token beyond 200 bytes", long + "jtn_p_secret", long[:199] + "…"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := secret.RedactPath(tc.path)
			if got != tc.want {
				t.Errorf("RedactPath(%q) = %q, want %q", tc.path, got, tc.want)
			}
		})
	}
}
