package web

import (
	"encoding/json"
	"errors"
	"net/url"
	"testing"
)

// FuzzForm compares what a login reads with what the standard library does.
func FuzzForm(f *testing.F) {
	for _, seed := range []string{
		"",
		"username=a&password=b",
		"username=a&username=b",
		"a=%zz",
		"a;b",
		"=&=",
		"%00=1",
		`{"username":"a","password":"b"}`,
		`{"a":1,"a":"x"}`,
		`{"a":{"b":[1,2,{"c":null}]}}`,
		`{"a":"x"}{}`,
		`[]`,
		`{`,
		`{"a" "b"}`,
		`{"a":"x",}`,
		"{\"\xff\":\"\xff\"}",
		`{"\u0061":"x"}`,
		` {} `,
	} {
		f.Add(seed)
	}

	f.Fuzz(func(t *testing.T, body string) {
		form, err := ParseForm([]byte(body))
		want, wantErr := url.ParseQuery(body)
		if err == nil && (wantErr != nil || len(form) != len(want)) {
			t.Errorf("ParseForm(%q) = %v, want %v, %v", body, form, want, wantErr)
		}

		fuzzObject(t, body)
	})
}

func fuzzObject(t *testing.T, body string) {
	t.Helper()

	var want map[string]json.RawMessage
	wantErr := json.Unmarshal([]byte(body), &want)
	valid := wantErr == nil && want != nil && CheckJSONText([]byte(body)) == nil

	object, err := parseObject([]byte(body))
	switch {
	case errors.Is(err, errRepeated):
		return
	case (err == nil) != valid:
		t.Fatalf("parseObject(%q): %v, want %v, %v", body, err, want, wantErr)
	case err != nil:
		return
	}

	for name, raw := range want {
		var text string
		_ = json.Unmarshal(raw, &text)
		if got := object[name]; len(got) != 1 || got[0] != text {
			t.Errorf("parseObject(%q): member %q is %q, want %q", body, name, got, text)
		}
	}

	for name := range object {
		if _, ok := want[name]; !ok {
			t.Errorf("parseObject(%q) has the member %q, want only those of the document", body, name)
		}
	}
}

func TestCheckMembers(t *testing.T) {
	for _, tc := range []struct {
		name, document string
		repeated       bool
	}{
		{"an empty object", `{}`, false},
		{"different names", `{"a":1,"b":"a","c":["a","a"]}`, false},
		{"one name in two objects", `{"a":{"a":1},"b":{"a":1}}`, false},
		{"one name in two objects of a list", `[{"a":1},{"a":1}]`, false},
		{"a value like a name", `{"a":"b","b":"a"}`, false},
		{"twice", `{"a":1,"a":1}`, true},
		{"twice, in another case", `{"name":1,"Name":1}`, true},
		{"twice, with a Kelvin sign", `{"keys":1,"\u212aeys":1}`, true},
		{"twice, once escaped", `{"a":1,"\u0061":1}`, true},
		{"twice, around an object", `{"a":1,"b":{},"a":1}`, true},
		{"twice, around a list", `{"a":1,"b":[{"x":[]}],"a":1}`, true},
		{"twice in an inner object", `{"x":[{"a":1,"b":{},"a":1}]}`, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := CheckMembers([]byte(tc.document))
			if (err != nil) != tc.repeated {
				t.Errorf("CheckMembers(%s) = %v, want repeated: %t", tc.document, err, tc.repeated)
			}
		})
	}
}
