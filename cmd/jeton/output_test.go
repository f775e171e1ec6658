package main

import (
	"testing"
	"time"
)

func TestATimeThatIsUnknownIsNotNever(t *testing.T) {
	at := time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)

	for _, tc := range []struct {
		name string
		at   time.Time
		want string
	}{
		{"unknown", time.Time{}, "unknown"},
		{"known", at, at.Local().Format("2006-01-02 15:04:05Z07:00")},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := whenKnown(tc.at)
			if got != tc.want {
				t.Errorf("whenKnown = %q, want %q", got, tc.want)
			}
		})
	}
}

func TestTextOfAServiceCannotMoveTheCursor(t *testing.T) {
	for _, tc := range []struct{ name, text, all, line string }{
		{"no control character", "größe 1", "größe 1", "größe 1"},
		{"an escape sequence", "a\x1b[2Jb\x7f", "a?[2Jb?", "a?[2Jb?"},
		{"an escape sequence of one character", "a\u009b2J", "a?2J", "a?2J"},
		{"a carriage return", "ok\rno", "ok?no", "ok?no"},
		{"another direction and a separator", "a\u202eb\u2066c\u2028d\u2029e", "a?b?c?d?e", "a?b?c?d?e"},
		{"two lines", "a\n\tb", "a\n\tb", "a??b"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := printable(tc.text); got != tc.all {
				t.Errorf("printable: got %q, want %q", got, tc.all)
			}
			if got := oneLine(tc.text); got != tc.line {
				t.Errorf("oneLine: got %q, want %q", got, tc.line)
			}
		})
	}
}
