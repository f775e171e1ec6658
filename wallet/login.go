package wallet

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/jeton-auth/jeton"
)

const (
	// loginWait bounds one exchange with a server for a login or logout.
	loginWait = 30 * time.Second
	// holdWait is how long a refused login is not repeated where the server does
	// not say.
	holdWait = time.Minute
	// commandWait bounds a password command, which may ask a person.
	commandWait = 2 * time.Minute

	maxWellKnown = 64 << 10
	maxCACert    = 256 << 10
)

// Relogin says when an identity that has a password source or a key logs in again by itself.
type Relogin string

const (
	// ReloginWhenAsked logs in again when the server says that the session is over, and
	// with a key also before its token ends, but not because the uses of one are spent.
	ReloginWhenAsked Relogin = ""
	// ReloginNever leaves every login to a call of Login.
	ReloginNever Relogin = "never"
)

// Login says who logs in where, and how: by a password, by a key, or by a token. Only URL and one of
// As and Username must be set. Of an identity that the wallet holds already, a field left at its zero
// value keeps what was given before, so that logging in again takes no more than
// URL, As and the password.
type Login struct {
	URL      string // of the service; its path does not matter
	As       string // name of the identity in the wallet; by default Username
	Username string // at the service, or name of the client at its issuer; by default As

	// Password is used for this login. Save also keeps it in the wallet, for later
	// logins; a saved password is dropped when one is given without Save.
	Password jeton.Secret
	Save     bool
	// Command is the argument list of a program that prints the password on the
	// first line of its output. It is kept for later logins, and runs for this one
	// when there is no Password.
	Command []string
	// Relogin says whether the identity, when it has a source (Save or Command) or a key,
	// logs in again by itself.
	Relogin Relogin

	// Key is the path of a private key, for software: PEM (PKCS #8, PKCS #1 or SEC 1) or
	// JWK, not encrypted, at most 64 KiB, a regular file that no other user can open. The
	// wallet keeps its absolute path and reads it at each use, so that whoever put it
	// there can replace it; the key itself is never kept.
	Key string
	// KeyID names the key in what it signs; by default as a JWK names itself, else by its
	// thumbprint (RFC 7638). Algorithm is what it signs with; by default as a JWK says,
	// else EdDSA, ES256, ES384, ES512 or RS256 by its kind.
	KeyID, Algorithm string
	// Scope is what its tokens are asked for; none: all that the client may have.
	Scope []string

	// Token is one that somebody made, as with 'jeton token create'. It is kept in the
	// wallet and sent with each request, and cannot renew itself.
	Token jeton.Secret

	// CACert is one or more CA certificates in PEM form. They alone are trusted for
	// this identity, in place of the system's: for a server with its own. The issuer of
	// its tokens is trusted by them, too.
	CACert []byte
	// AllowHTTP accepts plain http for this identity at a host that is not this
	// machine, the service or the issuer of its tokens: passwords, sessions and tokens
	// can then be read on the way.
	AllowHTTP bool

	// These override what the service tells at /.well-known/jeton, and the defaults
	// /login, /logout, username and password where it tells nothing.
	LoginPath, LogoutPath, UsernameField, PasswordField string
}

// Login logs in and keeps the session durably under (origin, As). It asks
// /.well-known/jeton for the login form, posts the form, and takes the cookies of
// a 2xx answer, or of a redirect within the origin to another page, as plain
// websites give. On failure the wallet keeps the session that it had.
//
// With a Key it asks there who issues the service's tokens and for which audience, asks
// the issuer where (RFC 8414), proves itself by an assertion that the key has signed
// (RFC 7523, section 2.2, with the rules of RFC 10070), and keeps the token that it gets.
//
// With a Token it asks there whether the service takes any, and keeps it. It does not try
// it, for a token may be counted: the first request tells whether it is good.
//
// Its errors are those of the service or the issuer (jeton.ErrBadCredential, ErrRelogin,
// ErrTooMany, ErrSessionsFull, …, with jeton.RetryAfter where the service says how
// long), jeton.ErrInvalid for a Login that cannot be carried out and for an issuer that is
// not believed, ErrExposed for a key that others can open, ErrNotFound when the login path
// is not there or the service takes no tokens, and those of the network.
func (w *Wallet) Login(ctx context.Context, in Login) (*Identity, error) {
	o, err := ParseOrigin(in.URL)
	if err != nil {
		return nil, err
	}
	if in.As == "" {
		in.As = in.Username
	}

	if err := checkName(in.As); err != nil {
		return nil, err
	}

	id := w.identity(o, in.As)
	done, err := id.alone(ctx)
	if err != nil {
		return nil, err
	}
	defer done()

	d, err := w.file.read(ctx)
	if err != nil {
		return nil, err
	}

	e := entry{Origin: o, Name: in.As, Created: w.now()}
	have := d.find(o, in.As)
	if have != nil {
		e = *have
	}

	if err := in.settle(&e); err != nil {
		return nil, err
	}
	if err := o.allow(w.allowHTTP || e.AllowHTTP); err != nil {
		return nil, err
	}

	switch {
	case e.Handed != nil:
		err = w.byToken(ctx, &e)
	case e.Key != nil:
		err = w.byKey(ctx, &e)
	default:
		err = w.byForm(ctx, &e, in)
	}

	if err != nil {
		return nil, err
	}
	if err := id.install(ctx, e, true); err != nil {
		return nil, fmt.Errorf("keep the session of %s at %s: %w", in.As, o, err)
	}

	return id, nil
}

