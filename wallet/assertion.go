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
	// assertionLife is how long an assertion can be used: long enough for a slow
	// network, and for clocks that differ a little.
	assertionLife = time.Minute
	// margin is how long before its end a token is replaced, at least: a request on its
	// way must arrive before that.
	margin = 10 * time.Second
	// calm is how long a token that is still good is not asked for again after that failed.
	calm = 10 * time.Second
	// openWait is how long a request whose context has no deadline waits for a token that
	// is not valid yet.
	openWait = 30 * time.Second

	maxKeyFile = 64 << 10
	maxToken   = 16 << 10
)

// The types of what is signed (RFC 10070; the second is Jeton's).
const (
	typAuthentication = "client-authentication+jwt"
	typPossession     = "key-possession+jwt"
)

// software is how an identity proves itself by a key, and the token that it got. The key
// itself is never in it: it stays in its file, which is read at each use.
type software struct {
	File      string    `json:"file"`            // absolute
	KeyID     string    `json:"kid,omitempty"`   // as given; "": what the key says, else its thumbprint
	Algorithm string    `json:"alg,omitempty"`   // as given; "": what the key says, else the usual one
	Scope     []string  `json:"scope,omitempty"` // asked for; none: all that the client may have
	Issuer    string    `json:"issuer"`
	TokenURL  string    `json:"token_endpoint"`
	RevokeURL string    `json:"revocation_endpoint,omitempty"`
	Audience  string    `json:"audience,omitempty"` // of the service
	Token     string    `json:"token,omitempty"`
	SignedBy  string    `json:"signed_by,omitempty"` // kid of the key that Token was got with
	Got       time.Time `json:"got,omitzero"`
	Opens     time.Time `json:"opens,omitzero"` // zero: good since Got
	Ends      time.Time `json:"ends,omitzero"`  // zero: the issuer did not say
}

// live reports whether there is a token that has not ended. It may not be valid yet.
func (s *software) live(now time.Time) bool {
	return s.Token != "" && (s.Ends.IsZero() || now.Before(s.Ends))
}

// due reports whether it is time for another token: there is none, or less than a tenth
// of its life is left or less than margin, but never in the first half of its life. A
// token that is counted, or whose issuer makes it wait, is used to its end: its
// successor would cost the uses that are left, or only be waited for.
func (e *entry) due(now time.Time) bool {
	s := e.Key
	if !s.live(now) {
		return true
	}
	if s.Ends.IsZero() || s.Opens.After(s.Got) || e.Uses != nil {
		return false
	}

	life := s.Ends.Sub(s.Got)
	return s.Ends.Sub(now) < min(max(life/10, margin), life/2)
}

// over reports whether it is time to log in again by the clock of the wallet: a token
// that is due. The end of a session is told by cookies that are gone, or by the server.
func (e *entry) over(now time.Time) bool { return e.Key != nil && e.due(now) }

// live reports whether the identity has something to show.
func (e *entry) live(now time.Time) bool {
	if text, ok := e.bearer(now); ok {
		return text != ""
	}
	return e.Cookies.live(now)
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
	if in.Scope != nil {
		s.Scope = slices.Clone(in.Scope)
	}

	e.Key = &s
	e.Source = source{}
	e.Cookies = nil

	return nil
}

// check holds what came from the file to what a login would have put there.
func (s *software) check() error {
	o, err := issuerOrigin(s.Issuer)
	if err != nil {
		return err
	}

	for _, endpoint := range []string{s.TokenURL, s.RevokeURL} {
		if endpoint == "" && endpoint == s.RevokeURL {
			continue
		}
		if err := checkEndpoint(o, endpoint); err != nil {
			return err
		}
	}

	if !filepath.IsAbs(s.File) {
		return jeton.WithDetail(jeton.ErrInvalid, "the path of a key is not absolute")
	}
	if s.Token != "" && !isToken(s.Token) {
		return jeton.WithDetail(jeton.ErrInvalid, "a token holds what no token holds")
	}

	return nil
}

// isToken reports whether text can stand in a header as it is (RFC 6750, section 2.1).
func isToken(text string) bool {
	body := strings.TrimRight(text, "=")
	return body != "" && len(text) <= maxToken && strings.Trim(body, tokenChars) == ""
}

const tokenChars = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~+/"

// signer reads the private key of s. Errors show nothing of it.
func (s *software) signer() (*jose.Signer, error) {
	return readSigner(s.File, s.KeyID, s.Algorithm)
}

