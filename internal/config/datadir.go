package config

import (
	"bytes"
	"os"
	"path/filepath"

	"github.com/jeton-auth/jeton/internal/config/yamlread"
)

// DataDir returns the data_dir of the configuration file at path, or "". It reads only that
// line, so that an operator's command finds a running server although the rest of the file
// is invalid.
func DataDir(path string, env yamlread.Env) string {
	data, err := os.ReadFile(path)
	// No error: the command goes on with the default, and serve reports what is wrong with the file.
	if err != nil || len(data) > maxFile {
		return ""
	}

	for line := range bytes.Lines(data) {
		if !bytes.HasPrefix(line, []byte("data_dir:")) {
			continue
		}

		var key struct {
			DataDir string `yaml:"data_dir" doc:"Data directory."`
		}
		doc, err := yamlread.Read(path, line, env, &key)
		if err != nil || doc.Err() != nil || key.DataDir == "" {
			return ""
		}

		return relativeTo(filepath.Dir(path), key.DataDir)
	}

	return ""
}
