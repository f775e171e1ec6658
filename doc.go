// Package jeton has the words of the product: who acts, what they hold, and the errors
// that servers return and clients act on.
//
// Jeton proves who is calling, decides whether they may, and counts how often. The map of
// the code, in the order of a request:
//
//	cmd/jeton          commands: server, operators, wallet
//	wallet             client that holds many identities (public)
//	guard              middleware for a service that checks tokens itself (public)
//	jetontest          a real server for the tests of other modules (public)
//	examples           teaching servers by configuration alone
//	clients            libraries for Python and Node.js that call a service
//
//	internal/server    listeners, TLS, wiring, background work, stop
//
//	internal/forward   decisions for other proxies (forward-auth)
//	internal/gateway   protected services: login, logout, routes with their access, upstreams
//	internal/oauth     authorization server: tokens, introspection, revocation
//	internal/api       the REST API, on the control socket and over HTTPS (its types are here, in this package)
//	internal/pages     what a browser shows: sign-in, account, administration
//	internal/teaching  what the teaching servers did, as adapters around the others
//
//	internal/gate      reads the credential, checks terms, spends a use, explains
//	internal/signin    proves a user by password or a client by key
//	internal/session   sessions of users
//	internal/token     tokens: opaque, signed, personal
//	internal/openid    claims of users and ID tokens (OpenID Connect)
//	internal/upstream  sign-ins at other providers (OpenID Connect, GitHub)
//	internal/factor    second factors of users: authenticator apps, recovery codes, passkeys
//	internal/factor/passkey  options and responses of WebAuthn ceremonies
//	internal/approval  requests for tokens that a user approves
//	internal/invite    invitations, by which users make accounts of their own
//	internal/ticket    one-time secrets for one purpose and a short time
//	internal/keys      signing keys of this server
//	internal/account   users
//	internal/client    clients (software) and their public keys
//	internal/count     uses of a session or token
//	internal/audit     audit log
//	internal/mail      mail to users: links and notices
//	internal/outbox    work that a store keeps until it is done
//	internal/outbound  requests to addresses that an operator has named
//	internal/trace     spans of requests, exported by OTLP
//	internal/limit     throttling of failed logins, with the time to wait
//	internal/http1     plain requests, read without net/http
//	internal/web       HTTP: routes, cookies, challenges, forms; an error's status and the text a caller reads
//	internal/config    configuration file: keys, defaults, checks
//	internal/config/yamlread  YAML with positions, expansion and defaults
//	internal/policy    terms as values, without a store
//	internal/naming    rules for names of users, clients, scopes
//	internal/password  hashing, and hashes of other systems
//	internal/secret    random secrets, their prefixes and hashes; sealed values
//	internal/secretfile  files that only the server's user may read
//	internal/jose      JWT, JWS, JWK
//	internal/cache     bounded cache that never revives what was invalidated
//	internal/systemd   states for the service manager, and its sockets
//	internal/acme      certificates that a certificate authority issues and renews
//	internal/balance   chooses among the servers of an upstream, and checks their health
//	internal/sweep     deletes expired rows in small batches
//	internal/doctor    tests a proxy that asks for decisions
//	internal/palette   colours of the pages, and their contrast
//
//	internal/store/statements  SQL shared by both engines
//	internal/store/sqlite      one machine
//	internal/store/postgres    many nodes
//	internal/store/change      what a transaction invalidated
//	internal/store/move        copy, backup and restore
//
//	internal/test/e2e, storetest, pgtest, measure, need, authenticator, testkey   helpers of tests
//	internal/test/access   tests of what a credential opens, at a whole server
//
// Package jeton imports only the standard library, because every other package imports it.
// Package gate decides, and package web speaks HTTP.
package jeton
