package wallet

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/jose"
)

const (
	// assertionLife is how long an assertion is valid: long enough for a slow network, and
	// for clocks that differ a little.
	assertionLife = time.Minute
	// renewBefore is how long before its expiry a token is renewed, at least: a request in
	// flight must arrive before that.
	renewBefore = 10 * time.Second
	// renewPause is how long the wallet waits after a failed renewal of a valid token.
	renewPause = 10 * time.Second
	// openWait is how long a request without a deadline waits for a token that is not valid
	// yet.
	openWait = 30 * time.Second

	// maxKeyFile is 64 KiB: an RSA key of 16384 bits takes 13 KiB in PEM.
	maxKeyFile = 64 << 10
	// maxToken bounds a token, in bytes: many servers refuse a longer header.
	maxToken = 16 << 10
)

// The typ of signed JWTs (RFC 10070; the second is Jeton's).
const (
	typAuthentication = "client-authentication+jwt"
	typPossession     = "key-possession+jwt"
)

// software is how an identity authenticates with a key or as a workload, and its current token. It never
// holds the key, which stays in its file.
type software struct {
	issued
	File      string `json:"file,omitempty"`      // absolute; "" with Workload
	KeyID     string `json:"kid,omitempty"`       // as given; "": that of the JWK, else the thumbprint
	Algorithm string `json:"alg,omitempty"`       // as given; "": that of the JWK, else by key type
	SignedBy  string `json:"signed_by,omitempty"` // kid of the key that Token was requested with

	Workload *Workload `json:"workload,omitempty"` // in place of a key
}

// applyKey copies the key settings of a login into its entry. Entries share what e.Key
// points to, so it is replaced and not changed.
func (in Login) applyKey(e *entry) error {
	byPassword := !in.Password.IsZero() || in.Save || len(in.Command) > 0
	if byPassword && in.Key != "" {
		return jeton.WithDetail(jeton.ErrInvalid, "an identity has a key or a password, not both")
	}
	if byPassword {
		e.Key = nil
	}
	if in.SignIn != nil {
		return nil
	}

	if in.Key == "" && e.Key == nil {
		if in.KeyID != "" || in.Algorithm != "" || in.Scope != nil {
			return jeton.WithDetail(jeton.ErrInvalid, "KeyID, Algorithm and Scope are for an identity with a key")
		}
		return nil
	}

	var s software
	if e.Key != nil {
		s = *e.Key
	}

	if in.Key != "" {
		s.Workload = nil
		file, err := filepath.Abs(in.Key)
		if err != nil {
			return fmt.Errorf("key %s: %w", in.Key, err)
		}
		if file != s.File {
			// KeyID and Algorithm described the previous key.
			s.File = file
			s.KeyID = ""
			s.Algorithm = ""
		}
	}

	s.KeyID = cmp.Or(in.KeyID, s.KeyID)
	s.Algorithm = cmp.Or(in.Algorithm, s.Algorithm)
	// nil keeps the current scopes; an empty list requests all that the client is allowed.
	if in.Scope != nil {
		s.Scope = slices.Clone(in.Scope)
	}

	e.Key = &s
	e.Source = source{}
	e.Cookies = nil

	return nil
}

// check accepts from the wallet file only what a login would have written.
func (s *software) check() error {
	o, err := issuerOrigin(s.Issuer)
	if err != nil {
		return err
	}

	for _, endpoint := range []string{s.TokenURL, s.RevokeURL} {
		// Only the revocation endpoint is optional (RFC 8414, section 2).
		if endpoint == "" && endpoint == s.RevokeURL {
			continue
		}
		if err := checkEndpoint(o, endpoint); err != nil {
			return err
		}
	}

	if s.Workload == nil && !filepath.IsAbs(s.File) {
		return jeton.WithDetail(jeton.ErrInvalid, "the path of a key is not absolute")
	}
	if s.Token != "" && !isToken(s.Token) {
		return jeton.WithDetail(jeton.ErrInvalid, "a token has invalid characters")
	}

	return nil
}

// isToken reports whether text is a valid Bearer token (RFC 6750, section 2.1).
func isToken(text string) bool {
	body := strings.TrimRight(text, "=")
	return body != "" && len(text) <= maxToken && strings.Trim(body, tokenChars) == ""
}

// tokenChars are the characters of b64token (RFC 6750, section 2.1), without the = that may
// only end it.
const tokenChars = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~+/"

// signer reads the private key of s. Its errors do not contain the key.
func (s *software) signer() (*jose.Signer, error) {
	return readSigner(s.File, s.KeyID, s.Algorithm)
}

