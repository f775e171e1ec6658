package web

import (
	"context"
	"net/http/httptest"
	"testing"
)

func TestOnlyAClientThatTakesNothingHasGone(t *testing.T) {
	client, leave := context.WithCancel(t.Context())
	w := &Reply{ResponseWriter: httptest.NewRecorder(), Client: client}
	var d Departure

	look := func(when string, want bool) {
		t.Helper()
		if got := d.Look(w); got != want {
			t.Errorf("%s, the client has gone: %t, want %t", when, got, want)
		}
	}

	look("while it sends", false)
	leave()
	look("when it has just stopped to send", false)
	for range 3 {
		if _, err := w.Write([]byte("a part")); err != nil {
			t.Fatal(err)
		}
		look("while it takes what is sent", false)
	}
	look("when it takes nothing", true)
}

// leaver is a response whose client has no context that ends.
type leaver struct {
	*httptest.ResponseRecorder
	left bool
}

func (l *leaver) Left() bool { return l.left }

func TestAClientWithoutAContextIsAskedForByItsResponse(t *testing.T) {
	l := &leaver{ResponseRecorder: httptest.NewRecorder()}
	w := &Reply{ResponseWriter: l, Client: context.Background()}
	var d Departure

	for range 2 {
		if d.Look(w) {
			t.Error("the client has gone, want it there")
		}
	}
	l.left = true
	d.Look(w)
	if !d.Look(w) {
		t.Error("the client is there, want it gone at the second look")
	}
}
