package config

import (
	"reflect"
	"slices"
	"strings"

	"github.com/jeton-auth/jeton/internal/config/yamlread"
)

// Variables returns the environment variables that set one thing each, sorted: those
// that override keys of the file, and those that commands read.
func Variables() []string {
	list := yamlread.Variables(reflect.TypeFor[Config]())
	list = append(list, "JETON_CONFIG", "JETON_DATA_DIR", "JETON_IDENTITY", "JETON_HOME")
	slices.Sort(list)

	return list
}

// UnknownEnv returns the names in environ ("NAME=value") that begin with JETON_ and
// that nothing reads, sorted: most likely typing errors. Kubernetes sets JETON_PORT…
// and JETON_SERVICE_… for a service named jeton.
func UnknownEnv(environ []string) []string {
	known := Variables()
	prefixes := []string{"JETON_WALLET_", "JETON_PORT", "JETON_SERVICE_"}

	var unknown []string
	for _, entry := range environ {
		name, _, _ := strings.Cut(entry, "=")
		if !strings.HasPrefix(name, "JETON_") || slices.Contains(known, name) {
			continue
		}
		if !slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(name, p) }) {
			unknown = append(unknown, name)
		}
	}

	slices.Sort(unknown)

	return slices.Compact(unknown)
}
