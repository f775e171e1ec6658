//go:build !unix

package http1

import "net"

// left reports that the other side may still send: a client that has gone is noticed by the next write.
func left(net.Conn) bool { return false }
