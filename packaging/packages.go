package main

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/goreleaser/nfpm/v2"
	_ "github.com/goreleaser/nfpm/v2/apk"  // registers itself
	_ "github.com/goreleaser/nfpm/v2/arch" // registers itself
	_ "github.com/goreleaser/nfpm/v2/deb"  // registers itself
	_ "github.com/goreleaser/nfpm/v2/rpm"  // registers itself
)

// kinds are the packages of a release.
func kinds() []string { return []string{"deb", "rpm", "apk", "archlinux"} }

// extras writes the manual pages, compressed as Debian wants them, and the completions into the work folder.
func (r *release) extras() error {
	if err := r.build(server, host()); err != nil {
		return err
	}

	jeton := r.binary(server, host())
	man := filepath.Join(r.work, "man")
	if out, err := exec.Command(jeton, "man", man).CombinedOutput(); err != nil {
		return fmt.Errorf("jeton man: %w\n%s", err, out)
	}
	pages, err := filepath.Glob(filepath.Join(man, "*.1"))
	if err != nil || len(pages) == 0 {
		return fmt.Errorf("found %d manual pages: %w", len(pages), err)
	}
	for _, page := range append(pages, filepath.Join(r.root, "CHANGELOG.md")) {
		to := filepath.Join(r.work, "man", filepath.Base(page)+".gz")
		if err := compress(page, to); err != nil {
			return err
		}
	}

	for shell, name := range map[string]string{"bash": "jeton.bash", "zsh": "_jeton", "fish": "jeton.fish"} {
		out, err := exec.Command(jeton, "completion", shell).Output()
		if err != nil {
			return fmt.Errorf("jeton completion %s: %w", shell, err)
		}
		if err := write(filepath.Join(r.work, "man", name), out, 0o644); err != nil {
			return err
		}
	}

	return nil
}

// compress writes a file with gzip, without its name and time.
func compress(from, to string) error {
	text, err := os.ReadFile(from)
	if err != nil {
		return err
	}

	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return err
	}
	if _, err := z.Write(text); err != nil {
		return err
	}
	if err := z.Close(); err != nil {
		return err
	}

	return write(to, b.Bytes(), 0o644)
}

// packages makes every kind for every architecture of Linux, as nfpm.yaml says.
func (r *release) packages() error {
	for _, p := range r.platforms {
		if p.os != "linux" {
			continue
		}
		for _, kind := range kinds() {
			if err := r.pack(kind, p); err != nil {
				return fmt.Errorf("%s for %s: %w", kind, p, err)
			}
		}
	}

	return nil
}

// dated copies a file of the repository for a package, with the time of the release: that of the file would be in
// the .apk.
func (r *release) dated(name, of string) (string, error) {
	text, err := os.ReadFile(filepath.Join(r.root, name))
	if err != nil {
		return "", err
	}

	path := filepath.Join(r.work, of+"-"+filepath.Base(name))
	err = write(path, text, 0o755)
	if err != nil && !errors.Is(err, fs.ErrExist) { // it is for two events
		return "", err
	}

	return path, os.Chtimes(path, r.time, r.time)
}

// pack makes a package of one kind.
func (r *release) pack(kind string, p platform) error {
	variables := map[string]string{
		"ARCH":    p.arch,
		"VERSION": r.version,
		"BINARY":  r.binary(server, p),
		"ROOT":    r.root,
		"WORK":    r.work,
	}
	path := filepath.Join(r.root, "packaging", "nfpm.yaml")
	conf, err := nfpm.ParseFileWithEnvMapping(path, func(name string) string { return variables[name] })
	if err != nil {
		return err
	}

	info, err := conf.Get(kind)
	if err != nil {
		return err
	}
	for _, script := range []*string{
		&info.Scripts.PostInstall,
		&info.Scripts.PreRemove,
		&info.Scripts.PostRemove,
		&info.APK.Scripts.PostUpgrade,
		&info.ArchLinux.Scripts.PostUpgrade,
	} {
		if *script, err = r.dated(*script, kind+"-"+p.arch); err != nil {
			return err
		}
	}
	info.MTime = r.time
	info = nfpm.WithDefaults(info)

	packager, err := nfpm.Get(kind)
	if err != nil {
		return err
	}

	return r.create(packager.ConventionalFileName(info), func(w io.Writer) error { return packager.Package(info, w) })
}
