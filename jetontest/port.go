package jetontest

import (
	"errors"
	mathrand "math/rand/v2"
	"net"
	"runtime"
	"strconv"
	"sync"
)

// FreePort returns a free port. It is below the ports that systems assign, and on Linux no other call returns it while
// this process runs, so that it is still free when the server listens on it.
func FreePort() (string, error) {
	for range 100 {
		port := strconv.Itoa(20_000 + mathrand.IntN(12_000)) // Linux assigns from 32768 on
		if !reserve(port) {
			continue
		}

		l, err := net.Listen("tcp", "localhost:"+port)
		if err != nil {
			continue
		}

		return port, l.Close()
	}

	return "", errors.New("no free port")
}

// reserved keeps the sockets that reserve ports from the garbage collector, which would close them.
var reserved struct {
	sync.Mutex
	sockets []net.Listener
}

// reserve reports whether no process of a test has the port. An abstract socket is one of a machine, leaves no file,
// and ends with its process. Systems without them leave it to chance.
func reserve(port string) bool {
	if runtime.GOOS != "linux" {
		return true
	}

	l, err := net.Listen("unix", "@jetontest-port-"+port)
	if err != nil {
		return false
	}

	reserved.Lock()
	defer reserved.Unlock()
	reserved.sockets = append(reserved.sockets, l)

	return true
}
