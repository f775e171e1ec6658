package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/blakesmith/ar"
	"github.com/klauspost/compress/zstd"
	"github.com/sassoftware/go-rpmutils"
)

// TestEveryPackageHasTheSameFiles makes each kind of package around a program of a few bytes. 'make soak' makes and
// installs real ones.
func TestEveryPackageHasTheSameFiles(t *testing.T) {
	golden, err := filepath.Abs("testdata/files.golden")
	if err != nil {
		t.Fatal(err)
	}
	r := little(t)

	for kind, read := range map[string]func([]byte) (contents, error){
		"deb":       readDeb,
		"rpm":       readRPM,
		"apk":       readAPK,
		"archlinux": readArchLinux,
	} {
		t.Run(kind, func(t *testing.T) {
			if err := r.pack(kind, platform{"linux", "amd64"}); err != nil {
				t.Fatal(err)
			}
			got, err := read(r.only(t, kind))
			if err != nil {
				t.Fatal(err)
			}

			got.asElsewhere()
			compare(t, golden, got.list())
			for name, text := range map[string]string{
				"after the installation": "useradd --system",
				"before the removal":     "disable --now",
				"after the removal":      "the data in /var/lib/jeton stays",
			} {
				if !strings.Contains(got.scripts, text) {
					t.Errorf("got no script for %s, want one with %q", name, text)
				}
			}
		})
	}
}

// little is a release with the files that a build makes, each of a few bytes.
func little(t *testing.T) *release {
	t.Helper()

	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	r := &release{
		log:     os.Stderr,
		version: "v0.1.0",
		root:    root,
		work:    t.TempDir(),
		out:     t.TempDir(),
		time:    time.Unix(1e9, 0),
	}

	names := []string{"jeton.bash", "_jeton", "jeton.fish", "CHANGELOG.md.gz", "jeton.1.gz"}
	paths := []string{r.binary(server, platform{"linux", "amd64"})}
	for _, name := range names {
		paths = append(paths, filepath.Join(r.work, "man", name))
	}
	for _, path := range paths {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := write(path, []byte("a few bytes"), 0o600); err != nil {
			t.Fatal(err)
		}
	}

	// Scripts are named from the root of the repository, as 'make release' runs.
	t.Chdir(root)

	return r
}

// only returns the package of a kind.
func (r *release) only(t *testing.T, kind string) []byte {
	t.Helper()

	end := map[string]string{"archlinux": ".pkg.tar.zst"}[kind]
	if end == "" {
		end = "." + kind
	}
	paths, err := filepath.Glob(r.file("*" + end))
	if err != nil || len(paths) != 1 {
		t.Fatalf("found %d packages of kind %s, %v; want 1", len(paths), kind, err)
	}
	text, err := os.ReadFile(paths[0])
	if err != nil {
		t.Fatal(err)
	}

	return text
}

// contents is what is in a package: files with their mode, or where a link leads, and the text of all scripts.
type contents struct {
	files   map[string]string
	scripts string
}

// asElsewhere makes the files of Debian those of the others.
func (c contents) asElsewhere() {
	delete(c.files, "/usr/share/lintian/overrides/jeton")

	const debian = "/usr/share/zsh/vendor-completions/_jeton"
	mode, ok := c.files[debian]
	if ok {
		delete(c.files, debian)
		c.files["/usr/share/zsh/site-functions/_jeton"] = mode
	}
}

func (c contents) list() string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(c.files)) {
		fmt.Fprintf(&b, "%s %s\n", c.files[name], name)
	}

	return b.String()
}

// add adds the members of a tar. Those with a name as script are scripts.
func (c *contents) add(r io.Reader, script func(name string) bool) error {
	t := tar.NewReader(r)
	for {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}

		name := path.Clean("/" + h.Name)
		if script(name) {
			text, err := io.ReadAll(t)
			if err != nil {
				return err
			}
			c.scripts += string(text)
			continue
		}

		c.file(name, h.Typeflag == tar.TypeDir, h.Linkname, h.Mode)
	}
}

// file adds a file, unless it is a directory that only leads to others.
func (c *contents) file(name string, directory bool, link string, mode int64) {
	switch {
	case strings.HasPrefix(name, "/."): // of the package itself
	case link != "":
		c.files[name] = "-> " + link
	case !directory:
		c.files[name] = fmt.Sprintf("%04o", mode&0o7777)
	case name == "/etc/jeton" || name == "/var/lib/jeton":
		c.files[name] = fmt.Sprintf("%04o directory", mode&0o7777)
	}
}

func readDeb(text []byte) (contents, error) {
	c := contents{files: map[string]string{}}
	a := ar.NewReader(bytes.NewReader(text))
	for {
		h, err := a.Next()
		if errors.Is(err, io.EOF) {
			return c, nil
		}
		if err != nil {
			return c, err
		}
		if !strings.HasSuffix(h.Name, ".tar.gz") {
			continue
		}

		z, err := gzip.NewReader(a)
		if err != nil {
			return c, err
		}
		control := strings.HasPrefix(h.Name, "control")
		if err := c.add(z, func(string) bool { return control }); err != nil {
			return c, err
		}
	}
}

// readAPK reads the archives of control and of data, which follow each other as one.
func readAPK(text []byte) (contents, error) {
	c := contents{files: map[string]string{}}
	z, err := gzip.NewReader(bytes.NewReader(text))
	if err != nil {
		return c, err
	}

	return c, c.add(z, func(name string) bool { return strings.HasPrefix(name, "/.p") })
}

func readArchLinux(text []byte) (contents, error) {
	c := contents{files: map[string]string{}}
	z, err := zstd.NewReader(bytes.NewReader(text))
	if err != nil {
		return c, err
	}
	defer z.Close()

	return c, c.add(z, func(name string) bool { return name == "/.INSTALL" })
}

func readRPM(text []byte) (contents, error) {
	c := contents{files: map[string]string{}}
	p, err := rpmutils.ReadRpm(bytes.NewReader(text))
	if err != nil {
		return c, err
	}
	files, err := p.Header.GetFiles()
	if err != nil {
		return c, err
	}

	const directory = 0o040000
	for _, f := range files {
		c.file(f.Name(), f.Mode()&0o170000 == directory, f.Linkname(), int64(f.Mode()))
	}
	for _, tag := range []int{rpmutils.POSTIN, rpmutils.PREUN, rpmutils.POSTUN} {
		script, err := p.Header.GetString(tag)
		if err != nil {
			return c, err
		}
		c.scripts += script
	}

	return c, nil
}
