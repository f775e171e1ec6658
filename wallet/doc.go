// Package wallet is a client that holds many identities. An identity is a user with a
// session, a client with a private key, or a token made elsewhere, at one origin.
//
// It promises that
//   - the sessions of two identities, or of two origins, never mix: cookies and
//     tokens are stored per identity and sent only to their own origin, never across
//     a redirect to another one and never from https down to http;
//   - a private key stays in its file: it is read at each use, and no part of it is
//     in the wallet, in an error or in anything that is sent;
//   - it is safe under concurrent use, by goroutines and by processes: every change
//     is read, made and written under a lock, by atomic rename;
//   - the disk holds one encrypted file, wallet.age, readable by its owner only. A
//     directory or file that other users can open is refused, not repaired;
//   - there is no current identity and no other hidden state. Each call chooses its
//     identity; [Wallet.Select] returns which, and by which rule.
//
// Its callers ask users for passwords and parse commands; servers judge tokens. It works
// with every Jeton service, and with any server whose login form is answered with cookies,
// unless the form has a hidden field.
//
// # Files
//
//	wallet.go                           opening a wallet, and its configuration
//	identity.go                         an identity, and the client that sends its requests
//	roundtrip.go                        a request: its credential, renewing it, and when it is sent again
//	response.go                         what a response says: uses left, why to log in
//	select.go                           which identity a call uses, and .jeton files
//	login.go, form.go                   a login: what the caller gives; a form with a password
//	session.go, cookies.go              the session of a user: its cookies, another login, logging out
//	signin.go, browser.go               a sign-in at the issuer; in a browser of this machine
//	device.go, delegated.go             a sign-in on another device; the tokens of either, and renewing them
//	assertion.go, issued.go             software: assertions signed by its key, and the tokens for them
//	workload.go                         software with the token of its platform
//	token.go, tokenrequest.go           tokens made elsewhere; asking a user for one
//	exchange.go                         exchanging the token of a caller for one of the next service
//	lease.go                            a token for one job, which ends with it
//	issuer.go, resource.go, pairing.go  metadata of issuers and of services, and confirming them
//	origin.go                           the origin that credentials belong to
//	document.go, file.go, key.go        what is on the disk: the format, the file, its key
//	file_unix.go, file_other.go         permissions and locks by system
//
// # A short tour
//
//	w, err := wallet.Open(wallet.Config{})
//	defer w.Close()
//
//	diane, err := w.Login(ctx, wallet.Login{
//		URL: "https://app.example", As: "diane", Password: jeton.NewSecret(typed),
//	})
//	resp, err := diane.Client().Get("https://app.example/limited-info")
//	if why, ok := wallet.NeedsLogin(resp); ok {
//		// errors.Is(why, jeton.ErrSpent): no uses are left; log in again.
//	}
//
// Later, or in another process, [Wallet.Identity] returns diane with her session. With a
// password source ([Login.Save] or [Login.Command]) the wallet logs in again when the
// session has expired: once per request, and one login for all requests that wait for it.
//
// # Software
//
//	ci, err := w.Login(ctx, wallet.Login{
//		URL: "https://app.example", As: "ci", Key: "ci.key",
//		Issuer: "https://auth.example", Audience: "app",
//	})
//	resp, err := ci.Client().Get("https://app.example/limited-info")
//
// The service names the issuer and the audience of its tokens. A hostile one could name those
// of another service, so the caller confirms them at the first login ([Pairing]). The wallet
// sends the issuer an assertion signed by the key, with the issuer as its only audience (RFC
// 7523, section 2.2; RFC 10070), and gets a token, which it sends only to the service. Each
// request to the issuer has its own assertion, valid for a minute. Tokens are renewed as
// [Identity.RoundTrip] (roundtrip.go) describes, one renewal for all goroutines and processes; a spent token
// is not renewed. A new key in the same file is used at the next renewal, and
// [Wallet.RotateKey] registers one.
//
// With [Login.Workload], software on a platform needs no key: the wallet exchanges the token that GitHub Actions,
// GitLab, Kubernetes or a file gives it (RFC 7523, section 2.1), and reads that token again at each renewal.
//
// # Users with a browser
//
//	diane, err := w.Login(ctx, wallet.Login{URL: "https://app.example", SignIn: &wallet.SignIn{Open: open}})
//
// The user signs in at the issuer of the service's tokens, in a browser on this machine. The authorization code comes
// back to a free port of 127.0.0.1 (RFC 8252, with PKCE, state, and the issuer's name as in RFC 9207). The tokens are
// requested for the origin of the service as it was called (RFC 8707). So a service that names the issuer of another
// gets none that is valid there, and a Jeton server as the issuer needs no confirmation; others may ignore what a token
// is requested for, and are confirmed as above. A refresh token, if the issuer gives one, renews
// them, like those of clients. Any OpenID provider will do, with [SignIn.ClientID], and with [Login.Issuer] unless the
// metadata of the service name it (RFC 9728).
//
// # Tokens made elsewhere
//
//	job, err := w.Login(ctx, wallet.Login{URL: "https://app.example", As: "job", Token: token})
//
// A personal token is stored and sent like those of clients: only to its origin, as Bearer.
// The wallet cannot renew it; [NeedsLogin] reports when another one is needed. Logging out
// removes it from the wallet and does not revoke it.
//
// # The next service
//
//	next, err := wallet.NewExchanger(wallet.ExchangeConfig{Issuer: issuer, Client: "reports", Key: "reports.key"})
//	token, err := next.Exchange(ctx, received, wallet.Exchange{For: "archive", MaxUses: 1})
//	request.Header.Set("Authorization", "Bearer "+token.Text.Reveal())
//
// A service exchanges the token of its caller for one of another service (RFC 8693), by a rule of the issuer. An
// [Exchanger] uses no wallet.
//
// # What the key protects against
//
// A passphrase ([Config.Passphrase], or a file named by
// JETON_WALLET_PASSPHRASE_FILE) protects a stolen disk, backup or copy of the
// directory as well as the passphrase resists guessing. Each guess costs 32 MiB and
// tens of milliseconds (scrypt, work factor 15), and so does each change of the wallet.
//
// The keyring of the system ([Config.Keyring], or JETON_WALLET_KEYRING=1)
// protects a stolen disk as well as the login password of the system does, and
// a copy of the directories completely. Programs that run as the user while the
// keyring is open can ask it, too.
//
// The key file protects only a copy of the data directory: a backup, a synchronised
// directory, a support bundle. A user who can read both directories can read the wallet.
// It is the default because servers and SSH sessions have no keyring.
//
// On Windows both directories are %AppData%\jeton.
//
// None of the three protects against a program that runs as the same user while
// the wallet is in use, or against the administrator of the machine.
package wallet
