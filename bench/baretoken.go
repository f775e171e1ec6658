package main

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/jeton-auth/jeton/internal/jose"
)

// algs are the algorithms of signed tokens.
var algs = []jose.Alg{jose.EdDSA, jose.ES256, jose.RS256}

// raw is a key, and the plain signature and its check without any token around: the limits
// of issuing a token and of the first check of one.
type raw struct {
	key    crypto.Signer
	sign   func(input []byte) ([]byte, error)
	verify func(input, signature []byte) bool
}

// newRaw makes a key. The signatures are those that JWS wants (RFC 7518, sections 3.3 and
// 3.4; RFC 8037).
func newRaw(alg jose.Alg) (raw, error) {
	switch alg {
	case jose.EdDSA:
		public, key, err := ed25519.GenerateKey(rand.Reader)
		return raw{
			key:    key,
			sign:   func(in []byte) ([]byte, error) { return ed25519.Sign(key, in), nil },
			verify: func(in, signature []byte) bool { return ed25519.Verify(public, in, signature) },
		}, err
	case jose.ES256:
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		return raw{
			key: key,
			sign: func(in []byte) ([]byte, error) {
				sum := sha256.Sum256(in)
				r, s, err := ecdsa.Sign(rand.Reader, key, sum[:])
				if err != nil {
					return nil, err
				}

				// JWS has r and s as 32 bytes each, not the ASN.1 of other protocols.
				out := make([]byte, 64)
				r.FillBytes(out[:32])
				s.FillBytes(out[32:])

				return out, nil
			},
			verify: func(in, signature []byte) bool {
				sum := sha256.Sum256(in)
				r, s := new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])
				return ecdsa.Verify(&key.PublicKey, sum[:], r, s)
			},
		}, err
	case jose.RS256:
		key, err := rsa.GenerateKey(rand.Reader, jose.OwnRSA)
		return raw{
			key: key,
			sign: func(in []byte) ([]byte, error) {
				sum := sha256.Sum256(in)
				return rsa.SignPKCS1v15(nil, key, crypto.SHA256, sum[:])
			},
			verify: func(in, signature []byte) bool {
				sum := sha256.Sum256(in)
				return rsa.VerifyPKCS1v15(&key.PublicKey, crypto.SHA256, sum[:], signature) == nil
			},
		}, err
	}

	return raw{}, fmt.Errorf("no raw signature of %s", alg)
}

// bareAnswer is the name of the file with the response of the bare server at a path.
func bareAnswer(dir, path string) string { return filepath.Join(dir, filepath.Base(path)+".answer") }

// bareSign answers with a text of the size of a token, and signs as much as a token holds
// before its signature.
func bareSign(r raw, text []byte) http.HandlerFunc {
	input := text[:bytes.LastIndexByte(text, '.')]
	return func(w http.ResponseWriter, q *http.Request) {
		// Read to the end, or net/http closes the connection after the answer.
		if _, err := io.Copy(io.Discard, q.Body); err != nil {
			return
		}

		if _, err := r.sign(input); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}

		answerJSON(w, text)
	}
}

// bareExchange checks a signature by one key, and signs an answer by another.
func bareExchange(by, own raw, text []byte) (http.HandlerFunc, error) {
	input := text[:bytes.LastIndexByte(text, '.')]
	signature, err := by.sign(input)
	sign := bareSign(own, text)

	return func(w http.ResponseWriter, q *http.Request) {
		if !by.verify(input, signature) {
			http.Error(w, "the signature is wrong", http.StatusInternalServerError)
			return
		}
		sign(w, q)
	}, err
}

// bareSwap checks one signature and makes one, by EdDSA as the server here, of as many bytes as a token has.
func bareSwap(text []byte) (http.HandlerFunc, error) {
	const signed = 400
	input := bytes.Repeat([]byte("x"), signed)
	r, err := newRaw(jose.EdDSA)
	if err != nil {
		return nil, err
	}
	signature, err := r.sign(input)

	return func(w http.ResponseWriter, q *http.Request) {
		// Read to the end, or net/http closes the connection after the answer.
		if _, err := io.Copy(io.Discard, q.Body); err != nil {
			return
		}
		if _, err := r.sign(input); err != nil || !r.verify(input, signature) {
			http.Error(w, "the signature is wrong", http.StatusInternalServerError)
			return
		}

		answerJSON(w, text)
	}, err
}

// newBareExchange is bareExchange with the algorithms of most platforms and of a server here.
func newBareExchange(text []byte) (http.HandlerFunc, error) {
	by, err := newRaw(jose.RS256)
	if err != nil {
		return nil, err
	}
	own, err := newRaw(jose.EdDSA)
	if err != nil {
		return nil, err
	}

	return bareExchange(by, own, text)
}

// bareGrant is the least code of a token endpoint: it reads a field of the form, makes signatures, and keeps a line of
// the answer in a journal; nil: none.
type bareGrant struct {
	field      string
	signatures int
	key        raw
	journal    *journal
	text       []byte
}

// ServeHTTP implements http.Handler.
func (g bareGrant) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	if err := q.ParseForm(); err != nil || q.PostForm.Get(g.field) == "" {
		http.Error(w, "no "+g.field, http.StatusBadRequest)
		return
	}

	for range g.signatures {
		if _, err := g.key.sign(g.text); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
	}

	if g.journal != nil {
		if err := g.journal.add(q.PostForm.Get(g.field)); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
	}

	answerJSON(w, g.text)
}

