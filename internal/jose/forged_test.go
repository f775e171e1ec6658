package jose_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"math/big"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/jeton-auth/jeton/internal/jose"
)

// Keys that tests share: making them takes longer than most tests. newSigner keeps one of
// each algorithm.
var (
	signers   = map[jose.Alg]*jose.Signer{}
	signersMu sync.Mutex
)

func newSigner(tb testing.TB, alg jose.Alg) *jose.Signer {
	tb.Helper()
	// Tests and benchmarks may run in parallel.
	signersMu.Lock()
	defer signersMu.Unlock()

	if signers[alg] == nil {
		s, err := jose.Generate(alg)
		if err != nil {
			tb.Fatal(err)
		}
		signers[alg] = s
	}

	return signers[alg]
}

func b64(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }

// sign signs a header and a payload, whatever they are, as the owner of a key could.
func sign(tb testing.TB, s *jose.Signer, header, payload string) string {
	tb.Helper()
	token, err := s.SignHead(b64(header)+".", []byte(payload))
	if err != nil {
		tb.Fatal(err)
	}

	return token
}

// signAsWritten signs parts that are perhaps not base64url, as they are written.
func signAsWritten(tb testing.TB, s *jose.Signer, input string) string {
	tb.Helper()
	signature, err := s.Plain([]byte(input))
	if err != nil {
		tb.Fatal(err)
	}

	return input + "." + base64.RawURLEncoding.EncodeToString(signature)
}

const jobClaims = `{"iss":"job","sub":"job"}`

