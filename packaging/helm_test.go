package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	"helm.sh/helm/v4/pkg/chart/v2/lint"
	"helm.sh/helm/v4/pkg/chart/v2/lint/support"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/engine"
	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	policy "k8s.io/api/policy/v1"
	"sigs.k8s.io/json"
	"sigs.k8s.io/yaml"
)

var update = flag.Bool("update", false, "rewrite packaging/kubernetes and golden files")

const chartFolder = "helm/jeton"

// TestTheChartRendersTheManifests renders the chart with the values of each example, decodes what comes out with the
// types of Kubernetes, in which an unknown field is an error, and compares it with the file in packaging/kubernetes.
func TestTheChartRendersTheManifests(t *testing.T) {
	examples, err := filepath.Glob("helm/examples/*.yaml")
	if err != nil || len(examples) < 5 {
		t.Fatalf("found %d examples, %v; want at least 5", len(examples), err)
	}

	for _, path := range examples {
		t.Run(filepath.Base(path), func(t *testing.T) {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			got, err := render(text)
			if err != nil {
				t.Fatal(err)
			}

			for _, document := range documents(got) {
				if err := decode(document); err != nil {
					t.Errorf("%v\n%s", err, document)
				}
			}

			compare(t, filepath.Join("kubernetes", filepath.Base(path)), got)
			strict(t, text)
		})
	}
}

// compare compares a file of the repository with what it should be, or rewrites it.
func compare(t *testing.T, name, got string) {
	t.Helper()

	if *update {
		if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}

	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s: want\n%s\ngot\n%s\nor run 'go -C packaging test -update .'", name, want, got)
	}
}

// strict is 'helm lint --strict' with values.
func strict(t *testing.T, text []byte) {
	t.Helper()

	values := map[string]any{}
	if err := yaml.Unmarshal(text, &values); err != nil {
		t.Fatal(err)
	}
	for _, m := range lint.RunAll(chartFolder, values, "default").Messages {
		// That a chart has an icon is no matter of an error.
		if m.Severity > support.InfoSev {
			t.Errorf("helm lint: %v", m)
		}
	}
}

// TestTheChartRefuses has values with which no server would run, or not as the user thinks.
func TestTheChartRefuses(t *testing.T) {
	const least = "image: {repository: r}\nconfig: {services: []}\n"
	for _, tc := range []struct {
		name, values, want string
	}{
		{"no image", "config: {services: []}", "/image/repository"},
		{"no configuration", "image: {repository: r}", "/config"},
		{"an unknown value", least + "replica: 2", "replica"},
		{"an unknown value inside", least + "service: {prot: 1}", "prot"},
		{"no pods", least + "replicas: 0", "/replicas"},
		{"two servers on SQLite", least + "replicas: 2", "database.secret"},
		{"a secret in place of the configuration", least + secret("jeton.yaml"), "/secrets/0/file"},
		{"a secret outside of the folder", least + secret("../x"), "/secrets/0/file"},
		{"a secret of each pod", least + "database: {secret: s}", "config.keys_secret_file"},
		{"metrics that nothing can reach", least + "monitoring: {enabled: true}", "config.admin.allow"},
		{"a tag as the digest", least + "image: {repository: r, digest: v1}", "/image/digest"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := render([]byte(tc.values))
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("render = %v, want an error about %s", err, tc.want)
			}
		})
	}
}

func secret(file string) string { return "secrets: [{file: " + file + ", secret: s, key: k}]" }

// TestTheReleasedChartHasItsVersion loads the archive of a release as Helm does.
func TestTheReleasedChartHasItsVersion(t *testing.T) {
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	r := release{
		version: "v1.2.3-rc1",
		root:    root,
		work:    t.TempDir(),
		out:     t.TempDir(),
		time:    time.Unix(0, 0),
	}
	if err := r.chart(); err != nil {
		t.Fatal(err)
	}

	loaded, err := loader.Load(r.file("jeton-1.2.3-rc1.tgz"))
	if err != nil {
		t.Fatal(err)
	}
	if got := loaded.Metadata.Version + " " + loaded.Metadata.AppVersion; got != "1.2.3-rc1 1.2.3-rc1" {
		t.Errorf("version and appVersion: got %s, want 1.2.3-rc1 twice", got)
	}
	if len(loaded.Files) != 1 || !strings.Contains(string(loaded.Files[0].Data), "JetonDown") {
		t.Errorf("files: got %d, want the alerts", len(loaded.Files))
	}
}

// render is 'helm template jeton'. Secrets, hooks and a cluster are not needed.
func render(text []byte) (string, error) {
	loaded, err := loader.Load(chartFolder)
	if err != nil {
		return "", err
	}
	given := map[string]any{}
	if err := yaml.Unmarshal(text, &given); err != nil {
		return "", err
	}

	release := common.ReleaseOptions{Name: "jeton", Namespace: "default"}
	values, err := util.ToRenderValues(loaded, given, release, common.DefaultCapabilities)
	if err != nil {
		return "", err
	}
	files, err := engine.Engine{Strict: true}.RenderWithContext(context.Background(), loaded, values)
	if err != nil {
		return "", err
	}

	names := make([]string, 0, len(files))
	for name, text := range files {
		if strings.HasSuffix(name, ".yaml") && strings.TrimSpace(text) != "" {
			names = append(names, name)
		}
	}
	slices.Sort(names)

	parts := make([]string, 0, len(names))
	for _, name := range names {
		parts = append(parts, strings.TrimSpace(files[name])+"\n")
	}

	return strings.Join(parts, separator), nil
}

// separator is between the documents of a file.
const separator = "---\n"

func documents(text string) []string { return strings.Split(text, "\n"+separator) }

// decode decodes a document with the type of its kind.
func decode(document string) error {
	var kind struct{ APIVersion, Kind string }
	if err := yaml.Unmarshal([]byte(document), &kind); err != nil {
		return err
	}

	object, known := map[string]any{
		"v1/ConfigMap":                            &core.ConfigMap{},
		"v1/Service":                              &core.Service{},
		"apps/v1/StatefulSet":                     &apps.StatefulSet{},
		"policy/v1/PodDisruptionBudget":           &policy.PodDisruptionBudget{},
		"monitoring.coreos.com/v1/ServiceMonitor": &monitoring.ServiceMonitor{},
		"monitoring.coreos.com/v1/PrometheusRule": &monitoring.PrometheusRule{},
	}[kind.APIVersion+"/"+kind.Kind]
	if !known {
		return fmt.Errorf("unknown kind %s/%s", kind.APIVersion, kind.Kind)
	}

	text, err := yaml.YAMLToJSONStrict([]byte(document))
	if err != nil {
		return err
	}
	// As the API server does: encoding/json would take a field in another case.
	faults, err := json.UnmarshalStrict(text, object)

	return errors.Join(append(faults, err)...)
}
