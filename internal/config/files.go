package config

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/secretfile"
)

// maxSecret bounds a file with one value.
const maxSecret = 64 << 10

// files reads the files that hold values, and completes relative paths.
func (c checker) files() {
	folder := filepath.Dir(c.conf.Path)
	if c.conf.DataDir != "" {
		c.conf.DataDir = relativeTo(folder, c.conf.DataDir)
	}
	if c.conf.KeysSecretFile != "" {
		c.conf.KeysSecretFile = secretfile.Path(relativeTo(folder, c.conf.KeysSecretFile))
	}

	if c.conf.Database != nil {
		c.databaseURL(c.conf.Database, folder)
		c.databasePassword(c.conf.Database, folder)
	}

	c.adminToken(&c.conf.Admin, folder)
	if c.conf.ACME != nil && c.conf.ACME.CAFile != "" {
		c.conf.ACME.CAFile = relativeTo(folder, c.conf.ACME.CAFile)
	}

	if c.conf.Issuer != nil {
		for i := range c.conf.Issuer.Upstreams {
			c.providerSecret(&c.conf.Issuer.Upstreams[i], folder)
		}
	}

	if c.conf.Mail != nil && c.conf.Mail.SMTP != nil {
		c.mailPassword(c.conf.Mail.SMTP, folder)
	}

	if c.conf.Tracing != nil {
		c.tracingFiles(c.conf.Tracing, folder)
	}

	for i := range c.conf.Users {
		c.passwordHashFile(&c.conf.Users[i], folder)
	}
}

// passwordHashFile reads the hash of a user from its file. If password_hash is set as well,
// passwordHash reports the two; the file is not read then.
func (c checker) passwordHashFile(u *User, folder string) {
	if u.PasswordHashFile == "" || c.Has(&u.PasswordHash) {
		return
	}

	text, err := readSecret(relativeTo(folder, u.PasswordHashFile))
	if err != nil {
		c.Fault(&u.PasswordHashFile, "cannot read the file: %v", err)
		// So that no second fault reports the hash as missing.
		c.Invalidate(&u.PasswordHashFile)
		return
	}

	u.PasswordHash = text
}

// minToken is how many characters a token of the admin listener has at least.
const minToken = 16

// adminToken reads the file with the token of the admin listener.
func (c checker) adminToken(a *Admin, folder string) {
	want := fmt.Sprintf("a token of at least %d characters without spaces on one line", minToken)
	a.token = c.secretFile(&a.TokenFile, folder, minToken, want)
}

// secretFile reads a file with a secret on one line, of at least some characters. A relative path begins at folder.
func (c checker) secretFile(file *string, folder string, least int, want string) jeton.Secret {
	if !c.Has(file) {
		return jeton.Secret{}
	}
	if *file == "" {
		c.Fault(file, "empty; want a file, or remove the key")
		return jeton.Secret{}
	}

	*file = secretfile.Path(relativeTo(folder, *file))
	text, err := readSecret(*file)
	switch {
	case err != nil:
		c.Fault(file, "cannot read the file: %v", err)
	case len(text) < least || strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }):
		c.Fault(file, "%s: want %s", *file, want)
	default:
		c.private(file)
	}

	return jeton.NewSecret(text)
}

// databaseURL reads the parts of the URL.
func (c checker) databaseURL(d *Database, folder string) {
	if !c.Has(&d.URL) || !c.Valid(&d.URL) {
		return
	}

	t, password, faults := parseTarget(d.URL.Reveal())
	for _, text := range faults {
		c.Fault(&d.URL, "%s", text)
	}

	// So that the checks that follow do not report the same again.
	if len(faults) > 0 {
		c.Invalidate(&d.URL)
	}

	for _, name := range certFiles() {
		path := t.params[name]
		if path != "" && path != "system" { // to pgx: the authorities of the system
			t.params[name] = relativeTo(folder, path)
		}
	}

	d.target = t
	d.password = password
}

// databasePassword reads the file with the password.
func (c checker) databasePassword(d *Database, folder string) {
	file := &d.PasswordFile
	if !c.Has(file) || !c.Valid(file) {
		return
	}

	if !d.password.IsZero() {
		c.Fault(&d.URL, "contains a password, and password_file is set; keep one")
		return
	}
	if *file == "" {
		c.Fault(file, "empty; want a file")
		return
	}

	*file = secretfile.Path(relativeTo(folder, *file))
	text, err := readSecret(*file)
	switch {
	case err != nil:
		c.Fault(file, "cannot read the file: %v", err)
	case text == "":
		c.Fault(file, "%s is empty: want the password on one line", *file)
	case strings.ContainsAny(text, "\r\n\x00"):
		c.Fault(file, "%s has more than one line: want only the password", *file)
	default:
		c.private(file)
	}

	d.password = jeton.NewSecret(text)
}

// keysSecret checks the file with the secret of signing keys, where it is named. Its
// content is for package keys.
func (c checker) keysSecret() {
	file := &c.conf.KeysSecretFile
	switch {
	case !c.Has(file):
	case *file == "":
		c.Fault(file, "empty; want a file, or remove the key")
	default:
		c.private(file)
	}
}

// private rejects a file that other users can read.
func (c checker) private(file *string) {
	info, err := os.Stat(*file)
	switch {
	case err != nil:
		c.Fault(file, "cannot read the file: %v", err)
	case !info.Mode().IsRegular():
		c.Fault(file, "cannot read the file: %s is not a regular file", *file)
	default:
		if err := secretfile.Check(*file, info); err != nil {
			c.Fault(file, "%v", err)
		}
	}
}

// relativeTo returns path, which may be relative to folder.
func relativeTo(folder, path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(folder, path)
}

// readSecret returns the text of a file without its last line break. It checks that
// the file is a regular one before it opens it: a pipe would block the server.
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

	// Editors and echo end a file with a line break, which is no part of the secret.
	data = bytes.TrimSuffix(data, []byte("\n"))
	return string(bytes.TrimSuffix(data, []byte("\r"))), nil
}
