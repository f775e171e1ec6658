package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// config is a service as an operator would write it. Two settings differ from what is
// shipped: it speaks plain HTTP, as all servers measured here do, and it does not slow
// down guessing, so that a flood of wrong passwords reaches the hasher.
const config = `admin:
  listen: %s
%sthrottle:
  pair_burst: 1000000
  pair_every: 1ms
  account_burst: 1000000
  account_every: 1ms
  source_burst: 1000000
  source_every: 1ms
services:
  - name: ` + service + `
    listen: %s
    plain_http: true
%s    login: {paths: [/login]}
    logout: /logout
    session: {lifetime: 24h, idle_timeout: 24h}
    routes:
      - match: GET /check
        respond:
          json: {Secret-number: 42}
      - match: GET /use
        max_uses: 1000000000
        respond:
          json: {Secret-number: 42}
      - match: GET /open
        open: true
        respond:
          json: {Secret-number: 42}
%s`

// build builds the program as it is shipped and returns its path.
func build(ctx context.Context, dir string) (string, error) {
	root, err := checkout(ctx)
	if err != nil {
		return "", err
	}

	out := filepath.Join(dir, "jeton")
	// As it is released: without cgo and without debug information.
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", out, "./cmd/jeton")
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")

	text, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build jeton: %w: %s", err, text)
	}

	return out, nil
}

// checkout returns the folder of the product's module, to which this module's replace
// directive points.
func checkout(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "github.com/jeton-auth/jeton").Output()
	if err != nil {
		return "", fmt.Errorf("find the checkout: run this in bench/, as with 'go -C bench run .': %w", err)
	}

	return strings.TrimSpace(string(out)), nil
}

// setup is the part of a configuration that is not common to all.
type setup struct {
	top     string // lines of the file
	service string // and of the service, indented
	routes  string // further routes of it, indented
}

// startJeton starts the server on a data directory, on the cores.
func (b *bench) startJeton(dir string, cores []int) (*process, error) {
	return b.startAs(dir, setup{}, cores)
}

// startAs is startJeton with additions to the configuration.
func (b *bench) startAs(dir string, s setup, cores []int) (*process, error) {
	admin, err := freeAddr()
	if err != nil {
		return nil, err
	}

	addr, err := freeAddr()
	if err != nil {
		return nil, err
	}

	file := filepath.Join(dir, "jeton.yaml")
	if err := os.WriteFile(file, fmt.Appendf(nil, config, admin, s.top, addr, s.service, s.routes), 0o600); err != nil {
		return nil, err
	}

	return launch("jeton", addr, dir, cores, nil, b.program, "serve", "--config", file, "--data-dir", dir)
}

// startBare starts the bare server, on the cores.
func (b *bench) startBare(n int, cores []int, flags ...string) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}

	addr, err := freeAddr()
	if err != nil {
		return nil, err
	}

	args := append([]string{self, "role-bare", "-addr", addr, "-sessions", fmt.Sprint(n)}, flags...)

	return launch("bare", addr, b.dir, cores, nil, args...)
}
