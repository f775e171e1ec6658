// Package web has what every HTTP endpoint needs, once: routes, reading requests, and the status
// of each outcome.
//
// It promises that an error which is not an outcome of package jeton reaches a caller as a bare
// 500 with the id of the request. Bodies are bounded and read strictly. Every refusal names its
// outcome in the header Jeton-Error. Package internal/gate decides who may make a request, and
// the endpoints decide what they answer.
//
// For example, cookie.go has the attributes of every cookie, and outcome.go the status, title and
// Retry-After of each outcome.
//
// Other files have rows of outcomes, too. Package guard has a copy of the titles for services, which
// a test compares. The codes of the OAuth standards are in oauth/refuse.go and oauth/authorize.go.
// Package pages says an outcome to browsers (pages/fail.go, and the catalogues in pages/messages).
//
// # Files
//
//	route.go, reply.go                   the route table; the response to one request
//	outcome.go, challenge.go, notice.go  a refusal: its status, its challenge, and its page for browsers
//	arrive.go, pace.go                   a request as it begins; how slowly a client may send and read
//	body.go, form.go, json.go, text.go   bodies: limits, forms, JSON, UTF-8
//	authorization.go, cookie.go          the header Authorization; the attributes of cookies
//	address.go, origin.go, hostname.go   behind trusted proxies: the client's address; origins; host names
//	target.go, paths.go, returnpath.go   the path of a request, how upstreams read it, the path to return to
//	identity.go, removedheader.go        headers with the caller's identity: those set, those removed
//	navigation.go                        what a browser does with the response
//	requestid.go, trace.go, errorlog.go  ids of requests and traces; errors of connections
package web
