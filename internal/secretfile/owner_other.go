//go:build !unix

package secretfile

import "io/fs"

// Owner knows no owners on a system without numbers for them.
func Owner(fs.FileInfo) (uid, gid int, known bool) { return 0, 0, false }
