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
)

// Config says where a wallet lies and how it is opened. Its zero value is what a
// command line tool wants.
type Config struct {
	// Dir is the folder of wallet.age: by default $JETON_HOME/wallet, else
	// $XDG_DATA_HOME/jeton when that is absolute, else ~/.local/share/jeton.
	Dir string
	// KeyDir is the folder of wallet.key: by default $JETON_HOME, else
	// $XDG_CONFIG_HOME/jeton when that is absolute, else ~/.config/jeton.
	KeyDir string
	// Passphrase, when set, is asked once for the passphrase that seals the wallet,
	// when it is needed. first says that there is no wallet yet, so that a person
	// can be asked to type it twice. Without it, the first line of the file named by
	// JETON_WALLET_PASSPHRASE_FILE is the passphrase, if that is set.
	Passphrase func(ctx context.Context, first bool) (jeton.Secret, error)
	// Keyring keeps the key in the keyring of the system, unless there is a
	// passphrase. JETON_WALLET_KEYRING=1 does the same.
	Keyring bool
	// Transport sends the requests: by default one with TLS 1.2 or later, proxies
	// from the environment, and time-outs. It must be a *http.Transport where an
	// identity trusts a CA certificate of its own.
	Transport http.RoundTripper
	// AllowHTTP accepts plain http for hosts other than this machine.
	AllowHTTP bool
	// Stderr is where password commands complain; nil discards it.
	Stderr io.Writer
	// Now is the clock, by default time.Now.
	Now func() time.Time
	// Wait passes d, the time until a token becomes valid, or returns the error of ctx
	// when that ends first. By default it waits by the clock of the machine.
	Wait func(ctx context.Context, d time.Duration) error
	// Getenv reads the environment, by default os.Getenv.
	Getenv func(string) string
}

// Wallet holds identities. It is safe for concurrent use, and so are several of
// them, in one process or many, over one folder.
type Wallet struct {
	file      *file
	transport http.RoundTripper
	allowHTTP bool
	stderr    io.Writer
	now       func() time.Time
	wait      func(context.Context, time.Duration) error
	getenv    func(string) string
	home      string

	mu     sync.Mutex
	live   map[place]*Identity        // one per identity, so that it logs in once
	trusts map[string]*http.Transport // by CA certificate
}

// place is what an identity is kept under.
type place struct {
	origin Origin
	name   string
}

