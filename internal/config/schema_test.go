package config_test

import (
	"encoding/json"
	"os"
	"testing"

	"github.com/jeton-auth/jeton/internal/config"

	"github.com/google/jsonschema-go/jsonschema"
	"go.yaml.in/yaml/v4"
)

func TestSchema(t *testing.T) {
	text, err := config.Schema()
	if err != nil {
		t.Fatal(err)
	}

	var s jsonschema.Schema
	if err := json.Unmarshal(text, &s); err != nil {
		t.Fatal(err)
	}

	resolved, err := s.Resolve(nil)
	if err != nil {
		t.Fatal(err)
	}

	service := func(keys string) string { return "services: [{name: a, listen: ':1', " + keys + "}]" }
	for _, tc := range []struct {
		name, text string
		ok         bool
	}{
		{"the default configuration", file(t, "default.yaml"), true},
		{"a configuration with every key", file(t, "testdata/full.yaml"), true},
		{"variables for values of every type", "cache: {sessions: '${N}'}\nlog: {level: '${L:-info}'}\n" +
			"audit: {keep: '${K}'}\n" + service("plain_http: '${P}'"), true},
		{"a database that is a URL", "database: postgres://db.example/jeton", true},
		{"a database that is empty", "database: ''", false},
		{"a database without a URL", "database: {connections: 4}", false},
		{"an unknown key of a database", "database: {url: 'postgres://db.example/jeton', pool: 4}", false},
		{"an unknown key", "lgo: {}", false},
		{"an unknown key of a service", service("sesion: {}"), false},
		{"a word that is not in the list", "log: {level: loud}", false},
		{"a duration without a unit", "audit: {keep: '30'}", false},
		{"a number as a duration", "audit: {keep: 30}", false},
		{"text as a number", "cache: {sessions: many}", false},
		{"a number below its minimum", "cache: {sessions: 0}", false},
		{"a number above its maximum", "hashing: {workers: 65}", false},
		{"a word that is not permitted in a list", service("accept: [cookie]"), false},
		{"a required key that may be empty, empty", service("users_api: {classic: {auth: ''}}"), true},
		{"a required key that may be empty, missing", service("users_api: {classic: {}}"), false},
		{"a key that is required and missing", "users: [{groups: []}]", false},
		{"a key that is required and empty", "users: [{name: ''}]", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := resolved.Validate(asJSON(t, tc.text))
			if (err == nil) != tc.ok {
				t.Errorf("Validate = %v, want it to pass: %t", err, tc.ok)
			}
		})
	}

	log := s.Properties["log"]
	if s.Schema != "https://json-schema.org/draft/2020-12/schema" || log.Description == "" {
		t.Errorf("schema = %q, %+v, want its draft and descriptions", s.Schema, log)
	}
	if string(log.Properties["level"].Default) != `"info"` {
		t.Errorf("default of log.level = %s, want info", log.Properties["level"].Default)
	}
}

func file(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}

	return string(text)
}

// asJSON returns a YAML text as encoding/json would decode it.
func asJSON(t *testing.T, text string) any {
	t.Helper()
	var v any
	if err := yaml.Unmarshal([]byte(text), &v); err != nil {
		t.Fatal(err)
	}

	out, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}

	var back any
	if err := json.Unmarshal(out, &back); err != nil {
		t.Fatal(err)
	}

	return back
}
