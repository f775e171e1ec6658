//go:build !walletonly

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

// controlOf returns a control whose requests go to a handler.
func controlOf(h http.HandlerFunc) *control {
	return &control{http: &http.Client{Transport: inProcess{h}}, end: func() {}}
}

// TestAResponseIsReadWhileItIsWritten checks that the handler waits for its reader: a
// backup without a server is never in memory as a whole.
func TestAResponseIsReadWhileItIsWritten(t *testing.T) {
	const size = 64 << 20

	ended := false
	c := controlOf(func(w http.ResponseWriter, r *http.Request) {
		defer func() { ended = true }()

		b := make([]byte, 1<<20)
		for range size / len(b) {
			if _, err := w.Write(b); err != nil {
				return // the client has closed the body
			}
		}
	})

	resp, err := c.http.Get("http://control/")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.CopyN(io.Discard, resp.Body, 3<<20); err != nil {
		t.Fatal(err)
	}

	if ended {
		t.Error("the handler ended before the response was read, want it to wait for the reader")
	}
	if err := resp.Body.Close(); err != nil || !ended {
		t.Errorf("Close = %v, handler ended: %t; want nil after the handler has ended", err, ended)
	}
}

func TestAResponseMayHaveNoBody(t *testing.T) {
	c := controlOf(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusNoContent) })
	if err := c.call(context.Background(), http.MethodGet, "/", nil, nil); err != nil {
		t.Errorf("call = %v, want nil", err)
	}

	empty := controlOf(func(http.ResponseWriter, *http.Request) {})
	if err := empty.call(context.Background(), http.MethodGet, "/", nil, nil); err != nil {
		t.Errorf("call = %v, want nil", err)
	}
}

func TestAnIncompleteBackupIsRefused(t *testing.T) {
	for _, tc := range []struct {
		name    string
		handler http.HandlerFunc
		want    error
	}{
		{
			"cut off before its first byte",
			func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
			nil,
		},
		{"cut off later", func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte("jeton backup 1\n" + strings.Repeat("x", 1<<20)))
			panic(http.ErrAbortHandler)
		}, jeton.ErrUnavailable},
		{
			"ends without an error",
			func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("jeton backup 1\nx")) },
			jeton.ErrInvalid,
		},
		{"empty", func(http.ResponseWriter, *http.Request) {}, jeton.ErrInvalid},
	} {
		t.Run(tc.name, func(t *testing.T) {
			name := filepath.Join(t.TempDir(), "b")
			_, err := backupTo(t.Context(), fetching(controlOf(tc.handler)), name, &progress{})
			if err == nil || tc.want != nil && !errors.Is(err, tc.want) {
				t.Errorf("backupTo = %v, want an error (%v)", err, tc.want)
			}

			for _, left := range []string{name, name + ".part"} {
				if _, err := os.Lstat(left); !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("Lstat(%s) = %v, want ErrNotExist", left, err)
				}
			}
		})
	}
}
