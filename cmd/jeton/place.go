package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/jeton-auth/jeton/internal/config"

	"github.com/spf13/cobra"
)

// place is where a server's configuration and data are: the flags that every command
// about a server takes.
type place struct {
	config  string
	dataDir string
}

func (p *place) flags(c *cobra.Command) {
	c.Flags().StringVar(
		&p.config,
		"config",
		"",
		"configuration file (JETON_CONFIG; else /etc/jeton/jeton.yaml if it is there; else the built-in default)",
	)
	c.Flags().StringVar(
		&p.dataDir,
		"data-dir",
		"",
		"data folder (JETON_DATA_DIR; else data_dir of the file; else a folder of the user)",
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

// path finds the configuration file. The working folder is not looked into: a server
// started in a hostile place must not read what lies there.
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

// folder finds the data folder: flag, environment, file, the service manager's, the user's.
func (p *place) folder(conf *config.Config) (string, error) {
	for _, dir := range []string{p.dataDir, os.Getenv("JETON_DATA_DIR"), conf.DataDir, os.Getenv("STATE_DIRECTORY")} {
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
		return "", fmt.Errorf("no data folder: name one with --data-dir: %w", err)
	}

	return filepath.Join(home, ".local", "share", "jeton", "server"), nil
}

// both loads the configuration and finds the data folder.
func (p *place) both() (*config.Config, string, error) {
	conf, err := p.load()
	if err != nil {
		return nil, "", err
	}

	dir, err := p.folder(conf)
	return conf, dir, err
}
