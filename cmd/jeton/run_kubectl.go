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
	text, err := json.Marshal(kubeWith(files, l.Origin(), caFile, l.Secret().Reveal()))
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

// kubeWith returns the file for a service: its contexts in the files of the user, or else one of its own.
func kubeWith(files []kubeConfig, service wallet.Origin, caFile, token string) kubeConfig {
	var user kubeUser
	user.Name = kubeName
	user.User.Token = token
	out := kubeConfig{APIVersion: "v1", Kind: "Config", Users: []kubeUser{user}}

	current := ""
	servers := map[string]string{} // by the name of the cluster
	known := map[string]bool{}
	for _, f := range files {
		if current == "" {
			current = f.Current
		}
		for _, c := range f.Clusters {
			if servers[c.Name] == "" {
				servers[c.Name] = c.Cluster.Server
			}
		}
	}

	for _, f := range files {
		for _, c := range f.Contexts {
			origin, err := wallet.ParseOrigin(servers[c.Context.Cluster])
			if known[c.Name] || err != nil || origin != service {
				known[c.Name] = true
				continue
			}

			known[c.Name] = true
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

	return out
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
