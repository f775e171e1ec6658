package secretfile_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jeton-auth/jeton/internal/secretfile"
	"github.com/jeton-auth/jeton/internal/test/need"
)

func TestModesOfSecrets(t *testing.T) {
	for _, tc := range []struct {
		name string
		mode os.FileMode
		want string
	}{
		{"for the owner", 0o600, ""},
		{"for the owner to read", 0o400, ""},
		{"for the own group to read", 0o640, ""},
		{"for the own group to write", 0o660, "chmod 600"},
		{"for the own group to execute", 0o650, "chmod 600"},
		{"for every user to read", 0o644, "chmod 600"},
		{"for every user to write", 0o602, "chmod 600"},
		{"for every user to execute", 0o601, "chmod 600"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "secret")
			f, err := secretfile.Create(path)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()

			check(t, path, 0o600, "")
			check(t, path, tc.mode, tc.want)
		})
	}
}

func TestCreateTakesNoFileThatExists(t *testing.T) {
	dir := t.TempDir()
	link := filepath.Join(dir, "link")
	target := filepath.Join(dir, "target")
	if err := os.Symlink(target, link); err != nil {
		t.Fatal(err)
	}

	if _, err := secretfile.Create(link); !os.IsExist(err) {
		t.Errorf("Create(a link) = %v, want ErrExist", err)
	}
	if _, err := os.Lstat(target); !os.IsNotExist(err) {
		t.Errorf("the target of the link: %v, want none", err)
	}
}

// TestAsRootTheDirectoryDecides runs in CI as root, in a step of its own.
func TestAsRootTheDirectoryDecides(t *testing.T) {
	need.Root(t)

	const service = 54321
	dir := filepath.Join(t.TempDir(), "data")
	if err := secretfile.CreateDir(dir); err != nil {
		t.Fatal(err)
	}

	f, err := secretfile.Create(filepath.Join(dir, "of root"))
	if err != nil {
		t.Fatal(err)
	}
	owned(t, f.Name(), 0, os.Getegid())
	_ = f.Close()

	if err := os.Chown(dir, service, service+1); err != nil {
		t.Fatal(err)
	}
	f, err = secretfile.Create(filepath.Join(dir, "of the service"))
	if err != nil {
		t.Fatal(err)
	}
	owned(t, f.Name(), service, service+1)
	_ = f.Close()

	inner := filepath.Join(dir, "inner")
	if err := secretfile.CreateDir(inner); err != nil {
		t.Fatal(err)
	}
	owned(t, inner, service, service+1)

	// Root acts for the service, of whose group it is not.
	check(t, f.Name(), 0o640, "")

	if err := os.Chown(f.Name(), 0, service+2); err != nil {
		t.Fatal(err)
	}
	check(t, f.Name(), 0o640, "can be read by group 54323")
	check(t, f.Name(), 0o600, "")

	// For what systemd passes, the permissions of the group are the mask of an access list.
	t.Setenv("CREDENTIALS_DIRECTORY", dir)
	check(t, f.Name(), 0o440, "")
	check(t, f.Name(), 0o444, "can be read by other users")
}

// check sets a mode and checks the file. want is a part of the error, or "" for none.
func check(t *testing.T, path string, mode os.FileMode, want string) {
	t.Helper()

	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}

	err = secretfile.Check(path, info)
	if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
		t.Errorf("Check(mode %04o) = %v, want %q", mode, err, want)
	}
}

func owned(t *testing.T, path string, uid, gid int) {
	t.Helper()

	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}

	gotUID, gotGID, known := secretfile.Owner(info)
	if !known || gotUID != uid || gotGID != gid {
		t.Errorf("%s belongs to %d:%d, want %d:%d", path, gotUID, gotGID, uid, gid)
	}
}
