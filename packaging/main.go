// Command packaging makes the files of a release: programs, packages for Linux, an image, a chart for Kubernetes, a
// bill of materials, checksums and their signature.
//
//	go -C packaging run . --version v0.1.0 --out ../dist
//
// The files depend on the commit and the version only: a build on another day, machine or path has the same bytes. It
// is a module of its own, because the product needs nothing of what makes packages.
//
//	build.go      programs for each platform, and archives of them
//	packages.go   .deb, .rpm, .apk and archlinux packages
//	image.go      the OCI image
//	chart.go      the Helm chart, and plain manifests
//	sbom.go       what the program is made of
//	sums.go       checksums and signature
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

func main() {
	r := release{log: os.Stderr}
	flag.StringVar(&r.version, "version", "", "version of the release, such as v0.1.0")
	flag.StringVar(&r.out, "out", "../dist", "folder for the files; it must not exist")
	flag.StringVar(&r.key, "key", "", "file with the minisign key, without a password, that signs the checksums; "+
		"without it, the key is in "+keyVariable)
	flag.Func("platform", "only this platform, such as linux/amd64; may be repeated", func(text string) error {
		p, err := parsePlatform(text)
		r.platforms = append(r.platforms, p)
		return err
	})
	flag.Parse()

	if err := r.make(); err != nil {
		fmt.Fprintln(os.Stderr, "packaging: "+err.Error())
		os.Exit(1)
	}
}

// release is what to make.
type release struct {
	version   string
	out       string
	key       string
	platforms []platform
	log       *os.File

	root string    // of the repository
	work string    // temporary folder
	time time.Time // of the commit: the time of every file
}

// platform is an operating system and an architecture, in Go's names.
type platform struct{ os, arch string }

func (p platform) String() string { return p.os + "/" + p.arch }

// all is what a release has.
func all() []platform {
	var list []platform
	for _, system := range []string{"linux", "darwin", "windows"} {
		list = append(list, platform{system, "amd64"}, platform{system, "arm64"})
	}
	return list
}

func parsePlatform(text string) (platform, error) {
	for _, p := range all() {
		if p.String() == text {
			return p, nil
		}
	}
	return platform{}, fmt.Errorf("unknown platform: want one of %v", all())
}

// versions are those that packages of every kind can have.
var versions = regexp.MustCompile(`^v\d+\.\d+\.\d+(-[a-z]+\.?\d*)?$`)

// make makes all files. A folder with only some of them does not stay.
func (r *release) make() (err error) {
	if err := r.prepare(); err != nil {
		return err
	}
	defer func() {
		_ = os.RemoveAll(r.work)
		if err != nil {
			_ = os.RemoveAll(r.out)
		}
	}()

	for _, step := range []struct {
		name string
		run  func() error
	}{
		{"programs", r.programs},
		{"manual pages and completions", r.extras},
		{"packages", r.packages},
		{"image", r.image},
		{"chart", r.chart},
		{"bill of materials", r.sbom},
		{"checksums", r.sums},
	} {
		began := time.Now()
		if err := step.run(); err != nil {
			return fmt.Errorf("%s: %w", step.name, err)
		}
		fmt.Fprintf(r.log, "%s: %s\n", step.name, time.Since(began).Round(time.Second))
	}

	return nil
}

// prepare checks the flags and makes the folders.
func (r *release) prepare() error {
	if !versions.MatchString(r.version) {
		return fmt.Errorf("invalid --version %q: want one such as v0.1.0 or v0.1.0-rc1", r.version)
	}
	// An invalid key is found before everything is built.
	if _, err := r.signingKey(); err != nil && !errors.Is(err, errNoKey) {
		return err
	}
	if len(r.platforms) == 0 {
		r.platforms = all()
	}

	root, err := exec.Command("git", "rev-parse", "--show-toplevel").Output()
	if err != nil {
		return fmt.Errorf("find the repository: %w", err)
	}
	r.root = strings.TrimSpace(string(root))

	changed, err := exec.Command("git", "status", "--porcelain").Output()
	if err != nil {
		return fmt.Errorf("compare the checkout with its commit: %w", err)
	}
	if len(changed) > 0 {
		return fmt.Errorf("the checkout differs from its commit; commit or remove:\n%s", changed)
	}

	seconds, err := exec.Command("git", "log", "-1", "--format=%ct").Output()
	if err != nil {
		return fmt.Errorf("read the time of the commit: %w", err)
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(seconds)), 10, 64)
	if err != nil {
		return fmt.Errorf("read the time of the commit: %w", err)
	}
	r.time = time.Unix(n, 0).UTC()

	if r.out, err = filepath.Abs(r.out); err != nil {
		return err
	}
	if err := os.Mkdir(r.out, 0o755); err != nil {
		return fmt.Errorf("--out: %w; remove it, or name another one", err)
	}
	if r.work, err = os.MkdirTemp("", "jeton-release-"); err != nil {
		return errors.Join(err, os.Remove(r.out))
	}

	return nil
}

// file returns the path of a file of the release.
func (r *release) file(name string) string { return filepath.Join(r.out, name) }

// number is the version without its v.
func (r *release) number() string { return strings.TrimPrefix(r.version, "v") }
