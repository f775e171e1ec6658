package main

import (
	"archive/tar"
	"archive/zip"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
)

// program is one of the two programs.
type program struct {
	name string // of the archive
	tags string
}

var (
	server = program{"jeton", ""}
	wallet = program{"jeton-wallet", "walletonly"}
)

// programs builds both programs for every platform, and archives of them.
func (r *release) programs() error {
	for _, p := range r.platforms {
		for _, prog := range []program{server, wallet} {
			if err := r.build(prog, p); err != nil {
				return err
			}
			if err := r.archive(prog, p); err != nil {
				return err
			}
		}
	}

	return nil
}

// binary is where a program is built.
func (r *release) binary(prog program, p platform) string {
	name := "jeton"
	if p.os == "windows" {
		name += ".exe"
	}
	return filepath.Join(r.work, prog.name, p.os, p.arch, name)
}

// build builds a program without cgo, so that it is static, and without paths of this machine.
func (r *release) build(prog program, p platform) error {
	cmd := exec.Command(
		"go", "build",
		"-trimpath",
		"-buildvcs=false",
		"-tags="+prog.tags,
		"-ldflags=-s -w -buildid= -X main.release="+r.version,
		"-o", r.binary(prog, p),
		"./cmd/jeton",
	)
	cmd.Dir = r.root
	cmd.Env = append(
		os.Environ(), "CGO_ENABLED=0", "GOFLAGS=", "GOWORK=off", "GOEXPERIMENT=", "GOAMD64=v1", "GOARM64=v8.0",
		"GOOS="+p.os, "GOARCH="+p.arch,
	)

	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s for %s: %w\n%s", prog.name, p, err, out)
	}

	return nil
}

// archive writes a program with its licence into a .tar.gz, or a .zip for Windows.
func (r *release) archive(prog program, p platform) error {
	base := fmt.Sprintf("%s_%s_%s_%s", prog.name, r.number(), p.os, p.arch)
	binary := r.binary(prog, p)
	members := []member{
		{filepath.Base(binary), binary, 0o755},
		{"LICENSE", filepath.Join(r.root, "LICENSE"), 0o644},
		{"CHANGELOG.md", filepath.Join(r.root, "CHANGELOG.md"), 0o644},
	}

	if p.os == "windows" {
		return r.create(base+".zip", func(w io.Writer) error { return r.zip(w, members) })
	}

	return r.create(base+".tar.gz", func(w io.Writer) error { return r.gzip(w, members) })
}

// newFile are the flags for a file that must not exist.
const newFile = os.O_CREATE | os.O_EXCL | os.O_WRONLY

// write writes a new file.
func write(path string, content []byte, mode os.FileMode) error {
	f, err := os.OpenFile(path, newFile, mode)
	if err != nil {
		return err
	}
	if _, err := f.Write(content); err != nil {
		_ = f.Close()
		return err
	}

	return f.Close()
}

// create writes a file of the release.
func (r *release) create(name string, write func(io.Writer) error) error {
	f, err := os.OpenFile(r.file(name), newFile, 0o644)
	if err != nil {
		return err
	}
	if err := write(f); err != nil {
		_ = f.Close()
		return fmt.Errorf("%s: %w", name, err)
	}

	return f.Close()
}

// member is a file of an archive.
type member struct {
	name string
	path string
	mode int64
}

// tar writes an archive whose bytes depend on the members only.
func (r *release) tar(w io.Writer, members []member) error {
	t := tar.NewWriter(w)
	for _, m := range members {
		content, err := os.ReadFile(m.path)
		if err != nil {
			return err
		}

		h := &tar.Header{
			Name:    m.name,
			Mode:    m.mode,
			Size:    int64(len(content)),
			ModTime: r.time,
			Format:  tar.FormatPAX,
		}
		if err := t.WriteHeader(h); err != nil {
			return err
		}
		if _, err := t.Write(content); err != nil {
			return err
		}
	}

	return t.Close()
}

// zip is tar for Windows.
func (r *release) zip(w io.Writer, members []member) error {
	z := zip.NewWriter(w)
	for _, m := range members {
		content, err := os.ReadFile(m.path)
		if err != nil {
			return err
		}

		f, err := z.CreateHeader(&zip.FileHeader{Name: m.name, Method: zip.Deflate, Modified: r.time})
		if err != nil {
			return err
		}
		if _, err := f.Write(content); err != nil {
			return err
		}
	}

	return z.Close()
}

// host is this machine's platform, for which the program is built to write its manual pages.
func host() platform { return platform{runtime.GOOS, runtime.GOARCH} }
