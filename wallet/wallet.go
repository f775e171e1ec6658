package wallet

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/jose"
)

// Config is where a wallet is and how it is opened. The zero value suits a command line
// tool.
type Config struct {
	// Dir is the directory of wallet.age: by default $JETON_HOME/wallet, else
	// $XDG_DATA_HOME/jeton if that is absolute, else ~/.local/share/jeton.
	Dir string
	// KeyDir is the directory of wallet.key: by default $JETON_HOME, else
	// $XDG_CONFIG_HOME/jeton if that is absolute, else ~/.config/jeton.
	KeyDir string
	// Passphrase, if set, is called at most once for the passphrase that encrypts the
	// wallet. first is true if there is no wallet yet, so that the user can be asked to type
	// it twice. Without Passphrase, the passphrase is the first line of the file named by
	// JETON_WALLET_PASSPHRASE_FILE, if that is set.
	Passphrase func(ctx context.Context, first bool) (jeton.Secret, error)
	// Confirm asks the user whether the issuer and the audience that a service names are
	// right, before anything is sent to the issuer. nil confirms none: see Login.Issuer.
	Confirm func(ctx context.Context, p Pairing) (bool, error)
	// Keyring stores the key in the system's keyring, unless there is a passphrase.
	// JETON_WALLET_KEYRING=1 does the same.
	Keyring bool
	// Transport sends the requests: by default one with TLS 1.2 or later, proxies
	// from the environment, and timeouts. It must be a *http.Transport if an identity has
	// CA certificates of its own.
	Transport http.RoundTripper
	// AllowHTTP accepts plain http for hosts other than this machine.
	AllowHTTP bool
	// Stderr is the standard error of password commands; nil discards it.
	Stderr io.Writer
	// Now is the clock, by default time.Now.
	Now func() time.Time
	// Wait sleeps for d, the time until a token becomes valid, or returns the error of ctx
	// if that ends first. By default it uses the machine's clock.
	Wait func(ctx context.Context, d time.Duration) error
	// Getenv reads the environment, by default os.Getenv.
	Getenv func(string) string
}

// Wallet holds identities. It is safe for concurrent use, and so are several wallets, in
// one process or many, on one directory.
type Wallet struct {
	file      *file
	transport http.RoundTripper
	allowHTTP bool
	stderr    io.Writer
	now       func() time.Time
	wait      func(context.Context, time.Duration) error
	getenv    func(string) string
	home      string

	confirmPairing func(context.Context, Pairing) (bool, error) // or nil

	mu     sync.Mutex
	live   map[identityKey]*Identity  // one per identity, so that it logs in once
	trusts map[string]*http.Transport // by CA certificate
}

// identityKey identifies an identity.
type identityKey struct {
	origin Origin
	name   string
}

// Open prepares a wallet. It creates and decrypts nothing: the first login creates the
// directory, the key and the file. It returns ErrExposed if the directory exists and other
// users can open it.
func Open(c Config) (*Wallet, error) {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Getenv == nil {
		c.Getenv = os.Getenv
	}
	if c.Wait == nil {
		c.Wait = sleep
	}

	w := &Wallet{
		transport: c.Transport,
		allowHTTP: c.AllowHTTP,
		stderr:    c.Stderr,
		getenv:    c.Getenv,
		wait:      c.Wait,
		home:      cmp.Or(c.Getenv("HOME"), c.Getenv("USERPROFILE")),
		live:      map[identityKey]*Identity{},
		trusts:    map[string]*http.Transport{},

		confirmPairing: c.Confirm,
	}

	// Times read from the file compare equal to those that were written.
	w.now = func() time.Time { return c.Now().UTC().Round(0) }
	if w.transport == nil {
		w.transport = defaultTransport()
	}

	var err error
	if c.Dir == "" {
		c.Dir, err = w.directory("XDG_DATA_HOME", ".local/share", "wallet")
		if err != nil {
			return nil, err
		}
	}

	if c.KeyDir == "" {
		c.KeyDir, err = w.directory("XDG_CONFIG_HOME", ".config", "")
		if err != nil {
			return nil, err
		}
	}

	w.file = &file{
		dir:  c.Dir,
		now:  w.now,
		turn: make(chan struct{}, 1),
		keys: &keys{
			passphrase:     c.Passphrase,
			passphraseFile: c.Getenv("JETON_WALLET_PASSPHRASE_FILE"),
			keyring:        c.Keyring || c.Getenv("JETON_WALLET_KEYRING") == "1",
			dir:            c.KeyDir,
		},
	}

	return w, checkDir(c.Dir)
}

