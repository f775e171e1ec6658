package wallet

import (
	"cmp"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/jose"
)

const (
	// loginWait bounds one exchange with a server for a login or logout.
	loginWait = time.Minute
	// holdWait is how long a refused login is not repeated if the server names no time.
	holdWait = time.Minute
	// commandWait bounds a password command, which may ask the user.
	commandWait = 2 * time.Minute

	// maxWellKnown and maxCACert are bytes, far more than the document of a service or a
	// bundle of certificates of one's own takes.
	maxWellKnown = 64 << 10
	maxCACert    = 256 << 10
)

// Relogin is when an identity with a password source or a key logs in again automatically.
type Relogin string

const (
	// ReloginWhenAsked logs in again when the server refuses the session as expired or
	// revoked, and with a key also before the token expires. With a key it does not log in
	// again because the uses of a token are spent.
	ReloginWhenAsked Relogin = ""
	// ReloginNever logs in only when Login is called.
	ReloginNever Relogin = "never"
)

// Login describes a login: where, as whom, and with a password, a key or a token. Only URL
// and one of As and Username are required, with SignIn only URL. For an identity that the wallet already holds, a
// field with its zero value keeps the current setting, so logging in again takes only URL,
// As and the password.
type Login struct {
	URL      string // of the service; its path serves only to find the issuer of the service (RFC 9728)
	As       string // name of the identity in the wallet; by default Username
	Username string // at the service, or client name at its issuer; by default As

	// Password is used for this login. Save also stores it in the wallet, for later logins.
	// A password without Save removes a stored one.
	Password jeton.Secret
	Save     bool
	// Command is the argument list of a program that prints the password on the first line
	// of its output. It is stored for later logins, and runs for this one if Password is
	// empty.
	Command []string
	// Relogin is when the identity logs in again automatically, if it has a password source
	// (Save or Command) or a key.
	Relogin Relogin

	// Key is the path of a private key, for software: PEM (PKCS #8, PKCS #1 or SEC 1) or
	// JWK, not encrypted, at most 64 KiB, a regular file that no other user can open. The
	// wallet stores the absolute path and reads the file at each use, so that it can be
	// replaced. The key itself is never stored.
	Key string
	// KeyID is the kid in what the key signs: by default the kid of a JWK, else the
	// thumbprint (RFC 7638). Algorithm is by default the alg of a JWK, else EdDSA, ES256,
	// ES384, ES512 or RS256, depending on the key type.
	KeyID, Algorithm string
	// Scope is requested for its tokens; if empty, every scope that the client is allowed.
	Scope []string
	// Issuer and Audience confirm the issuer and the audience that the service names, see
	// [Pairing]. They are needed at the first login of a key at a service, unless
	// Config.Confirm asks the user or the issuer has the origin of the service. Audience may
	// be "" if the service names its own origin.
	Issuer, Audience string

	// Workload exchanges the token that a platform gives to software, such as a CI job, for tokens of a client. Issuer
	// and Audience confirm as for a key.
	Workload *Workload

	// SignIn signs the user in at the issuer, with a browser on this machine or another one. The tokens are for the
	// origin of URL, the resource there that the service names, or Audience. Issuer is needed if the service names
	// none, neither at /.well-known/jeton nor by RFC 9728, and any OpenID provider will do.
	SignIn *SignIn

	// Token is a token made elsewhere, for example with 'jeton token create'. It is stored
	// in the wallet and sent with each request. The wallet cannot renew it.
	Token jeton.Secret

	// CACert is one or more CA certificates in PEM form, for a server with a certificate of
	// its own. They replace the system's certificates for this identity, at the service and
	// at the issuer of its tokens.
	CACert []byte
	// AllowHTTP accepts plain http to another machine for this identity, for the service and
	// the issuer of its tokens. Passwords, sessions and tokens can then be read on the
	// network.
	AllowHTTP bool

	// These override the answer of /.well-known/jeton, and the defaults /login, /logout,
	// username and password.
	LoginPath, LogoutPath, UsernameField, PasswordField string
}

