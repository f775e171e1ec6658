package pgtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"time"
)

// process is a running postmaster.
type process struct {
	cmd   *exec.Cmd
	ended chan struct{} // closed when it has ended
}

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

// Stop ends the server in good order: connections are ended, transactions rolled back. What
// is paused goes on first. It is no error when nothing runs.
func (c *Cluster) Stop() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stop()
}

func (c *Cluster) stop() error {
	if !c.server.running() {
		return nil
	}
	if err := c.resume(); err != nil {
		return err
	}
	if err := c.server.cmd.Process.Signal(os.Interrupt); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop postgres: %w", err)
	}

	select {
	case <-c.server.ended:
		return nil
	case <-time.After(patience):
		return errors.Join(errors.New("stop postgres: it does not end"), c.kill())
	}
}

// Kill ends all processes of the server as kill -9 does, and waits until they are gone.
func (c *Cluster) Kill() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.kill()
}

func (c *Cluster) kill() error {
	if !c.server.running() {
		return nil
	}
	if err := killTree(c.server.cmd.Process.Pid); err != nil {
		return fmt.Errorf("kill postgres: %w", err)
	}

	<-c.server.ended
	return nil
}

// Restart starts the server again, on the same port and socket, and waits until it answers.
// One that runs is stopped first.
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

// Pause makes all processes of the server stand still, and returns when they do. The kernel
// still takes connections for them.
func (c *Cluster) Pause() error {
	c.mu.Lock()
	defer c.mu.Unlock()

	if !c.server.running() {
		return errors.New("pause postgres: it does not run")
	}

	c.paused = true // also when it fails: some may stand still
	if err := pauseTree(c.server.cmd.Process.Pid); err != nil {
		return fmt.Errorf("pause postgres: %w", err)
	}

	return nil
}

// Resume lets go on what Pause has stopped.
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
