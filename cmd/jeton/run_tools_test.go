package main

import (
	"encoding/json"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"
)

func TestTheVariableOfATokenIsOneThatOnlyTheCommandReads(t *testing.T) {
	for _, tc := range []struct {
		name string
		want string
	}{
		{"SHOP_TOKEN", ""},
		{"JETON_TOKEN", ""},
		{"npm_config_token", ""},
		{"ENVIRONMENT", ""},
		{"LD_PRELOAD", "has a meaning of its own"},
		{"DYLD_INSERT_LIBRARIES", "has a meaning of its own"},
		{"PATH", "has a meaning of its own"},
		{"Path", "has a meaning of its own"},
		{"IFS", "has a meaning of its own"},
		{"ENV", "has a meaning of its own"},
		{"BASH_ENV", "has a meaning of its own"},
		{"JETON_RUN_VARS", "has a meaning of its own"},
		{"JETON_URL", "has a meaning of its own"},
		{"A=B", "letters, digits and _"},
		{"1A", "letters, digits and _"},
		{"BASH_FUNC_ls%%", "letters, digits and _"},
	} {
		p := passing{env: tc.name}
		err := p.check()
		got := ""
		if err != nil {
			got = err.Error()
		}
		if (got == "") != (tc.want == "") || !strings.Contains(got, tc.want) {
			t.Errorf("--env %s: got %q, want %q", tc.name, got, tc.want)
		}
	}
}

func TestTheTokenOfAJobIsTheOnlyCredentialOfItsRegistry(t *testing.T) {
	const own = `"r.example:5000":{"auth":"amV0b246dA=="}`
	for _, tc := range []struct{ name, user, want string }{
		{"no configuration", `{}`, `{"auths":{` + own + `},"credHelpers":{}}`},
		{
			"another registry in the file", `{"auths":{"o.example":{"auth":"eDp5"}},"currentContext":"far"}`,
			`{"auths":{"o.example":{"auth":"eDp5"},` + own + `},"credHelpers":{},"currentContext":"far"}`,
		},
		{
			"the registry itself, in all forms",
			`{"auths":{"https://r.example:5000/v1/":{"auth":"eDp5"}},` +
				`"credHelpers":{"R.example:5000":"pass","o.example":"gcr"}}`,
			`{"auths":{` + own + `},"credHelpers":{"o.example":"gcr"}}`,
		},
		{
			"a store, which docker would ask instead of the file",
			`{"auths":{"https://index.docker.io/v1/":{},"r.example:5000":{}},"credsStore":"desktop"}`,
			`{"auths":{"https://index.docker.io/v1/":{},` + own + `},` +
				`"credHelpers":{"https://index.docker.io/v1/":"desktop"}}`,
		},
		{
			"keys in another case, which docker reads, too",
			`{"Auths":{"r.example:5000":{"auth":"eDp5"},"o.example":{}},"auths":{},` +
				`"CREDHELPERS":{"r.example:5000":"pass"},"CredsStore":"desktop"}`,
			`{"auths":{"o.example":{},` + own + `},"credHelpers":{"o.example":"desktop"}}`,
		},
		{"null", `{"auths":null,"credHelpers":null}`, `{"auths":{` + own + `},"credHelpers":{}}`},
		{"no JSON", `auths: eDp5`, "it is not a JSON object; correct it, or name another folder in DOCKER_CONFIG"},
		{"another type", `{"auths":["eDp5"]}`, "auths has a value of another type than docker expects"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := dockerWith([]byte(tc.user), "r.example:5000", "jeton:t")
			text := string(got)
			if err != nil {
				text = err.Error()
			}
			if text != tc.want {
				t.Errorf("got  %s\nwant %s", text, tc.want)
			}
		})
	}
}

func TestTheTokenOfAJobIsForBothSpellingsOfTheDefaultPort(t *testing.T) {
	const own = `{"auth":"amV0b246dA=="}`
	for host, want := range map[string]string{
		"r.example": `{"auths":{"r.example":` + own + `,"r.example:443":` + own + `},"credHelpers":{}}`,
		"[::1]":     `{"auths":{"[::1]":` + own + `,"[::1]:443":` + own + `},"credHelpers":{}}`,
	} {
		user := `{"auths":{"` + host + `:443":{"auth":"eDp5"}}}`
		got, err := dockerWith([]byte(user), host, "jeton:t")
		if err != nil || string(got) != want {
			t.Errorf("%s: got %s, %v, want %s", host, got, err, want)
		}
	}
}

