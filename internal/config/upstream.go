package config

import "slices"

// Upstream is what is behind the gateway: one server, or several that are the same.
type Upstream struct {
	URL         string      `yaml:"url" absent:"see urls" doc:"http:// or https:// address. Its path is put before the path of the request."`
	URLs        []string    `yaml:"urls" absent:"see url" doc:"Addresses of several servers that are the same. A request goes to the one with the fewest requests in progress, of those that are healthy."`
	Health      *Health     `yaml:"health" absent:"a server is unhealthy for 10 seconds after no connection to it could be opened" doc:"How the health of each server is checked."`
	Attempts    int         `yaml:"attempts" default:"3" min:"1" max:"10" doc:"How many of the servers at most get a request. It is sent to another one only if it has no body, its method is GET, HEAD, OPTIONS, PUT or DELETE, and the connection failed before there was an answer. A counted request takes one use in any case."`
	StripPrefix string      `yaml:"strip_prefix" absent:"none" doc:"Prefix to remove from the path of the request."`
	Timeout     Duration    `yaml:"timeout" default:"30s" min:"1ns" doc:"How long to wait for the response headers."`
	Connect     Duration    `yaml:"connect_timeout" default:"5s" min:"1ns" doc:"How long a connection to the upstream may take to open, and again its TLS handshake."`
	Total       Duration    `yaml:"total_timeout" min:"1ns" absent:"no limit" doc:"How long a request and its response may take together. It ends downloads, event streams and WebSockets, too."`
	MaxBody     int64       `yaml:"max_body" min:"1" absent:"no limit" doc:"Maximum number of bytes of the body of a request. A longer one is refused (413), and takes no use if its length is announced."`
	PassHost    bool        `yaml:"pass_host" doc:"Send the Host of the request, not the upstream's own."`
	PassHeaders []string    `yaml:"pass_headers" absent:"none" doc:"Headers that the upstream gets as the client sent them, although they look like an identity or an address that a gateway sets. The upstream must not trust them."`
	Request     HeaderRules `yaml:"request_headers" doc:"Changes to the headers that the upstream gets, in the order remove, set, add. They cannot touch what Jeton sets or removes, cookies, and headers of the connection."`
	Response    HeaderRules `yaml:"response_headers" doc:"Changes to the headers of its responses, in the same order. A refusal or another response of Jeton itself is not changed."`
	Assertion   bool        `yaml:"assertion" doc:"Send Jeton-Assertion: a JWT of the issuer for this service with who the caller is and a hash of method and path, valid for at most 60 seconds. It proves to the server that a request did not reach it past Jeton. It needs an issuer."`
	ClearData   bool        `yaml:"clear_site_data" doc:"Pass the response header Clear-Site-Data, with which the upstream can log users out of all services of the host and of its domain."`
	Protocol    string      `yaml:"protocol" default:"auto" enum:"auto,http1,h2c" doc:"auto: HTTP/2 where TLS negotiates it, else HTTP/1.1. http1: HTTP/1.1 only. h2c: HTTP/2 without TLS and without asking (prior knowledge); WebSockets use HTTP/1.1."`
	CA          string      `yaml:"ca" absent:"the system's authorities" doc:"PEM file with the certificate authority of an https upstream. Relative to the data directory."`
}

// Health says how the health of the servers of an upstream is checked.
type Health struct {
	Path     string   `yaml:"path" required:"true" doc:"Path that a healthy server answers with a status from 200 to 299, below the path of its URL. No credential and no identity is sent."`
	Interval Duration `yaml:"interval" default:"5s" min:"100ms" doc:"Time between two checks of one server."`
	Timeout  Duration `yaml:"timeout" default:"2s" min:"1ms" doc:"How long a check may take."`
	Failures int      `yaml:"failures" default:"2" min:"1" max:"100" doc:"How many checks in a row must fail until a server is unhealthy. One that succeeds makes it healthy again."`
}

// Asserted reports whether the service gets assertions with the requests that pass.
func (s *Service) Asserted() bool {
	return s.Forwarded() || slices.ContainsFunc(s.Routes, func(r Route) bool {
		return r.Upstream != nil && r.Upstream.Assertion
	})
}

// Servers returns the addresses of the servers.
func (u Upstream) Servers() []string {
	if u.URL != "" {
		return []string{u.URL}
	}
	return slices.Clone(u.URLs)
}