// readSigner reads a private key. It returns ErrExposed if users other than the owner can
// open the file, and jeton.ErrInvalid for text that is no key, for an encrypted key, or for a
// JWK whose kid is another one.
func readSigner(path, kid, alg string) (*jose.Signer, error) {
	text, err := readRegular(path, maxKeyFile, func(info fs.FileInfo) error { return closed(path, info, 0o600) })
	if err != nil {
		return nil, fmt.Errorf("read private key: %w", err)
	}
	if encrypted(text) {
		return nil, jeton.WithDetail(
			jeton.ErrInvalid,
			fmt.Sprintf(
				"private key %s is encrypted; decrypt it with 'openssl pkey -in KEY -out PLAIN'",
				path,
			),
		)
	}

	k, err := jose.ParseSigner(text, jose.Alg(alg), kid)
	if err != nil {
		return nil, fmt.Errorf("%w: private key %s: %w", jeton.ErrInvalid, path, err)
	}
	if kid != "" && k.Key().ID != kid {
		return nil, jeton.WithDetail(
			jeton.ErrInvalid,
			fmt.Sprintf("private key %s has the kid %q, want %q", path, k.Key().ID, kid),
		)
	}

	return k, nil
}

// encrypted reports whether PEM text holds an encrypted key: PKCS #8 has a block type for
// it, OpenSSL's older form a header (RFC 1421, section 4.6.1.1).
func encrypted(text []byte) bool {
	text = jose.TrimBOM(text)
	for {
		var b *pem.Block
		b, text = pem.Decode(text)
		if b == nil {
			return false
		}

		if b.Type == "ENCRYPTED PRIVATE KEY" || strings.Contains(b.Headers["Proc-Type"], "ENCRYPTED") {
			return true
		}
	}
}

// assertion signs a client assertion whose only audience is issuer (RFC 7523, section 3; RFC
// 10070). Each is made for one request: the server accepts none twice.
func (w *Wallet) assertion(k *jose.Signer, typ, client, issuer string) (string, error) {
	now := w.now()
	claims, err := json.Marshal(struct {
		Issuer   string `json:"iss"`
		Subject  string `json:"sub"`
		Audience string `json:"aud"`
		Issued   int64  `json:"iat"`
		Expires  int64  `json:"exp"`
		ID       string `json:"jti"`
	}{client, client, issuer, now.Unix(), now.Add(assertionLife).Unix(), rand.Text()})
	if err != nil {
		return "", fmt.Errorf("make assertion: %w", err)
	}

	return k.Sign(typ, claims)
}

// prove requests a token with the key of e and stores it in e.
func (w *Wallet) prove(ctx context.Context, e *entry) error {
	if e.Key.Workload != nil {
		return w.proveWorkload(ctx, e)
	}

	// Read at each use: the key may have been replaced in its file.
	k, err := e.Key.signer()
	if err != nil {
		return err
	}
	return w.proveBy(ctx, e, k)
}

// proveBy requests a token with the key k, which is not yet the key of e when a key is
// rotated.
func (w *Wallet) proveBy(ctx context.Context, e *entry, k *jose.Signer) error {
	got, err := w.requestToken(ctx, e, k)
	if err != nil {
		return fmt.Errorf("authenticate client %s with key %s at %s: %w", e.Username, k.Key().ID, e.Key.Issuer, err)
	}

	// A copy: other goroutines read what e.Key points to without a lock.
	s := *e.Key
	s.take(got)
	s.SignedBy = k.Key().ID
	e.Key = &s
	e.renewed(got)

	return nil
}

// await waits until the token of e is valid, unless ctx ends first.
func (id *Identity) await(ctx context.Context, e entry) error {
	now := id.w.now()
	s := e.issued()
	if s == nil || !s.live(now) || !now.Before(s.Opens) {
		return nil
	}

	wait := s.Opens.Sub(now)
	// Without a deadline, a request must not wait for days for a token of next week.
	limit := openWait
	if deadline, ok := ctx.Deadline(); ok {
		limit = time.Until(deadline)
	}
	if wait > limit {
		return jeton.WithRetryAfter(
			jeton.WithDetail(
				jeton.ErrTooEarly,
				"the token is valid from "+s.Opens.Format(time.RFC3339)+", later than this request may wait",
			),
			wait,
		)
	}

	if err := id.w.wait(ctx, wait); err != nil {
		return fmt.Errorf("wait until the token of %s at %s is valid: %w", id.name, id.origin, err)
	}

	return nil
}

// sleep waits for d, or until ctx ends.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()

	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Token is an access token, for a program that sends its own requests.
type Token struct {
	Text    jeton.Secret
	Opens   time.Time // not valid before; zero: valid now
	Expires time.Time // zero: unknown
}

