package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/jeton-auth/jeton/internal/config"
	"github.com/jeton-auth/jeton/internal/doctor"
	"github.com/jeton-auth/jeton/internal/secretfile"
	"github.com/jeton-auth/jeton/internal/store/sqlite"
	"github.com/jeton-auth/jeton/internal/web"
)

// minFree is how many bytes a data directory should have free.
const minFree = 256 << 20

// installation is the examination of a configuration and its data directory.
type installation struct {
	Config
	findings []doctor.Finding
}

// Examine returns what is wrong with the installation of a server, which may be running. It changes nothing, and waits
// at most 10 seconds for each program that it asks: the database, the issuer and the mail server.
func Examine(ctx context.Context, c Config) []doctor.Finding {
	i := &installation{Config: c.withDefaults(), findings: []doctor.Finding{}}

	i.configFile()
	i.directory()
	i.disk()
	i.certificates()
	i.database(ctx)
	i.issuer(ctx)
	i.mail(ctx)

	return i.findings
}

// found adds a finding.
func (i *installation) found(name, seen, fix string) {
	i.findings = append(i.findings, doctor.Finding{Name: name, Seen: seen, Fix: fix})
}

// has reports whether there is a finding of a name.
func (i *installation) has(name string) bool {
	return slices.ContainsFunc(i.findings, func(f doctor.Finding) bool { return f.Name == name })
}

// path returns the path of a file that the configuration names relative to the data directory.
func (i *installation) path(name string) string { return (&dataDir{path: i.DataDir}).file(name) }

// configFile checks that not every user can write the configuration file.
func (i *installation) configFile() {
	path := i.File.Path
	if path == "" {
		return
	}

	info, err := os.Stat(path)
	if err == nil && info.Mode().Perm()&0o002 != 0 {
		i.found("config-mode", fmt.Sprintf("%s can be written by every user (mode %04o)", path, info.Mode().Perm()),
			"chmod o-w "+path)
	}
}

// directory looks at the data directory: who can change it, and who owns its files.
func (i *installation) directory() {
	info, err := os.Stat(i.DataDir)
	if errors.Is(err, fs.ErrNotExist) {
		i.found("directory", i.DataDir+" does not exist",
			"start the server once, or name the directory with --data-dir")
		return
	}
	if err != nil {
		i.found("directory", err.Error(), "run this command as the user of the server")
		return
	}

	perm := info.Mode().Perm()
	if perm&0o022 != 0 {
		i.found("directory-mode", fmt.Sprintf("%s can be written by other users (mode %04o)", i.DataDir, perm),
			"chmod 700 "+i.DataDir)
	}

	owner, _, known := secretfile.Owner(info)
	self := os.Geteuid()
	if known && self > 0 && owner != self {
		i.found("owner", fmt.Sprintf("%s belongs to user %d, and this is user %d", i.DataDir, owner, self),
			"run this command as the user of the server; if you are that user, chown the directory")
	}

	for _, path := range i.privateFiles() {
		i.privateFile(path, owner)
	}
}

// privateFiles returns the files that no other user may read.
func (i *installation) privateFiles() []string {
	list := []string{filepath.Join(i.DataDir, fileDB), filepath.Join(i.DataDir, fileLock), i.secretPath()}
	for _, at := range endpoints(i.File) {
		if at.tls.Key != "" && !at.plain {
			list = append(list, i.path(at.tls.Key))
		}
	}

	return unique(list)
}

// privateFile looks at who can read a file. A file that does not exist is made by the server, or is found by what reads
// it.
func (i *installation) privateFile(path string, owner int) {
	info, err := os.Stat(path)
	if err != nil {
		return
	}

	err = secretfile.Check(path, info)
	if err != nil {
		i.found("file-mode", err.Error(), "chmod 600 "+path)
	}

	uid, _, known := secretfile.Owner(info)
	if known && uid != owner && filepath.Dir(path) == filepath.Clean(i.DataDir) {
		i.found("owner", fmt.Sprintf("%s belongs to user %d, and its directory to user %d", path, uid, owner),
			fmt.Sprintf("chown --reference=%s %s", i.DataDir, path))
	}
}

// disk looks for space: SQLite grows, and an upgrade copies it.
func (i *installation) disk() {
	size := int64(0)
	info, err := os.Stat(DataFile(i.DataDir))
	if err == nil && i.File.Database == nil {
		size = info.Size()
	}

	i.space(sqlite.Free(i.DataDir), size)
}

// space compares what is free, -1 if that is not known, with what a database needs.
func (i *installation) space(free, size int64) {
	need := max(minFree, 2*size)
	if free >= 0 && free < need {
		i.found("disk", fmt.Sprintf("%s has %d MB free, want %d MB", i.DataDir, free>>20, need>>20),
			"delete copies of upgrades that have proved good (jeton.db.before-*), or make the disk larger")
	}
}

// certificates looks at the certificates of all listeners.
func (i *installation) certificates() {
	seen := map[string]bool{}
	for _, at := range endpoints(i.File) {
		// A certificate authority renews its own, and the server logs when it does not.
		if at.plain || at.tls.Cert == "" || at.tls.ACME {
			continue
		}

		for _, finding := range i.certificate(at) {
			// Several listeners may have one certificate.
			if !seen[finding.Seen] {
				i.findings = append(i.findings, finding)
			}
			seen[finding.Seen] = true
		}
	}
}

// certificate looks at the certificate of a listener.
func (i *installation) certificate(at endpoint) (list []doctor.Finding) {
	cert, key := i.path(at.tls.Cert), i.path(at.tls.Key)
	_, err := os.Stat(cert)
	if at.tls.Cert == config.DefaultCertificate && errors.Is(err, fs.ErrNotExist) {
		return nil // it is made at the first start
	}

	pair, err := certificate(cert, key)
	if err != nil {
		const fix = "name in tls.cert and tls.key a certificate and its key, which only the server can read"
		return []doctor.Finding{{Name: "certificate", Seen: err.Error(), Fix: fix}}
	}

	warning, fix := validity(pair.Leaf, i.Now())
	if warning != "" {
		list = append(list, doctor.Finding{Name: "certificate-time", Seen: cert + ": " + warning, Fix: fix})
	}

	for _, host := range append([]string{at.host}, at.hosts...) {
		host = web.Hostname(host)
		if host != "" && pair.Leaf.VerifyHostname(host) != nil {
			list = append(list, doctor.Finding{
				Name: "certificate-name",
				Seen: fmt.Sprintf("%s is not for %s", cert, host),
				Fix:  "get a certificate with this name, or correct host, hosts or url",
			})
		}
	}

	return list
}