// directory returns the directory that the environment names (XDG Base Directory
// Specification: a value that is not absolute is ignored).
func (w *Wallet) directory(xdg, under, ours string) (string, error) {
	home := w.getenv("JETON_HOME")
	if home != "" {
		if !filepath.IsAbs(home) {
			return "", jeton.WithDetail(jeton.ErrInvalid, "JETON_HOME must be an absolute path")
		}
		return filepath.Join(home, ours), nil
	}

	dir := w.getenv(xdg)
	if filepath.IsAbs(dir) {
		return filepath.Join(dir, "jeton"), nil
	}

	dir = w.getenv("AppData")
	if runtime.GOOS == "windows" && dir != "" {
		return filepath.Join(dir, "jeton"), nil
	}
	if !filepath.IsAbs(w.home) {
		return "", jeton.WithDetail(
			jeton.ErrInvalid,
			"no directory for the wallet: set HOME or JETON_HOME to an absolute path",
		)
	}

	return filepath.Join(w.home, filepath.FromSlash(under), "jeton"), nil
}

// defaultTransport limits every step before the response, so that no server can hold a caller
// forever without a deadline. ResponseHeaderTimeout is long, because a request may start a
// report or a build; the body has no limit of its own, as a stream of events may be open for
// days.
func defaultTransport() *http.Transport {
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: 15 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    15 * time.Second,
		ResponseHeaderTimeout:  5 * time.Minute,
		ExpectContinueTimeout:  time.Second,
		IdleConnTimeout:        90 * time.Second,
		MaxIdleConns:           100,
		MaxIdleConnsPerHost:    16,
		MaxResponseHeaderBytes: 256 << 10,
		ForceAttemptHTTP2:      true,
	}
}

// transportFor returns the transport of an identity that trusts only caCert, or the
// system's CAs if that is "".
func (w *Wallet) transportFor(caCert string) (http.RoundTripper, error) {
	if caCert == "" {
		return w.transport, nil
	}

	base, ok := w.transport.(*http.Transport)
	if !ok {
		return nil, jeton.WithDetail(
			jeton.ErrInvalid,
			"a CA certificate needs Config.Transport to be a *http.Transport",
		)
	}

	w.mu.Lock()
	defer w.mu.Unlock()

	// One for each certificate, so that connections are shared and idle ones are bounded.
	known := w.trusts[caCert]
	if known != nil {
		return known, nil
	}

	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(jose.TrimBOM([]byte(caCert))) {
		return nil, jeton.WithDetail(jeton.ErrInvalid, "the CA certificate is not in PEM form")
	}

	// A transport of its own: connections of other identities must not be reused with other
	// trust.
	t := base.Clone()
	if t.TLSClientConfig == nil {
		t.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	}

	t.TLSClientConfig.RootCAs = pool
	w.trusts[caCert] = t

	return t, nil
}

// Source is where the password of a later login comes from.
type Source string

// The sources of a password.
const (
	SourceNone    Source = "none"    // the user types it
	SourceSaved   Source = "saved"   // stored in the wallet
	SourceCommand Source = "command" // printed by a command
)

// Kind is how an identity authenticates.
type Kind string

// The kinds of identities.
const (
	KindSession  Kind = "session"  // with a session, after a login
	KindKey      Kind = "key"      // with tokens, requested with a private key
	KindWorkload Kind = "workload" // with tokens, for the token of a platform
	KindSignIn   Kind = "sign-in"  // with tokens, after a sign-in with a browser
	KindToken    Kind = "token"    // with a token made elsewhere
)

// Info describes an identity. It holds no secrets.
type Info struct {
	Origin   Origin    `json:"origin"`
	Name     string    `json:"name"`
	Kind     Kind      `json:"kind"`
	Username string    `json:"username"`
	Service  string    `json:"service,omitempty"` // the service's own name
	SignedIn bool      `json:"signed_in"`         // has a session or token that has not expired
	Created  time.Time `json:"created_at"`
	LoggedIn time.Time `json:"logged_in_at,omitzero"`
	Expires  time.Time `json:"expires_at,omitzero"`      // of its first cookie or its token; zero: unknown
	Uses     *int64    `json:"uses_remaining,omitempty"` // in one of the latest responses
	Source   Source    `json:"password_source"`
	Auto     bool      `json:"auto"`             // logs in again automatically
	Trusts   bool      `json:"own_ca,omitempty"` // trusts a CA certificate given at login

	// Of an identity with a key or a sign-in.
	Issuer    string    `json:"issuer,omitempty"`    // of its tokens
	KeyFile   string    `json:"key_file,omitempty"`  // where the private key is
	KeyID     string    `json:"kid,omitempty"`       // of the key that the token was requested with
	NotBefore time.Time `json:"not_before,omitzero"` // of the token; zero: it was valid at once
}

