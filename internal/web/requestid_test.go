package web_test

import (
	"strings"
	"testing"

	"github.com/jeton-auth/jeton/internal/web"
)

func TestNewID(t *testing.T) {
	seen := map[string]bool{}
	for range 100_000 {
		id := web.NewID()
		if len(id) != 20 || !web.ValidID(id) || seen[id] {
			t.Fatalf("id = %q, seen before = %t, want a valid one of 20 characters that is new", id, seen[id])
		}
		seen[id] = true
	}
}

func TestValidID(t *testing.T) {
	for id, want := range map[string]bool{
		"":                      false,
		"1234567":               false,
		"12345678":              true,
		strings.Repeat("x", 64): true,
		strings.Repeat("x", 65): false,
		"abc-DEF_1.2":           true,
		"abc def 12":            false,
		"abcdefg\n":             false,
		"abcdefgé":              false,
		"abcdefg;":              false,
		"../../../x":            false,
		"abcdefg\x00":           false,
	} {
		got := web.ValidID(id)
		if got != want {
			t.Errorf("ValidID(%q) = %t, want %t", id, got, want)
		}
	}
}
