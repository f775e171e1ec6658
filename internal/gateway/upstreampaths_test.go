package gateway_test

import (
	"strings"
	"testing"

	"github.com/jeton-auth/jeton/jetontest"
)

// usable has services whose paths are as those of the programs that they are named after.
const usable = `
services:
  - name: gitlab
    listen: localhost:0
    plain_http: true
    login: {paths: [/login]}
    upstream_paths: {encoded_slash: literal}
    routes:
      - {match: '/api/v4/projects/{id}', open: true, upstream: {url: '${ECHO}'}}
      - {match: '/api/queues/%2F/{name}', open: true, upstream: {url: '${ECHO}'}}
      - {match: '/api/permissions/{vhost}/{user}', open: true, upstream: {url: '${ECHO}'}}
      - {match: '/npm/{rest...}', open: true, upstream: {url: '${ECHO}', strip_prefix: /npm}}
      - {match: '/closed/', upstream: {url: '${ECHO}'}}
      - {match: '/below/{name}/', open: true, upstream: {url: '${ECHO}'}}
  - name: express
    listen: localhost:0
    plain_http: true
    login: {paths: [/login]}
    logout: /logout
    upstream_paths: {case: insensitive, trailing_slash: ignored, matrix_parameters: ignored}
    users_api: {prefix: /api/v1}
    routes:
      - {match: '/Admin', open: true, upstream: {url: '${ECHO}'}}
      - {match: 'PUT /Things/{id}', open: true, upstream: {url: '${ECHO}/base', strip_prefix: /things}}
`

func TestUpstreamPaths(t *testing.T) {
	s := jetontest.Start(t, easy+usable, jetontest.Env("ECHO", echo(t)))

	for _, tc := range []struct {
		name, service, method, path string
		status                      int
		got                         string // the path at the upstream; "=" for the same, "" for none
	}{
		{"a project of GitLab", "gitlab", "GET", "/api/v4/projects/group%2Fproject", 200, "="},
		{"a vhost of RabbitMQ", "gitlab", "GET", "/api/queues/%2F/name", 200, "="},
		{"a vhost of RabbitMQ, in lower case", "gitlab", "GET", "/api/queues/%2f/name", 200, "="},
		{"a vhost that a wildcard matches", "gitlab", "GET", "/api/permissions/%2F/guest", 200, "="},
		{"a scope of npm", "gitlab", "GET", "/npm/@team%2fwidget", 200, "/@team%2fwidget"},
		{"a percent sign", "gitlab", "GET", "/npm/100%25.txt", 200, "/100%25.txt"},
		{"a slash in a name hides no rule", "gitlab", "GET", "/closed%2fx", 404, ""},
		{"dots beside a slash in a name", "gitlab", "GET", "/npm/..%2fclosed", 400, ""},
		{"a redirect keeps the encoding", "gitlab", "GET", "/below/a%2Fb", 307, ""},
		{"another case", "express", "GET", "/ADMIN", 200, "="},
		{"a slash at the end", "express", "GET", "/admin/", 200, "="},
		{"a parameter", "express", "GET", "/admin;v=1", 200, "="},
		{"a prefix in another case", "express", "PUT", "/THINGS;a/X;b/", 200, "/base/X;b/"},
		{"another method", "express", "GET", "/THINGS/x", 405, ""},
		{"the service's own path", "express", "POST", "/logout", 403, ""},
		{"the service's own path in another case", "express", "POST", "/Logout", 404, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			head := " HTTP/1.1\r\nHost: localhost\r\nSec-Fetch-Site: cross-site\r\nContent-Length: 0\r\n\r\n"
			resp, body := dial(t, s, tc.service).ask(tc.method + " " + tc.path + head)

			want := strings.ReplaceAll(tc.got, "=", tc.path)
			got := ""
			if resp.StatusCode == 200 {
				got = strings.Fields(body)[1]
			}

			if resp.StatusCode != tc.status || got != want {
				t.Errorf("response is %d, upstream gets %q, want %d and %q", resp.StatusCode, got, tc.status, want)
			}
			if tc.status == 307 && resp.Header.Get("Location") != tc.path+"/" {
				t.Errorf("Location is %q, want %q", resp.Header.Get("Location"), tc.path+"/")
			}
			if tc.status == 405 && resp.Header.Get("Allow") != "PUT" {
				t.Errorf("Allow is %q, want PUT", resp.Header.Get("Allow"))
			}
		})
	}

	t.Run("the users API is served beside them", func(t *testing.T) {
		s.AddUser("diane", right)
		cookie := s.Enter("express", "diane", right)
		a := s.Ask("GET", "express", "/api/v1/users/me", "Cookie", cookie)
		if a.Status != 200 {
			t.Errorf("GET /api/v1/users/me = %d, want 200", a.Status)
		}
	})
}
