package pgtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// process is a running postmaster.
type process struct {
	cmd   *exec.Cmd
	ended chan struct{} // closed when it has ended
}

// running reports whether the server was started and has not ended.
func (p *process) running() bool {
	if p == nil {
		return false
	}

	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// Stop shuts the server down: it ends connections and rolls transactions back. A paused server
// is resumed first. Stopping a server that does not run is not an error.
func (c *Cluster) Stop() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stop()
}

// stop is Stop for a caller that holds the lock, as kill and resume are for theirs.
func (c *Cluster) stop() error { return c.end(syscall.SIGINT) }

// end ends the server by a signal: SIGINT for a shutdown, SIGQUIT for an immediate end.
func (c *Cluster) end(by os.Signal) error {
	if !c.server.running() {
		return nil
	}
	if err := c.resume(); err != nil {
		return err
	}
	if err := c.server.cmd.Process.Signal(by); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop postgres: %w", err)
	}

	select {
	case <-c.server.ended:
		return nil
	case <-time.After(timeout):
		return errors.Join(fmt.Errorf("stop postgres: it still runs after %v", timeout), c.kill())
	}
}

// Kill ends all processes of the server as kill -9 does, and waits until they are gone.
func (c *Cluster) Kill() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.kill()
}

// kill ends the children, too: they would keep the shared memory, and the next start would
// refuse it.
func (c *Cluster) kill() error {
	if !c.server.running() {
		return nil
	}
	if err := killTree(c.server.cmd.Process.Pid); err != nil {
		return fmt.Errorf("kill postgres: %w", err)
	}

	// Until the processes are gone, their port and shared memory are in use.
	<-c.server.ended
	return nil
}

// Restart starts the server again, on the same port and socket, and waits until it answers.
// A server that runs is stopped first.
func (c *Cluster) Restart(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()

	if c.closed {
		return errors.New("restart postgres: the cluster is closed")
	}
	if err := c.stop(); err != nil {
		return err
	}

	return c.start(ctx)
}

// Pause stops all processes of the server (SIGSTOP), and returns when they are stopped. The
// kernel still accepts connections for them.
func (c *Cluster) Pause() error {
	c.mu.Lock()
	defer c.mu.Unlock()

	if !c.server.running() {
		return errors.New("pause postgres: the server does not run")
	}

	c.paused = true // also when it fails: some may be stopped
	if err := pauseTree(c.server.cmd.Process.Pid); err != nil {
		return fmt.Errorf("pause postgres: %w", err)
	}

	return nil
}

// Resume continues what Pause has stopped.
func (c *Cluster) Resume() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.resume()
}

func (c *Cluster) resume() error {
	if !c.paused || !c.server.running() {
		return nil
	}
	if err := resumeTree(c.server.cmd.Process.Pid); err != nil {
		return fmt.Errorf("resume postgres: %w", err)
	}

	c.paused = false
	return nil
}
