package web

import (
	"context"
	"net/http/httptest"
	"testing"
	"time"
)

func TestAClientThatHasGoneIsNoticed(t *testing.T) {
	client, leave := context.WithCancel(t.Context())
	w := &Reply{ResponseWriter: httptest.NewRecorder(), Client: client}

	gone := make(chan struct{})
	stop := w.UntilGone(time.Millisecond, func() { close(gone) })
	defer stop()
	leave()

	select {
	case <-gone:
	case <-time.After(time.Minute):
		t.Error("a client that has gone is not noticed within a minute, want a few milliseconds")
	}
}

func TestOnlyAClientThatTakesNothingHasGone(t *testing.T) {
	client, leave := context.WithCancel(t.Context())
	w := &Reply{ResponseWriter: httptest.NewRecorder(), Client: client}
	d := &departure{reply: w, patience: time.Hour, gone: func() { t.Error("gone is called, want it not to be") }}

	d.look() // it still sends
	leave()
	d.look()
	for range 3 {
		if _, err := w.Write([]byte("a part")); err != nil {
			t.Fatal(err)
		}
		d.look() // it takes what is sent
	}

	d.complete.Store(true)
	d.look()
}
