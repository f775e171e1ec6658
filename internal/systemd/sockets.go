package systemd

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync"

	"github.com/coreos/go-systemd/v22/activation"
)

// Sockets are listening sockets that the service manager opened before the server started, so that no connection is
// refused while it restarts. The zero value and nil have none. All methods may be called concurrently.
type Sockets struct {
	mu   sync.Mutex
	list []*socket
}

// socket is one of them. The file stays open, so that a listener of it can be closed and taken again.
type socket struct {
	file *os.File
	addr net.Addr
	used bool
}

// Inherited returns the sockets that the manager has passed to this process, and removes the variables that say so
// from the environment: child processes do not get the sockets.
func Inherited() (*Sockets, error) {
	var all Sockets
	for _, f := range activation.Files(true) {
		l, err := net.FileListener(f)
		if err != nil {
			return nil, fmt.Errorf("socket %s of systemd: %w; want one with ListenStream=", f.Name(), err)
		}

		all.list = append(all.list, &socket{file: f, addr: l.Addr()})
		_ = l.Close() // closes a copy: the file stays open
	}

	return &all, nil
}

// Listen returns a listener of the socket that has an address, or nil. The address is of the network "tcp" (HOST:PORT)
// or "unix" (a path).
func (s *Sockets) Listen(network, address string) (net.Listener, error) {
	if s == nil {
		return nil, nil
	}

	s.mu.Lock()
	defer s.mu.Unlock()

	for _, one := range s.list {
		if !one.has(network, address) {
			continue
		}

		l, err := net.FileListener(one.file)
		if err != nil {
			return nil, fmt.Errorf("socket of systemd: %w", err)
		}
		one.used = true

		return l, nil
	}

	return nil, nil
}

// has reports whether the socket has an address.
func (s *socket) has(network, address string) bool {
	if s.addr.Network() != network {
		return false
	}

	tcp, ok := s.addr.(*net.TCPAddr)
	if !ok {
		return s.addr.String() == address
	}

	want, err := net.ResolveTCPAddr(network, address)
	if err != nil || want.Port != tcp.Port {
		return false
	}

	// ListenStream=443 is every address, as ":443" and "0.0.0.0:443" are.
	everywhere := len(want.IP) == 0 || want.IP.IsUnspecified()

	return want.IP.Equal(tcp.IP) || everywhere && tcp.IP.IsUnspecified()
}

// Unused returns an error that names the sockets that no listener has taken: their connections would wait for ever.
func (s *Sockets) Unused() error {
	if s == nil {
		return nil
	}

	s.mu.Lock()
	defer s.mu.Unlock()

	var faults []error
	for _, one := range s.list {
		if !one.used {
			faults = append(faults, fmt.Errorf(
				"systemd passes a socket for %s, which is no listen address of the configuration: "+
					"change ListenStream= of the socket unit or a listen key",
				one.addr,
			))
		}
	}

	return errors.Join(faults...)
}
