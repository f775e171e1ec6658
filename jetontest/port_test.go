package jetontest_test

import (
	"testing"

	"github.com/jeton-auth/jeton/jetontest"
)

func TestNoPortIsReturnedTwice(t *testing.T) {
	seen := map[string]bool{}
	for range 300 { // of 12,000: four would be equal by chance
		port, err := jetontest.FreePort()
		if err != nil {
			t.Fatal(err)
		}
		if seen[port] {
			t.Fatalf("FreePort = %s again, want a port that no call has returned", port)
		}
		seen[port] = true
	}
}
