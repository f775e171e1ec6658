package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// decisionHeader is what nginx sends beside the client's cookie when it asks about a request.
const decisionHeader = "X-Original-URL: http://bench.example/report\r\nX-Original-Method: GET\r\n" +
	"X-Forwarded-For: 127.0.0.1\r\nX-Request-Id: bench-bench-bench"

// decided is a server whose only service is behind another proxy. Its sessions are those of the other configurations.
const decided = `admin: {listen: %s}
forward: {listen: %s, trusted_proxies: [127.0.0.1]}
issuer: {url: "https://%s", listen: "%s"}
services:
  - name: ` + service + `
    url: http://bench.example
    plain_http: true
    login: {sign_in: true}
    session: {lifetime: 24h, idle_timeout: 24h}
    routes: [{match: "/{rest...}"}]
`

// asking is nginx that asks about each request, and answers those that pass with a picture of 43 bytes.
const asking = `daemon off;
worker_processes 1;
pid nginx.pid;
error_log stderr;
events { worker_connections 1024; }
http {
    access_log off;
    keepalive_requests 1000000000;
    client_body_temp_path tmp-body;
    proxy_temp_path tmp-proxy;
    fastcgi_temp_path tmp-fastcgi;
    uwsgi_temp_path tmp-uwsgi;
    scgi_temp_path tmp-scgi;
    upstream judge { server %s; keepalive 64; keepalive_requests 1000000000; }
    server {
        listen %s;
        location = /open { empty_gif; }
        location / { auth_request /ask; empty_gif; }
        location = /ask {
            internal;
            proxy_pass http://judge%s;
            proxy_http_version 1.1;
            proxy_pass_request_body off;
            proxy_set_header Connection "";
            proxy_set_header Content-Length "";
            proxy_set_header X-Original-URL http://bench.example$request_uri;
            proxy_set_header X-Original-Method $request_method;
            proxy_set_header X-Forwarded-For $remote_addr;
            proxy_set_header X-Request-Id $request_id;
        }
    }
}
`

// decisions measures what it costs to decide for another proxy.
func (b *bench) decisions(ctx context.Context) error {
	bare, err := b.bareUp(ctx, 0, pinned)
	if err != nil {
		return err
	}
	defer bare.stop()

	jeton, err := b.decidingUp(ctx, pinned)
	if err != nil {
		return err
	}
	defer jeton.stop()

	ask := load{
		Kind:     kindCookie,
		Path:     "/authz/nginx",
		Sessions: b.sessions,
		Header:   decisionHeader,
	}
	if err := b.warmWith(ctx, jeton, ask); err != nil {
		return err
	}

	hello := ask
	hello.Path = "/open"
	all, err := b.rounds(ctx, b.get(bare, pinned, hello), b.get(jeton, pinned, ask))
	if err != nil {
		return err
	}

	b.report.block("Decision for another proxy, with a session; server on one core, load on another")
	b.report.add(row{what: "net/http that answers ok", unit: "req/s", sample: middle(all[0])})
	r := ratios(all[1], all[0])
	b.report.add(row{
		what:   "jeton, /authz/nginx",
		unit:   "req/s",
		sample: middle(all[1]),
		ratio:  r,
		aim:    ">= 0.85 of net/http",
		met:    met(r >= .85),
	})

	b.report.headline("decision for nginx", "net/http, ok", all[1], all[0])

	return b.behindNginx(ctx, bare, jeton)
}

// behindNginx measures nginx that asks a server about each request, beside one whose answer is always 200.
func (b *bench) behindNginx(ctx context.Context, bare, jeton *process) error {
	program, err := exec.LookPath("nginx")
	if err != nil {
		b.report.note("Not measured behind nginx: it is not installed.")
		return nil
	}

	l := load{Kind: kindCookie, Path: "/report", Sessions: b.sessions}
	var subjects []subject
	for _, judge := range []struct {
		server *process
		path   string
	}{{bare, "/open"}, {jeton, "/authz/nginx"}} {
		nginx, err := b.nginxUp(ctx, program, judge.server.addr, judge.path)
		if err != nil {
			return err
		}
		defer nginx.stop()

		subjects = append(subjects, b.spread([]*process{nginx}, []int{judge.server.pid()}, pinned, l))
	}

	all, err := b.rounds(ctx, subjects...)
	if err != nil {
		return err
	}

	b.report.block("nginx with auth_request, with a session; nginx and what it asks on one core, load on another")
	b.report.add(row{what: "asks net/http that answers ok", unit: "req/s", sample: middle(all[0])})
	b.report.add(row{
		what:   "asks jeton",
		unit:   "req/s",
		sample: middle(all[1]),
		ratio:  ratios(all[1], all[0]),
	})

	return nil
}

// decidingUp starts jeton as the listener that decides for other proxies.
func (b *bench) decidingUp(ctx context.Context, at place) (*process, error) {
	dir, err := b.store(ctx, stored{sessions: b.sessions})
	if err != nil {
		return nil, err
	}

	var free [3]string
	for i := range free {
		free[i], err = freeAddr()
		if err != nil {
			return nil, err
		}
	}

	file := filepath.Join(dir, "deciding.yaml")
	text := fmt.Sprintf(decided, free[0], free[1], free[2], free[2])
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return nil, err
	}

	p, err := launch("deciding", free[1], dir, at.server, nil, b.program, "serve", "--config", file, "--data-dir", dir)
	if err != nil {
		return nil, err
	}

	err = p.await(ctx, load{
		Kind:     kindCookie,
		Path:     "/authz/nginx",
		Sessions: 1,
		Header:   decisionHeader,
	})
	if err != nil {
		p.stop()
		return nil, err
	}

	return p, nil
}

// nginxUp starts nginx that asks a server at a path.
func (b *bench) nginxUp(ctx context.Context, program, judge, path string) (*process, error) {
	dir, err := os.MkdirTemp(b.dir, "nginx-")
	if err != nil {
		return nil, err
	}

	addr, err := freeAddr()
	if err != nil {
		return nil, err
	}

	text := fmt.Appendf(nil, asking, judge, addr, path)
	if err := os.WriteFile(filepath.Join(dir, "nginx.conf"), text, 0o600); err != nil {
		return nil, err
	}

	args := []string{program, "-p", dir, "-c", "nginx.conf", "-e", "stderr"}
	p, err := launch("nginx", addr, dir, pinned.server, nil, args...)

	return up(ctx, p, err)
}
