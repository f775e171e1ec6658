package password

import (
	"bytes"
	"crypto/pbkdf2"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"hash"
	"math/bits"
	"strings"

	other "github.com/go-crypt/x/argon2"
	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/scrypt"
)

// pbkdf2Of returns the hash of a password by PBKDF2 (RFC 8018). A key longer than the
// hash function's output would multiply the work; none of these has one.
func pbkdf2Of(kind string, newHash func() hash.Hash, rounds uint64, salt, key []byte) (imported, error) {
	if len(key) != newHash().Size() {
		return imported{}, errForm(kind, "the digest has another length than its hash function's")
	}
	if len(salt) == 0 || len(salt) > maxImportedSalt {
		return imported{}, errForm(kind, "the salt is empty or too long")
	}

	return imported{kind: kind, match: func(pw []byte) bool {
		got, err := pbkdf2.Key(newHash, string(pw), salt, int(rounds), len(key))
		return err == nil && equal(got, key)
	}}, nil
}

// hashFunction returns the one that a hash names.
func hashFunction(name string) func() hash.Hash {
	switch name {
	case "sha1":
		return sha1.New
	case "sha256":
		return sha256.New
	case "sha512":
		return sha512.New
	}

	return nil
}

// pbkdf2Rounds is the maximum number of rounds with a hash function.
func pbkdf2Rounds(name string) uint64 {
	if name == "sha512" {
		return maxPBKDF2Rounds512
	}
	return maxPBKDF2Rounds
}

// adapted decodes passlib's base64 of PBKDF2: a dot where others have a plus, no padding.
func adapted(s string) ([]byte, bool) {
	if strings.ContainsAny(s, "+\r\n") {
		return nil, false
	}
	b, err := base64.RawStdEncoding.Strict().DecodeString(strings.ReplaceAll(s, ".", "+"))
	return b, err == nil
}

// parsePasslibPBKDF2 reads ROUNDS$SALT$DIGEST.
func parsePasslibPBKDF2(head, rest string) (imported, error) {
	name := strings.TrimPrefix(strings.Trim(head, "$"), "pbkdf2-")
	if name == "pbkdf2" {
		name = "sha1"
	}

	kind := "passlib pbkdf2-" + name
	part := strings.Split(rest, "$")
	if len(part) != 3 {
		return imported{}, errForm(kind, "it has not three parts after the head")
	}

	rounds, err := bounded(kind, "rounds", part[0], 1, pbkdf2Rounds(name))
	if err != nil {
		return imported{}, err
	}

	salt, ok := adapted(part[1])
	key, also := adapted(part[2])
	if !ok || !also {
		return imported{}, errForm(kind, "salt or digest is not in passlib's base64")
	}

	return pbkdf2Of(kind, hashFunction(name), rounds, salt, key)
}

// parseWerkzeugPBKDF2 reads sha256:ROUNDS$SALT$HEX. The rounds are required: their
// default depends on the version of the program.
func parseWerkzeugPBKDF2(rest string) (imported, error) {
	const kind = "werkzeug pbkdf2"

	part := strings.Split(rest, "$")
	if len(part) != 3 {
		return imported{}, errForm(kind, "it is not pbkdf2:sha256:ROUNDS, salt and digest")
	}

	name, digits, _ := strings.Cut(part[0], ":")
	newHash := hashFunction(name)
	if newHash == nil {
		return imported{}, errForm(kind, "its hash function is none of sha1, sha256 and sha512")
	}

	rounds, err := bounded(kind, "rounds", digits, 1, pbkdf2Rounds(name))
	if err != nil {
		return imported{}, err
	}

	key, ok := lowerHex(part[2])
	if !ok || !printable(part[1], 1, maxImportedSalt) {
		return imported{}, errForm(kind, "the salt is not text, or the digest not hexadecimal in small letters")
	}

	return pbkdf2Of(kind, newHash, rounds, []byte(part[1]), key)
}

