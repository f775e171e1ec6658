package config

import (
	_ "embed"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/jeton-auth/jeton/internal/config/yamlread"
)

// maxFile bounds the configuration file. Thousands of users and services fit.
const maxFile = 4 << 20

// default.yaml is the configuration without a file: a loopback listener, no users.
//
//go:embed default.yaml
var defaultYAML []byte

// Load reads the configuration file at path. env looks up the environment
// (os.LookupEnv) for ${NAME} and for the variables that override keys. The error has
// every fault in the file, as yamlread.Faults.
func Load(path string, env yamlread.Env) (*Config, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	defer f.Close()

	// One byte more than permitted shows that the file is longer.
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	if len(data) > maxFile {
		return nil, fmt.Errorf("read configuration: %s is larger than %d MiB", path, maxFile>>20)
	}

	return Parse(path, data, env)
}

// Default returns the configuration of a server without a configuration file. Its Path is "".
func Default(env yamlread.Env) (*Config, error) { return builtIn(defaultYAML, env) }

// DefaultAt is Default with other ports, so that a second server finds place on the machine: port for the service and
// the issuer, the next one for the admin listener. The port is from 1 to 65534.
func DefaultAt(port int, env yamlread.Env) (*Config, error) {
	text := strings.ReplaceAll(string(defaultYAML), "8443", strconv.Itoa(port))
	text += fmt.Sprintf("\nadmin: {listen: '127.0.0.1:%d'}\n", port+1)

	return builtIn([]byte(text), env)
}

// builtIn parses the configuration of a server without a file.
func builtIn(text []byte, env yamlread.Env) (*Config, error) {
	c, err := Parse("built-in default.yaml", text, env)
	if err != nil {
		return nil, err
	}

	c.Path = ""
	return c, nil
}

// Parse reads a configuration from data. name is the file it came from: faults show
// it, and relative paths start at its folder.
func Parse(name string, data []byte, env yamlread.Env) (*Config, error) {
	conf := &Config{Path: name}
	doc, err := yamlread.Read(name, data, env, conf)
	if err != nil {
		return nil, err
	}

	c := checker{doc, conf}
	// Values from files and defaults first, so that the checks see what the server will use.
	c.files()
	c.defaults()
	c.check()

	err = doc.Err()
	if err != nil {
		return nil, err
	}

	return conf, nil
}