// Open prepares a wallet. It makes nothing and decrypts nothing yet: the first
// login makes the folder, the key and the file. It returns ErrExposed when the
// folder is there and others can open it.
func Open(c Config) (*Wallet, error) {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Getenv == nil {
		c.Getenv = os.Getenv
	}
	if c.Wait == nil {
		c.Wait = pass
	}

	w := &Wallet{
		transport: c.Transport,
		allowHTTP: c.AllowHTTP,
		stderr:    c.Stderr,
		getenv:    c.Getenv,
		wait:      c.Wait,
		home:      cmp.Or(c.Getenv("HOME"), c.Getenv("USERPROFILE")),
		live:      map[place]*Identity{},
		trusts:    map[string]*http.Transport{},
	}

	// Times that went through the file compare equal to those that did not.
	w.now = func() time.Time { return c.Now().UTC().Round(0) }
	if w.transport == nil {
		w.transport = defaultTransport()
	}

	var err error
	if c.Dir == "" {
		c.Dir, err = w.folder("XDG_DATA_HOME", ".local/share", "wallet")
		if err != nil {
			return nil, err
		}
	}

	if c.KeyDir == "" {
		c.KeyDir, err = w.folder("XDG_CONFIG_HOME", ".config", "")
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

// folder returns the folder that the environment names (XDG Base Directory
// Specification: a value that is not absolute is ignored).
func (w *Wallet) folder(xdg, under, ours string) (string, error) {
	home := w.getenv("JETON_HOME")
	if home != "" {
		if !filepath.IsAbs(home) {
			return "", jeton.WithDetail(jeton.ErrInvalid, "JETON_HOME must be an absolute path")
		}
		return filepath.Join(home, ours), nil
	}

	if dir := w.getenv(xdg); filepath.IsAbs(dir) {
		return filepath.Join(dir, "jeton"), nil
	}
	if dir := w.getenv("AppData"); runtime.GOOS == "windows" && dir != "" {
		return filepath.Join(dir, "jeton"), nil
	}
	if !filepath.IsAbs(w.home) {
		return "", jeton.WithDetail(
			jeton.ErrInvalid,
			"no place for the wallet: set HOME or JETON_HOME to an absolute path",
		)
	}

	return filepath.Join(w.home, filepath.FromSlash(under), "jeton"), nil
}

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

// transportFor returns what sends the requests of an identity that trusts caCert,
// and only it, or the CAs of the system when that is "".
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

	if t := w.trusts[caCert]; t != nil {
		return t, nil
	}

	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM([]byte(caCert)) {
		return nil, jeton.WithDetail(jeton.ErrInvalid, "the CA certificate is not in PEM form")
	}

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
	SourceNone    Source = "none"    // a person has to type it
	SourceSaved   Source = "saved"   // it is in the wallet
	SourceCommand Source = "command" // a command prints it
)

// Kind is how an identity proves itself.
type Kind string

// The kinds of identities.
const (
	KindSession Kind = "session" // by a login, which made a session
	KindKey     Kind = "key"     // by a private key, which gets it tokens
	KindToken   Kind = "token"   // by a token that somebody made and handed to it
)

// Info is what is told about an identity. It holds no secret by construction.
type Info struct {
	Origin   Origin    `json:"origin"`
	Name     string    `json:"name"`
	Kind     Kind      `json:"kind"`
	Username string    `json:"username"`
	Service  string    `json:"service,omitempty"` // what the service calls itself
	SignedIn bool      `json:"signed_in"`         // has a session or token, as far as the wallet knows
	Created  time.Time `json:"created_at"`
	LoggedIn time.Time `json:"logged_in_at,omitzero"`
	Expires  time.Time `json:"expires_at,omitzero"`      // when its first cookie or its token ends; zero: the server knows
	Uses     *int64    `json:"uses_remaining,omitempty"` // last seen; under concurrent requests any of the counts sent
	Source   Source    `json:"password_source"`
	Auto     bool      `json:"auto"`             // logs in again by itself
	Trusts   bool      `json:"own_ca,omitempty"` // trusts a CA certificate given at login

	// Of an identity that proves itself by a key.
	Issuer    string    `json:"issuer,omitempty"`    // of its tokens
	KeyFile   string    `json:"key_file,omitempty"`  // where the private key is
	KeyID     string    `json:"kid,omitempty"`       // of the key that the token was got with
	NotBefore time.Time `json:"not_before,omitzero"` // of the token; zero: it was good at once
}

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

	s := e.Key
	if s != nil {
		in.Kind = KindKey
		in.Expires = s.Ends
		in.Issuer = s.Issuer
		in.KeyFile = s.File
		in.KeyID = s.SignedBy

		in.NotBefore = s.Opens
	}

	if e.Handed != nil {
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

// Identity returns the identity name at the origin of rawURL, of which the path
// does not matter. It returns jeton.ErrNotFound when there is none. All callers
// in one process get the same *Identity.
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
	id.adopt(*e, d.Revision)

	return id, nil
}

func notFound(o Origin, name string) error {
	return jeton.WithDetail(jeton.ErrNotFound, fmt.Sprintf("the wallet holds no identity %q for %s", name, o))
}

// identity returns the one Identity that this process has for o and name.
func (w *Wallet) identity(o Origin, name string) *Identity {
	w.mu.Lock()
	defer w.mu.Unlock()

	id := w.live[place{o, name}]
	if id == nil {
		id = &Identity{
			w:      w,
			origin: o,
			name:   name,
			flight: make(chan struct{}, 1),
		}
		w.live[place{o, name}] = id
	}

	return id
}

// Forget removes an identity without asking the server, whose session goes on
// until it expires; Logout ends it. It returns jeton.ErrNotFound when there is none.
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
		w.identity(o, name).leave(after.Revision)
	}

	return err
}

// Flush writes what was learned and is not worth a write of its own: how many
// uses are left, and later expiries. New sessions are durable without it.
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
		return fmt.Errorf("write what the wallet learned: %w", err)
	}

	for _, id := range dirty {
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