// Token returns the access token of an identity that gets its tokens from an issuer, renewed if it is due, or the
// token made elsewhere, whose Opens and Expires are unknown. It does not wait for a token
// that is not valid yet. The caller could send the token anywhere; RoundTrip sends it only
// to the service.
//
// It returns jeton.ErrInvalid for an identity with a session, ErrNoCredential for one that
// is logged out, and the errors of Login if it cannot get a token.
func (id *Identity) Token(ctx context.Context) (Token, error) {
	saw := id.view()
	switch {
	case saw.gone:
		return Token{}, notFound(id.origin, id.name)
	case saw.e.Foreign != nil && saw.e.Foreign.Token != "":
		return Token{Text: jeton.NewSecret(saw.e.Foreign.Token)}, nil
	case saw.e.Foreign != nil:
		return Token{}, jeton.WithDetail(
			jeton.ErrNoCredential,
			fmt.Sprintf("%s is not logged in at %s", id.name, id.origin),
		)
	case saw.e.issued() == nil:
		return Token{}, jeton.WithDetail(
			jeton.ErrInvalid,
			fmt.Sprintf("%s at %s has a session and no token", id.name, id.origin),
		)
	}

	var failure error
	// A failed renewal is no error while the current token is valid.
	if saw.e.due(id.w.now()) {
		_, failure = id.renew(ctx, saw)
		saw = id.view()
	}

	s := saw.e.issued()
	switch {
	case s != nil && s.live(id.w.now()):
		return Token{jeton.NewSecret(s.Token), s.Opens, s.Ends}, nil
	case failure != nil:
		return Token{}, fmt.Errorf("get a token of %s for %s: %w", id.name, id.origin, failure)
	}

	return Token{}, jeton.WithDetail(
		jeton.ErrNoCredential,
		fmt.Sprintf("%s is not logged in at %s", id.name, id.origin),
	)
}

// RotateKey makes an identity use another private key, the one in keyFile. It registers the
// public key at the issuer, with proofs by the old and the new key, requests a token with the
// new key, and only then changes the wallet. If it fails, the identity keeps the old key. The
// old key stays valid at the issuer until an operator retires it. A key that is registered
// already, by an earlier call or by an operator, is used.
//
// Its errors are those of Login, and jeton.ErrConflict or ErrDeclared if the issuer refuses
// the key.
func (w *Wallet) RotateKey(ctx context.Context, rawURL, name, keyFile string) error {
	id, err := w.Identity(ctx, rawURL, name)
	if err != nil {
		return err
	}

	done, err := id.lock(ctx)
	if err != nil {
		return err
	}
	defer done()

	// Read it again: another login may have finished while this one waited.
	if id, err = w.Identity(ctx, rawURL, name); err != nil {
		return err
	}

	e := id.view().e
	if e.Key == nil || e.Key.Workload != nil {
		return jeton.WithDetail(jeton.ErrInvalid, fmt.Sprintf("%s at %s has no key", name, id.origin))
	}

	if err := w.replaceKey(ctx, &e, keyFile); err != nil {
		return err
	}
	if err := id.install(ctx, e, false); err != nil {
		return fmt.Errorf("store the new key of %s at %s: %w", name, id.origin, err)
	}

	return nil
}

// replaceKey registers the key in keyFile, requests a token with it and puts both into e.
func (w *Wallet) replaceKey(ctx context.Context, e *entry, keyFile string) error {
	file, err := filepath.Abs(keyFile)
	if err != nil {
		return fmt.Errorf("key %s: %w", keyFile, err)
	}

	old, err := e.Key.signer()
	if err != nil {
		return err
	}

	next, err := readSigner(file, "", "")
	if err != nil {
		return err
	}
	if old.Key().Thumbprint() == next.Key().Thumbprint() {
		return jeton.WithDetail(jeton.ErrInvalid, fmt.Sprintf("%s holds the current key", keyFile))
	}

	// A conflict means that the key is registered already; the token request below shows
	// whether it is registered for this client.
	refused := w.registerKey(ctx, e, old, next)
	if refused != nil && !errors.Is(refused, jeton.ErrConflict) {
		return fmt.Errorf("register key %s of client %s at %s: %w", next.Key().ID, e.Username, e.Key.Issuer, refused)
	}

	s := *e.Key
	s.File = file
	s.KeyID = ""
	s.Algorithm = ""
	e.Key = &s

	if err := w.proveBy(ctx, e, next); err != nil {
		if refused != nil {
			err = fmt.Errorf("register key %s of client %s at %s: %w; %w",
				next.Key().ID, e.Username, e.Key.Issuer, refused, err)
		}
		return fmt.Errorf("the old key stays in use: %w", err)
	}

	return nil
}
