package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"

	"github.com/jeton-auth/jeton/internal/api"
	"github.com/jeton-auth/jeton/internal/config"
)

// openControl opens the control socket.
func (s *Server) openControl() error {
	// It is called for each request: a reload changes the services.
	status := func() api.Status {
		s.mu.Lock()
		defer s.mu.Unlock()

		st := api.Status{Version: s.c.Version, PID: os.Getpid(), Started: s.start}
		for _, service := range s.conf.Services {
			st.Services = append(st.Services, service.Name)
		}

		return st
	}

	routes := s.core.controlRoutes(s.c, status, s, s.conf, s.current)
	d, err := newMux(mux{
		name:     "control",
		gate:     s.core.gate,
		operator: true,
		log:      s.c.Log,
		metrics:  s.metrics,
	}, routes)
	if err != nil {
		return err
	}

	l, err := listenControl(s.c.DataDir)
	if err != nil {
		return err
	}

	l = keepingListener{l, s.core.dir}
	l = countingListener{l, newOperatorConnections(s.c.Log)}
	control := newListener(controlListen, l, &planned{
		listen: controlListen,
		front: &front{
			only:    &site{service: d},
			anyHost: true,
			now:     s.c.Now,
			log:     s.c.Log,
		},
	}, &s.draining, s.c.Log)
	s.listeners[controlListen] = control
	s.serve(control)

	return nil
}

// socketAddress returns an address of the control socket that fits the system's limit of about
// 100 bytes. The returned function releases it.
func socketAddress(dataDir string) (string, func(), error) {
	path := filepath.Join(dataDir, fileSocket)
	const limit = 100
	if len(path) <= limit {
		return path, func() {}, nil
	}

	if runtime.GOOS != "linux" {
		return "", nil, fmt.Errorf("the path of the data directory is too long for a socket: %s", path)
	}

	dir, err := os.Open(dataDir)
	if err != nil {
		return "", nil, err
	}

	// The descriptor of the directory is a short name for it.
	return fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), fileSocket), func() { _ = dir.Close() }, nil
}

// restoreControl opens the control socket again if its file was deleted, by a cleaner of
// temporary files for example.
func (s *Server) restoreControl(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()

	_, err := os.Lstat(ControlSocket(s.c.DataDir))
	if s.draining.Load() || !errors.Is(err, fs.ErrNotExist) {
		return nil
	}

	old := s.listeners[controlListen]
	if err := s.openControl(); err != nil {
		return err
	}

	// Its requests finish, also when the caller of Reload has given up.
	s.close(context.WithoutCancel(ctx), old)
	s.c.Log.Warn("the control socket was deleted; made it again", "socket", ControlSocket(s.c.DataDir))

	return nil
}

// ControlSocket returns the path of the control socket of a data directory.
func ControlSocket(dataDir string) string { return filepath.Join(dataDir, fileSocket) }

// DialControl connects to the server that holds the data directory.
func DialControl(ctx context.Context, dataDir string) (net.Conn, error) {
	address, done, err := socketAddress(dataDir)
	if err != nil {
		return nil, err
	}
	defer done()

	var d net.Dialer
	return d.DialContext(ctx, "unix", address)
}

// listenControl opens the control socket, for the owner of the data directory only.
func listenControl(dataDir string) (net.Listener, error) {
	address, done, err := socketAddress(dataDir)
	if err != nil {
		return nil, err
	}
	defer done()

	// This process holds the lock, so an existing socket was left by a killed server.
	if err := os.Remove(filepath.Join(dataDir, fileSocket)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}

	l, err := net.Listen("unix", address)
	if err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}

	// The address may go through a descriptor that is closed by then. release removes the
	// socket.
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	// The data directory may be older and open to others: then this alone keeps them out.
	if err := os.Chmod(filepath.Join(dataDir, fileSocket), privateMode); err != nil {
		_ = l.Close()
		return nil, fmt.Errorf("control socket: %w", err)
	}

	return l, nil
}

// Offline opens the data directory for one command while no server is running, and returns the
// API for it. The returned function closes it. Offline returns ErrInUse if a server holds the
// directory, and jeton.ErrNotFound if there is no database and c.Create is false.
func Offline(ctx context.Context, c Config) (http.Handler, func(), error) {
	c = c.withDefaults()
	if err := c.mustExist(); err != nil {
		return nil, nil, err
	}

	dir, err := lockDataDir(c.DataDir)
	if err != nil {
		return nil, nil, err
	}

	k, err := openCore(ctx, c, c.File, dir)
	if err != nil {
		return nil, nil, err
	}

	status := func() api.Status { return api.Status{Version: c.Version, PID: os.Getpid(), Started: c.Now()} }
	routes := k.controlRoutes(c, status, nil, c.File, func() *config.Config { return c.File })
	d, err := newMux(mux{
		name:     "control",
		gate:     k.gate,
		operator: true,
		log:      c.Log,
		metrics:  newMetrics(c.Version, k),
	}, routes)
	if err != nil {
		k.close()
		return nil, nil, err
	}

	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		k.run(ctx, c.Log)
	}()

	end := func() {
		// In this order: the work writes to the store when it ends.
		cancel()
		<-done
		k.close()
	}

	return &front{
		only:    &site{service: d},
		anyHost: true,
		now:     c.Now,
		log:     c.Log,
	}, end, nil
}