// The tokens here are signed by the right key wherever possible, so that only the fault
// named by the case can be the reason of a refusal.
func TestForgedTokens(t *testing.T) {
	ed := newSigner(t, jose.EdDSA)
	ec := newSigner(t, jose.ES256)
	rs := newSigner(t, jose.RS256)
	ps := newSigner(t, jose.PS256)
	thief, err := jose.Generate(jose.EdDSA)
	if err != nil {
		t.Fatal(err)
	}

	rsAsPS, err := jose.NewSigner(rs.Private(), jose.PS256, "")
	if err != nil {
		t.Fatal(err)
	}

	valid := sign(t, ed, `{"alg":"EdDSA"}`, jobClaims)
	head, rest, _ := strings.Cut(valid, ".")
	body, tail, _ := strings.Cut(rest, ".")
	rsPKCS1 := pem.EncodeToMemory(&pem.Block{Type: "RSA PUBLIC KEY", Bytes: x509.MarshalPKCS1PublicKey(publicRSA(rs))})
	validEC := sign(t, ec, `{"alg":"ES256"}`, jobClaims)

	validRS := sign(t, rs, `{"alg":"RS256"}`, jobClaims)

	type attack struct {
		name  string
		token string
		key   *jose.Signer
		want  error // nil: it is accepted, and that is right
	}

	attacks := []attack{
		{"the token that the others are made from", valid, ed, nil},

		{"no signature", head + "." + body + ".", ed, jose.ErrSignature},
		{"no signature, ECDSA", withSignature(validEC, nil), ec, jose.ErrSignature},
		{"no signature, RSA", withSignature(validRS, nil), rs, jose.ErrSignature},
		{"a signature of zeros (CVE-2022-21449)", withSignature(validEC, make([]byte, 64)), ec, jose.ErrSignature},
		{"a signature of zeros, Ed25519", withSignature(valid, make([]byte, 64)), ed, jose.ErrSignature},
		{"a signature of zeros, RSA", withSignature(validRS, make([]byte, 384)), rs, jose.ErrSignature},
		{"a byte more", withSignature(valid, append(signatureOf(t, valid), 0)), ed, jose.ErrSignature},
		{"a byte less", withSignature(valid, signatureOf(t, valid)[:63]), ed, jose.ErrSignature},
		{
			"a zero before an RSA signature",
			withSignature(validRS, append([]byte{0}, signatureOf(t, validRS)...)),
			rs,
			jose.ErrSignature,
		},
		{
			"zeros before both numbers of ECDSA",
			withSignature(validEC, slices.Insert(append([]byte{0}, signatureOf(t, validEC)...), 33, 0)),
			ec,
			jose.ErrSignature,
		},
		{
			"a zero before the second number of ECDSA",
			withSignature(validEC, slices.Insert(signatureOf(t, validEC), 32, 0)),
			ec,
			jose.ErrSignature,
		},
		{"ECDSA as ASN.1", withSignature(validEC, asASN1(t, signatureOf(t, validEC))), ec, jose.ErrSignature},
		{
			"the other of the two ECDSA signatures: a token's text does not identify it",
			withSignature(validEC, negated(signatureOf(t, validEC), publicEC(ec))),
			ec,
			nil,
		},
		{
			"an Ed25519 signature with its number past the order",
			withSignature(valid, pastOrder(signatureOf(t, valid))),
			ed,
			jose.ErrSignature,
		},

		{"another key's signature", sign(t, thief, `{"alg":"EdDSA"}`, jobClaims), ed, jose.ErrSignature},
		{"another token's payload", head + "." + b64(`{"sub":"admin"}`) + "." + tail, ed, jose.ErrSignature},
		{"another token's header", b64(`{"alg":"EdDSA","kid":"x"}`) + "." + body + "." + tail, ed, jose.ErrSignature},

		{"PSS by the same RSA key, with its alg", sign(t, rsAsPS, `{"alg":"PS256"}`, jobClaims), rs, jose.ErrAlgorithm},
		{
			"PSS by the same RSA key, with another alg",
			sign(t, rsAsPS, `{"alg":"RS256"}`, jobClaims),
			rs,
			jose.ErrSignature,
		},
		{
			"PKCS #1 by the same RSA key, with another alg",
			sign(t, rs, `{"alg":"PS256"}`, jobClaims),
			rsAsPS,
			jose.ErrSignature,
		},
		{"the alg of a longer hash", sign(t, ps, `{"alg":"PS384"}`, jobClaims), ps, jose.ErrAlgorithm},
		{"ECDSA as the alg of an Ed25519 key", sign(t, ed, `{"alg":"ES256"}`, jobClaims), ed, jose.ErrAlgorithm},
		{"a name that is nearly that of EdDSA", sign(t, ed, `{"alg":"ED25519"}`, jobClaims), ed, jose.ErrAlgorithm},
		{"the other curve of EdDSA", sign(t, ed, `{"alg":"Ed448"}`, jobClaims), ed, jose.ErrAlgorithm},
		{"in lower case", sign(t, ed, `{"alg":"eddsa"}`, jobClaims), ed, jose.ErrAlgorithm},
		{"an unknown algorithm", sign(t, ed, `{"alg":"ES256K"}`, jobClaims), ed, jose.ErrAlgorithm},
		{"an algorithm with a zero byte", sign(t, ed, `{"alg":"EdDSA\u0000"}`, jobClaims), ed, jose.ErrAlgorithm},

		{"alg is a list", sign(t, ed, `{"alg":["EdDSA"]}`, jobClaims), ed, jose.ErrMalformed},
		{"alg is an object", sign(t, ed, `{"alg":{"EdDSA":1}}`, jobClaims), ed, jose.ErrMalformed},
		{"alg is null", sign(t, ed, `{"alg":null}`, jobClaims), ed, jose.ErrMalformed},
		{"alg is a number", sign(t, ed, `{"alg":1}`, jobClaims), ed, jose.ErrMalformed},
		{"alg is empty", sign(t, ed, `{"alg":""}`, jobClaims), ed, jose.ErrMalformed},
		{"no alg", sign(t, ed, `{"kid":"x"}`, jobClaims), ed, jose.ErrMalformed},
		{"no member", sign(t, ed, `{}`, jobClaims), ed, jose.ErrMalformed},
		{"Alg in another case", sign(t, ed, `{"Alg":"EdDSA"}`, jobClaims), ed, jose.ErrMalformed},
		{"alg twice", sign(t, ed, `{"alg":"none","alg":"EdDSA"}`, jobClaims), ed, jose.ErrMalformed},
		{
			"alg twice, the second in disguise",
			sign(t, ed, `{"alg":"EdDSA","a\u006cg":"none"}`, jobClaims),
			ed,
			jose.ErrMalformed,
		},
		{"any other member twice", sign(t, ed, `{"alg":"EdDSA","x":1,"x":1}`, jobClaims), ed, jose.ErrMalformed},
		{"alg in disguise", sign(t, ed, `{"a\u006cg":"EdDS\u0041"}`, jobClaims), ed, nil},
		{"spaces around", sign(t, ed, " {\r\n\t\"alg\" : \"EdDSA\" } ", jobClaims), ed, nil},
		{
			"unknown members",
			sign(t, ed, `{"x":{"alg":"none"},"alg":"EdDSA","y":[{"alg":"none"}]}`, jobClaims),
			ed,
			nil,
		},

		{
			"crit names what every token may have",
			sign(t, ed, `{"alg":"EdDSA","crit":["exp"],"exp":1}`, jobClaims),
			ed,
			jose.ErrMalformed,
		},
		{"crit is empty", sign(t, ed, `{"alg":"EdDSA","crit":[]}`, jobClaims), ed, jose.ErrMalformed},
		{"crit is null", sign(t, ed, `{"alg":"EdDSA","crit":null}`, jobClaims), ed, jose.ErrMalformed},
		{
			"a payload that is not encoded (RFC 7797)",
			sign(t, ed, `{"alg":"EdDSA","b64":false,"crit":["b64"]}`, jobClaims),
			ed,
			jose.ErrMalformed,
		},
		{"b64 alone", sign(t, ed, `{"alg":"EdDSA","b64":false}`, jobClaims), ed, jose.ErrMalformed},
		{"b64 that changes nothing", sign(t, ed, `{"alg":"EdDSA","b64":true}`, jobClaims), ed, jose.ErrMalformed},

		{"kid is a number", sign(t, ed, `{"alg":"EdDSA","kid":1}`, jobClaims), ed, jose.ErrMalformed},
		{"kid is null", sign(t, ed, `{"alg":"EdDSA","kid":null}`, jobClaims), ed, jose.ErrMalformed},
		{"kid is empty", sign(t, ed, `{"alg":"EdDSA","kid":""}`, jobClaims), ed, jose.ErrMalformed},
		{
			"kid of 64 KiB",
			b64(`{"alg":"EdDSA","kid":"`+strings.Repeat("k", 64<<10)+`"}`) + "." + body + "." + tail,
			ed,
			jose.ErrMalformed,
		},
		{"typ is a list", sign(t, ed, `{"alg":"EdDSA","typ":["JWT"]}`, jobClaims), ed, jose.ErrMalformed},

		{"the header is a list", sign(t, ed, `["alg","EdDSA"]`, jobClaims), ed, jose.ErrMalformed},
		{"the header is a text", sign(t, ed, `"EdDSA"`, jobClaims), ed, jose.ErrMalformed},
		{"the header is nothing", sign(t, ed, ``, jobClaims), ed, jose.ErrMalformed},
		{"something behind the header", sign(t, ed, `{"alg":"EdDSA"}{}`, jobClaims), ed, jose.ErrMalformed},
		{"a zero byte behind the header", sign(t, ed, "{\"alg\":\"EdDSA\"}\x00", jobClaims), ed, jose.ErrMalformed},
		{"a comma too much", sign(t, ed, `{"alg":"EdDSA",}`, jobClaims), ed, jose.ErrMalformed},
		{"a comment", sign(t, ed, `{"alg":"EdDSA"/**/}`, jobClaims), ed, jose.ErrMalformed},
		{"a header that is cut", sign(t, ed, `{"alg":"EdDSA"`, jobClaims), ed, jose.ErrMalformed},
		{"a byte order mark", sign(t, ed, "\ufeff{\"alg\":\"EdDSA\"}", jobClaims), ed, jose.ErrMalformed},
		{"not UTF-8", sign(t, ed, "{\"alg\":\"EdDSA\",\"x\":\"\xff\"}", jobClaims), ed, jose.ErrMalformed},
		{"UTF-16", sign(t, ed, "{\x00\"\x00a\x00l\x00g\x00\"\x00", jobClaims), ed, jose.ErrMalformed},
		{"half a surrogate pair", sign(t, ed, `{"alg":"EdDSA","kid":"\ud800"}`, jobClaims), ed, jose.ErrMalformed},
		{
			"a line break in a text",
			sign(t, ed, "{\"alg\":\"EdDSA\",\"kid\":\"a\nb\"}", jobClaims),
			ed,
			jose.ErrMalformed,
		},
		{"as deep as can be", sign(t, ed, `{"alg":"EdDSA","x":`+nested(jose.MaxDepth-1)+`}`, jobClaims), ed, nil},
		{"too deep", sign(t, ed, `{"alg":"EdDSA","x":`+nested(jose.MaxDepth)+`}`, jobClaims), ed, jose.ErrMalformed},
		{"as many members as can be", sign(t, ed, many(jose.MaxMembers), jobClaims), ed, nil},
		{"too many members", sign(t, ed, many(jose.MaxMembers+1), jobClaims), ed, jose.ErrMalformed},

		{
			"a signature covers any payload, JSON or not",
			sign(t, ed, `{"alg":"EdDSA"}`, "\xff"),
			ed,
			nil,
		},
		{"as long as can be", ofLength(t, ed, jose.MaxToken), ed, nil},
		{"a byte too long", ofLength(t, ed, jose.MaxToken+1), ed, jose.ErrMalformed},

		{"padding of the header", signAsWritten(t, ed, b64(`{"alg":"EdDSA"} `)+"=."+body), ed, jose.ErrMalformed},
		{"padding of the payload", signAsWritten(t, ed, head+"."+b64("{} ")+"="), ed, jose.ErrMalformed},
		{
			"padding of the payload where none is due",
			signAsWritten(t, ed, head+"."+b64("{}  ")+"=="),
			ed,
			jose.ErrMalformed,
		},
		{"padding of the signature", valid + "==", ed, jose.ErrMalformed},
		{"one character of padding", valid + "=", ed, jose.ErrMalformed},
		{"the alphabet of plain base64", signAsWritten(t, ed, head+".Pz8+Pj8/"), ed, jose.ErrMalformed},
		{"the right alphabet", signAsWritten(t, ed, head+".Pz8-Pj8_"), ed, nil},
		{"bits of the payload that count for nothing", signAsWritten(t, ed, head+".AB"), ed, jose.ErrMalformed},
		{
			"bits of the signature that count for nothing",
			valid[:len(valid)-1] + next(valid[len(valid)-1]),
			ed,
			jose.ErrMalformed,
		},
		{"a length that base64 has not", signAsWritten(t, ed, head+".AAAAA"), ed, jose.ErrMalformed},
		{"a line break in the header", signAsWritten(t, ed, head[:4]+"\n"+head[4:]+"."+body), ed, jose.ErrMalformed},
		{"a line break in the payload", signAsWritten(t, ed, head+"."+body[:4]+"\r\n"+body[4:]), ed, jose.ErrMalformed},
		{"a line break in the signature", head + "." + body + "." + tail[:4] + "\n" + tail[4:], ed, jose.ErrMalformed},
		{"a line break at the end", valid + "\n", ed, jose.ErrMalformed},
		{"a line break at the beginning", "\n" + valid, ed, jose.ErrMalformed},
		{"a space at the end", valid + " ", ed, jose.ErrMalformed},
		{"a space at the beginning", " " + valid, ed, jose.ErrMalformed},
		{"a space in the payload", signAsWritten(t, ed, head+"."+body[:4]+" "+body[4:]), ed, jose.ErrMalformed},
		{"a zero byte at the end", valid + "\x00", ed, jose.ErrMalformed},
		{"percent signs", strings.ReplaceAll(valid, ".", "%2E"), ed, jose.ErrMalformed},
		{"in quotes", `"` + valid + `"`, ed, jose.ErrMalformed},
		{"with its scheme", "Bearer " + valid, ed, jose.ErrMalformed},

		{"a dot at the end", valid + ".", ed, jose.ErrMalformed},
		{"a dot at the beginning", "." + valid, ed, jose.ErrMalformed},
		{"a fourth part", valid + ".AAAA", ed, jose.ErrMalformed},
		{"five parts, as of an encrypted token", valid + ".AAAA.AAAA", ed, jose.ErrMalformed},
		{"two parts", head + "." + body, ed, jose.ErrMalformed},
		{"one part", head, ed, jose.ErrMalformed},
		{"nothing", "", ed, jose.ErrMalformed},
		{"two dots", "..", ed, jose.ErrMalformed},
		{"8 KiB of dots", strings.Repeat(".", 8<<10), ed, jose.ErrMalformed},
		{"1 MiB of dots", strings.Repeat(".", 1<<20), ed, jose.ErrMalformed},
		{
			"flattened JSON",
			`{"payload":"` + body + `","protected":"` + head + `","signature":"` + tail + `"}`,
			ed,
			jose.ErrMalformed,
		},
		{
			"general JSON",
			`{"payload":"` + body + `","signatures":[{"protected":"` + head + `","signature":"` + tail + `"}]}`,
			ed,
			jose.ErrMalformed,
		},
		{
			"general JSON with dots",
			`{"payload":"` + body + `","x":"..","protected":"` + head + `"}`,
			ed,
			jose.ErrMalformed,
		},
	}

	for _, none := range []string{"none", "None", "NONE", "nOnE", "none ", "noneNone", "null"} {
		header := `{"alg":"` + none + `"}`
		attacks = append(
			attacks,
			attack{none + " without a signature", b64(header) + "." + body + ".", ed, jose.ErrAlgorithm},
			attack{
				none + " with the signature of another token",
				b64(header) + "." + body + "." + tail,
				ed,
				jose.ErrAlgorithm,
			},
			attack{none + " with a valid signature", sign(t, ed, header, jobClaims), ed, jose.ErrAlgorithm},
		)
	}

	for name, secret := range map[string][]byte{
		"its PEM":                        rs.Key().PEM(),
		"its PEM without the line break": bytes.TrimSpace(rs.Key().PEM()),
		"its older PEM":                  rsPKCS1,
		"its modulus":                    publicRSA(rs).N.Bytes(),
		"its JWK":                        rs.Key().JWK(),
		"nothing":                        nil,
	} {
		input := b64(`{"alg":"HS256"}`) + "." + body
		mac := hmac.New(sha256.New, secret)
		mac.Write([]byte(input))
		attacks = append(attacks, attack{
			"HMAC whose secret is of the public key " + name,
			input + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil)),
			rs,
			jose.ErrAlgorithm,
		})
	}

	for _, tc := range attacks {
		t.Run(tc.name, func(t *testing.T) {
			s, err := jose.Parse(tc.token)
			if (err != nil) != errors.Is(tc.want, jose.ErrMalformed) {
				t.Fatalf("Parse = %v, want %v", err, tc.want)
			}
			if err == nil {
				err = s.Verify(tc.key.Key())
			}

			if !errors.Is(err, tc.want) {
				t.Errorf("%v, want %v", err, tc.want)
			}
			if err := s.Verify(jose.Key{}); !errors.Is(err, jose.ErrAlgorithm) {
				t.Errorf("Verify with no key = %v, want ErrAlgorithm", err)
			}
		})
	}
}

