// Package secretfile creates files that only a server's user may read, and checks that others
// cannot read one.
//
// There is one rule for all secrets: mode 0600, or 0640 if the group is one of this process's. A
// file that root creates belongs to the owner of its directory, so that the server of that user
// can open it. What is in a file is the matter of the packages that use it.
package secretfile

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
)

// mode is that of a new file.
const mode = 0o600

// Create creates a file, which must not exist, to read and write it. It follows no link, and takes
// no file that another user has open. The mode is 0600 from the start: a chmod afterwards would
// leave a moment in which other users can open it.
func Create(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, mode)
	if err != nil {
		return nil, err
	}

	if err := adopt(f, filepath.Dir(path)); err != nil {
		_ = f.Close()
		_ = os.Remove(path)

		return nil, fmt.Errorf("give %s the owner of its directory: %w", path, err)
	}

	return f, nil
}

// CreateDir creates a directory for secrets with the directories above it, if it does not exist.
func CreateDir(path string) error {
	_, err := os.Lstat(path)
	if err == nil {
		return os.MkdirAll(path, 0o700) // an error if it is a file
	}

	if err := os.MkdirAll(path, 0o700); err != nil {
		return err
	}

	d, err := os.Open(path)
	if err != nil {
		return err
	}
	defer d.Close()

	return adopt(d, filepath.Dir(path))
}

// adopt gives an open file the owner and group of its directory, if this process is root. It
// uses the descriptor: the owner of the directory could replace the name by a link.
func adopt(f *os.File, dir string) error {
	if os.Geteuid() != 0 {
		return nil
	}

	info, err := os.Stat(dir)
	if err != nil {
		return err
	}

	uid, gid, known := Owner(info)
	// What root makes in a directory of its own keeps the group that the system chose.
	if !known || uid == 0 {
		return nil
	}

	return f.Chown(uid, gid)
}

// Path returns where to read the secret of a file: the credential of the same name that systemd has passed to this
// process (LoadCredential=), or the file itself.
func Path(path string) string {
	dir := os.Getenv(credentials)
	if dir == "" {
		return path
	}

	passed := filepath.Join(dir, filepath.Base(path))
	if _, err := os.Stat(passed); err != nil {
		return path
	}

	return passed
}

// credentials is the variable that names the directory of credentials of systemd.
const credentials = "CREDENTIALS_DIRECTORY"

// Check returns an error if users can read the file who must not, with the command that mends it.
func Check(path string, info fs.FileInfo) error {
	perm := info.Mode().Perm()
	// Windows has no such mode bits.
	if runtime.GOOS == "windows" || perm&0o077 == 0 {
		return nil
	}

	if perm&0o037 != 0 {
		return fmt.Errorf("%s can be read by other users (mode %04o): run chmod 600 %s", path, perm, path)
	}

	// The permissions of a group are those of systemd's access list, in which only the user of the service is.
	dir := os.Getenv(credentials)
	if dir != "" && filepath.Dir(path) == filepath.Clean(dir) {
		return nil
	}

	_, gid, known := Owner(info)
	if known && !ownGroup(gid, filepath.Dir(path)) {
		return fmt.Errorf(
			"%s can be read by group %d (mode %04o), which is not a group of this process: run chmod 600 %s",
			path, gid, perm, path,
		)
	}

	return nil
}

// ownGroup reports whether this process is in a group. Root acts for the server's user, of whom
// the directory has the group.
func ownGroup(gid int, dir string) bool {
	groups, _ := os.Getgroups()
	if gid == os.Getegid() || slices.Contains(groups, gid) {
		return true
	}
	if os.Geteuid() != 0 {
		return false
	}

	info, err := os.Stat(dir)
	if err != nil {
		return false
	}
	_, of, known := Owner(info)

	return known && of == gid
}
