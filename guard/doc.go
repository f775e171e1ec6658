// Package guard is middleware for a Go service that accepts the tokens of a Jeton server
// and checks them in process.
//
// It promises that
//   - a signed token is accepted only for the configured issuer and audience, and within its
//     lifetime. Its key must be one that the issuer publishes, used with that key's algorithm;
//     no other field of the header chooses how the token is verified;
//   - a token is refused at the latest [Config.Bound] after the server has answered its
//     revocation. The same holds when its owner was disabled or all tokens of its owner
//     were revoked;
//   - when the issuer has not answered for longer than the bound, or not yet at all, every
//     token gets 503 with Retry-After ([jeton.ErrUnavailable]). None is accepted, and none
//     is called invalid;
//   - a token with N uses is accepted at most N times, by any number of guards. Each use is
//     taken at the issuer, and such a request is never repeated;
//   - behind Jeton or a proxy that asks it, [Guard.RequireAssertion] accepts only requests that Jeton
//     has admitted, with the method and the path that it has judged.
//
// The server issues and revokes tokens. Handlers decide what a subject may do beyond the
// scopes of its token. The gateway authenticates users by cookies.
//
// # A short tour
//
//	g, err := guard.New(guard.Config{Issuer: "https://jeton.example", Audience: "reports"})
//	go g.Run(ctx)
//
//	mux.Handle("GET /reports/{id}", g.Require("reports:read")(http.HandlerFunc(show)))
//
//	func show(w http.ResponseWriter, r *http.Request) {
//		tok, _ := guard.From(r.Context())
//		fmt.Fprintf(w, "hello %s\n", tok.Principal.Name)
//	}
//
// # Requests to the issuer
//
// A guard fetches the discovery document (RFC 8414), the keys (RFC 7517) and the list of
// revocations, all from the origin of the issuer. It follows no redirect and reads at most
// 64 KiB of a response. It fetches the list three times within a bound, so that one lost
// response does no harm.
//
// A token with an unknown key makes the guard fetch the keys at once, but at most once in
// five seconds. A revoked signing key is accepted until the cached keys expire: after the
// max-age that the server sends, five minutes by default, at least one minute and at most an
// hour. To refuse tokens within the bound, revoke the tokens and not only the key.
//
// # Memory
//
// Nothing is stored on disk. Revocations are kept for 25 to 50 hours, in 50 to 80 bytes each.
// There can be at most 2^20 of them; beyond that, no token is accepted. At most 10000 verified
// tokens are cached, in about a kilobyte each.
//
// # Clocks
//
// A token is valid from nbf on and expired at exp, exactly, by this machine's clock.
// [Config.Leeway] allows for up to five seconds of difference. The bound is measured by the
// monotonic clock and by the wall clock, whichever shows more time: the monotonic clock stops
// while a machine sleeps. A clock more than an hour behind the issuer's can accept a
// revoked token after its revocation was dropped. Keep clocks synchronised.
package guard
