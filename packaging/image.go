package main

import (
	"archive/tar"
	"bytes"
	"encoding/pem"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/crypto/x509roots/fallback/bundle"
)

// user is who runs the server in the image: not root, with a number that volumes can be given to.
const user = 65532

// image writes an OCI image layout (image-spec 1.1) with an image for each architecture of Linux, as a .tar:
// 'podman load', 'skopeo copy oci-archive:FILE docker://…'. The server runs with a read-only root; its data is in the
// volume /var/lib/jeton, its configuration is /etc/jeton/jeton.yaml.
func (r *release) image() error {
	index := v1.ImageIndex(mutate.IndexMediaType(empty.Index, types.OCIImageIndex))
	some := false
	for _, p := range r.platforms {
		if p.os != "linux" {
			continue
		}

		img, err := r.imageFor(p)
		if err != nil {
			return fmt.Errorf("image for %s: %w", p, err)
		}

		some = true
		index = mutate.AppendManifests(index, mutate.IndexAddendum{
			Add: img,
			Descriptor: v1.Descriptor{
				Platform: &v1.Platform{OS: p.os, Architecture: p.arch},
			},
		})
	}
	if !some {
		return nil
	}

	// The layout has one image, which is an index: programs that read it refuse to choose among several.
	named := mutate.AppendManifests(mutate.IndexMediaType(empty.Index, types.OCIImageIndex), mutate.IndexAddendum{
		Add: index,
		Descriptor: v1.Descriptor{
			Annotations: map[string]string{"org.opencontainers.image.ref.name": r.version},
		},
	})

	folder := filepath.Join(r.work, "oci")
	if _, err := layout.Write(folder, named); err != nil {
		return err
	}

	name := fmt.Sprintf("jeton_%s_oci.tar", r.number())

	return r.create(name, func(w io.Writer) error { return r.tarFolder(w, folder) })
}

// imageFor returns the image of one architecture: one layer without a base.
func (r *release) imageFor(p platform) (v1.Image, error) {
	content, err := r.layer(p)
	if err != nil {
		return nil, err
	}
	open := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil }
	layer, err := tarball.LayerFromOpener(open, tarball.WithMediaType(types.OCILayer))
	if err != nil {
		return nil, err
	}

	img := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	img, err = mutate.Append(img, mutate.Addendum{
		Layer: layer,
		History: v1.History{
			Created:   v1.Time{Time: r.time},
			CreatedBy: "jeton " + r.version,
		},
	})
	if err != nil {
		return nil, err
	}

	return mutate.ConfigFile(img, r.imageConfig(p, img))
}

// imageConfig says how a container of the image is run.
func (r *release) imageConfig(p platform, img v1.Image) *v1.ConfigFile {
	conf, err := img.ConfigFile()
	if err != nil { // it is in memory
		panic(err)
	}

	conf = conf.DeepCopy()
	conf.OS = p.os
	conf.Architecture = p.arch
	conf.Created = v1.Time{Time: r.time}
	conf.Config = v1.Config{
		User:         fmt.Sprintf("%d:%d", user, user),
		Entrypoint:   []string{"/usr/bin/jeton"},
		Cmd:          []string{"serve"},
		Env:          []string{"PATH=/usr/bin", "JETON_DATA_DIR=/var/lib/jeton", "HOME=/var/lib/jeton"},
		Volumes:      map[string]struct{}{"/var/lib/jeton": {}},
		ExposedPorts: map[string]struct{}{"8443/tcp": {}},
		StopSignal:   "SIGTERM",
		Labels: map[string]string{
			"org.opencontainers.image.title":    "jeton",
			"org.opencontainers.image.version":  r.number(),
			"org.opencontainers.image.source":   "https://github.com/jeton-auth/jeton",
			"org.opencontainers.image.licenses": "Apache-2.0",
		},
	}

	return conf
}

// layer is the file system: the program, the user, the certificate authorities of Mozilla, and folders.
func (r *release) layer(p platform) ([]byte, error) {
	program, err := os.ReadFile(r.binary(server, p))
	if err != nil {
		return nil, err
	}

	var authorities bytes.Buffer
	for root := range bundle.Roots() {
		// A file of certificates cannot hold the constraints of the few that Mozilla trusts in part.
		if root.Constraint != nil {
			continue
		}

		block := &pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate}
		if err := pem.Encode(&authorities, block); err != nil {
			return nil, err
		}
	}

	var b bytes.Buffer
	t := tar.NewWriter(&b)
	for _, e := range []struct {
		name    string
		mode    int64
		owner   int
		content []byte
	}{
		{"etc/", 0o755, 0, nil},
		{"etc/group", 0o644, 0, fmt.Appendf(nil, "root:x:0:\njeton:x:%d:\n", user)},
		{"etc/jeton/", 0o755, 0, nil},
		{"etc/passwd", 0o644, 0, fmt.Appendf(
			nil, "root:x:0:0::/:/sbin/nologin\njeton:x:%[1]d:%[1]d::/var/lib/jeton:/sbin/nologin\n", user,
		)},
		{"etc/ssl/", 0o755, 0, nil},
		{"etc/ssl/certs/", 0o755, 0, nil},
		{"etc/ssl/certs/ca-certificates.crt", 0o644, 0, authorities.Bytes()},
		{"tmp/", 0o1777, 0, nil},
		{"usr/", 0o755, 0, nil},
		{"usr/bin/", 0o755, 0, nil},
		{"usr/bin/jeton", 0o755, 0, program},
		{"var/", 0o755, 0, nil},
		{"var/lib/", 0o755, 0, nil},
		{"var/lib/jeton/", 0o700, user, nil},
	} {
		h := &tar.Header{
			Name:    e.name,
			Mode:    e.mode,
			Uid:     e.owner,
			Gid:     e.owner,
			Size:    int64(len(e.content)),
			ModTime: r.time,
		}
		if err := t.WriteHeader(h); err != nil {
			return nil, err
		}
		if _, err := t.Write(e.content); err != nil {
			return nil, err
		}
	}

	return b.Bytes(), t.Close()
}

// tarFolder writes the files of a folder, in the order of their names.
func (r *release) tarFolder(w io.Writer, folder string) error {
	var members []member
	err := filepath.WalkDir(folder, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}

		name, err := filepath.Rel(folder, path)
		members = append(members, member{filepath.ToSlash(name), path, 0o644})
		return err
	})
	if err != nil {
		return err
	}

	return r.tar(w, members)
}
