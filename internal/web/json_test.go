package web_test

import (
	"errors"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/web"
)

func TestRead(t *testing.T) {
	type document struct {
		Name  string   `json:"name"`
		Count int      `json:"count"`
		List  []string `json:"list"`
	}
	const kind = "application/json"

	sized := func(n int) string {
		head, tail := `{"name":"`, `"}`
		return head + strings.Repeat("x", n-len(head)-len(tail)) + tail
	}

	for _, tc := range []struct {
		name, kind, body string
		want             error
	}{
		{"a document", kind, `{"name":"x","count":1}`, nil},
		{"with a charset", kind + "; charset=utf-8", `{}`, nil},
		{"with space around", kind, " \n{} \n", nil},
		{"64 KiB", kind, sized(64 << 10), nil},
		{"64 KiB and a byte", kind, sized(64<<10 + 1), jeton.ErrTooLarge},
		{"a megabyte", kind, sized(1 << 20), jeton.ErrTooLarge},
		{"an unknown member", kind, `{"name":"x","admin":true}`, jeton.ErrInvalid},
		{"an unknown member inside a list", kind, `{"list":[{"x":1}]}`, jeton.ErrInvalid},
		{"a member twice", kind, `{"name":"x","name":"y"}`, jeton.ErrInvalid},
		{"a member twice, in another case", kind, `{"name":"x","Name":"y"}`, jeton.ErrInvalid},
		{"two documents", kind, `{} {}`, jeton.ErrInvalid},
		{"a document and more", kind, `{} x`, jeton.ErrInvalid},
		{"a wrong type", kind, `{"count":"one"}`, jeton.ErrInvalid},
		{"a fraction", kind, `{"count":1.5}`, jeton.ErrInvalid},
		{"too large a number", kind, `{"count":1e99}`, jeton.ErrInvalid},
		{"a list", kind, `[]`, jeton.ErrInvalid},
		{"half a document", kind, `{"name":`, jeton.ErrInvalid},
		{"deep nesting", kind, strings.Repeat("[", 20_000), jeton.ErrInvalid},
		{"nothing", kind, ``, jeton.ErrInvalid},
		{"no type", "", `{}`, jeton.ErrMediaType},
		{"a form", "application/x-www-form-urlencoded", `name=x`, jeton.ErrMediaType},
		{"plain text", "text/plain", `{}`, jeton.ErrMediaType},
		{"a type that is none", "a/b/c", `{}`, jeton.ErrMediaType},
		{"a relative", "application/problem+json", `{}`, jeton.ErrMediaType},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := httptest.NewRequest("POST", "/", strings.NewReader(tc.body))
			r.Header.Set("Content-Type", tc.kind)
			_, err := web.Read[document](r)
			if !errors.Is(err, tc.want) || (err == nil) != (tc.want == nil) {
				t.Errorf("Read: %v, want %v", err, tc.want)
			}

			if err != nil && jeton.Detail(err) == "" {
				t.Errorf("Read: %v says nothing to the caller", err)
			}
		})
	}
}