// Login logs in and stores the session durably under (origin, As). It reads the login form
// from /.well-known/jeton, posts it, and takes the cookies of a 2xx response, or of a
// redirect within the origin to another page, as websites answer. If it fails, the wallet
// keeps the previous session.
//
// With a Key it reads there the issuer and the audience of the service's tokens, and the
// endpoints from the issuer's metadata (RFC 8414). It authenticates with an assertion signed
// by the key (RFC 7523, section 2.2, with the rules of RFC 10070), and stores the token. It
// sends nothing to an issuer that is not confirmed for the service, with this audience: by
// the login, by Config.Confirm, or by an earlier login there, unless the service is the issuer.
//
// With a SignIn the user signs in at the issuer, in at most ten minutes. The name of the identity is As, or the name of
// the user at the issuer. A refresh token that the issuer gives replaces the token when it expires.
//
// With a Token it checks there that the service accepts tokens, and stores it. It does not
// try the token, which may be counted: the first request shows whether it is valid.
//
// Its errors are those of the service or the issuer (jeton.ErrBadCredential, ErrRelogin,
// ErrTooMany, ErrSessionsFull, …, with jeton.RetryAfter if the service names a time),
// jeton.ErrInvalid for contradictory settings and an invalid issuer, ErrUnconfirmed for an
// issuer or audience that is not confirmed, ErrExposed for a
// key that other users can open, ErrNotFound if the login path does not exist or the service
// accepts no tokens, and network errors.
func (w *Wallet) Login(ctx context.Context, in Login) (*Identity, error) {
	o, err := ParseOrigin(in.URL)
	if err != nil {
		return nil, err
	}
	if in.As == "" {
		in.As = in.Username
	}
	if in.SignIn != nil {
		return w.bySignIn(ctx, o, in)
	}

	if err := checkName(in.As); err != nil {
		return nil, err
	}

	// One lock for all logins of the identity, so that two do not overwrite each other's
	// session.
	id := w.identity(o, in.As)
	done, err := id.lock(ctx)
	if err != nil {
		return nil, err
	}
	defer done()

	// Under the lock, as another login may have just finished.
	d, err := w.file.read(ctx)
	if err != nil {
		return nil, err
	}

	e := entry{Origin: o, Name: in.As, Created: w.now()}
	have := d.find(o, in.As)
	if have != nil {
		e = *have
	}

	if err := in.apply(&e); err != nil {
		return nil, err
	}
	if err := o.allow(w.allowHTTP || e.AllowHTTP); err != nil {
		return nil, err
	}

	switch {
	case e.Foreign != nil:
		err = w.byToken(ctx, &e)
	case e.Key != nil:
		err = w.byKey(ctx, &e, &d, in)
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

// byForm logs e in with the login form of the service.
func (w *Wallet) byForm(ctx context.Context, e *entry, in Login) error {
	pass := in.Password
	if pass.IsZero() {
		var err error
		if pass, err = w.password(ctx, e.Source); err != nil {
			return err
		}
	}

	// After the password: if that is missing, no request is sent.
	if err := w.discover(ctx, e, in); err != nil {
		return fmt.Errorf("log in at %s: %w", e.Origin, err)
	}
	if err := w.signIn(ctx, e, pass); err != nil {
		return fmt.Errorf("log in at %s as %s: %w", e.Origin, e.Name, err)
	}

	return nil
}

// byKey logs e in with its key, or as a workload.
func (w *Wallet) byKey(ctx context.Context, e *entry, d *document, in Login) error {
	// Read the key first: without it, no request is needed.
	if e.Key.Workload == nil {
		if _, err := e.Key.signer(); err != nil {
			return err
		}
	}
	if err := w.findIssuer(ctx, e, d, in); err != nil {
		return fmt.Errorf("log in at %s: %w", e.Origin, err)
	}

	if err := w.prove(ctx, e); err != nil {
		return fmt.Errorf("log in at %s: %w", e.Origin, err)
	}

	return nil
}

// apply copies the settings of a login into its entry. Fields that are not set keep the
// entry's current values.
func (in Login) apply(e *entry) error {
	if in.Relogin != ReloginWhenAsked && in.Relogin != ReloginNever {
		return jeton.WithDetail(jeton.ErrInvalid, fmt.Sprintf("invalid Relogin %q", in.Relogin))
	}

	if in.Username != "" && e.Username != "" && in.Username != e.Username {
		e.Source = source{} // the stored password belongs to another user
	}
	e.Username = cmp.Or(in.Username, e.Username, in.As)

	if err := in.applyPassword(e); err != nil {
		return err
	}
	if err := in.applySignIn(e); err != nil {
		return err
	}
	if err := in.applyToken(e); err != nil {
		return err
	}
	if err := in.applyWorkload(e); err != nil {
		return err
	}
	if err := in.applyKey(e); err != nil {
		return err
	}

	// A token made elsewhere and a typed password cannot be obtained again.
	renewable := e.Source.kind() != SourceNone || e.Key != nil
	e.Auto = renewable && in.Relogin == ReloginWhenAsked
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

// applyPassword sets where later logins get the password from.
func (in Login) applyPassword(e *entry) error {
	if in.Save && len(in.Command) > 0 {
		return jeton.WithDetail(jeton.ErrInvalid, "a password is saved or comes from a command, not both")
	}

	if len(in.Command) > 0 {
		e.Source = source{Command: in.Command}
		return nil
	}

	// No new password: the stored source stays.
	if in.Password.IsZero() {
		if in.Save && e.Source.kind() != SourceSaved {
			return jeton.WithDetail(jeton.ErrInvalid, "there is no password to save")
		}
		return nil
	}

	if in.Save {
		e.Source = source{Password: in.Password.Reveal()}
		return nil
	}

	// Another password for one login: the stored one is no longer known to be right.
	if e.Source.Password != in.Password.Reveal() {
		e.Source.Password = ""
	}

	return nil
}

// checkCerts returns only the certificates of text, in PEM form.
func checkCerts(text []byte) (string, error) {
	if len(text) > maxCACert {
		return "", jeton.WithDetail(jeton.ErrTooLarge, "the CA certificate is over 256 KiB")
	}

	text = jose.TrimBOM(text)

	var out strings.Builder
	for {
		var b *pem.Block
		b, text = pem.Decode(text)
		if b == nil {
			break
		}

		// A bundle may also hold a private key, which must not get into the wallet.
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

// password returns the password from its source.
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
	// A child of the command may keep the pipe open after the command was killed.
	cmd.WaitDelay = 2 * time.Second

	// The arguments may contain a secret, so errors name only the program.
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

// limited passes at most left bytes on and drops the rest.
type limited struct {
	w    io.Writer
	left int
}

// Write reports everything as written: a command whose further output is dropped must not
// fail because of it.
func (l *limited) Write(p []byte) (int, error) {
	n := min(len(p), l.left)
	l.left -= n

	if _, err := l.w.Write(p[:n]); err != nil {
		return 0, err
	}

	return len(p), nil
}
