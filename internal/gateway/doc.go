// Package gateway serves configured services: their login and logout, and routes that Jeton
// answers itself or forwards to an upstream.
//
// It promises that an upstream learns from Jeton alone who the caller is. Every request header
// that could say so, in any spelling, is removed and set again. Neither our cookies nor the
// header Authorization reach an upstream, and an upstream cannot set our cookies.
//
// The routes are registered in routes.go: a page is a route there and a file of its own. Requests
// to an upstream pass through upstream.go and headers.go; servers.go chooses the server, with package
// internal/balance, and watch.go ends requests in progress with their session. websocket.go checks
// the handshake only, and after it bytes are copied and no messages are read.
//
// Package internal/gate judges the requests, and internal/signin the logins. What a teaching
// server does differently is in internal/teaching.
package gateway
