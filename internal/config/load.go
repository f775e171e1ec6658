package config

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// maxFile bounds the configuration file. Thousands of users and services fit.
const maxFile = 4 << 20

// maxDepth bounds how deep values nest, so that no walk over them is deep.
const maxDepth = 64

//go:embed default.yaml
var defaultYAML []byte

// Load reads the configuration file at path. env looks up the environment
// (os.LookupEnv) for ${NAME} and for the few values that operators override.
// Everything that is wrong inside the file comes back at once, as Faults.
func Load(path string, env func(string) (string, bool)) (*Config, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	defer f.Close()

	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	if len(data) > maxFile {
		return nil, fmt.Errorf("read configuration: %s is larger than %d MiB", path, maxFile>>20)
	}

	return Parse(path, data, env)
}

// Default returns the configuration of a server that was given no file.
func Default(env func(string) (string, bool)) (*Config, error) {
	c, err := Parse("built-in default.yaml", defaultYAML, env)
	if err != nil {
		return nil, err
	}

	c.Path = ""
	return c, nil
}

// Parse reads a configuration from data. name is the file it came from: faults
// show it, and relative paths start at its folder.
func Parse(name string, data []byte, env func(string) (string, bool)) (*Config, error) {
	d := newDocument(name, env)
	c := &Config{Path: name}
	root := d.parse(data)
	if root != nil {
		longForm(root)
		d.override(root)
		d.prepare("", root, 0)
		d.decode(c, root)
		d.secrets(c)

		d.defaults(c)
		d.check(c)
	}

	if len(d.faults) > 0 {
		return nil, d.faults.sorted()
	}

	return c, nil
}

// parse returns the one document of the file, or nil after a fault.
func (d *document) parse(data []byte) *yaml.Node {
	if !utf8.Valid(data) {
		d.invalidText(data)
		return nil
	}

	loader, err := yaml.NewLoader(bytes.NewReader(data))
	if err != nil {
		d.syntax(err)
		return nil
	}

	var first, second yaml.Node

	switch err := loader.Load(&first); {
	case errors.Is(err, io.EOF):
		d.add(&yaml.Node{Line: 1, Column: 1}, "", "the file is empty; write {} when every default is meant")
		return nil
	case err != nil:
		d.syntax(err)
		return nil
	}

	switch err := loader.Load(&second); {
	case err == nil:
		d.add(&second, "", "a second document begins; one file is one document, without ---")
		return nil
	case !errors.Is(err, io.EOF):
		d.syntax(err)
		return nil
	}

	root := first.Content[0]
	if root.ShortTag() != "!!null" || root.Kind != yaml.ScalarNode {
		return root
	}

	d.add(&yaml.Node{Line: 1, Column: 1}, "", "the file is empty; write {} when every default is meant")

	return nil
}

// syntax reports what the YAML parser said, where it said it.
func (d *document) syntax(err error) {
	n, text := &yaml.Node{Line: 1, Column: 1}, err.Error()
	var e *yaml.LoadError
	if errors.As(err, &e) {
		text = e.Message
		if e.ContextMsg != "" {
			text = e.ContextMsg + ": " + text
		}
		n.Line, n.Column = max(e.Mark.Line, 1), max(e.Mark.Column, 1)
	}

	d.add(n, "", "not YAML: "+text)
}

// invalidText reports the first byte that is not UTF-8.
func (d *document) invalidText(data []byte) {
	n := &yaml.Node{Line: 1, Column: 1}
	for len(data) > 0 {
		r, size := utf8.DecodeRune(data)
		if r == utf8.RuneError && size == 1 {
			break
		}

		n.Column++
		if r == '\n' {
			n.Line, n.Column = n.Line+1, 1
		}

		data = data[size:]
	}

	d.add(n, "", "not UTF-8; save the file as UTF-8")
}

// maxSecret bounds a file that holds one value.
const maxSecret = 64 << 10

// secrets reads the files that hold values, and gives relative paths their place.
func (d *document) secrets(c *Config) {
	folder := filepath.Dir(c.Path)
	if c.DataDir != "" {
		c.DataDir = from(folder, c.DataDir)
	}
	if c.KeysSecretFile != "" {
		c.KeysSecretFile = from(folder, c.KeysSecretFile)
	}

	if c.Database != nil {
		d.databaseSecrets(c.Database, folder)
	}

	for i := range c.Users {
		u, path := &c.Users[i], fmt.Sprintf("users[%d].password_hash_file", i)
		if u.PasswordHashFile == "" || d.has(fmt.Sprintf("users[%d].password_hash", i)) {
			continue
		}

		text, err := readSecret(from(folder, u.PasswordHashFile))
		if err != nil {
			d.fault(path, fmt.Sprintf("cannot be read: %v", err))
			d.wrong[path] = true
			continue
		}

		u.PasswordHash = text
	}
}

// from returns where a path leads that may be relative to a folder.
func from(folder, path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(folder, path)
}

// readSecret returns the text of a file without its last newline. It refuses what
// is no regular file before it opens it: a pipe would make the server wait.
func readSecret(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() {
		return "", fmt.Errorf("%s is not a regular file", path)
	}

	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()

	data, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
	if err != nil {
		return "", err
	}
	if len(data) > maxSecret {
		return "", fmt.Errorf("%s is larger than %d KiB", path, maxSecret>>10)
	}

	data = bytes.TrimSuffix(data, []byte("\n"))
	return string(bytes.TrimSuffix(data, []byte("\r"))), nil
}
