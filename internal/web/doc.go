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
package web
