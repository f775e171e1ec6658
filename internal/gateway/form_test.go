package gateway

import (
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// FuzzForm compares what the login door reads with what the standard library does.
func FuzzForm(f *testing.F) {
	for _, seed := range []string{
		"", "username=a&password=b", "username=a&username=b", "a=%zz", "a;b", "=&=", "%00=1", `{"username":"a","password":"b"}`,
		`{"a":1,"a":"x"}`, `{"a":{"b":[1,2,{"c":null}]}}`, `{"a":"x"}{}`, `[]`, `{`, `{"a" "b"}`, `{"a":"x",}`, "{\"\xff\":\"\xff\"}", `{"\u0061":"x"}`, ` {} `,
	} {
		f.Add(seed)
	}

	f.Fuzz(func(t *testing.T, body string) {
		form, err := parseForm(body)
		want, wantErr := url.ParseQuery(body)
		if err == nil && (wantErr != nil || len(form) != len(want)) {
			t.Errorf("form %q was read as %v, want %v, %v", body, form, want, wantErr)
		}

		object, err := parseObject([]byte(body))
		var m map[string]json.RawMessage
		valid := json.Unmarshal([]byte(body), &m)
		if (err == nil) != (valid == nil && m != nil) {
			t.Fatalf("object %q: %v, want %v, %v", body, err, m, valid)
		}

		if err != nil {
			return
		}

		for name, raw := range m {
			var text string
			_ = json.Unmarshal(raw, &text)
			got := object[name]
			if len(got) == 0 || got[len(got)-1] != text {
				t.Errorf("object %q: member %q is %q, want %q last", body, name, got, text)
			}
		}

		for name := range object {
			if _, ok := m[name]; !ok {
				t.Errorf("object %q: member %q is made up", body, name)
			}
		}
	})
}

func FuzzCookieHeaders(f *testing.F) {
	for _, seed := range []string{
		"jeton=x",
		"a=1; jeton=x; b=2",
		"jeton",
		"=jeton=x",
		" jeton = x ;;",
		`a="jeton=x"`,
		"JETON=x",
	} {
		f.Add(seed)
	}

	f.Fuzz(func(t *testing.T, line string) {
		h := map[string][]string{"Cookie": {line}}
		before := slices.Clone(h["Cookie"])
		dropCookies(h, []string{"jeton"})

		if !slices.Equal(before, []string{line}) {
			t.Fatal("the line was changed in place")
		}

		for _, kept := range h["Cookie"] {
			if hasCookie(kept, "jeton") {
				t.Errorf("%q became %q, which still has the cookie", line, kept)
			}
		}
	})
}

// hasCookie reads a Cookie header as liberally as any backend does.
func hasCookie(line, name string) bool {
	for pair := range strings.SplitSeq(line, ";") {
		key, _, ok := strings.Cut(pair, "=")
		if ok && strings.TrimSpace(key) == name {
			return true
		}
	}

	return false
}