// byForm logs e in by the form of the service.
func (w *Wallet) byForm(ctx context.Context, e *entry, in Login) error {
	pass := in.Password
	if pass.IsZero() {
		var err error
		if pass, err = w.password(ctx, e.Source); err != nil {
			return err
		}
	}

	if err := w.discover(ctx, e, in); err != nil {
		return fmt.Errorf("log in at %s: %w", e.Origin, err)
	}
	if err := w.signIn(ctx, e, pass); err != nil {
		return fmt.Errorf("log in at %s as %s: %w", e.Origin, e.Name, err)
	}

	return nil
}

// byKey logs e in by its key.
func (w *Wallet) byKey(ctx context.Context, e *entry) error {
	// First the key: where it cannot be read, nobody need be asked.
	k, err := e.Key.signer()
	if err != nil {
		return err
	}
	if err := w.findIssuer(ctx, e); err != nil {
		return fmt.Errorf("log in at %s: %w", e.Origin, err)
	}

	if err := w.proveBy(ctx, e, k); err != nil {
		return fmt.Errorf("log in at %s: %w", e.Origin, err)
	}

	return nil
}

// settle puts the settings of a login into its entry.
func (in Login) settle(e *entry) error {
	if in.Relogin != ReloginWhenAsked && in.Relogin != ReloginNever {
		return jeton.WithDetail(jeton.ErrInvalid, "Relogin is neither WhenAsked nor Never")
	}
	if in.Username != "" && e.Username != "" && in.Username != e.Username {
		e.Source = source{} // it is the password of another user
	}
	if in.Username != "" {
		e.Username = in.Username
	}

	if e.Username == "" {
		e.Username = in.As
	}

	given := !in.Password.IsZero()
	switch {
	case in.Save && len(in.Command) > 0:
		return jeton.WithDetail(jeton.ErrInvalid, "a password is saved or comes from a command, not both")
	case in.Save && given:
		e.Source = source{Password: in.Password.Reveal()}
	case in.Save && e.Source.kind() != SourceSaved:
		return jeton.WithDetail(jeton.ErrInvalid, "there is no password to save")
	case len(in.Command) > 0:
		e.Source = source{Command: in.Command}
	case given && e.Source.Password != in.Password.Reveal():
		e.Source.Password = ""
	}

	if err := in.settleToken(e); err != nil {
		return err
	}
	if err := in.settleKey(e); err != nil {
		return err
	}

	e.Auto = in.Relogin == ReloginWhenAsked && (e.Source.kind() != SourceNone || e.Key != nil)
	e.AllowHTTP = e.AllowHTTP || in.AllowHTTP

	if len(in.CACert) > 0 {
		certs, err := checkCerts(in.CACert)
		if err != nil {
			return err
		}
		e.CACert = certs
	}

	return nil
}

