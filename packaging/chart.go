package main

import (
	"bytes"
	"compress/gzip"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// unreleased is the version in the files of the repository.
const unreleased = "0.0.0"

// chart writes the Helm chart as 'helm package' does, and the plain manifests, both with the version of the release.
func (r *release) chart() error {
	chart, err := r.versioned("packaging/helm/jeton", "jeton")
	if err != nil {
		return err
	}
	if err := r.create("jeton-"+r.number()+".tgz", func(w io.Writer) error { return r.gzip(w, chart) }); err != nil {
		return err
	}

	manifests, err := r.versioned("packaging/kubernetes", "kubernetes")
	if err != nil {
		return err
	}

	return r.create("jeton_"+r.number()+"_kubernetes.tar.gz", func(w io.Writer) error { return r.gzip(w, manifests) })
}

// versioned copies the files of a folder into the work folder, with the version of the release, and returns them as
// members of an archive below top.
func (r *release) versioned(folder, top string) ([]member, error) {
	var list []member
	from := filepath.Join(r.root, folder)
	err := filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}

		text, err := os.ReadFile(path) // of the file that a link leads to
		if err != nil {
			return err
		}
		name, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}

		to := filepath.Join(r.work, "chart", top, name)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		list = append(list, member{filepath.ToSlash(filepath.Join(top, name)), to, 0o644})

		return write(to, bytes.ReplaceAll(text, []byte(unreleased), []byte(r.number())), 0o644)
	})

	return list, err
}

// gzip writes an archive of members, compressed.
func (r *release) gzip(w io.Writer, members []member) error {
	z := gzip.NewWriter(w)
	if err := r.tar(z, members); err != nil {
		return err
	}

	return z.Close()
}
