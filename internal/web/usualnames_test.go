package web

import (
	"net/http"
	"testing"
)

func TestUsualHeadersAreNotRemoved(t *testing.T) {
	for _, name := range usualNames {
		if isRemoved(name) || name != http.CanonicalHeaderKey(name) {
			t.Errorf("%s is removed by the lists, or is not canonical; want neither", name)
		}
	}
}
