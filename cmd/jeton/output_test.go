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
