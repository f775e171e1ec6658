// Package jeton holds the words of the product: who acts, what they hold, and
// the outcomes that servers return and clients act on.
//
// Jeton proves who is calling, decides whether they may, and counts how often.
// A request comes in at internal/server, which looks up its row in the route
// table. internal/gate asks who it is (internal/session, with internal/signin
// having made it) and whether they may (internal/policy), spends a use if the
// row has a budget, and records what happened (internal/audit). Then a door
// answers: internal/gateway for configured services, internal/api for
// operators. What we hold is kept by internal/store.
//
// Package jeton promises to stay small and to import the standard library
// only, because everything else imports it. Behaviour lives elsewhere: judging
// in internal/policy, speaking HTTP in internal/web.
package jeton
