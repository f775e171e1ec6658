package config_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/jeton-auth/jeton/internal/config"
)

func TestDataDir(t *testing.T) {
	env := func(name string) (string, bool) { return "/srv/" + name, name == "WHERE" }

	for _, tc := range []struct {
		name, text, want string
	}{
		{"a valid file", "data_dir: /var/lib/jeton\n", "/var/lib/jeton"},
		{"a file that is not YAML further on", "data_dir: d\nservices: [\n", "d"},
		{"a file that is not YAML before it", "services: [\ndata_dir: d # here\n", "d"},
		{"a variable", "data_dir: ${WHERE}\n", "/srv/WHERE"},
		{"a variable that is not set", "data_dir: ${NOWHERE}\n", ""},
		{"no data_dir", "services: []\n", ""},
		{"a data_dir that is not at the top", "services:\n  data_dir: d\n", ""},
		{"an invalid value", "data_dir: [a, b]\n", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "jeton.yaml")
			if err := os.WriteFile(path, []byte(tc.text), 0o600); err != nil {
				t.Fatal(err)
			}

			want := tc.want
			if want != "" && !filepath.IsAbs(want) {
				want = filepath.Join(filepath.Dir(path), want) // as everywhere in the file
			}

			got := config.DataDir(path, env)
			if got != want {
				t.Errorf("DataDir = %q, want %q", got, want)
			}
		})
	}

	if got := config.DataDir("no such file", env); got != "" {
		t.Errorf("DataDir of a missing file = %q, want none", got)
	}
}
