// Package gateway serves configured services: their login and logout, and routes that Jeton
// answers itself or forwards to an upstream.
//
// It promises that an upstream learns from Jeton alone who the caller is. Every request header
// that could say so, in any spelling, is removed and set again. Neither our cookies nor the
// header Authorization reach an upstream, and an upstream cannot set our cookies.
//
// The routes are registered in routes.go, and a page for browsers begins in login.go. Requests
// to an upstream pass through upstream.go and headers.go; after an Upgrade it copies bytes and
// reads no messages.
//
// Package internal/gate judges the requests, and internal/signin the logins. What a teaching
// server does differently is in internal/teaching.
package gateway
