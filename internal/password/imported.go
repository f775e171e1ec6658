package password

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// This file reads hashes that other programs made, which an import brings. They are read
// strictly. Their memory and work is checked before any of it is done, because the author
// of the imported file chose the numbers.
//
// The bounds, all of them inclusive:
//
//	memory      256 MiB for argon2 and scrypt
//	argon2      m·t ≤ 2 GiB (KiB of memory times passes ≤ 2^21), p ≤ 32
//	scrypt      N ≤ 2^18, 128·N·r ≤ 256 MiB, N·r·p ≤ 2^21, r·p ≤ 1024
//	bcrypt      cost 4 to 15
//	sha2-crypt  1000 to 5,000,000 rounds
//	pbkdf2      10,000,000 rounds, 5,000,000 of sha512
//
// At each of them one check takes about two to eight seconds of one core.
const (
	maxImportedMemory  = 256 << 20 // bytes
	maxArgon2Work      = 2 << 20   // KiB of memory times passes
	maxArgon2Lanes     = 32
	maxScryptN         = 1 << 18
	maxScryptWork      = 1 << 21 // N·r·p
	maxScryptLanes     = 1024    // r·p
	minBcryptCost      = 4
	maxBcryptCost      = 15
	minSHACryptRounds  = 1000
	maxSHACryptRounds  = 5_000_000
	usedSHACryptRounds = 5000 // where the hash names none
	maxPBKDF2Rounds    = 10_000_000
	maxPBKDF2Rounds512 = 5_000_000 // of sha512, which takes about twice as long

	maxImported     = 512 // bytes of a stored hash
	maxImportedSalt = 128 // bytes
)

// Stored describes a stored hash.
type Stored struct {
	Kind string // what made it: "argon2id", "sha512-crypt", "bcrypt" and so on
	Weak bool   // too fast to protect a password once the hash is stolen
}

// Recognize describes a stored hash, or returns why Verify cannot check it: it is unknown,
// malformed, or needs more memory or time than one check may take. The error never contains
// a part of the hash, which may be a password in the wrong place.
func Recognize(hash string) (Stored, error) {
	if _, err := Parse(hash); err == nil {
		return Stored{Kind: "argon2id"}, nil
	}

	f, err := parseImported(hash)
	if err != nil {
		return Stored{}, err
	}

	return Stored{Kind: f.kind, Weak: f.weak}, nil
}

// imported is a hash that another program made, within its bounds.
type imported struct {
	kind   string
	weak   bool
	memory uint64 // bytes that one check fills, where that is much
	// match does the work: it reports whether pw is the password.
	match func(pw []byte) bool
}

// errUnknown is the error for a text that is not like any hash.
var errUnknown = errors.New(
	"this is not a password hash that we know; a plain password is not taken in the place of one",
)

// errForm is the error for a hash that begins like a kind and does not have its form.
func errForm(kind, form string) error {
	return fmt.Errorf(
		"the %s hash is not written as it should be: %s; copy it again from where it was made",
		kind, form,
	)
}

// errCost is the error for a hash whose cost is out of bounds.
func errCost(kind, what string, least, most uint64) error {
	return fmt.Errorf(
		"the %s hash is out of bounds: %s must be %d to %d; its owner needs a new password",
		kind, what, least, most,
	)
}

// parseImported reads a hash that another program made. Its work does not depend on the
// cost that the hash names.
func parseImported(s string) (imported, error) {
	if len(s) > maxImported {
		return imported{}, fmt.Errorf("the password hash is %d bytes long; one has at most %d", len(s), maxImported)
	}

	// A line break would change the lines of an export or a log.
	for i := range len(s) {
		if s[i] < ' ' || s[i] == 0x7f {
			return imported{}, errors.New("control character in the password hash; copy it again from its source")
		}
	}

	head, rest := headOf(s)
	switch head {
	case "$5$", "$6$":
		return parseSHACrypt(head, rest)
	case "$1$", "$apr1$":
		return parseMD5Crypt(head, rest)
	case "$2a$", "$2b$", "$2y$":
		return parseBcrypt("bcrypt", head+rest, asItIs)
	case "$bcrypt-sha256$":
		return parsePasslibBcryptSHA256(rest)
	case "bcrypt$$":
		return parseBcrypt("django bcrypt", "$"+rest, asItIs)
	case "bcrypt_sha256$$":
		return parseBcrypt("django bcrypt_sha256", "$"+rest, hexSHA256)
	case "$pbkdf2$", "$pbkdf2-sha256$", "$pbkdf2-sha512$":
		return parsePasslibPBKDF2(head, rest)
	case "pbkdf2:":
		return parseWerkzeugPBKDF2(rest)
	case "pbkdf2_sha1$", "pbkdf2_sha256$":
		return parseDjangoPBKDF2(head, rest)
	case "$scrypt$":
		return parsePasslibScrypt(rest)
	case "scrypt:":
		return parseWerkzeugScrypt(rest)
	case "scrypt$":
		return parseDjangoScrypt(rest)
	case "$argon2id$", "$argon2i$", "$argon2d$":
		return parseArgon2(strings.Trim(head, "$"), rest)
	case "argon2$":
		kind, tail, _ := strings.Cut(rest, "$")
		return parseArgon2(kind, tail)
	case "{SHA}":
		return parseSHA(rest)
	}

	return imported{}, notImported(s)
}

