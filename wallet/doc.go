// Package wallet is a client that holds many identities: diane at one service,
// eshana at the same one, diane again at another, each with its own session; and
// software that proves itself by a key, each with its own token; and tokens that somebody
// made, each as an identity.
//
// It promises that
//   - the sessions of two identities, or of two origins, never mix: cookies and
//     tokens are kept per identity and sent to the very origin that they are of,
//     never across a redirect to another one and never down from https to http;
//   - a private key stays in its file: it is read at each use, and neither it nor
//     a part of it is in the wallet, in an error or in anything that is sent;
//   - it is safe under concurrent use, by goroutines and by processes: every
//     change is read, made and written back under a lock, by atomic rename, so
//     that no process undoes what another did;
//   - what lies on disk is one encrypted file, wallet.age, readable by its owner
//     only. A folder or file that others can open is refused, not repaired;
//   - there is no current identity and no other hidden state. Who acts is chosen
//     at each call; [Wallet.Select] tells who, and by which rule.
//
// It leaves to others: asking people for passwords (the caller hands them in),
// parsing commands, and judging tokens. It works with every Jeton service, and
// with any server that has a login form answered by cookies, unless that form
// wants a hidden field back.
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
// Next week, or in another process, [Wallet.Identity] gives diane back with her
// session. A login that is given a password source ([Login.Save] or
// [Login.Command]) is renewed by itself when the server says that it is over:
// once a request, one login for all requests that wait for it.
//
// # Software
//
//	ci, err := w.Login(ctx, wallet.Login{URL: "https://app.example", As: "ci", Key: "ci.key"})
//	resp, err := ci.Client().Get("https://app.example/limited-info")
//
// The service tells who issues its tokens. That issuer gets an assertion that the key has
// signed, of which it is the only audience (RFC 7523, section 2.2; RFC 10070), and gives a
// token, which goes to the service alone. Each request to the issuer has an assertion of
// its own, good for a minute. Tokens are renewed by themselves as [Identity.RoundTrip]
// says, one renewal for all goroutines and processes; one that is spent is not. Whoever
// mounts a new key into the file needs to do no more, and [Wallet.RotateKey] registers one.
//
// # Tokens that somebody made
//
//	job, err := w.Login(ctx, wallet.Login{URL: "https://app.example", As: "job", Token: token})
//
// A personal token is kept and sent like those of software: to the very origin and as Bearer.
// It cannot renew itself, so [NeedsLogin] says when another has to be handed in. Logging out
// forgets it here and does not revoke it.
//
// # Where it keeps things
//
//	$JETON_HOME/wallet, else $XDG_DATA_HOME/jeton, else ~/.local/share/jeton   0700
//	    wallet.age        the identities, encrypted by age (age-encryption.org/v1)
//	    wallet.lock       held while wallet.age is changed
//	    login-XX.lock     held while an identity logs in or out, so that many
//	                      processes log it in once
//	$JETON_HOME, else $XDG_CONFIG_HOME/jeton, else ~/.config/jeton
//	    wallet.key        the key, when no passphrase and no keyring is used  0600
//
// On Windows both folders are %AppData%\jeton.
//
// # What the key protects against
//
// A passphrase ([Config.Passphrase], or a file named by
// JETON_WALLET_PASSPHRASE_FILE) protects a stolen disk, backup or copy of the
// folder as well as the passphrase is hard to guess; each guess costs its maker
// 32 MiB and tens of milliseconds (scrypt, work factor 15), and so does each
// change of the wallet.
//
// The keyring of the system ([Config.Keyring], or JETON_WALLET_KEYRING=1)
// protects a stolen disk as well as the login password of the system does, and
// a copy of the folders wholly. Programs that run as the user while the keyring
// is open can ask it too.
//
// The key file protects a copy of the data folder alone: a backup, a synced
// folder, a support bundle. Who can read both folders reads the wallet. It is
// the default because servers and SSH sessions have no keyring.
//
// None of the three protects against a program that runs as the same user while
// the wallet is in use, nor against the administrator of the machine.
package wallet