// checkCerts returns the certificates of text in PEM form, without what else is in it.
func checkCerts(text []byte) (string, error) {
	if len(text) > maxCACert {
		return "", jeton.WithDetail(jeton.ErrTooLarge, "the CA certificate is over 256 KiB")
	}

	var out strings.Builder
	for {
		var b *pem.Block
		b, text = pem.Decode(text)
		if b == nil {
			break
		}

		if b.Type != "CERTIFICATE" {
			continue
		}
		if _, err := x509.ParseCertificate(b.Bytes); err != nil {
			return "", jeton.WithDetail(jeton.ErrInvalid, "the CA certificate is damaged")
		}

		out.Write(pem.EncodeToMemory(&pem.Block{Type: b.Type, Bytes: b.Bytes}))
	}

	if out.Len() == 0 {
		return "", jeton.WithDetail(jeton.ErrInvalid, "the CA certificate file holds no certificate in PEM form")
	}

	return out.String(), nil
}

// password gets the password from its source.
func (w *Wallet) password(ctx context.Context, s source) (jeton.Secret, error) {
	switch s.kind() {
	case SourceSaved:
		return jeton.NewSecret(s.Password), nil
	case SourceNone:
		return jeton.Secret{}, jeton.WithDetail(jeton.ErrInvalid, "no password: give one, or a command that prints it")
	}

	ctx, cancel := context.WithTimeout(ctx, commandWait)
	defer cancel()

	cmd := exec.CommandContext(ctx, s.Command[0], s.Command[1:]...)
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &limited{w: &out, left: maxSecretFile + 1}, w.stderr
	cmd.WaitDelay = 2 * time.Second

	// The arguments may hold a secret; the name of the program does not.
	if err := cmd.Run(); err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			return jeton.Secret{}, fmt.Errorf("password command %s: exit status %d", s.Command[0], exit.ExitCode())
		}
		return jeton.Secret{}, fmt.Errorf("run password command: %w", err)
	}

	pass, err := firstLine(strings.NewReader(out.String()))
	if err != nil {
		return jeton.Secret{}, fmt.Errorf("output of password command %s: %w", s.Command[0], err)
	}

	return pass, nil
}

// limited takes no more than left bytes and drops the rest.
type limited struct {
	w    io.Writer
	left int
}

func (l *limited) Write(p []byte) (int, error) {
	n := min(len(p), l.left)
	l.left -= n

	if _, err := l.w.Write(p[:n]); err != nil {
		return 0, err
	}

	return len(p), nil
}

// discover fills in the login form of the service: what the caller gave, else what
// the service tells, else what was known, else the defaults.
func (w *Wallet) discover(ctx context.Context, e *entry, in Login) error {
	told, err := w.wellKnown(ctx, e)
	if err != nil {
		return err
	}

	pick := func(to *string, choices ...string) {
		for _, c := range choices {
			if c != "" {
				*to = c
				return
			}
		}
	}

	e.Service = told.Service
	pick(&e.LoginPath, in.LoginPath, told.Login, e.LoginPath, "/login")
	pick(&e.LogoutPath, in.LogoutPath, told.Logout, e.LogoutPath, "/logout")
	pick(&e.UsernameField, in.UsernameField, told.UsernameField, e.UsernameField, "username")
	pick(&e.PasswordField, in.PasswordField, told.PasswordField, e.PasswordField, "password")

	return e.check()
}

// wellKnown is what a Jeton service tells about itself at /.well-known/jeton.
type wellKnown struct {
	Service       string `json:"service"`
	Login         string `json:"login"`
	Logout        string `json:"logout"`
	UsernameField string `json:"username_field"`
	PasswordField string `json:"password_field"`
	Issuer        string `json:"issuer"`   // of the tokens that it takes; "": it takes none
	Audience      string `json:"audience"` // that they are for
}

// wellKnown asks the service. A server that does not know the question, or answers
// it with a page for people, tells nothing.
func (w *Wallet) wellKnown(ctx context.Context, e *entry) (wellKnown, error) {
	ctx, cancel := context.WithTimeout(ctx, loginWait)
	defer cancel()

	resp, err := w.ask(ctx, e, http.MethodGet, "/.well-known/jeton", nil, nil)
	if err != nil {
		return wellKnown{}, err
	}
	defer drain(resp.Body)

	var told wellKnown

	if resp.StatusCode != http.StatusOK {
		return told, nil
	}

	text, err := io.ReadAll(io.LimitReader(resp.Body, maxWellKnown+1))
	if err != nil {
		return told, fmt.Errorf("read /.well-known/jeton: %w", err)
	}
	if len(text) > maxWellKnown || json.Unmarshal(text, &told) != nil {
		return wellKnown{}, nil
	}

	return told, nil
}

