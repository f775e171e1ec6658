package teaching_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jeton-auth/jeton/jetontest"
)

// hostileTexts returns strings that have broken other programs.
func hostileTexts(t *testing.T) []string {
	t.Helper()

	text, err := os.ReadFile(filepath.Join("..", "..", "testdata", "naughty-strings", "blns.json"))
	if err != nil {
		t.Fatal(err)
	}

	var list []string
	if err := json.Unmarshal(text, &list); err != nil || len(list) < 500 {
		t.Fatalf("read %d strings: %v", len(list), err)
	}

	return list
}

func object(t *testing.T, members map[string]any) string {
	t.Helper()
	b, err := json.Marshal(members)
	if err != nil {
		t.Fatal(err)
	}

	return string(b)
}

// TestHostileText sends strings that have broken other programs.
func TestHostileText(t *testing.T) {
	s := startClassic(t)
	created := send(t, s, "POST", "/users", `{"email":"bob@hbtn.io","password":"pwd"}`)
	id := decode[struct{ ID string }](t, created).ID
	accepted := 0
	all := hostileTexts(t)
	for i, text := range all {
		a := send(t, s, "PUT", "/users/"+id, object(t, map[string]any{"first_name": text, "last_name": text}))
		if a.Status != 400 && text != "" {
			got, _ := decode[map[string]any](t, a)["first_name"].(string)
			if a.Status != 200 || got != text {
				t.Errorf("PUT first_name %q = %d %q, want 200 and the same text, or 400", text, a.Status, got)
			}
			accepted++
		}

		answers := []jetontest.Answer{
			send(t, s, "POST", "/users", object(t, map[string]any{"email": text, "password": text})),
			send(t, s, "POST", "/users", "{"+text),
			send(t, s, "GET", "/users?search="+url.QueryEscape(text), ""),
		}
		if !strings.ContainsAny(text, "/") {
			answers = append(answers, send(t, s, "POST", "/users", object(t, map[string]any{
				"email":    fmt.Sprintf("u%d@%s", i, text),
				"password": "p",
			})))
		}

		if i%32 == 0 {
			answers = append(answers, send(t, s, "POST", "/auth_session/login", url.Values{
				"email":    {text},
				"password": {text},
			}.Encode()))
		}

		for _, a := range answers {
			if a.Status >= 500 || a.Status == 0 {
				t.Errorf("%q = %d %s, want an answer below 500", text, a.Status, a.Body)
			}
		}
	}

	if accepted < len(all)*3/4 {
		t.Errorf("%d of %d names accepted, want three quarters", accepted, len(all))
	}
}
