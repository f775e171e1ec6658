package server

import "testing"

func TestADatabaseNeedsSpaceForItsUpgrade(t *testing.T) {
	const mb = 1 << 20
	for _, tc := range []struct {
		name       string
		free, size int64
		low        bool
	}{
		{"enough for a small one", 256 * mb, 10 * mb, false},
		{"too little for any", 255 * mb, 0, true},
		{"enough for a copy and its steps", 1000 * mb, 500 * mb, false},
		{"too little for a copy and its steps", 999 * mb, 500 * mb, true},
		{"not known", -1, 500 * mb, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			i := &installation{}
			i.space(tc.free, tc.size)
			if i.has("disk") != tc.low {
				t.Errorf("findings = %+v, want of a disk: %v", i.findings, tc.low)
			}
			if tc.low && i.findings[0].Fix == "" {
				t.Error("the finding has no fix")
			}
		})
	}
}
