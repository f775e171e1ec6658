// Package wallet is a client that holds many identities: diane at one service,
// eshana at the same one, diane again at another, each with its own session.
//
// It promises that
//   - the sessions of two identities, or of two origins, never mix: cookies are
//     kept per identity and sent to the very origin that set them, never across
//     a redirect to another one and never down from https to http;
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
