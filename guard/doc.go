// Package guard is middleware for a Go service that accepts the tokens of a Jeton server
// and checks them by itself.
//
// It promises that
//   - a signed token is accepted only with a key that the issuer publishes, of the one
//     algorithm that the key has, for the one audience that was configured, and within its
//     time; what the token says of its algorithm or its key chooses nothing;
//   - a token that has been revoked, or whose owner has been disabled or has voided its
//     tokens, is refused at the latest [Config.Bound] after the server has answered that;
//   - where this cannot be kept, because nothing has been heard from the issuer for longer
//     than the bound, nobody is let in and nobody is told that their token is bad: the
//     answer is 503 with Retry-After ([jeton.ErrUnavailable]), also before the first word
//     from the issuer;
//   - a token that is good for N uses is accepted N times at most, by any number of
//     guards: each use is taken at the issuer, and never asked for twice.
//
// It leaves to others: issuing and revoking (the server), what a subject may do beyond
// the scopes of its token (the handlers), and proving people by cookies (the gateway).
//
// # A short tour
//
//	g, err := guard.New(guard.Config{Issuer: "https://jeton.example", Audience: "reports"})
//	go g.Run(ctx)
//
//	mux.Handle("GET /reports/{id}", g.Require("reports:read")(show))
//
//	func show(w http.ResponseWriter, r *http.Request) {
//		tok, _ := guard.From(r.Context())
//		fmt.Fprintf(w, "hello %s\n", tok.Principal.Name)
//	}
//
// # What it asks of the issuer
//
// The discovery document (RFC 8414), the keys (RFC 7517) and the list of what is void, all
// at the origin of the issuer; no redirect is followed, and no answer is read beyond 64 KiB.
// The list is asked for three times within a bound, and one lost answer is survived.
// A token with an unknown key makes the guard look at the keys at once, but once in five
// seconds, however many such tokens there are. A signing key that is revoked is no longer
// believed once the copy of the keys has run out: the max-age that the server gives it,
// five minutes by default, at least one minute and at most an hour. To end tokens within the
// bound, end them and not the key.
//
// # What it keeps
//
// In memory only: what is void, for 25 to 50 hours, 50 to 80 bytes each and 2^20 of
// them at most (beyond that nothing is accepted); and the signatures that were right,
// 10000 of them, about a kilobyte each.
//
// # Clocks
//
// A token is good from nbf on and no longer at exp, both by this machine's clock and
// exactly; [Config.Leeway] allows up to five seconds where clocks differ. The bound is
// measured by the monotonic clock and by the wall clock, whichever says more, so that a
// machine that has slept does not take itself for well informed. A clock that is more than
// an hour behind the issuer's can keep a revoked token alive longer than its revocation
// is remembered: keep clocks right.
package guard
