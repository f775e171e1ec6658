package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jeton-auth/jeton/internal/config"
	"github.com/jeton-auth/jeton/internal/secretfile"
	"github.com/jeton-auth/jeton/internal/server"
	"github.com/jeton-auth/jeton/internal/test/need"
)

// TestAsRootFilesBelongToTheService runs in CI as root, in a step of its own.
func TestAsRootFilesBelongToTheService(t *testing.T) {
	need.Root(t)

	const service = 54321
	t.Setenv("HOME", t.TempDir())
	password := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(password, []byte("vulpine-quartz-33\n"), 0o600); err != nil {
		t.Fatal(err)
	}

	do := func(args ...string) {
		t.Helper()
		if code := run(args); code != exitOK {
			t.Fatalf("jeton %v = %d, want 0", args, code)
		}
	}

	backup := filepath.Join(t.TempDir(), "backup")
	for _, tc := range []struct {
		name string
		do   func(dir string)
	}{
		{"a first user, and a backup", func(dir string) {
			do("user", "add", "diane", "--password-file", password, "--data-dir", dir)
			do("backup", backup, "--data-dir", dir)
		}},
		{"a restore into an empty directory", func(dir string) {
			do("restore", backup, "--data-dir", dir)
		}},
		{"a restore over a database", func(dir string) {
			do("user", "add", "carlos", "--password-file", password, "--data-dir", dir)
			do("restore", backup, "--data-dir", dir)
		}},
		{"the destination of a copy", func(dir string) {
			source := t.TempDir()
			do("restore", backup, "--data-dir", source)
			do("db", "copy", "--from", "sqlite:"+source, "--to", "sqlite:"+dir)
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.Chown(dir, service, service); err != nil {
				t.Fatal(err)
			}

			tc.do(dir)

			files := 0
			err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
				if err != nil {
					return err
				}

				info, err := d.Info()
				if err != nil {
					return err
				}

				files++
				uid, gid, _ := secretfile.Owner(info)
				if uid != service || gid != service {
					t.Errorf("%s belongs to %d:%d, want %d:%[4]d", path, uid, gid, service)
				}

				return nil
			})
			if err != nil || files < 2 {
				t.Errorf("found %d files (%v), want the database at least", files, err)
			}
		})
	}
}

// TestAsRootDoctorNamesFilesOfOtherUsers has a database that a command of root has left to another user than the
// directory.
func TestAsRootDoctorNamesFilesOfOtherUsers(t *testing.T) {
	need.Root(t)

	const service, other = 54321, 54322
	dir := filepath.Join(t.TempDir(), "data")
	file := filepath.Join(dir, "jeton.db")
	err := os.Mkdir(dir, 0o700)
	if err == nil {
		err = os.WriteFile(file, nil, 0o600)
	}
	if err == nil {
		err = errors.Join(os.Chown(dir, service, service), os.Chown(file, other, other))
	}
	if err != nil {
		t.Fatal(err)
	}

	conf, err := config.Parse("", []byte("admin: {listen: 'off'}\nservices: []\n"), os.LookupEnv)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range server.Examine(t.Context(), server.Config{File: conf, DataDir: dir}) {
		if f.Name == "owner" && strings.Contains(f.Seen, file) && f.Fix == "chown --reference="+dir+" "+file {
			return
		}
	}
	t.Errorf("no finding names the owner of %s and its fix, want one", file)
}
