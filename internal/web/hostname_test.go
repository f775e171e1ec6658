package web_test

import (
	"testing"

	"github.com/jeton-auth/jeton/internal/web"
)

func TestHostname(t *testing.T) {
	for host, want := range map[string]string{
		"":                       "",
		"localhost":              "localhost",
		"LOCALHOST:80":           "localhost",
		"localhost.":             "localhost",
		"Shop.Example.Org.:443":  "shop.example.org",
		"127.0.0.1:1":            "127.0.0.1",
		"[::1]:1":                "::1",
		"[::1]":                  "::1",
		"::1":                    "::1",
		"evil.example":           "evil.example",
		"localhost.evil.example": "localhost.evil.example",
		"localhost:80:90":        "localhost:80:90",
	} {
		got := web.Hostname(host)
		if got != want {
			t.Errorf("Hostname(%q) = %q, want %q", host, got, want)
		}
	}
}
