package web

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// deadlines is a writer whose connection takes a deadline or returns an error.
type deadlines struct {
	http.ResponseWriter
	err error
}

func (d deadlines) SetReadDeadline(time.Time) error { return d.err }

func TestOnlyADeadlineReplacesThePaceOfABody(t *testing.T) {
	for _, tc := range []struct {
		name string
		err  error
		want bool
	}{
		{"with a deadline", nil, true},
		{"without one", http.ErrNotSupported, false},
	} {
		w := &Reply{ResponseWriter: deadlines{httptest.NewRecorder(), tc.err}}
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader("body"))
		w.pace = Pace{Rate: 1, Grace: time.Hour}
		w.watchBody(r, w.pace)

		if b, err := Body(w, r, "the request", maxBody); string(b) != "body" || err != nil {
			t.Errorf("%s: got body %q, %v, want all of it", tc.name, b, err)
		}
		if w.body.timed != tc.want {
			t.Errorf("%s: a deadline of the whole body: %t, want %t", tc.name, w.body.timed, tc.want)
		}
	}
}
