package main

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/jeton-auth/jeton/wallet"
)

const (
	envDocker = "DOCKER_CONFIG"
	// envDockerAuth has credentials, which docker takes before those of the file.
	envDockerAuth = "DOCKER_AUTH_CONFIG"
	dockerFile    = "config.json"
)

// dockerConf is what a configuration of docker has about credentials (docker/cli, cli/config/configfile). The other
// keys pass unread.
type dockerConf struct {
	auths   map[string]json.RawMessage
	helpers map[string]string
	store   string // of all registries without a helper
}

// setDocker gives docker a folder of its configuration in which the token is the credential of the service. The rest is
// that of the user: other registries, contexts and plugins.
func (p *passing) setDocker(l *wallet.Lease) error {
	from := os.Getenv(envDocker)
	if from == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return fmt.Errorf("find the configuration of docker: %w; set %s", err, envDocker)
		}
		from = filepath.Join(home, ".docker")
	}

	u, err := url.Parse(string(l.Origin()))
	if err != nil {
		return err
	}

	path := filepath.Join(from, dockerFile)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		text, err = []byte("{}"), nil
	}
	if err == nil {
		text, err = dockerWith(text, u.Host, runName+":"+l.Secret().Reveal())
	}
	if err != nil {
		return fmt.Errorf("configuration of docker %s: %w", path, err)
	}

	if err := p.makeDir(); err != nil {
		return err
	}
	to := filepath.Join(p.dir, "docker")
	if err := os.Mkdir(to, 0o700); err != nil {
		return err
	}
	if err := linkOthers(from, to, dockerFile); err != nil {
		return err
	}
	p.replace(envDocker, to)

	return p.write("", filepath.Join("docker", dockerFile), string(text))
}

// linkOthers makes links to all that a folder has but for one name.
func linkOthers(from, to, but string) error {
	from, err := filepath.Abs(from)
	if err != nil {
		return err
	}

	entries, err := os.ReadDir(from)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}

	for _, e := range entries {
		if e.Name() == but {
			continue
		}
		err := os.Symlink(filepath.Join(from, e.Name()), filepath.Join(to, e.Name()))
		// There, a link needs a right that few users have; docker works without its contexts.
		if err != nil && runtime.GOOS != "windows" {
			return err
		}
	}

	return nil
}

// dockerWith returns a configuration of docker in which a registry has one credential: a name and a password with a
// colon between. Its errors do not repeat the text, which may have secrets.
func dockerWith(text []byte, host, credential string) ([]byte, error) {
	var all map[string]json.RawMessage
	if err := json.Unmarshal(text, &all); err != nil {
		return nil, errors.New("it is not a JSON object; correct it, or name another folder in " + envDocker)
	}
	if all == nil {
		all = map[string]json.RawMessage{} // of null
	}

	conf := dockerConf{auths: map[string]json.RawMessage{}, helpers: map[string]string{}}
	// docker reads the names of the keys without regard to case. The values of several spellings are joined.
	for _, name := range slices.Sorted(maps.Keys(all)) {
		out := conf.field(name)
		if out == nil {
			continue
		}
		if json.Unmarshal(all[name], out) != nil {
			return nil, fmt.Errorf("%s has a value of another type than docker expects", name)
		}
		delete(all, name)
	}
	conf.set(host, credential)

	all["auths"] = encoded(conf.auths)
	all["credHelpers"] = encoded(conf.helpers)

	return json.Marshal(all)
}

// field returns where the value of a key is read to, or nil if it passes unread.
func (c *dockerConf) field(name string) any {
	switch {
	case strings.EqualFold(name, "auths"):
		return &c.auths
	case strings.EqualFold(name, "credHelpers"):
		return &c.helpers
	case strings.EqualFold(name, "credsStore"):
		return &c.store
	}

	return nil
}

// encoded returns a map as JSON.
func encoded[V any](m map[string]V) json.RawMessage {
	b, _ := json.Marshal(m) // texts, and JSON that was read
	return b
}

// set makes a credential the only one of a registry. docker reads it from the file only if neither a helper nor a store
// is named: so a store becomes the helper of each registry that docker has logged in to.
func (c *dockerConf) set(host, credential string) {
	if c.helpers == nil {
		c.helpers = map[string]string{} // of null
	}
	if c.auths == nil {
		c.auths = map[string]json.RawMessage{}
	}

	for _, name := range slices.Collect(maps.Keys(c.auths)) {
		if c.helpers[name] == "" && c.store != "" {
			c.helpers[name] = c.store
		}
	}

	of := func(name string) bool { return registryOf(name) == host }
	maps.DeleteFunc(c.auths, func(name string, _ json.RawMessage) bool { return of(name) })
	maps.DeleteFunc(c.helpers, func(name, _ string) bool { return of(name) })

	auth := encoded(map[string]string{"auth": base64.StdEncoding.EncodeToString([]byte(credential))})
	c.auths[host] = auth
	// docker takes the registry of an image as it is written: with the default port, it is another name.
	if !hasPort(host) {
		c.auths[host+":443"] = auth
	}
}

// hasPort reports whether a host of a URL has a port. An IPv6 address is in brackets.
func hasPort(host string) bool { return strings.LastIndex(host, ":") > strings.LastIndex(host, "]") }

// registryOf returns the host of a registry that docker names by a host or a URL, in one normal form.
func registryOf(name string) string {
	_, rest, ok := strings.Cut(name, "://")
	if ok {
		name = rest
	}
	name, _, _ = strings.Cut(name, "/")

	origin, err := wallet.ParseOrigin("https://" + name)
	if err != nil {
		return name
	}

	return strings.TrimPrefix(string(origin), "https://")
}
