// Package teaching makes a service behave as a teaching server does, for clients written against one. Each behaviour
// is weaker than the default, and Weaknesses names it.
//
// It is made of adapters around the real endpoints and credential readers. An adapter rewrites the request, calls the
// real one, and rewrites the response. So internal/gate and the endpoints judge a teaching client as they judge any
// other.
//
// An adapter is one file: a value for a seam of internal/gateway (Cookies, Readers), or a function from routes to
// routes. No other package but internal/config knows that teaching clients exist.
//
// The options of config.Teaching and their files:
//
//	cookies                        cookies.go
//	reveal_login_failure           refuse.go
//	assertion_login, iss_only      assertion.go
//	register                       register.go
//	token_in_body                  body.go
//	denied_text                    denied.go
//	users_api.classic              classic.go, classic_wire.go
package teaching
