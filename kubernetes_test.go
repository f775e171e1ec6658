package jeton_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"

	"github.com/jeton-auth/jeton/internal/config"
)

// manifest is what the tests read of a document for Kubernetes.
type manifest struct {
	Kind     string
	Metadata struct{ Name string }
	Data     map[string]string
	Spec     struct {
		Ports []struct {
			TargetPort string `yaml:"targetPort"`
		}
		Template struct{ Spec pod }
	}
}

type pod struct {
	Containers []container
	Volumes    []struct {
		Projected struct {
			Sources []struct {
				Secret struct{ Items []struct{ Path string } }
			}
		}
	}
}

type container struct {
	Env []struct {
		Name, Value string
		ValueFrom   map[string]any `yaml:"valueFrom"`
	}
	Ports     []containerPort
	Startup   probe `yaml:"startupProbe"`
	Readiness probe `yaml:"readinessProbe"`
	Liveness  probe `yaml:"livenessProbe"`
}

type containerPort struct {
	Name   string
	Number int `yaml:"containerPort"`
}

type probe struct{ Exec struct{ Command []string } }

// TestTheManifestsFitTheServer holds that the server accepts the configuration of each manifest, with the variables
// and files of its container, and that its ports are open. That the manifests are what the Helm chart renders is held
// by the tests of module packaging.
func TestTheManifestsFitTheServer(t *testing.T) {
	paths, err := filepath.Glob("packaging/kubernetes/*.yaml")
	if err != nil || len(paths) < 5 {
		t.Fatalf("found %d manifests, %v; want at least 5", len(paths), err)
	}

	for _, path := range paths {
		t.Run(filepath.Base(path), func(t *testing.T) {
			documents := manifests(t, path)
			pods := find(t, documents, "StatefulSet").Spec.Template.Spec
			if len(pods.Containers) != 1 {
				t.Fatalf("got %d containers, want 1", len(pods.Containers))
			}

			server := pods.Containers[0]
			server.checkProbes(t)

			conf := pods.configuration(t, find(t, documents, "ConfigMap").Data["jeton.yaml"])
			var ports []string
			var names []string
			for _, p := range server.Ports {
				ports = append(ports, strconv.Itoa(p.Number))
				names = append(names, p.Name)
			}
			slices.Sort(ports)
			if want := listens(t, conf); !slices.Equal(ports, want) {
				t.Errorf("ports of the container: got %v, want %v, those of the configuration", ports, want)
			}

			for _, d := range documents {
				for _, p := range d.Spec.Ports {
					if !slices.Contains(names, p.TargetPort) {
						t.Errorf("Service %s: got target %s, want one of %v", d.Metadata.Name, p.TargetPort, names)
					}
				}
			}
		})
	}
}

// manifests reads the documents of a file.
func manifests(t *testing.T, path string) []manifest {
	t.Helper()

	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}

	var list []manifest
	d := yaml.NewDecoder(bytes.NewReader(text))
	for {
		var m manifest
		err := d.Decode(&m)
		if errors.Is(err, io.EOF) {
			return list
		}
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, m)
	}
}

// find returns the only document of a kind.
func find(t *testing.T, list []manifest, kind string) manifest {
	t.Helper()

	var found []manifest
	for _, m := range list {
		if m.Kind == kind {
			found = append(found, m)
		}
	}
	if len(found) != 1 {
		t.Fatalf("got %d documents of kind %s, want 1", len(found), kind)
	}

	return found[0]
}

// configuration is what the server of a pod reads: a file beside those that Secrets bring, and variables.
func (p pod) configuration(t *testing.T, text string) *config.Config {
	t.Helper()

	folder := t.TempDir()
	for _, v := range p.Volumes {
		for _, source := range v.Projected.Sources {
			for _, item := range source.Secret.Items {
				putSecret(t, filepath.Join(folder, item.Path))
			}
		}
	}

	variables := map[string]string{}
	for _, e := range p.Containers[0].Env {
		variables[e.Name] = e.Value
		if e.ValueFrom != nil {
			variables[e.Name] = "value.of.a.secret"
		}
		if e.Name == "JETON_DATABASE" {
			variables[e.Name] = "postgres://jeton@db.example.org/jeton"
		}
	}

	path := filepath.Join(folder, filepath.Base(variables["JETON_CONFIG"]))
	here := strings.ReplaceAll(text, "/etc/jeton/", folder+"/")
	if err := os.WriteFile(path, []byte(here), 0o600); err != nil {
		t.Fatal(err)
	}
	conf, err := config.Load(path, func(name string) (string, bool) {
		value, known := variables[name]
		return value, known
	})
	if err != nil {
		t.Fatalf("jeton.yaml: %v", err)
	}

	return conf
}

// putSecret writes a secret of 64 characters, which is enough for every kind of file.
func putSecret(t *testing.T, path string) {
	t.Helper()

	if err := os.WriteFile(path, []byte(strings.Repeat("0a", 32)), 0o600); err != nil {
		t.Fatal(err)
	}
}

// listens returns the ports on which a server listens for others, sorted.
func listens(t *testing.T, conf *config.Config) []string {
	t.Helper()

	addresses := []string{conf.Admin.Listen, conf.Issuer.Listen}
	if conf.Forward != nil {
		addresses = append(addresses, conf.Forward.Listen)
	}
	for _, s := range conf.Services {
		addresses = append(addresses, s.Listen)
	}

	var ports []string
	for _, a := range addresses {
		if a == "" {
			continue
		}

		host, port, err := net.SplitHostPort(a)
		if err != nil {
			t.Fatal(err)
		}
		if host == "" {
			ports = append(ports, port)
		}
	}
	slices.Sort(ports)

	return slices.Compact(ports)
}

// checkProbes checks that the probes are those of the program: a liveness probe that fails without the database
// would restart every pod for nothing.
func (c container) checkProbes(t *testing.T) {
	t.Helper()

	ready := []string{"/usr/bin/jeton", "healthcheck"}
	live := append(slices.Clone(ready), "--live")
	for _, tc := range []struct {
		name      string
		got, want []string
	}{
		{"startup", c.Startup.Exec.Command, live},
		{"readiness", c.Readiness.Exec.Command, ready},
		{"liveness", c.Liveness.Exec.Command, live},
	} {
		if !slices.Equal(tc.got, tc.want) {
			t.Errorf("%s probe: got %q, want %q", tc.name, tc.got, tc.want)
		}
	}
}