// lowerHex decodes hex in lower case only, as the programs write it: each hash then has one
// spelling.
func lowerHex(s string) ([]byte, bool) {
	b, err := hex.DecodeString(s)
	return b, err == nil && strings.ToLower(s) == s
}

// parseDjangoPBKDF2 reads ROUNDS$SALT$BASE64.
func parseDjangoPBKDF2(head, rest string) (imported, error) {
	name := strings.TrimSuffix(strings.TrimPrefix(head, "pbkdf2_"), "$")
	kind := "django pbkdf2_" + name
	part := strings.Split(rest, "$")
	if len(part) != 3 {
		return imported{}, errForm(kind, "it has not three parts after the head")
	}

	rounds, err := bounded(kind, "rounds", part[0], 1, pbkdf2Rounds(name))
	if err != nil {
		return imported{}, err
	}

	key, err := base64.StdEncoding.Strict().DecodeString(part[2])
	if err != nil || !printable(part[1], 1, maxImportedSalt) {
		return imported{}, errForm(kind, "the salt is not text, or the digest not base64")
	}

	return pbkdf2Of(kind, hashFunction(name), rounds, []byte(part[1]), key)
}

// scryptOf returns the hash of a password by scrypt (RFC 7914), if its cost is within
// the bounds.
func scryptOf(kind string, n, r, p uint64, salt, key []byte) (imported, error) {
	switch {
	case bits.OnesCount64(n) != 1:
		return imported{}, errForm(kind, "N is not a power of two")
	// The products are the cost: N, r and p have passed bounds of their own.
	case r*p > maxScryptLanes:
		return imported{}, errCost(kind, "r times p", 1, maxScryptLanes)
	case n*r > maxImportedMemory/128:
		return imported{}, errCost(kind, "N times r", 2, maxImportedMemory/128)
	case n*r*p > maxScryptWork:
		return imported{}, errCost(kind, "N times r times p", 2, maxScryptWork)
	case len(key) < minKey || len(key) > maxKey || len(salt) == 0 || len(salt) > maxImportedSalt:
		return imported{}, errForm(kind, "salt or digest is too short or too long")
	}

	// The algorithm needs 128·r·N bytes for V, 128·r·p for B, and 256·r for a block and its
	// copy.
	return imported{kind: kind, memory: 128 * r * (n + p + 2), match: func(pw []byte) bool {
		got, err := scrypt.Key(pw, salt, int(n), int(r), int(p), len(key))
		return err == nil && equal(got, key)
	}}, nil
}

// parsePasslibScrypt reads ln=16,r=8,p=1$SALT$DIGEST.
func parsePasslibScrypt(rest string) (imported, error) {
	const kind = "passlib scrypt"

	part := strings.Split(rest, "$")
	if len(part) != 3 {
		return imported{}, errForm(kind, "it has not three parts after the head")
	}

	cost := strings.Split(part[0], ",")
	if len(cost) != 3 {
		return imported{}, errForm(kind, "its cost is not ln=,r=,p=")
	}

	ln, err := named(kind, "ln", cost[0], 1, uint64(bits.Len(maxScryptN)-1))
	if err != nil {
		return imported{}, err
	}

	r, err := named(kind, "r", cost[1], 1, maxScryptLanes)
	if err != nil {
		return imported{}, err
	}

	p, err := named(kind, "p", cost[2], 1, maxScryptLanes)
	if err != nil {
		return imported{}, err
	}

	salt, err := base64.RawStdEncoding.Strict().DecodeString(part[1])
	if err != nil {
		return imported{}, errForm(kind, "the salt is not base64 without padding")
	}

	key, err := base64.RawStdEncoding.Strict().DecodeString(part[2])
	if err != nil {
		return imported{}, errForm(kind, "the digest is not base64 without padding")
	}

	return scryptOf(kind, 1<<ln, r, p, salt, key)
}

