package loglines

import (
	"strings"
	"testing"
)

func TestOnlyDocumentedLinesAreAccepted(t *testing.T) {
	const (
		head = `{"time":"2026-11-30T01:52:03.204Z","level":"WARN","msg":`
		line = head + `"unknown environment variable"`
	)

	for _, tc := range []struct{ name, line, want string }{
		{"a line of the code", line + `,"name":"JETON_X"}`, ""},
		{"with a field of its logger", line + `,"name":"JETON_X","service":"s"}`, ""},
		{"another message", head + `"unknown","name":"JETON_X"}`, "the message is not in"},
		{"a field too many", line + `,"name":"X","password":"x"}`, `field "password" is not`},
		{"a field too few", line + `}`, `field "name" is missing`},
		{"another type", line + `,"name":1}`, `field "name" = 1, want string`},
		{"another level", head + `"stopping"}`, "got level WARN, want one of [INFO]"},
		{"a time that is none", `{"time":"now","level":"INFO","msg":"stopping"}`, `field "time" = now`},
		{"no JSON", "msg=stopping", "log line"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := Check([]byte(tc.line))
			if tc.want == "" && err != nil {
				t.Errorf("Check(%s) = %v, want nil", tc.line, err)
			}
			if tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
				t.Errorf("Check(%s) = %v, want an error with %q", tc.line, err, tc.want)
			}
		})
	}
}

func TestTheOutputOfAProgramMayHaveOtherTextAndACutLine(t *testing.T) {
	const line = `{"time":"2026-11-30T01:52:03Z","level":"INFO","msg":"stopping"}` + "\n"

	err := CheckAll("jeton is up\n" + line + `{"time":"2026-11-30T01:5`)
	if err != nil {
		t.Errorf("CheckAll = %v, want nil", err)
	}

	err = CheckAll(line + strings.Replace(line, "stopping", "going", 1))
	if err == nil {
		t.Error("CheckAll with another message = nil, want an error")
	}
}
