package server_test

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jeton-auth/jeton/jetontest"
)

// TestAFailedFirstStartLeavesNoFolder tries two mistakes that only a start finds.
func TestAFailedFirstStartLeavesNoFolder(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()

	for _, tc := range []struct{ name, conf string }{
		{"a port in use", strings.Replace(shop(), "localhost:0", l.Addr().String(), 1)},
		{"a certificate that is missing", strings.Replace(
			shop(), "listen: localhost:0", "listen: localhost:0\n    tls: {cert: other.pem, key: other.key}", 1,
		)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			above := filepath.Join(t.TempDir(), "share")
			dir := filepath.Join(above, "jeton", "server")
			if _, err := jetontest.TryStart(t, tc.conf, jetontest.DataDir(dir)); err == nil {
				t.Fatal("the start succeeded, want an error")
			}

			if _, err := os.Lstat(above); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("the folder above the data directory: got %v, want none: %v", err, names(t, dir))
			}

			jetontest.Start(t, shop(), jetontest.DataDir(dir)).Stop()
			if list := names(t, dir); !strings.Contains(list, "jeton.db") {
				t.Errorf("after a start, the data directory has %s, want a database", list)
			}
		})
	}
}

func TestAFailedStartLeavesWhatWasThere(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	failing := strings.Replace(shop(), "localhost:0", l.Addr().String(), 1)

	for _, tc := range []struct {
		name    string
		prepare func(t *testing.T, dir string) error
	}{
		{"an empty folder", func(_ *testing.T, dir string) error { return os.Mkdir(dir, 0o700) }},
		{"a file of the operator", func(_ *testing.T, dir string) error {
			return errors.Join(os.Mkdir(dir, 0o700), os.WriteFile(filepath.Join(dir, "note"), nil, 0o600))
		}},
		{"an earlier start", func(t *testing.T, dir string) error {
			jetontest.Start(t, shop(), jetontest.DataDir(dir)).Stop()
			return nil
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "data")
			if err := tc.prepare(t, dir); err != nil {
				t.Fatal(err)
			}
			before := names(t, dir)

			if _, err := jetontest.TryStart(t, failing, jetontest.DataDir(dir)); err == nil {
				t.Fatal("the start succeeded, want an error")
			}

			after := names(t, dir)
			for name := range strings.FieldsSeq(before) {
				if !strings.Contains(after, name) {
					t.Errorf("after a failed start, the data directory has %s, want also %s", after, name)
				}
			}
			if _, err := os.Stat(dir); err != nil {
				t.Error(err)
			}
		})
	}
}

// names returns the names of the files in a folder, separated by spaces.
func names(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}

	var list []string
	for _, e := range entries {
		list = append(list, e.Name())
	}

	return strings.Join(list, " ")
}