func TestACommandWithAFileForDockerHasNoOtherCredentialsInItsEnvironment(t *testing.T) {
	for _, tc := range []struct {
		docker bool
		want   int
	}{
		{true, 1},
		{false, 2},
	} {
		p := passing{docker: tc.docker}
		if got := p.without([]string{"PATH=/bin", "DOCKER_AUTH_CONFIG={}"}); len(got) != tc.want {
			t.Errorf("docker %t: got %q, want %d variables", tc.docker, got, tc.want)
		}
	}
}

func TestTheTokenOfAJobIsNotForAClusterThatIsNotVerified(t *testing.T) {
	const refused = `cluster "prod" in the configuration of kubectl has `
	for key, want := range map[string]string{
		"insecure-skip-tls-verify: true":     refused + "insecure-skip-tls-verify",
		"proxy-url: 'http://p.example:3128'": refused + "proxy-url",
	} {
		const text = `{clusters: [{name: prod, cluster: {server: "https://k.example", KEY}}],
contexts: [{name: p, context: {cluster: prod}}]}`
		var f kubeConfig
		if err := yaml.Unmarshal([]byte(strings.Replace(text, "KEY", key, 1)), &f); err != nil {
			t.Fatal(err)
		}

		_, err := kubeWith([]kubeConfig{f}, "https://k.example", "", "t")
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", key, err, want)
		}

		_, err = kubeWith([]kubeConfig{f}, "https://other.example", "", "t")
		if err != nil {
			t.Errorf("%s, another service: got %v, want none", key, err)
		}
	}
}

func TestTheTokenOfAJobIsTheUserOfEachContextOfItsCluster(t *testing.T) {
	const prod = `{clusters: [{name: prod, cluster: {server: "https://K.example:443/k8s"}}],
contexts: [{name: p, context: {cluster: prod, user: admin, namespace: shop}}, {name: q, context: {cluster: prod}}]}`
	const far = `{current-context: q, clusters: [{name: far, cluster: {server: "https://far.example"}}],
contexts: [{name: f, context: {cluster: far, user: admin}}, {name: p, context: {cluster: far}}]}`
	const users = `"users":[{"name":"jeton-run","user":{"token":"t"}}]}`
	const head = `{"apiVersion":"v1","kind":"Config",`
	const contexts = `"contexts":[{"name":"p","context":{"cluster":"prod","user":"jeton-run","namespace":"shop"}},` +
		`{"name":"q","context":{"cluster":"prod","user":"jeton-run"}}],`
	const alone = head + `"current-context":"jeton-run",` +
		`"clusters":[{"name":"jeton-run","cluster":{"server":"https://k.example","certificate-authority":"ca.pem"}}],` +
		`"contexts":[{"name":"jeton-run","context":{"cluster":"jeton-run","user":"jeton-run"}}],` + users

	for _, tc := range []struct {
		name  string
		files []string
		want  string
	}{
		{"no file", nil, alone},
		{"files of other clusters", []string{far}, alone},
		{"no current context", []string{prod}, head + `"current-context":"p",` + contexts + users},
		{
			"a current context of the cluster, in another file", []string{prod, far},
			head + `"current-context":"q",` + contexts + users,
		},
		{
			"a context that an earlier file has of another cluster", []string{far, prod},
			head + `"current-context":"q",` +
				`"contexts":[{"name":"q","context":{"cluster":"prod","user":"jeton-run"}}],` + users,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var files []kubeConfig
			for _, text := range tc.files {
				var f kubeConfig
				if err := yaml.Unmarshal([]byte(text), &f); err != nil {
					t.Fatal(err)
				}
				files = append(files, f)
			}

			conf, err := kubeWith(files, "https://k.example", "ca.pem", "t")
			if err != nil {
				t.Fatal(err)
			}
			got, err := json.Marshal(conf)
			if err != nil || string(got) != tc.want {
				t.Errorf("got  %s, %v\nwant %s", got, err, tc.want)
			}
		})
	}
}