// info describes the current state of e, without anything secret. The number of uses is copied: callers
// may keep an Info.
func (e *entry) info(now time.Time) Info {
	in := Info{
		Origin:   e.Origin,
		Name:     e.Name,
		Kind:     KindSession,
		Username: e.Username,
		Service:  e.Service,
		SignedIn: e.live(now),
		Created:  e.Created,
		LoggedIn: e.LoggedIn,
		Expires:  e.Cookies.expires(),
		Source:   e.Source.kind(),
		Auto:     e.Auto,
		Trusts:   e.CACert != "",
	}

	s := e.issued()
	if s != nil {
		in.Kind = KindSignIn
		in.Expires = s.Ends
		in.Issuer = s.Issuer
		in.NotBefore = s.Opens
	}

	if e.Key != nil {
		in.Kind = KindKey
		in.KeyFile = e.Key.File
		in.KeyID = e.Key.SignedBy
		if e.Key.Workload != nil {
			in.Kind = KindWorkload
		}
	}

	if e.Foreign != nil {
		in.Kind = KindToken
	}

	if e.Uses != nil {
		n := *e.Uses
		in.Uses = &n
	}

	return in
}

// Identities lists the identities, sorted by origin and name.
func (w *Wallet) Identities(ctx context.Context) ([]Info, error) {
	d, err := w.file.read(ctx)
	if err != nil {
		return nil, err
	}

	out := make([]Info, 0, len(d.Identities))
	for i := range d.Identities {
		out = append(out, d.Identities[i].info(w.now()))
	}

	slices.SortFunc(out, func(a, b Info) int {
		return cmp.Or(cmp.Compare(a.Origin, b.Origin), cmp.Compare(a.Name, b.Name))
	})

	return out, nil
}

// Identity returns the identity name at the origin of rawURL; the path is ignored. It returns
// jeton.ErrNotFound if there is none. All callers in one process get the same *Identity.
func (w *Wallet) Identity(ctx context.Context, rawURL, name string) (*Identity, error) {
	o, err := ParseOrigin(rawURL)
	if err != nil {
		return nil, err
	}

	d, err := w.file.read(ctx)
	if err != nil {
		return nil, err
	}

	e := d.find(o, name)
	if e == nil {
		return nil, notFound(o, name)
	}
	if err := o.allow(w.allowHTTP || e.AllowHTTP); err != nil {
		return nil, err
	}

	id := w.identity(o, name)
	// The file may be newer than what this process has in memory.
	id.adopt(*e, d.Revision)

	return id, nil
}

// notFound names the identity and the origin, neither of which is secret.
func notFound(o Origin, name string) error {
	return jeton.WithDetail(jeton.ErrNotFound, fmt.Sprintf("the wallet holds no identity %q for %s", name, o))
}

// identity returns the one Identity of this process for o and name.
func (w *Wallet) identity(o Origin, name string) *Identity {
	w.mu.Lock()
	defer w.mu.Unlock()

	id := w.live[identityKey{o, name}]
	if id == nil {
		id = &Identity{
			w:      w,
			origin: o,
			name:   name,
			flight: make(chan struct{}, 1),
		}
		w.live[identityKey{o, name}] = id
	}

	return id
}

// Forget removes an identity from the wallet. The session at the server remains until it
// expires; Logout ends it. Forget returns jeton.ErrNotFound if there is none.
func (w *Wallet) Forget(ctx context.Context, rawURL, name string) error {
	o, err := ParseOrigin(rawURL)
	if err != nil {
		return err
	}

	var after *document
	err = w.file.change(ctx, func(d *document) error {
		after = d
		if !d.drop(o, name) {
			return notFound(o, name)
		}
		return nil
	})
	if err == nil {
		w.identity(o, name).remove(after.Revision)
	}

	return err
}

// Flush writes changes that are not worth a write of their own: remaining uses and later
// expiries. New sessions are durable without it.
func (w *Wallet) Flush(ctx context.Context) error {
	w.mu.Lock()
	var dirty []*Identity
	for _, id := range w.live {
		if id.isDirty() {
			dirty = append(dirty, id)
		}
	}

	w.mu.Unlock()

	if len(dirty) == 0 {
		return nil
	}

	err := w.file.change(ctx, func(d *document) error {
		for _, id := range dirty {
			id.flushInto(d)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("write wallet: %w", err)
	}

	for _, id := range dirty {
		// Not before the write, or a failure would lose what the next Flush could write.
		id.clean()
	}

	return nil
}

// Close flushes and closes idle connections. The wallet must not be used after it.
func (w *Wallet) Close() error {
	err := w.Flush(context.Background())
	w.mu.Lock()
	defer w.mu.Unlock()

	for _, t := range w.trusts {
		t.CloseIdleConnections()
	}

	if t, ok := w.transport.(interface{ CloseIdleConnections() }); ok {
		t.CloseIdleConnections()
	}

	return err
}
