package jeton_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"

	"github.com/jeton-auth/jeton/internal/config"
)

// TestPackagesHaveTheirFiles checks what the packages take from the repository. 'make soak' makes and installs them.
func TestPackagesHaveTheirFiles(t *testing.T) {
	text, err := os.ReadFile("packaging/nfpm.yaml")
	if err != nil {
		t.Fatal(err)
	}

	var list struct {
		Contents []struct{ Src, Dst, Type string }
		Scripts  map[string]string
	}
	if err := yaml.Unmarshal(text, &list); err != nil {
		t.Fatal(err)
	}

	files := 0
	for _, c := range list.Contents {
		path, ours := strings.CutPrefix(c.Src, "${ROOT}/")
		if !ours {
			continue
		}

		files++
		if _, err := os.Stat(path); err != nil {
			t.Errorf("contents: %s: got %v, want a file", c.Dst, err)
		}
	}
	if files < 5 || len(list.Scripts) != 3 {
		t.Errorf("got %d files and %d scripts, want at least 5 and 3", files, len(list.Scripts))
	}

	shells, err := filepath.Glob("packaging/*.sh")
	if err != nil {
		t.Fatal(err)
	}
	for _, script := range list.Scripts {
		shells = append(shells, script)
	}
	for _, script := range shells {
		if out, err := exec.Command("sh", "-n", script).CombinedOutput(); err != nil {
			t.Errorf("sh -n %s: %v\n%s", script, err, out)
		}
	}
}

// TestThePackagedConfigurationIsValid starts nothing: what it says is the built-in default, with the data of the unit.
func TestThePackagedConfigurationIsValid(t *testing.T) {
	none := func(string) (string, bool) { return "", false }
	got, err := config.Load("packaging/jeton.yaml", none)
	if err != nil {
		t.Fatal(err)
	}
	if want := "/var/lib/jeton"; got.DataDir != want {
		t.Errorf("data_dir: got %s, want %s, the StateDirectory= of the unit", got.DataDir, want)
	}

	want, err := config.Default(none)
	if err != nil {
		t.Fatal(err)
	}
	if got.Issuer.URL != want.Issuer.URL || got.Services[0].Listen != want.Services[0].Listen {
		t.Errorf("addresses: got %s, %s, want those of the built-in default", got.Issuer.URL, got.Services[0].Listen)
	}
}
