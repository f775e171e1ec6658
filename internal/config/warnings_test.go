package config_test

import (
	"strings"
	"testing"

	"github.com/jeton-auth/jeton/internal/config"
)

func TestWarningsOfBypassedRules(t *testing.T) {
	const everything = "      - {match: '/{rest...}', upstream: {url: 'http://up'}}\n"

	for _, tc := range []struct {
		name, paths, routes string
		want                []string // parts of the warnings
	}{
		{
			"a rule for a group",
			"{}",
			"      - {match: '/admin', allow: {groups: [admin]}, upstream: {url: 'http://up'}}\n" + everything,
			[]string{
				"jeton.yaml:7:17: services[0].routes[0].match: routes[1] judges /ADMIN;",
				"jeton.yaml:7:17: services[0].routes[0].match: routes[1] judges /admin/;",
			},
		},
		{
			"the keys are set",
			"{case: sensitive, trailing_slash: distinct}",
			"      - {match: '/admin', allow: {groups: [admin]}, upstream: {url: 'http://up'}}\n" + everything,
			nil,
		},
		{
			"another reading is declared",
			"{case: insensitive, trailing_slash: ignored}",
			"      - {match: '/admin', allow: {groups: [admin]}, upstream: {url: 'http://up'}}\n" + everything,
			nil,
		},
		{
			"one key is set",
			"{trailing_slash: ignored}",
			"      - {match: '/admin', allow: {groups: [admin]}, upstream: {url: 'http://up'}}\n" + everything,
			[]string{"judges /ADMIN;"},
		},
		{
			"a scope, in a path with a wildcard",
			"{trailing_slash: distinct}",
			"      - {match: 'GET /x/{id}', max_uses: 3, upstream: {url: 'http://up'}}\n" + everything,
			[]string{"judges /X/X;"},
		},
		{
			"an open rule is the weaker one",
			"{}",
			"      - {match: '/public', open: true, upstream: {url: 'http://up'}}\n" + everything,
			nil,
		},
		{
			"the same rule twice",
			"{}",
			"      - {match: '/x', upstream: {url: 'http://up'}}\n" + everything,
			nil,
		},
		{
			"a response of the gateway",
			"{}",
			"      - {match: '/x', allow: {groups: [admin]}, respond: {text: x}}\n" + everything,
			nil,
		},
		{
			"no other rule",
			"{}",
			"      - {match: '/admin', allow: {groups: [admin]}, upstream: {url: 'http://up'}}\n",
			nil,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			text := "services:\n  - name: app\n    listen: localhost:1\n    login: {paths: [/login]}\n" +
				"    upstream_paths: " + tc.paths + "\n    routes:\n" + tc.routes
			conf, err := config.Parse("jeton.yaml", []byte(text), environment())
			if err != nil {
				t.Fatal(err)
			}

			if len(conf.Warnings) != len(tc.want) {
				t.Fatalf("warnings are %q, want %d of them", conf.Warnings, len(tc.want))
			}
			for i, want := range tc.want {
				if got := conf.Warnings[i].String(); !strings.Contains(got, want) {
					t.Errorf("warning %d is %q, want %q in it", i, got, want)
				}
			}
		})
	}
}

func TestWarningsOfAnIssuerThatNobodyReaches(t *testing.T) {
	for _, tc := range []struct {
		name, url, listen, head string
		want                    string // in the warning, or none
	}{
		{"another port", "https://auth.example.org", "localhost:8446", "", "port 443, and issuer.listen has port 8446"},
		{"another port of an address", "https://a.example:8443", "[::1]:8446", "", "port 8443, and issuer.listen has"},
		{"the same port", "https://localhost:8446", "127.0.0.1:8446", "", ""},
		{"the port of https", "https://localhost", "127.0.0.1:443", "", ""},
		{"any free port", "https://localhost:8446", "localhost:0", "", ""},
		{"a port that others reach, and may map", "https://auth.example.org", ":8446", "", ""},
		{"a proxy", "https://auth.example.org", "localhost:8446", "trusted_proxies: [127.0.0.1]", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			text := tc.head + "\nissuer: {url: '" + tc.url + "', listen: '" + tc.listen + "'}\n"
			conf, err := config.Parse("jeton.yaml", []byte(text), environment())
			if err != nil {
				t.Fatal(err)
			}

			got := ""
			if len(conf.Warnings) > 0 {
				got = conf.Warnings.Error()
			}
			if (got != "") != (tc.want != "") || !strings.Contains(got, tc.want) {
				t.Errorf("warnings are %q, want %q", got, tc.want)
			}
		})
	}
}

func TestWarningsOfAnAuthorityThatCannotConnect(t *testing.T) {
	for _, tc := range []struct {
		name, listen, redirect string
		want                   string // in the warning, or none
	}{
		{"the port of https", ":443", "", ""},
		{"another port", "127.0.0.1:8443", "", "services[0].listen: the certificate authority connects to port 443"},
		{"another port, and that of http", ":8443", "redirect: ':80'", ""},
		{"other ports for both", ":8443", "redirect: ':8080'", "services[0].listen: the certificate authority"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			text := tc.redirect + "\nacme: {agree_to_terms: true}\nservices:\n" +
				"  - name: app\n    listen: '" + tc.listen + "'\n    host: app.example.org\n" +
				"    routes: [{match: /a, open: true, respond: {text: a}}]\n"
			conf, err := config.Parse("jeton.yaml", []byte(text), environment())
			if err != nil {
				t.Fatal(err)
			}

			got := ""
			if len(conf.Warnings) > 0 {
				got = conf.Warnings.Error()
			}
			if (got != "") != (tc.want != "") || !strings.Contains(got, tc.want) {
				t.Errorf("warnings are %q, want %q", got, tc.want)
			}
		})
	}
}
