package web_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/web"
)

func TestCheckJSONText(t *testing.T) {
	for _, tc := range []struct{ name, document, want string }{
		{"ASCII", `{"a":"b\n\\"}`, ""},
		{"UTF-8", `{"a":"Müller"}`, ""},
		{"the replacement character itself", `{"a":"` + "\ufffd" + `"}`, ""},
		{"a byte of Latin-1", "{\"a\":\"M\xfcller\"}", "byte 8 (0xfc) is not UTF-8"},
		{"a character that is cut off", "{\"a\":\"\xc3\"}", "byte 7 (0xc3) is not UTF-8"},
		{"an encoded surrogate", "\"\xed\xa0\x80\"", "byte 2 (0xed) is not UTF-8"},
		{"an escaped pair", `"\ud83d\ude00 \uD83D\uDE00"`, ""},
		{"the first half alone", `"x\ud83d"`, "the escape at byte 3 is half of a surrogate pair"},
		{"the second half alone", `"\ude00"`, "the escape at byte 2 is half of a surrogate pair"},
		{"the first half twice", `"\ud83d\ud83d"`, "the escape at byte 2 is half of a surrogate pair"},
		{"an escaped backslash before a u", `"\\ud83d"`, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := web.CheckJSONText([]byte(tc.document))
			if jeton.Detail(err) != tc.want || tc.want != "" && !errors.Is(err, jeton.ErrInvalid) {
				t.Errorf("CheckJSONText(%q) = %v, want %q", tc.document, err, tc.want)
			}
		})
	}
}

// TestNoReaderReplacesInvalidText has every function that reads the body of a request.
func TestNoReaderReplacesInvalidText(t *testing.T) {
	request := func(kind, body string) *http.Request {
		r := httptest.NewRequest("POST", "/", strings.NewReader(body))
		r.Header.Set("Content-Type", kind)
		return r
	}
	reply := func() *web.Reply {
		w := &web.Reply{}
		w.Reset(httptest.NewRecorder(), "id", time.Now(), netip.Addr{})
		return w
	}

	const form, json = "application/x-www-form-urlencoded", "application/json"

	for _, tc := range []struct {
		name string
		read func() error
		want string
	}{
		{"Read", func() error {
			_, err := web.Read[map[string]string](request(json, "{\"a\":\"\xfc\"}"))
			return err
		}, "byte 7 (0xfc)"},
		{"LoginFields of JSON", func() error {
			_, err := web.LoginFields(reply(), request(json, "{\"a\":\"\xfc\"}"), "a login", "a")
			return err
		}, "byte 7 (0xfc)"},
		{"LoginFields of JSON with an escape", func() error {
			_, err := web.LoginFields(reply(), request(json, `{"a":"\ud800"}`), "a login", "a")
			return err
		}, "byte 7"},
		{"LoginFields of a form", func() error {
			_, err := web.LoginFields(reply(), request(form, "b=1&a=x%FC"), "a login", "a")
			return err
		}, "field 2 of the form: byte 2 (0xfc)"},
		{"ParseForm of raw bytes", func() error {
			_, err := web.ParseForm([]byte("a=\xfc"))
			return err
		}, "field 1 of the form: byte 1 (0xfc)"},
		{"ParseForm of a name", func() error {
			_, err := web.ParseForm([]byte("%FC=a"))
			return err
		}, "field 1 of the form: byte 1 (0xfc)"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := tc.read()
			if !errors.Is(err, jeton.ErrInvalid) || !strings.Contains(jeton.Detail(err), tc.want) {
				t.Errorf("error %v, want ErrInvalid with %q", err, tc.want)
			}
		})
	}
}