func signatureOf(tb testing.TB, token string) []byte {
	tb.Helper()
	b, err := base64.RawURLEncoding.DecodeString(token[strings.LastIndexByte(token, '.')+1:])
	if err != nil {
		tb.Fatal(err)
	}

	return b
}

func withSignature(token string, signature []byte) string {
	return token[:strings.LastIndexByte(token, '.')+1] + base64.RawURLEncoding.EncodeToString(signature)
}

func asASN1(tb testing.TB, signature []byte) []byte {
	tb.Helper()
	b, err := asn1.Marshal(struct{ R, S *big.Int }{
		new(big.Int).SetBytes(signature[:32]),
		new(big.Int).SetBytes(signature[32:]),
	})
	if err != nil {
		tb.Fatal(err)
	}

	return b
}

// negated returns the signature with n-s for s, which is valid too (SEC 1, section 4.1.4).
func negated(signature []byte, key *ecdsa.PublicKey) []byte {
	s := new(big.Int).SetBytes(signature[32:])
	out := slices.Clone(signature)
	s.Sub(key.Params().N, s).FillBytes(out[32:])
	return out
}

// pastOrder adds the order of the group to the number in an Ed25519 signature.
func pastOrder(signature []byte) []byte {
	order, _ := new(big.Int).SetString(
		"7237005577332262213973186563042994240857116359379907606001950938285454250989",
		10,
	)
	out := slices.Clone(signature)
	slices.Reverse(out[32:])
	s := new(big.Int).SetBytes(out[32:])
	s.Add(s, order).FillBytes(out[32:])

	slices.Reverse(out[32:])
	return out
}

