package main

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jeton-auth/jeton"
)

// asked is a control whose answers a handler makes.
func asked(h http.HandlerFunc) *control {
	return &control{http: &http.Client{Transport: inProcess{h}}, end: func() {}}
}

func TestAnAnswerIsReadWhileItIsMade(t *testing.T) {
	const most = 64 << 20

	ended := false
	c := asked(func(w http.ResponseWriter, r *http.Request) {
		defer func() { ended = true }()

		b := make([]byte, 1<<20)
		for range most / len(b) {
			if _, err := w.Write(b); err != nil {
				return // whoever asked has had enough
			}
		}
	})

	answer, err := c.http.Get("http://control/")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.CopyN(io.Discard, answer.Body, 3<<20); err != nil {
		t.Fatal(err)
	}

	if ended {
		t.Error("all of it was made before any of it was read")
	}
	if err := answer.Body.Close(); err != nil || !ended {
		t.Errorf("the handler goes on after its answer was closed: %v", err)
	}
}

func TestAnAnswerOfAStatusAlone(t *testing.T) {
	c := asked(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusNoContent) })
	if err := c.call(context.Background(), http.MethodGet, "/", nil, nil); err != nil {
		t.Error(err)
	}

	silent := asked(func(http.ResponseWriter, *http.Request) {})
	if err := silent.call(context.Background(), http.MethodGet, "/", nil, nil); err != nil {
		t.Error(err)
	}
}

func TestABackupThatIsCutOffIsNone(t *testing.T) {
	for _, tc := range []struct {
		name   string
		answer http.HandlerFunc
		want   error
	}{
		{
			"it is cut off before its first byte",
			func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
			nil,
		},
		{"it is cut off later", func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte("jeton backup 1\n" + strings.Repeat("x", 1<<20)))
			panic(http.ErrAbortHandler)
		}, jeton.ErrUnavailable},
		{
			"it ends as if it were whole",
			func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("jeton backup 1\nx")) },
			jeton.ErrInvalid,
		},
		{"it is empty", func(http.ResponseWriter, *http.Request) {}, jeton.ErrInvalid},
	} {
		t.Run(tc.name, func(t *testing.T) {
			name := filepath.Join(t.TempDir(), "b")
			_, err := backupTo(t.Context(), asked(tc.answer), name, &progress{})
			if err == nil || tc.want != nil && !errors.Is(err, tc.want) {
				t.Errorf("it is answered %v, want %v", err, tc.want)
			}

			for _, left := range []string{name, name + ".part"} {
				if _, err := os.Lstat(left); !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("%s is there: %v", left, err)
				}
			}
		})
	}
}
