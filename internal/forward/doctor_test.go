package forward_test

import (
	"context"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/doctor"
	"github.com/jeton-auth/jeton/internal/forward"
	"github.com/jeton-auth/jeton/internal/test/need"
	"github.com/jeton-auth/jeton/jetontest"
)

// fault is a mistake in the configuration of a proxy.
type fault struct {
	name string
	old  string // in the printed configuration
	new  string
	want string // name of the finding; "": none
	fix  string // in the line to change
}

// The lines that send no body to Jeton.
const (
	noLength  = `        proxy_set_header        Content-Length "";`
	bodyLines = "\n        proxy_buffer_size       32k;\n        proxy_buffers           4 32k;\n" +
		"        proxy_set_header        Connection \"\";\n" + noLength
)

// nginxFaults are mistakes in a configuration of nginx.
var nginxFaults = []fault{
	{name: "none"},
	{
		"the address to judge is not set",
		"proxy_set_header X-Original-URL    http://",
		"# ",
		"original-url",
		"X-Original-URL",
	},
	{
		"Jeton sees X-Forwarded-Uri",
		`proxy_set_header X-Forwarded-Uri    "";`,
		"",
		"header",
		"proxy_set_header NAME",
	},
	{"the application sees X-Forwarded-Uri", `proxy_set_header X-Forwarded-Uri        "";`, "", "header", "NAME"},
	{
		"underscores in headers",
		"events {}\nhttp {",
		"events {}\nhttp {\nunderscores_in_headers on;",
		"underscore",
		"underscores_in",
	},
	{
		"the user is not set",
		"proxy_set_header Remote-User   $jeton_user;",
		"",
		"identity",
		"proxy_set_header Remote-User",
	},
	{
		"WebSockets are passed on unasked",
		"    location / {\n",
		"    location @socket {\nproxy_pass http://backend_app;\nproxy_http_version 1.1;\n" +
			"proxy_set_header Upgrade $http_upgrade;\nproxy_set_header Connection upgrade;\n}\n" +
			"    location / {\nerror_page 418 = @socket;\nif ($http_upgrade = websocket) {\nreturn 418;\n}\n",
		"upgrade",
		"proxy_set_header Upgrade",
	},
	{
		"every Upgrade is passed on",
		`        proxy_set_header   Connection "";`,
		"proxy_set_header Upgrade $http_upgrade;\nproxy_set_header Connection upgrade;",
		"upgrade",
		"only if it is websocket",
	},
	{
		"an unknown host is open", "\nserver {\n",
		"\nserver { listen PORT default_server; location / { proxy_pass http://backend_app; } }\nserver {\n",
		"host", "default_server",
	},
	{"a page of errors with 200", "return 401;", "return 200;", "error-page", "error_page 401"},
	{"a redirect for scripts", "return 401;", "return 302 /login;", "redirect", "error_page 401"},
	{
		"the body is sent to Jeton",
		"        proxy_pass_request_body off;" + bodyLines,
		bodyLines[:len(bodyLines)-len(noLength)],
		"body",
		"proxy_pass_request_body off",
	},
	{
		"cookies for the whole domain", "\n    location ^~ /.jeton/ {",
		"\n    location ^~ /.jeton/ {\nproxy_cookie_path / \"/; Domain=example\";", "cookie", "proxy_cookie_domain",
	},
	{"the credential is passed on", `proxy_set_header Authorization "";`, "", "authorization", "Authorization"},
	{
		"the path is rewritten",
		"proxy_pass         http://backend_app;",
		"proxy_pass http://backend_app/;",
		"path",
		"proxy_pass",
	},
	{"nothing is asked", "auth_request     /.jeton-decision;", "", "open", "auth_request"},
	{
		"the sign-in is asked about, too",
		"location ^~ /.jeton/ {",
		"location ^~ /.other/ {",
		"own-pages",
		"/.jeton/",
	},
}

