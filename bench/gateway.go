package main

import (
	"context"
	"flag"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"sync"
	"time"
)

// The paths that a gateway forwards: one to everybody, and one to callers with a session.
const (
	forwardPath      = "/forward"
	forwardCheckPath = "/forward-check"
)

// gateways measures what it costs to forward a request, beside a reverse proxy of the standard library that is tuned
// like the gateway. Both forward to the bare server, which shares the cores of the load.
func (b *bench) gateways(ctx context.Context) error {
	upstream, err := b.bareUp(ctx, 0, place{"", pinned.client, pinned.client})
	if err != nil {
		return err
	}
	defer upstream.stop()

	proxy, err := b.proxyUp(ctx, upstream.addr, pinned)
	if err != nil {
		return err
	}
	defer proxy.stop()

	jeton, err := b.gatewayUp(ctx, upstream.addr, pinned)
	if err != nil {
		return err
	}
	defer jeton.stop()

	checked := load{Kind: kindCookie, Path: forwardCheckPath, Sessions: b.sessions}
	if err := b.warmUp(ctx, jeton, b.sessions); err != nil {
		return err
	}

	plain := load{Kind: kindPlain, Path: forwardPath}
	all, err := b.rounds(ctx, b.get(proxy, pinned, plain), b.get(jeton, pinned, plain), b.get(jeton, pinned, checked))
	if err != nil {
		return err
	}

	b.report.block("Gateway, one core, load and the server behind it on another")
	b.report.add(row{what: "httputil.ReverseProxy", unit: "req/s", sample: middle(all[0])})
	for i, what := range []string{"jeton, open route", "jeton, with a session"} {
		r := ratios(all[i+1], all[0])
		b.report.add(row{
			what:   what,
			unit:   "req/s",
			sample: middle(all[i+1]),
			ratio:  r,
			aim:    ">= 0.95 of ReverseProxy",
			met:    met(r >= .95),
		})
	}

	b.report.headline("forwarded request", "ReverseProxy", all[2], all[0])

	return nil
}

// proxyUp starts the reverse proxy of the standard library.
func (b *bench) proxyUp(ctx context.Context, upstream string, at place) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}

	addr, err := freeAddr()
	if err != nil {
		return nil, err
	}

	p, err := launch("proxy", addr, b.dir, at.server, nil, self, "role-proxy", "-addr", addr, "-upstream", upstream)

	return up(ctx, p, err)
}

// gatewayUp starts jeton with two routes that it forwards.
func (b *bench) gatewayUp(ctx context.Context, upstream string, at place) (*process, error) {
	dir, err := b.store(ctx, stored{sessions: b.sessions})
	if err != nil {
		return nil, err
	}

	const route = "      - {match: GET %s, open: %t, upstream: {url: 'http://%s'}}\n"
	routes := fmt.Sprintf(route, forwardPath, true, upstream) + fmt.Sprintf(route, forwardCheckPath, false, upstream)
	p, err := b.startAs(dir, setup{routes: routes}, at.server)

	return up(ctx, p, err)
}

// proxyRole is the process of the reverse proxy of the standard library, with the connections and buffers of the
// gateway.
func proxyRole(args []string) error {
	f := flag.NewFlagSet("role-proxy", flag.ContinueOnError)
	addr, upstream := f.String("addr", "", ""), f.String("upstream", "", "")
	if err := f.Parse(args); err != nil {
		return err
	}

	target := &url.URL{Scheme: "http", Host: *upstream}
	p := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.SetXForwarded()
		},
		Transport: &http.Transport{
			DialContext:           (&net.Dialer{Timeout: 5 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
			ResponseHeaderTimeout: 30 * time.Second,
			IdleConnTimeout:       90 * time.Second,
			MaxIdleConnsPerHost:   64,
			DisableCompression:    true,
		},
		BufferPool: &copyBuffers{},
	}

	return http.ListenAndServe(*addr, p)
}

// copyBuffers are the buffers of the reverse proxy.
type copyBuffers struct{ pool sync.Pool }

// Get implements httputil.BufferPool.
func (b *copyBuffers) Get() []byte {
	buffer, ok := b.pool.Get().(*[32 << 10]byte)
	if !ok {
		buffer = new([32 << 10]byte)
	}

	return buffer[:]
}

// Put implements httputil.BufferPool.
func (b *copyBuffers) Put(buffer []byte) { b.pool.Put((*[32 << 10]byte)(buffer)) }
