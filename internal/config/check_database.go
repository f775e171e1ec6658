package config

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/jeton-auth/jeton"

	"go.yaml.in/yaml/v4"
)

// longForm makes a mapping of a database that is given as its URL alone, so that there is
// one way to read it and JETON_DATABASE has its place.
func longForm(root *yaml.Node) {
	if root.Kind != yaml.MappingNode {
		return
	}

	for i := 0; i+1 < len(root.Content); i += 2 {
		n := root.Content[i+1]
		if root.Content[i].Value != "database" || n.Kind != yaml.ScalarNode || n.ShortTag() == "!!null" {
			continue
		}

		key := &yaml.Node{
			Kind:   yaml.ScalarNode,
			Tag:    "!!str",
			Value:  "url",
			Line:   n.Line,
			Column: n.Column,
		}
		root.Content[i+1] = &yaml.Node{
			Kind:    yaml.MappingNode,
			Tag:     "!!map",
			Line:    n.Line,
			Column:  n.Column,
			Content: []*yaml.Node{key, n},
		}
	}
}

// databaseSecrets reads the URL and the file of the password.
func (d *document) databaseSecrets(v *Database, folder string) {
	const place, file = "database.url", "database.password_file"
	if d.has(place) && d.right(place) {
		t, password, faults := parseTarget(v.URL.Reveal())
		for _, text := range faults {
			d.fault(place, text)
		}

		d.wrong[place] = len(faults) > 0

		for _, name := range certFiles() {
			path := t.params[name]
			if path != "" && path != "system" { // the word is pgx's
				t.params[name] = from(folder, path)
			}
		}

		v.target, v.password = t, password
	}

	if !d.has(file) || !d.right(file) {
		return
	}

	if !v.password.IsZero() {
		d.fault(place, "holds a password, and there is a password_file; keep one")
		return
	}

	if v.PasswordFile == "" {
		d.fault(file, "empty; name a file")
		return
	}

	v.PasswordFile = from(folder, v.PasswordFile)
	text, err := readSecret(v.PasswordFile)
	switch {
	case err != nil:
		d.fault(file, fmt.Sprintf("cannot be read: %v", err))
	case text == "":
		d.fault(file, v.PasswordFile+" is empty; the password is right, on one line")
	case strings.ContainsAny(text, "\r\n\x00"):
		d.fault(file, v.PasswordFile+" holds more than one line; the password alone is right")
	default:
		// A file that is mounted for a server that is not root often belongs to root and
		// the server's group.
		d.private(file, v.PasswordFile, 0o037, "640")
	}

	v.password = jeton.NewSecret(text)
}

// database checks what the URL has been read to say, and the numbers beside it.
func (d *document) database(v *Database) {
	if v == nil {
		return
	}

	d.within(bound{"database.connections", v.Connections, 3, 500})
	d.between("database.connect_timeout", v.ConnectTimeout, 100*time.Millisecond, 30*time.Second)
	// 503 is promised within two seconds.
	d.between("database.statement_timeout", v.StatementTimeout, 100*time.Millisecond, 1500*time.Millisecond)
	d.between("database.staleness", v.Staleness, 0, 10*time.Second)
	const place = "database.url"

	t := v.target
	mode := t.sslmode()
	if !slices.Contains(modes(), mode) {
		d.fault(place, "sslmode: "+quote(mode)+" is not one of "+strings.Join(modes(), ", ")+didYouMean(mode, modes()))
		return
	}

	risk := t.risk()
	if risk != "" && !v.AllowWeakTLS {
		d.fault(place, risk+", and "+quote(t.away()[0])+" is another machine; sslmode=verify-full is right, "+
			"with sslrootcert=FILE for an authority of your own, or allow_weak_tls: true next to url if nobody can be on the way")
	}

	if (t.params["sslcert"] == "") != (t.params["sslkey"] == "") {
		d.fault(place, "sslcert and sslkey belong together; give both, or neither")
	}
}

// between checks a duration that has limits.
func (d *document) between(path string, v Duration, low, high time.Duration) {
	if v.Std() < low || v.Std() > high {
		d.fault(path, fmt.Sprintf("%v is out of range; %v to %v is right", v, low, high))
	}
}

// keysSecret checks the file of the secret of signing keys, where it is named. What it
// holds is for package keys.
func (d *document) keysSecret(c *Config) {
	const place = "keys_secret_file"
	switch {
	case !d.has(place):
	case c.KeysSecretFile == "":
		d.fault(place, "empty; name a file, or leave it out")
	default:
		d.private(place, c.KeysSecretFile, 0o077, "600")
	}
}

// private refuses a file whose mode has one of the bits.
func (d *document) private(path, file string, bits os.FileMode, right string) {
	info, err := os.Stat(file)
	switch {
	case err != nil:
		d.fault(path, fmt.Sprintf("cannot be read: %v", err))
	case !info.Mode().IsRegular():
		d.fault(path, fmt.Sprintf("cannot be read: %s is not a regular file", file))
	case runtime.GOOS != "windows" && info.Mode().Perm()&bits != 0:
		d.fault(
			path,
			fmt.Sprintf("%s can be read by others (mode %04o); chmod %s is right", file, info.Mode().Perm(), right),
		)
	}
}