// caddyFaults are mistakes in a configuration of Caddy. That it passes CONNECT on is none: Jeton refuses it.
var caddyFaults = []fault{
	{name: "none"},
	{"X-Forwarded-Prefix is passed on", "request_header -X-Forwarded*", "", "header", "-X-Forwarded*"},
	{"Remote_User is passed on", "request_header -Remote*", "", "underscore", "-Remote*"},
	{"Connection deletes the user", "respond @hop 400", "", "connection", "@hop"},
	{
		"WebSockets are passed on unasked",
		"reverse_proxy @own",
		"@other header Upgrade websocket\nreverse_proxy @other BACKEND\nreverse_proxy @own",
		"upgrade",
		"after forward_auth",
	},
	{
		"an unknown host is open",
		"# Caddy for",
		"http://:PORT {\nreverse_proxy BACKEND\n}\n# Caddy for",
		"host",
		"421",
	},
	{"the service is not named", "?service=app", "", "ask", "/authz/caddy?service="},
	{"the credential is passed on", "request_header -Authorization", "", "authorization", "-Authorization"},
	{
		"cookies for the whole domain",
		"reverse_proxy @own JETON",
		"reverse_proxy @own JETON {\nheader_down Set-Cookie Path=/ \"Path=/; Domain=example\"\n}",
		"cookie",
		"header_down",
	},
	{
		"the path is rewritten",
		"request_header -Authorization",
		"request_header -Authorization\nuri replace + -",
		"path",
		"uri",
	},
}

// TestTheDoctorFindsFaults edits one line of a printed configuration at a time. The printed ones have no finding.
func TestTheDoctorFindsFaults(t *testing.T) {
	port, err := jetontest.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	s := jetontest.Start(t, behind, jetontest.Env("PROXY_PORT", port))
	s.AddUser("diane", right)
	token := s.AddToken(jetontest.NewToken{Name: "doctor", User: "diane", Services: []string{"app"}}).Secret

	all := map[string][]fault{"nginx": nginxFaults, "caddy": caddyFaults, "haproxy": {{name: "none"}}}
	for kind, faults := range all {
		program := need.Program(t, installed[kind].names...)
		for _, f := range faults {
			t.Run(kind+": "+f.name, func(t *testing.T) {
				echo, err := net.Listen("tcp", "127.0.0.1:0")
				if err != nil {
					t.Fatal(err)
				}
				described := forward.Proxied{
					Service: "app",
					Scheme:  "http",
					Host:    "app.example",
					Port:    ":" + port,
					Listen:  port,
					Jeton:   s.Forward(),
					Backend: echo.Addr().String(),
					Own:     []string{"/logout"},
				}
				startProxy(t, program, kind, described, f.edit(t, described))
				waitFor(t, kind, port)

				at := &url.URL{Scheme: "http", Host: "app.example:" + port, Path: "/reports"}
				findings, err := doctor.Run(t.Context(), doctor.Config{
					URL:   at,
					Token: jeton.NewSecret(token),
					Echo:  echo,
					Dial: func(ctx context.Context) (net.Conn, error) {
						var d net.Dialer
						c, err := d.DialContext(ctx, "tcp", "127.0.0.1:"+port)
						return &disturbed{Conn: c, t: t, echo: described.Backend}, err
					},
				})
				if err != nil {
					t.Fatal(err)
				}
				f.check(t, findings)
			})
		}
	}
}

// disturbed is a connection to a proxy. Before each response of it, another request reaches the application.
type disturbed struct {
	net.Conn
	t    *testing.T
	echo string
	done bool
}

// Read implements net.Conn.
func (d *disturbed) Read(b []byte) (int, error) {
	if !d.done {
		d.done = true
		const other = "CONNECT /health HTTP/1.1\r\nHost: app\r\nRemote-User: jeton-doctor-forged\r\n\r\n"
		resp := exchange(d.t, d.echo, other)
		if resp == nil || resp.StatusCode != http.StatusServiceUnavailable {
			d.t.Errorf("another request got %v, want 503", resp)
		}
	}

	return d.Conn.Read(b)
}

// edit returns what makes the mistake. It fails the test if the printed configuration has not what it replaces.
func (f fault) edit(t *testing.T, p forward.Proxied) func(string) string {
	t.Helper()
	names := strings.NewReplacer("PORT", p.Listen, "JETON", p.Jeton, "BACKEND", p.Backend)
	return func(text string) string {
		if f.old == "" {
			return text
		}
		changed := strings.Replace(text, names.Replace(f.old), names.Replace(f.new), 1)
		if changed == text {
			t.Errorf("the configuration has no %q", f.old)
		}
		return changed
	}
}

// check checks that the doctor found the mistake and nothing else.
func (f fault) check(t *testing.T, findings []doctor.Finding) {
	t.Helper()
	if f.want == "" {
		if len(findings) > 0 {
			t.Errorf("got %+v, want no finding", findings)
		}
		return
	}

	for _, got := range findings {
		if got.Name == f.want && strings.Contains(got.Fix, f.fix) {
			return
		}
	}
	t.Errorf("got %+v, want %s and a line with %q", findings, f.want, f.fix)
}
