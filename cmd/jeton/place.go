//go:build !walletonly

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/jeton-auth/jeton/internal/config"
	"github.com/jeton-auth/jeton/internal/server"

	"github.com/spf13/cobra"
)

// place is where a server's configuration and data are: the flags of every command about a
// server.
type place struct {
	config  string
	dataDir string
	create  bool // the command may make the database, if the directory is named
	dry     bool // with create: it makes a temporary database instead, which ends with the command
	port    int  // of the built-in configuration; 0: its own
}

func (p *place) flags(c *cobra.Command) {
	c.Flags().Var(
		(*filledFlag)(&p.config), "config",
		"configuration file (JETON_CONFIG; else /etc/jeton/jeton.yaml if it exists; else the built-in default)",
	)

	c.Flags().Var(
		(*filledFlag)(&p.dataDir), "data-dir",
		"data directory (JETON_DATA_DIR; else data_dir of the file; else a directory of the user)",
	)
}

// load reads the configuration.
func (p *place) load() (*config.Config, error) {
	path := p.path()
	switch {
	case path == "" && p.port != 0:
		return config.DefaultAt(p.port, os.LookupEnv)
	case path == "":
		return config.Default(os.LookupEnv)
	case p.port != 0:
		return nil, usage{fmt.Errorf("--port is for a server without a configuration file; change listen in %s", path)}
	default:
		return config.Load(path, os.LookupEnv)
	}
}

// path returns the path of the configuration file, or "". It does not look into the working
// directory: a server started in a hostile directory must not read a file there.
func (p *place) path() string {
	if p.config != "" {
		return p.config
	}

	env := os.Getenv("JETON_CONFIG")
	if env != "" {
		return env
	}

	candidates := []string{"/etc/jeton/jeton.yaml"}
	dir := os.Getenv("CONFIGURATION_DIRECTORY")
	if dir != "" {
		candidates = []string{filepath.Join(dir, "jeton.yaml"), candidates[0]}
	}

	for _, c := range candidates {
		if _, err := os.Stat(c); !errors.Is(err, fs.ErrNotExist) {
			return c
		}
	}

	return ""
}

// named returns the data directory that was named: by the flag, the environment, the file or the
// service manager. It is "" without any of them.
func (p *place) named(ofFile string) string {
	return cmp.Or(p.dataDir, os.Getenv("JETON_DATA_DIR"), ofFile, os.Getenv("STATE_DIRECTORY"))
}

// directory returns the data directory: the named one, or the user's.
func (p *place) directory(ofFile string) (string, error) {
	dir := p.named(ofFile)
	if dir != "" {
		return filepath.Abs(dir)
	}

	xdg := os.Getenv("XDG_DATA_HOME")
	if filepath.IsAbs(xdg) {
		return filepath.Join(xdg, "jeton", "server"), nil
	}

	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("no data directory: name one with --data-dir: %w", err)
	}

	return filepath.Join(home, ".local", "share", "jeton", "server"), nil
}

// open loads the configuration and finds the data directory.
func (p *place) open() (*config.Config, string, error) {
	conf, err := p.load()
	if err != nil {
		return nil, "", err
	}

	dir, err := p.directory(conf.DataDir)
	return conf, dir, err
}

// server returns the configuration with which a command opens a server's database.
func (p *place) server() (server.Config, error) {
	conf, dir, err := p.open()
	if err != nil {
		return server.Config{}, err
	}

	return server.Config{
		File:    conf,
		DataDir: dir,
		Create:  p.create && p.named(conf.DataDir) != "",
		Version: version(),
		Log:     warnings(),
	}, nil
}

// temporary replaces the data directory by a temporary one if the command would make the database there.
// The function removes it.
func temporary(conf *server.Config) (remove func(), err error) {
	_, err = os.Stat(server.DataFile(conf.DataDir))
	if !conf.Create || conf.File.Database != nil || !errors.Is(err, fs.ErrNotExist) {
		return func() {}, nil
	}

	conf.DataDir, err = os.MkdirTemp("", "jeton-dry-run-")
	if err != nil {
		return nil, fmt.Errorf("make temporary data directory: %w", err)
	}

	return func() { _ = os.RemoveAll(conf.DataDir) }, nil
}

// withServers adds to an error about a missing database where a server is running, or how to
// name the data directory.
func withServers(ctx context.Context, err error) error {
	if !server.IsNoData(err) {
		return err
	}

	running := server.RunningServers(ctx)
	if len(running) == 0 {
		return fmt.Errorf("%w; name the server's data directory with --data-dir or JETON_DATA_DIR", err)
	}

	for _, s := range running {
		err = fmt.Errorf("%w; a server is running on %[2]s (pid %[3]s): use --data-dir %[2]s", err, s.DataDir, s.PID)
	}

	return err
}