// ask sends one request to the server of e and follows no redirect.
func (w *Wallet) ask(
	ctx context.Context,
	e *entry,
	method, path string,
	form url.Values,
	cookies []cookie,
) (*http.Response, error) {
	return w.exchange(ctx, e, method, string(e.Origin)+path, form, cookies)
}

// exchange sends one request for e, to its server or its issuer, and follows no redirect.
func (w *Wallet) exchange(
	ctx context.Context,
	e *entry,
	method, address string,
	form url.Values,
	cookies []cookie,
) (*http.Response, error) {
	t, err := w.transportFor(e.CACert)
	if err != nil {
		return nil, err
	}

	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}

	r, err := http.NewRequestWithContext(ctx, method, address, body)
	if err != nil {
		return nil, err
	}

	r.Header.Set("User-Agent", "jeton-wallet")
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}

	addTo(r, cookies)
	resp, err := t.RoundTrip(r)
	bad := new(tls.CertificateVerificationError)
	if errors.As(err, &bad) {
		return nil, fmt.Errorf("%w; if the server is yours, give its CA certificate at login", err)
	}

	return resp, err
}

// signIn posts the login form of e and puts the new session into e.
func (w *Wallet) signIn(ctx context.Context, e *entry, pass jeton.Secret) error {
	ctx, cancel := context.WithTimeout(ctx, loginWait)
	defer cancel()

	resp, err := w.ask(ctx, e, http.MethodPost, e.LoginPath, url.Values{
		e.UsernameField: {e.Username}, e.PasswordField: {pass.Reveal()},
	}, nil)
	if err != nil {
		return err
	}
	defer drain(resp.Body)

	if err := refusal(resp, w.now()); err != nil {
		return err
	}
	if resp.StatusCode >= 300 && !elsewhere(resp, e) {
		return jeton.WithDetail(
			jeton.ErrBadCredential,
			fmt.Sprintf("the server answered the login with status %d", resp.StatusCode),
		)
	}

	cookies, _ := jar(nil).learn(e.Origin, e.LoginPath, resp.Cookies(), w.now())
	if len(cookies) == 0 {
		return jeton.WithDetail(jeton.ErrBadCredential, "the server set no cookie that could be kept")
	}

	e.Cookies = cookies
	e.Epoch = rand.Text()
	e.LoggedIn = w.now()
	e.Uses = nil
	e.Held = nil

	if n, ok := usesRemaining(resp); ok {
		e.Uses = &n
	}

	return nil
}

// elsewhere reports whether a redirect leads on within the origin: websites
// redirect to a page after a login, and back to the form when it failed.
func elsewhere(resp *http.Response, e *entry) bool {
	if resp.StatusCode != http.StatusFound && resp.StatusCode != http.StatusSeeOther {
		return false
	}

	to, err := resp.Location()
	if err != nil {
		return false
	}

	o, err := originOf(to)
	return err == nil && o == e.Origin && to.Path != e.LoginPath
}

// refusal returns the outcome that an answer to a login or logout is, or nil. The
// body is not repeated: a server may echo what was sent to it.
func refusal(resp *http.Response, now time.Time) error {
	var err error

	out := jeton.FromCode(resp.Header.Get(jeton.HeaderError))
	switch {
	case out != nil:
		err = out
	case resp.StatusCode < 400:
		return nil
	case resp.StatusCode == http.StatusUnauthorized, resp.StatusCode == http.StatusForbidden:
		err = jeton.ErrBadCredential
	case resp.StatusCode == http.StatusNotFound, resp.StatusCode == http.StatusMethodNotAllowed:
		err = jeton.WithDetail(jeton.ErrNotFound, "the server has no such form at this path")
	case resp.StatusCode == http.StatusTooManyRequests:
		err = jeton.ErrTooMany
	case resp.StatusCode == http.StatusServiceUnavailable:
		err = jeton.ErrBusy
	default:
		return fmt.Errorf("the server answered with status %d", resp.StatusCode)
	}

	if wait, ok := retryAfter(resp, now); ok {
		return jeton.WithRetryAfter(err, wait)
	}

	return err
}

// retryAfter reads Retry-After (RFC 9110, section 10.2.3).
func retryAfter(resp *http.Response, now time.Time) (time.Duration, bool) {
	text := resp.Header.Get("Retry-After")
	if n, err := strconv.ParseUint(text, 10, 31); err == nil {
		return time.Duration(n) * time.Second, true
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(0, at.Sub(now)), true
	}

	return 0, false
}