// next returns the next character of base64url: as the last one of 64 bytes it spells the
// same bytes.
func next(c byte) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	return string(alphabet[strings.IndexByte(alphabet, c)+1])
}

func nested(depth int) string { return strings.Repeat("[", depth) + strings.Repeat("]", depth) }

func many(members int) string {
	var b strings.Builder
	b.WriteString(`{"alg":"EdDSA"`)

	for i := 1; i < members; i++ {
		b.WriteString(`,"x` + strings.Repeat("i", i/26) + string(rune('a'+i%26)) + `":1`)
	}

	return b.String() + "}"
}

// ofLength returns a valid token of that many bytes.
func ofLength(tb testing.TB, s *jose.Signer, length int) string {
	tb.Helper()
	for spaces := range 3 { // three lengths of a header: one leaves a payload that base64 has
		head := b64(`{"alg":"EdDSA"` + strings.Repeat(" ", spaces) + `}`)
		body := length - len(head) - 1 - 1 - 86
		if body%4 != 1 {
			return signAsWritten(tb, s, head+"."+strings.Repeat("A", body))
		}
	}

	tb.Fatal("no header gives that length, want one of the three to")

	return ""
}

func publicRSA(s *jose.Signer) *rsa.PublicKey { return s.Key().Public().(*rsa.PublicKey) }

func publicEC(s *jose.Signer) *ecdsa.PublicKey { return s.Key().Public().(*ecdsa.PublicKey) }
