package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/wallet"

	"go.yaml.in/yaml/v4"
)

const (
	envKube = "KUBECONFIG"
	// kubeName names what 'jeton run' adds to a configuration of kubectl.
	kubeName = "jeton-run"
)

// kubeConfig is what is read and written of a configuration of kubectl (k8s.io/client-go, tools/clientcmd/api/v1). The
// fields have the same names in YAML and in JSON, which is YAML as well.
type kubeConfig struct {
	APIVersion string        `json:"apiVersion"         yaml:"apiVersion"`
	Kind       string        `json:"kind"               yaml:"kind"`
	Current    string        `json:"current-context"    yaml:"current-context"`
	Clusters   []kubeCluster `json:"clusters,omitempty" yaml:"clusters"`
	Contexts   []kubeContext `json:"contexts"           yaml:"contexts"`
	Users      []kubeUser    `json:"users"              yaml:"-"`
}

type kubeCluster struct {
	Name    string `json:"name" yaml:"name"`
	Cluster struct {
		Server string `json:"server"                          yaml:"server"`
		CAFile string `json:"certificate-authority,omitempty" yaml:"-"`
		// They send the token where the wallet has not verified the service.
		Insecure bool   `json:"-" yaml:"insecure-skip-tls-verify"`
		Proxy    string `json:"-" yaml:"proxy-url"`
	} `json:"cluster" yaml:"cluster"`
}

type kubeContext struct {
	Name    string `json:"name" yaml:"name"`
	Context struct {
		Cluster   string `json:"cluster"             yaml:"cluster"`
		User      string `json:"user"                yaml:"-"`
		Namespace string `json:"namespace,omitempty" yaml:"namespace"`
	} `json:"context" yaml:"context"`
}

type kubeUser struct {
	Name string `json:"name"`
	User struct {
		Token string `json:"token"`
	} `json:"user"`
}

// setKubectl puts a file before those that kubectl reads: of two entries with one name, it takes the first. In that
// file, all contexts of the service have the token as their user. The other files stay as they are.
func (p *passing) setKubectl(l *wallet.Lease) error {
	if !strings.HasPrefix(string(l.Origin()), "https://") {
		return jeton.WithDetail(jeton.ErrInvalid, "kubectl sends a token only with https, not to "+string(l.Origin()))
	}

	list, err := kubeFiles()
	if err != nil {
		return err
	}
	var files []kubeConfig
	for _, path := range list {
		conf, err := readKube(path)
		if err != nil {
			return fmt.Errorf("configuration of kubectl %s: %w", path, err)
		}
		files = append(files, conf)
	}

	caFile := ""
	if l.CACert() != "" {
		caFile = filepath.Join(p.dir, "ca.pem")
	}
	conf, err := kubeWith(files, l.Origin(), caFile, l.Secret().Reveal())
	if err != nil {
		return err
	}
	text, err := json.Marshal(conf)
	if err != nil {
		return err
	}
	if err := p.write("", "kubeconfig", string(text)); err != nil {
		return err
	}

	own := filepath.Join(p.dir, "kubeconfig")
	p.replace(envKube, strings.Join(append([]string{own}, list...), string(filepath.ListSeparator)))

	return nil
}

// kubeFiles returns the files that kubectl reads, in their order.
func kubeFiles() ([]string, error) {
	var list []string
	for _, path := range filepath.SplitList(os.Getenv(envKube)) {
		if path != "" {
			list = append(list, path)
		}
	}
	if len(list) > 0 {
		return list, nil
	}

	home, err := os.UserHomeDir()
	if err != nil {
		return nil, fmt.Errorf("find the configuration of kubectl: %w; set %s", err, envKube)
	}

	return []string{filepath.Join(home, ".kube", "config")}, nil
}

// readKube reads a file. One that does not exist is empty, as for kubectl. Its errors do not repeat the text, which may
// have secrets.
func readKube(path string) (kubeConfig, error) {
	var conf kubeConfig
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && strings.TrimSpace(string(text)) == "" {
		return conf, nil
	}
	if err != nil {
		return conf, err
	}
	if yaml.Unmarshal(text, &conf) != nil {
		return conf, errors.New("it is not what kubectl reads; see 'kubectl config view'")
	}

	return conf, nil
}

// kubeWith returns the file for a service: its contexts in the files of the user, or else one of its own. It refuses a
// cluster of the service that is not verified.
func kubeWith(files []kubeConfig, service wallet.Origin, caFile, token string) (kubeConfig, error) {
	var user kubeUser
	user.Name = kubeName
	user.User.Token = token
	out := kubeConfig{APIVersion: "v1", Kind: "Config", Users: []kubeUser{user}}

	current := ""
	clusters := map[string]kubeCluster{} // by name
	known := map[string]bool{}
	for _, f := range files {
		if current == "" {
			current = f.Current
		}
		for _, c := range f.Clusters {
			if _, ok := clusters[c.Name]; !ok {
				clusters[c.Name] = c
			}
		}
	}

	for _, f := range files {
		for _, c := range f.Contexts {
			cluster := clusters[c.Context.Cluster]
			origin, err := wallet.ParseOrigin(cluster.Cluster.Server)
			if known[c.Name] || err != nil || origin != service {
				known[c.Name] = true
				continue
			}

			known[c.Name] = true
			if err := cluster.verified(); err != nil {
				return kubeConfig{}, err
			}
			c.Context.User = kubeName
			out.Contexts = append(out.Contexts, c)
			if out.Current == "" || c.Name == current {
				out.Current = c.Name
			}
		}
	}

	if len(out.Contexts) == 0 {
		out.addOwn(service, caFile)
	}

	return out, nil
}

// verified returns jeton.ErrInvalid for a cluster to which kubectl would send the token without a verified server, or
// by a proxy that the wallet does not use.
func (c kubeCluster) verified() error {
	key := ""
	switch {
	case c.Cluster.Insecure:
		key = "insecure-skip-tls-verify"
	case c.Cluster.Proxy != "":
		key = "proxy-url"
	default:
		return nil
	}

	return jeton.WithDetail(jeton.ErrInvalid, fmt.Sprintf(
		"cluster %q in the configuration of kubectl has %s, and would get the token; remove that key, or set %s to "+
			"a file without this cluster", c.Name, key, envKube,
	))
}

// addOwn adds a cluster and a context of a service, and makes it the current one.
func (k *kubeConfig) addOwn(service wallet.Origin, caFile string) {
	cluster := kubeCluster{Name: kubeName}
	cluster.Cluster.Server = string(service)
	cluster.Cluster.CAFile = caFile
	k.Clusters = []kubeCluster{cluster}

	context := kubeContext{Name: kubeName}
	context.Context.Cluster = kubeName
	context.Context.User = kubeName
	k.Contexts = []kubeContext{context}
	k.Current = kubeName
}
