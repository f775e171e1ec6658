package web_test

import (
	"testing"
	"time"

	"github.com/jeton-auth/jeton/internal/web"
)

func TestAllowance(t *testing.T) {
	pace := web.Pace{Rate: 1000, Grace: 10 * time.Second}

	for _, tc := range []struct {
		name string
		took []time.Duration // for 1000 bytes each
		want time.Duration   // for the next 1000
	}{
		{"at the start", nil, 11 * time.Second},
		{"at the lowest rate", []time.Duration{time.Second, time.Second}, 11 * time.Second},
		{"slower", []time.Duration{3 * time.Second, 3 * time.Second}, 7 * time.Second},
		{"faster, which earns nothing", []time.Duration{0, 0}, 11 * time.Second},
		{"slower, then faster", []time.Duration{3 * time.Second, 0}, 10 * time.Second},
		{"too slow", []time.Duration{12 * time.Second}, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var a web.Allowance
			for _, d := range tc.took {
				a.Took(pace, d, 1000)
			}
			if got := a.For(pace, 1000); got != tc.want {
				t.Errorf("For(1000 bytes) = %v, want %v", got, tc.want)
			}
		})
	}
}
