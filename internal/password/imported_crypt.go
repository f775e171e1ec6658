package password

import (
	"bytes"
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"hash"
	"strings"

	"github.com/go-crypt/x/crypt"
	"golang.org/x/crypto/bcrypt"
)

// crypt64 is the alphabet of crypt(3), in the order of its values.
const crypt64 = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// bcrypt64 is the alphabet of bcrypt, in the order of its values.
const bcrypt64 = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

// digest reports whether s is n characters of an alphabet of which the last is one that
// an encoder writes: what it leaves over is zero.
func digest(s, alphabet string, n int, last func(value int) bool) bool {
	if len(s) != n {
		return false
	}

	for i := range len(s) {
		if strings.IndexByte(alphabet, s[i]) < 0 {
			return false
		}
	}

	return last(strings.IndexByte(alphabet, s[n-1]))
}

const (
	// maxCrypt bounds the passwords of crypt(3), in bytes, as libxcrypt does. None that is
	// longer was ever hashed by it.
	maxCrypt = 512
	// maxSHACryptWork bounds the rounds of sha2-crypt times the blocks that each hashes. The
	// password goes into every round, so that a long one multiplies what the rounds cost;
	// at 5,000,000 rounds one of 128 bytes is the longest that is tried.
	maxSHACryptWork = 4 * maxSHACryptRounds
)

// parseSHACrypt reads $5$ and $6$: [rounds=N$]SALT$DIGEST
// (https://www.akkadia.org/drepper/SHA-crypt.txt).
func parseSHACrypt(head, rest string) (imported, error) {
	kind := "sha256-crypt"
	size := 43
	newHash := sha256.New
	last := 16
	if head == "$6$" {
		kind = "sha512-crypt"
		size = 86
		newHash = sha512.New
		last = 4
	}

	rounds := uint64(usedSHACryptRounds)
	if tail, ok := strings.CutPrefix(rest, "rounds="); ok {
		digits, tail, _ := strings.Cut(tail, "$")
		var err error
		if rounds, err = bounded(kind, "rounds", digits, minSHACryptRounds, maxSHACryptRounds); err != nil {
			return imported{}, err
		}

		rest = tail
	}

	salt, sum, _ := strings.Cut(rest, "$")
	// An empty salt is valid in crypt(3), though no program makes one.
	if salt != "" && !printable(salt, 0, 16) {
		return imported{}, errForm(kind, "the salt is not text of at most 16 characters")
	}
	if !digest(sum, crypt64, size, func(v int) bool { return v < last }) {
		return imported{}, errForm(kind, "the digest is not what it writes")
	}

	return imported{kind: kind, match: func(pw []byte) bool {
		return shaCryptTries(
			rounds,
			len(pw),
		) && equal(crypt.KeySHACrypt(newHash, pw, []byte(salt), int(rounds)), []byte(sum))
	}}, nil
}

// shaCryptTries reports whether a password of n bytes is tried.
func shaCryptTries(rounds uint64, n int) bool {
	return n <= maxCrypt && rounds*uint64(2+n/64) <= maxSHACryptWork
}

// parseMD5Crypt reads $1$ and $apr1$: SALT$DIGEST.
func parseMD5Crypt(head, rest string) (imported, error) {
	kind := "md5-crypt"
	if head == "$apr1$" {
		kind = "apr1 md5-crypt"
	}

	salt, sum, _ := strings.Cut(rest, "$")
	if salt != "" && !printable(salt, 0, 8) {
		return imported{}, errForm(kind, "the salt is not text of at most 8 characters")
	}
	if !digest(sum, crypt64, 22, func(v int) bool { return v < 4 }) {
		return imported{}, errForm(kind, "the digest is not what it writes")
	}

	// A thousand rounds of MD5 take less than a millisecond: weak, and replaced at the next
	// login.
	return imported{kind: kind, weak: true, match: func(pw []byte) bool {
		return len(pw) <= maxCrypt && equal(md5Crypt([]byte(head), pw, []byte(salt)), []byte(sum))
	}}, nil
}

// md5Crypt is the digest of md5-crypt. The libraries know that of $1$ only; Apache's
// differs from it in the head, which goes into the hash.
func md5Crypt(head, pw, salt []byte) []byte {
	write := func(h hash.Hash, parts ...[]byte) {
		for _, p := range parts {
			h.Write(p)
		}
	}

	h := md5.New()
	write(h, pw, salt, pw)
	alternate := h.Sum(nil)
	h.Reset()
	write(h, pw, head, salt)

	for n := len(pw); n > 0; n -= md5.Size {
		h.Write(alternate[:min(n, md5.Size)])
	}

	// A quirk of the original: a zero byte for each 1 bit of the length, else pw[0].
	for n := len(pw); n > 0; n >>= 1 {
		if n&1 == 1 {
			h.Write([]byte{0})
		} else {
			h.Write(pw[:1])
		}
	}

	sum := h.Sum(nil)
	for i := range 1000 {
		h.Reset()
		first, second := sum, pw
		if i&1 == 1 {
			first, second = pw, sum
		}

		h.Write(first)
		if i%3 != 0 {
			h.Write(salt)
		}
		if i%7 != 0 {
			h.Write(pw)
		}

		h.Write(second)
		sum = h.Sum(sum[:0])
	}

	var text []byte
	add := func(v uint, n int) {
		for range n {
			text = append(text, crypt64[v&0x3f])
			v >>= 6
		}
	}

	for _, i := range [][3]int{{0, 6, 12}, {1, 7, 13}, {2, 8, 14}, {3, 9, 15}, {4, 10, 5}} {
		add(uint(sum[i[0]])<<16|uint(sum[i[1]])<<8|uint(sum[i[2]]), 4)
	}

	add(uint(sum[11]), 2)

	return text
}

