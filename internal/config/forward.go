package config

import "strings"

// Forward is the listener that other proxies ask whether a request may pass.
type Forward struct {
	Listen         string   `yaml:"listen" required:"true" doc:"Address and port, or unix: and the path of a socket, relative to the data directory. Plain HTTP: the secrets of callers pass over it, so only the proxies should reach it. The socket has mode 0660."`
	TrustedProxies []Prefix `yaml:"trusted_proxies" absent:"none" doc:"Addresses or CIDRs of the proxies that may ask. All others are refused. A proxy at the socket needs no entry: the mode of the file decides."`
}

// socketPrefix begins an address that is a socket of this machine.
const socketPrefix = "unix:"

// Socket returns the path of the socket that an address to listen on is, and whether it is one.
func Socket(address string) (path string, ok bool) { return strings.CutPrefix(address, socketPrefix) }

// Forwarded reports whether another proxy serves the service, and the server only decides.
func (s *Service) Forwarded() bool { return s.Listen == "" && s.URL != "" }
