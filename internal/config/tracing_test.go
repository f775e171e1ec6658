package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jeton-auth/jeton/internal/config"
)

func TestHeadersOfExportsAreReadFromAFile(t *testing.T) {
	for _, tc := range []struct {
		name, text string
		mode       os.FileMode
		fault      string // part of it; "": none
	}{
		{"one header", "Authorization: Bearer key\n", 0o600, ""},
		{"two headers and an empty line", "X-Tenant: a\n\nAuthorization: Bearer key\n", 0o600, ""},
		{"a line without a name", "Authorization: Bearer key\nBearer s3cret\n", 0o600, "line 2"},
		{"a name with a space", "X Tenant: s3cret\n", 0o600, "line 1"},
		{"a header without a value", "Authorization:\n", 0o600, "line 1"},
		{"a file that every user can read", "Authorization: Bearer s3cret\n", 0o644, "0644"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := t.TempDir()
			file, path := filepath.Join(dir, "headers"), filepath.Join(dir, "jeton.yaml")
			const text = "tracing: {endpoint: 'http://127.0.0.1:4318/v1/traces', headers_file: headers}\nservices: []\n"
			for name, content := range map[string]string{file: tc.text, path: text} {
				if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.Chmod(file, tc.mode); err != nil { // whatever the umask is
				t.Fatal(err)
			}

			conf, err := config.Load(path, environment())
			switch {
			case tc.fault == "" && (err != nil || conf.Tracing.Headers().Get("Authorization") != "Bearer key"):
				t.Errorf("Load = %v, want the header", err)
			case tc.fault != "" && (err == nil || !strings.Contains(err.Error(), tc.fault)):
				t.Errorf("Load = %v, want a fault with %q", err, tc.fault)
			case err != nil && strings.Contains(err.Error(), "s3cret"):
				t.Errorf("Load = %v, want no value of the file in it", err)
			}
		})
	}
}