// parseWerkzeugScrypt reads N:R:P$SALT$HEX.
func parseWerkzeugScrypt(rest string) (imported, error) {
	const kind = "werkzeug scrypt"

	part := strings.Split(rest, "$")
	if len(part) != 3 {
		return imported{}, errForm(kind, "it is not scrypt:N:r:p, salt and digest")
	}

	cost := strings.Split(part[0], ":")
	key, ok := lowerHex(part[2])
	if len(cost) != 3 || !ok {
		return imported{}, errForm(kind, "its cost is not N:r:p, or the digest not hexadecimal in small letters")
	}

	return textScrypt(kind, cost[0], cost[1], cost[2], part[1], key)
}

// parseDjangoScrypt reads N$SALT$R$P$BASE64.
func parseDjangoScrypt(rest string) (imported, error) {
	const kind = "django scrypt"

	part := strings.Split(rest, "$")
	if len(part) != 5 {
		return imported{}, errForm(kind, "it has not five parts after the head")
	}

	key, err := base64.StdEncoding.Strict().DecodeString(part[4])
	if err != nil {
		return imported{}, errForm(kind, "the digest is not base64")
	}

	return textScrypt(kind, part[0], part[2], part[3], part[1], key)
}

// textScrypt is for those whose numbers stand alone and whose salt is text.
func textScrypt(kind, textN, textR, textP, salt string, key []byte) (imported, error) {
	n, err := bounded(kind, "N", textN, 2, maxScryptN)
	if err != nil {
		return imported{}, err
	}

	r, err := bounded(kind, "", textR, 1, maxScryptLanes)
	if err != nil {
		return imported{}, err
	}

	p, err := bounded(kind, "", textP, 1, maxScryptLanes)
	if err != nil {
		return imported{}, err
	}

	if !printable(salt, 1, maxImportedSalt) {
		return imported{}, errForm(kind, "the salt is not text")
	}

	return scryptOf(kind, n, r, p, []byte(salt), key)
}

// parseArgon2 reads v=19$m=,t=,p=$SALT$DIGEST of each of the three kinds (RFC 9106). Our
// own hashes are read by Parse, which is narrower.
func parseArgon2(kind, rest string) (imported, error) {
	if kind != "argon2id" && kind != "argon2i" && kind != "argon2d" {
		return imported{}, errForm("argon2", "it is none of argon2id, argon2i and argon2d")
	}

	part := strings.Split(rest, "$")
	if len(part) != 4 || part[0] != "v=19" {
		return imported{}, errForm(kind, "it is not of version 19 with cost, salt and digest")
	}

	cost := strings.Split(part[1], ",")
	if len(cost) != 3 {
		return imported{}, errForm(kind, "its cost is not m=,t=,p=")
	}

	p, err := named(kind, "p", cost[2], 1, maxArgon2Lanes)
	if err != nil {
		return imported{}, err
	}

	// RFC 9106, section 3.1: at least 8 KiB of memory for each lane.
	m, err := named(kind, "m", cost[0], 8*p, maxImportedMemory>>10)
	if err != nil {
		return imported{}, err
	}

	// The bound depends on m, so p and m are read first: memory times passes is the time.
	t, err := named(kind, "t", cost[1], 1, maxArgon2Work/m)
	if err != nil {
		return imported{}, err
	}

	salt, err := parseBytes(part[2], minSalt, maxImportedSalt)
	if err != nil {
		return imported{}, errForm(kind, "the salt "+err.Error())
	}

	key, err := parseBytes(part[3], minKey, 2*maxKey)
	if err != nil {
		return imported{}, errForm(kind, "the digest "+err.Error())
	}

	passes := uint32(t)
	memory := uint32(m)
	lanes := uint32(p)
	size := uint32(len(key))

	return imported{kind: kind, memory: m << 10, match: func(pw []byte) bool {
		var got []byte

		switch kind {
		case "argon2id":
			got = argon2.IDKey(pw, salt, passes, memory, uint8(lanes), size)
		case "argon2i":
			got = argon2.Key(pw, salt, passes, memory, uint8(lanes), size)
		case "argon2d": // x/crypto does not offer it
			got = other.DKey(pw, bytes.Clone(salt), passes, memory, lanes, size)
		}

		return equal(got, key)
	}}, nil
}