func readSigner(path, kid, alg string) (*jose.Signer, error) {
	text, err := readRegular(path, maxKeyFile, func(info fs.FileInfo) error { return closed(path, info, 0o600) })
	if err != nil {
		return nil, fmt.Errorf("read private key: %w", err)
	}
	if encrypted(text) {
		return nil, jeton.WithDetail(
			jeton.ErrInvalid,
			fmt.Sprintf(
				"private key %s is encrypted, and nobody is there to ask; 'openssl pkey -in KEY -out PLAIN' decrypts it",
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
			fmt.Sprintf("private key %s calls itself %q, not %q", path, k.Key().ID, kid),
		)
	}

	return k, nil
}

// encrypted tells the two ways in which PEM says so: PKCS #8 by the type of the block,
// OpenSSL's older form by a header (RFC 1421, section 4.6.1.1).
func encrypted(text []byte) bool {
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

// assertion signs what proves client at issuer, and only there: its audience is the
// issuer alone (RFC 7523, section 3; RFC 10070). Each is made for one request, for the
// server takes none twice.
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

// prove gets a token with the key of e and puts it into e.
func (w *Wallet) prove(ctx context.Context, e *entry) error {
	k, err := e.Key.signer()
	if err != nil {
		return err
	}
	return w.proveBy(ctx, e, k)
}

func (w *Wallet) proveBy(ctx context.Context, e *entry, k *jose.Signer) error {
	got, err := w.requestToken(ctx, e, k)
	if err != nil {
		return fmt.Errorf("prove client %s by key %s at %s: %w", e.Username, k.Key().ID, e.Key.Issuer, err)
	}

	s := *e.Key
	s.Token = got.text
	s.SignedBy = k.Key().ID
	s.Got = got.at
	s.Opens = got.opens

	s.Ends = got.ends
	e.Key = &s
	e.Uses = got.uses
	e.Held = nil
	e.Cookies = nil

	e.Epoch, e.LoggedIn = rand.Text(), got.at

	return nil
}

// await waits until the token of e is valid, where ctx lets it.
func (id *Identity) await(ctx context.Context, e entry) error {
	now := id.w.now()
	if e.Key == nil || !e.Key.live(now) || !now.Before(e.Key.Opens) {
		return nil
	}

	wait, most := e.Key.Opens.Sub(now), openWait
	if deadline, ok := ctx.Deadline(); ok {
		most = time.Until(deadline)
	}
	if wait > most {
		return jeton.WithRetryAfter(
			jeton.WithDetail(
				jeton.ErrTooEarly,
				"the token is good from "+e.Key.Opens.Format(time.RFC3339)+
					" on, which is longer than this request may wait",
			),
			wait,
		)
	}

	if err := id.w.wait(ctx, wait); err != nil {
		return fmt.Errorf("wait until the token of %s at %s is valid: %w", id.name, id.origin, err)
	}

	return nil
}

// pass waits for d by the clock of the machine.
func pass(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()

	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Token is an access token, for a program that sends its requests by itself.
type Token struct {
	Text    jeton.Secret
	Opens   time.Time // not valid before; zero: it is now
	Expires time.Time // zero: the issuer did not say
}

// Token returns the access token of an identity that proves itself by a key, a new one
// when it is time for that, or the token that an identity was handed, of which Opens and
// Expires are not known. It does not wait for one that is not valid yet. Whoever has
// the token can send it anywhere; RoundTrip sends it to the service alone.
//
// It returns jeton.ErrInvalid for an identity that keeps a session, ErrNoCredential for
// one that is logged out, and the errors of Login when it cannot get a token.
func (id *Identity) Token(ctx context.Context) (Token, error) {
	saw := id.view()
	switch {
	case saw.gone:
		return Token{}, notFound(id.origin, id.name)
	case saw.e.Handed != nil && saw.e.Handed.Token != "":
		return Token{Text: jeton.NewSecret(saw.e.Handed.Token)}, nil
	case saw.e.Handed != nil:
		return Token{}, jeton.WithDetail(
			jeton.ErrNoCredential,
			fmt.Sprintf("%s is not logged in at %s", id.name, id.origin),
		)
	case saw.e.Key == nil:
		return Token{}, jeton.WithDetail(
			jeton.ErrInvalid,
			fmt.Sprintf("%s at %s keeps a session and has no token", id.name, id.origin),
		)
	}

	var failure error
	if saw.e.due(id.w.now()) {
		_, failure = id.renew(ctx, saw)
		saw = id.view()
	}

	s := saw.e.Key
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

// RotateKey makes an identity prove itself by another private key, the one in the file
// keyFile: it registers the public key at the issuer, proved by the old key and by the new
// one, gets a token with it, and only then changes the wallet. On failure the identity goes
// on with the old key. The old key stays good at the issuer until an operator retires it.
// A key that is registered already, by an earlier call or by an operator, is used.
//
// Its errors are those of Login, and jeton.ErrConflict or ErrDeclared where the issuer
// does not take the key.
func (w *Wallet) RotateKey(ctx context.Context, rawURL, name, keyFile string) error {
	id, err := w.Identity(ctx, rawURL, name)
	if err != nil {
		return err
	}

	done, err := id.alone(ctx)
	if err != nil {
		return err
	}
	defer done()

	// Only now: a login may have ended while this waited.
	if id, err = w.Identity(ctx, rawURL, name); err != nil {
		return err
	}

	e := id.view().e
	if e.Key == nil {
		return jeton.WithDetail(
			jeton.ErrInvalid,
			fmt.Sprintf("%s at %s does not prove itself by a key", name, id.origin),
		)
	}

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
		return jeton.WithDetail(jeton.ErrInvalid, fmt.Sprintf("%s holds the key that is in use", keyFile))
	}

	refused := w.registerKey(ctx, &e, old, next)
	if refused != nil && !errors.Is(refused, jeton.ErrConflict) {
		return fmt.Errorf("register key %s of client %s at %s: %w", next.Key().ID, e.Username, e.Key.Issuer, refused)
	}

	s := *e.Key
	s.File = file
	s.KeyID = ""
	s.Algorithm = ""
	e.Key = &s

	if err := w.proveBy(ctx, &e, next); err != nil {
		if refused != nil {
			err = fmt.Errorf(
				"register key %s of client %s at %s: %w; %w",
				next.Key().ID,
				e.Username,
				e.Key.Issuer,
				refused,
				err,
			)
		}
		return fmt.Errorf("the old key stays in use: %w", err)
	}

	if err := id.install(ctx, e, false); err != nil {
		return fmt.Errorf("keep the new key of %s at %s: %w", name, id.origin, err)
	}

	return nil
}
