// Package teaching makes a service behave as a teaching server does, for clients written against one. Each behaviour
// is weaker than the default, and Weaknesses names it.
//
// It is made of adapters around the real endpoints and credential readers. An adapter rewrites the request, calls the
// real one, and rewrites the response. So internal/gate and the endpoints judge a teaching client as they judge any
// other.
//
// An adapter is one file: a value for a seam of internal/gateway (Cookies, Readers), or a function from routes to
// routes. No other package but internal/config knows that teaching clients exist.
package teaching