// addGrants adds what the endpoint of relying parties is compared with, if its answers are there.
func addGrants(m *http.ServeMux, dir string) error {
	key, err := newRaw(jose.ES256)
	if err != nil {
		return err
	}
	kept, err := newJournal(dir)
	if err != nil {
		return err
	}

	for _, g := range []struct {
		path, answer, field string
		signatures          int
		journal             *journal
	}{
		{pathCode, "code", "code", 2, nil},
		{pathCodeKept, "code", "code", 1, kept},
		{pathRefresh, "refresh", "refresh_token", 0, nil},
		{pathRefreshSigned, "refresh", "refresh_token", 1, nil},
		{pathRefreshKept, "refresh", "refresh_token", 1, kept},
	} {
		text, err := os.ReadFile(bareAnswer(dir, g.answer))
		if err != nil {
			continue
		}
		m.Handle("POST "+g.path, bareGrant{g.field, g.signatures, key, g.journal, text})
	}

	return nil
}

// answerJSON sends the length, as jeton does: chunks would cost the bare server more.
func answerJSON(w http.ResponseWriter, text []byte) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(text)))
	_, _ = w.Write(text)
}

// signRole is the process of the bare authorization server. Its responses are in files,
// so that they equal those of jeton to the byte.
func signRole(args []string) error {
	f := flag.NewFlagSet("role-sign", flag.ContinueOnError)
	addr, dir := f.String("addr", "", ""), f.String("answers", "", "")

	if err := f.Parse(args); err != nil {
		return err
	}

	m := http.NewServeMux()
	m.HandleFunc("GET /open", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok\n")) })

	for _, alg := range algs {
		text, err := os.ReadFile(bareAnswer(*dir, string(alg)))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}

		r, err := newRaw(alg)
		if err != nil {
			return err
		}

		m.Handle("POST /"+string(alg), bareSign(r, text))
	}

	if text, err := os.ReadFile(bareAnswer(*dir, "exchange")); err == nil {
		h, err := newBareExchange(text)
		if err != nil {
			return err
		}
		m.Handle("POST /exchange", h)
	}
	if text, err := os.ReadFile(bareAnswer(*dir, "swap")); err == nil {
		h, err := bareSwap(text)
		if err != nil {
			return err
		}
		m.Handle("POST /swap", h)
	}
	if text, err := os.ReadFile(bareAnswer(*dir, "introspect")); err == nil {
		m.Handle("POST /introspect", bareGrant{field: "token", text: text})
	}
	if err := addGrants(m, *dir); err != nil {
		return err
	}

	return http.ListenAndServe(*addr, m)
}

// firstChecks is how many first checks a second one core does.
type firstChecks struct {
	Whole float64 // the token is read, its signature and its claims are checked
	Raw   float64 // its signature is checked
}

// verifyRole measures the first check of a signed token beside the check of its signature,
// by turns, so that a slow moment of the machine is one for both.
func verifyRole(args []string) error {
	f := flag.NewFlagSet("role-verify", flag.ContinueOnError)
	alg, run := f.String("alg", "", ""), f.Duration("run", time.Second, "")

	if err := f.Parse(args); err != nil {
		return err
	}

	r, err := newRaw(jose.Alg(*alg))
	if err != nil {
		return err
	}

	signer, err := jose.NewSigner(r.key, jose.Alg(*alg), "")
	if err != nil {
		return err
	}

	// The claims of a real token of a client, so that the text has a real length.
	const claims = `{"iss":"https://login.example.org","sub":"backup-job","aud":"files","client_id":"backup-job",` +
		`"iat":1763800000,"nbf":1763800000,"exp":1763800600,"jti":"t_06h03tp9e1xyq4jgdbkdrx8","gen":"c1.1",` +
		`"scope":"files:read files:write"}`
	text, err := signer.Sign("at+jwt", []byte(claims))
	if err != nil {
		return err
	}

	dot := strings.LastIndexByte(text, '.')
	signature, err := base64.RawURLEncoding.DecodeString(text[dot+1:])
	if err != nil {
		return err
	}

	input, key := []byte(text[:dot]), signer.Key()
	var whole, plain time.Duration

	n := 0

	for begin := time.Now(); time.Since(begin) < *run; n++ {
		start := time.Now()
		signed, err := jose.Parse(text)
		if err != nil {
			return err
		}

		if err := signed.Verify(key); err != nil {
			return err
		}
		if c, err := jose.ParseClaims(signed.Payload); err != nil || c.Subject != "backup-job" {
			return fmt.Errorf("claims %+v: %w", c, err)
		}

		// The two are timed apart and in turn: a slow moment of the machine is one for
		// both.
		middle := time.Now()
		if !r.verify(input, signature) {
			return errors.New("the signature is wrong")
		}

		whole, plain = whole+middle.Sub(start), plain+time.Since(middle)
	}

	return json.NewEncoder(os.Stdout).Encode(firstChecks{
		Whole: float64(n) / whole.Seconds(),
		Raw:   float64(n) / plain.Seconds(),
	})
}
