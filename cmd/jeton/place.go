package main

import (
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
}

func (p *place) flags(c *cobra.Command) {
	c.Flags().StringVar(
		&p.config,
		"config",
		"",
		"configuration file (JETON_CONFIG; else /etc/jeton/jeton.yaml if it exists; else the built-in default)",
	)

	c.Flags().StringVar(
		&p.dataDir,
		"data-dir",
		"",
		"data directory (JETON_DATA_DIR; else data_dir of the file; else a directory of the user)",
	)
}

// load reads the configuration.
func (p *place) load() (*config.Config, error) {
	path := p.path()
	if path == "" {
		return config.Default(os.LookupEnv)
	}
	return config.Load(path, os.LookupEnv)
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

// directory returns the data directory: the flag's, the environment's, the file's, the
// service manager's, or the user's.
func (p *place) directory(ofFile string) (string, error) {
	for _, dir := range []string{p.dataDir, os.Getenv("JETON_DATA_DIR"), ofFile, os.Getenv("STATE_DIRECTORY")} {
		if dir != "" {
			return filepath.Abs(dir)
		}
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
	return server.Config{
		File:    conf,
		DataDir: dir,
		Version: version(),
		Log:     warnings(),
	}, err
}