// maxBcrypt is how much of a password bcrypt sees, in bytes. What comes after is ignored,
// as it was when the hash was made; once the password is hashed again, all of it counts.
const maxBcrypt = 72

// asItIs gives bcrypt the password itself.
func asItIs(pw []byte) []byte { return pw }

// hexSHA256 is what Django gives to bcrypt, so that every byte of a long password counts.
func hexSHA256(pw []byte) []byte {
	sum := sha256.Sum256(pw)
	return hex.AppendEncode(nil, sum[:])
}

// parseBcrypt reads $2b$COST$SALTDIGEST of a password that was prepared in some way.
func parseBcrypt(kind, s string, prepare func([]byte) []byte) (imported, error) {
	part := strings.Split(s, "$")
	if len(part) != 4 || part[0] != "" || len(part[2]) != 2 || len(part[3]) != 53 {
		return imported{}, errForm(kind, "it is not $2b$ with a cost of two digits and 53 characters")
	}
	version := part[1]
	if version != "2a" && version != "2b" && version != "2y" {
		return imported{}, errForm(kind, "it is not of version 2a, 2b or 2y")
	}

	if _, err := bounded(kind, "cost", strings.TrimPrefix(part[2], "0"), minBcryptCost, maxBcryptCost); err != nil {
		return imported{}, err
	}

	// Some old programs set unused bits in the salt, which decoders ignore. In the digest
	// they would make a hash that matches no password.
	salt, sum := part[3][:22], part[3][22:]
	if !digest(salt, bcrypt64, 22, func(int) bool {
		return true
	}) || !digest(sum, bcrypt64, 31, func(v int) bool { return v&3 == 0 }) {
		return imported{}, errForm(kind, "salt and digest are not what bcrypt writes")
	}

	return imported{kind: kind, match: func(pw []byte) bool {
		pw = prepare(pw)
		// bcrypt repeats the password and a zero byte: different passwords with zero bytes
		// could be the same.
		if bytes.IndexByte(pw, 0) >= 0 {
			return false
		}

		return bcrypt.CompareHashAndPassword([]byte(s), pw[:min(len(pw), maxBcrypt)]) == nil
	}}, nil
}

// parsePasslibBcryptSHA256 reads both versions: "2b,12$SALT$DIGEST", which hashes the
// SHA-256 of the password, and "v=2,t=2b,r=12$SALT$DIGEST", which hashes its HMAC under
// the salt, so that a stolen SHA-256 cannot serve as a password.
func parsePasslibBcryptSHA256(rest string) (imported, error) {
	const kind = "passlib bcrypt-sha256"

	part := strings.Split(rest, "$")
	if len(part) != 3 {
		return imported{}, errForm(kind, "it has not three parts after the head")
	}

	salt := part[1]
	prepare := func(pw []byte) []byte {
		sum := sha256.Sum256(pw)
		return base64.StdEncoding.AppendEncode(nil, sum[:])
	}

	version, cost, _ := strings.Cut(part[0], ",")
	if version == "v=2" {
		prepare = func(pw []byte) []byte {
			mac := hmac.New(sha256.New, []byte(salt))
			mac.Write(pw)
			return base64.StdEncoding.AppendEncode(nil, mac.Sum(nil))
		}

		named, ok := strings.CutPrefix(cost, "t=")
		version, cost, _ = strings.Cut(named, ",")
		rounds, also := strings.CutPrefix(cost, "r=")
		if !ok || !also {
			return imported{}, errForm(kind, "its version and cost are not v=2,t=2b,r=12")
		}

		cost = rounds
	}

	// passlib writes the cost without a leading zero; bcrypt wants two digits.
	if len(cost) == 1 {
		cost = "0" + cost
	}

	return parseBcrypt(kind, "$"+version+"$"+cost+"$"+salt+part[2], prepare)
}

// parseSHA reads what htpasswd -s writes: the SHA-1 of the password, without any salt.
func parseSHA(rest string) (imported, error) {
	sum, err := base64.StdEncoding.Strict().DecodeString(rest)
	if err != nil || len(sum) != sha1.Size {
		return imported{}, errForm("{SHA}", "it is not the base64 of 20 bytes")
	}

	return imported{kind: "{SHA}", weak: true, match: func(pw []byte) bool {
		got := sha1.Sum(pw)
		return equal(got[:], sum)
	}}, nil
}
