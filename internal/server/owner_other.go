//go:build !unix

package server

import "io/fs"

// ownerOf knows no owners on a system without numbers for them.
func ownerOf(fs.FileInfo) (uid, gid int, known bool) { return 0, 0, false }
