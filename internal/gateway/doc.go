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
// the handshake only; upstream.go passes the connection on, and no messages are read. cookies.go
// sets the session cookie, which config.Service.SessionCookie describes.
//
// Package internal/gate judges the requests, and internal/signin the logins. What a teaching
// server does differently is in internal/teaching.
//
// # Files
//
//	gateway.go, routes.go                        one service; its routes
//	credentials.go, terms.go                     the credentials that it accepts; the terms of logins and tokens
//	login.go, logout.go, cookies.go              a login, a logout, the session cookie
//	signin.go, finish.go, pending.go, forget.go  a sign-in at the issuer, and its end
//	shorttoken.go, lease.go, tokenrequest.go     tokens: for a password, for one job, requested of a user
//	describe.go, resource.go                     what wallets and clients need to know to log in
//	refuse.go                                    refusals of routes and logins
//	respond.go, jsontemplate.go                  responses of Jeton itself
//	pass.go                                      the answer for a service that another proxy serves
//	upstream.go, transport.go, buffers.go        forwarding a request, its connection and buffers
//	servers.go                                   the servers of an upstream, and their health
//	headers.go, headerrules.go, assertion.go     headers for an upstream; the signed assertion
//	location.go, websocket.go, watch.go          addresses in responses; handshakes; requests in progress
package gateway