// headOf splits a hash after the prefix of its kind, which is "" for an unknown kind.
func headOf(s string) (head, rest string) {
	for _, head := range []string{
		"$5$", "$6$", "$1$", "$apr1$", "$2a$", "$2b$", "$2y$", "$bcrypt-sha256$", "bcrypt$$", "bcrypt_sha256$$",
		"$pbkdf2$", "$pbkdf2-sha256$", "$pbkdf2-sha512$", "pbkdf2:", "pbkdf2_sha1$", "pbkdf2_sha256$",
		"$scrypt$", "scrypt:", "scrypt$", "$argon2id$", "$argon2i$", "$argon2d$", "argon2$", "{SHA}",
	} {
		if rest, ok := strings.CutPrefix(s, head); ok {
			return head, rest
		}
	}

	return "", s
}

// notImported returns why a hash is not supported, if its prefix shows that.
func notImported(s string) error {
	// None of these prefixes begins another, so the order of a map does not matter.
	for head, kind := range map[string]string{
		"$2$":    "the first bcrypt",
		"$2x$":   "the bcrypt of a PHP that had a fault",
		"$7$":    "scrypt's own",
		"$y$":    "yescrypt",
		"$gy$":   "gost-yescrypt",
		"$sha1$": "sha1-crypt",
		"$md5$":  "Sun's md5-crypt",
		"$md5,":  "Sun's md5-crypt",
		"$P$":    "phpass",
		"$H$":    "phpass",
		"$3$":    "NT-hash",
		"_":      "bsdi-crypt",
		"md5$":   "Django's salted md5",
		"sha1$":  "Django's salted sha1",
		"crypt$": "Django's des-crypt",
	} {
		if strings.HasPrefix(s, head) {
			return fmt.Errorf(
				"the password hash is of a kind that is not taken: %s; its owner needs a new password",
				kind,
			)
		}
	}

	switch {
	case s == "":
		return errors.New("the password hash is empty")
	case s[0] == '!' || s[0] == '*':
		return errors.New("this marks a locked password; leave the hash out to create an account without a password")
	case s[0] == '{' && strings.Contains(s, "}"):
		return errors.New("unsupported LDAP scheme of a password hash; only {SHA} is supported, as htpasswd writes it")
	}

	return errUnknown
}

// whole reads a number in its canonical form: digits without sign or leading zero.
func whole(s string) (uint64, bool) {
	n, err := strconv.ParseUint(s, 10, 32)
	return n, err == nil && strconv.FormatUint(n, 10) == s
}

// bounded reads a number of a hash and checks its bounds.
func bounded(kind, what, s string, least, most uint64) (uint64, error) {
	n, ok := whole(s)
	if !ok || n < least || n > most {
		return 0, errCost(kind, what, least, most)
	}
	return n, nil
}

// named reads NAME=NUMBER.
func named(kind, name, s string, least, most uint64) (uint64, error) {
	digits, ok := strings.CutPrefix(s, name+"=")
	if !ok {
		return 0, errForm(kind, name+"= is not where it belongs")
	}
	return bounded(kind, name, digits, least, most)
}

// printable reports whether a salt is printable text of an allowed length.
func printable(salt string, least, most int) bool {
	if len(salt) < least || len(salt) > most {
		return false
	}

	for i := range len(salt) {
		if salt[i] <= ' ' || salt[i] >= 0x7f || salt[i] == '$' || salt[i] == ':' {
			return false
		}
	}

	return true
}

// matches is the byte that matchImported adds for the password; any other is for another.
const matches = 1

// matchImported returns the key of besides and after it a byte that says whether pw is the
// password of an imported hash. The key is not used. It is computed so that
// no imported hash is checked in less time than one of ours.
func matchImported(stored string, besides Hash, pw []byte) []byte {
	verdict := byte(0)
	// Both are computed for a right password and for a wrong one.
	if f, err := parseImported(stored); err == nil && f.match(pw) {
		verdict = matches
	}
	return append(besides.derive(pw), verdict)
}

// equal compares in constant time: how much of a hash is right must not show.
func equal(a, b []byte) bool { return subtle.ConstantTimeCompare(a, b) == 1 }
