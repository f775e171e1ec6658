package password

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/crypto/argon2"
)

// Params is the cost of an argon2id hash (RFC 9106, section 3.1).
type Params struct {
	MemoryKiB uint32 // memory, in KiB
	Passes    uint32 // over that memory
	Lanes     uint8  // how many threads may share the work
}

// Default is the cost of new hashes: 19 MiB and two passes, about 20 ms of one core.
var Default = Params{MemoryKiB: 19456, Passes: 2, Lanes: 1}

// The bounds of the cost of a stored hash. They keep one login from taking the
// memory or the time of all others.
const (
	minMemory, maxMemory = 8, 128 << 10 // KiB
	minPasses, maxPasses = 1, 16
	minLanes, maxLanes   = 1, 8
	minSalt, maxSalt     = 8, 64  // bytes
	minKey, maxKey       = 16, 64 // bytes
	maxPHC               = 512    // bytes

	saltSize = 16 // bytes, of new hashes
	keySize  = 32 // bytes, of new hashes
)

// check returns an error that names the first bound that p breaks.
func (p Params) check() error {
	switch {
	case p.MemoryKiB < minMemory || p.MemoryKiB > maxMemory:
		return fmt.Errorf(
			"memory is m=%d KiB; it must be %d to %d: hash the password again with less or more",
			p.MemoryKiB, minMemory, maxMemory,
		)
	case p.Passes < minPasses || p.Passes > maxPasses:
		return fmt.Errorf(
			"passes are t=%d; they must be %d to %d: hash the password again with fewer or more",
			p.Passes, minPasses, maxPasses,
		)
	case p.Lanes < minLanes || p.Lanes > maxLanes:
		return fmt.Errorf(
			"lanes are p=%d; they must be %d to %d: hash the password again with fewer or more",
			p.Lanes, minLanes, maxLanes,
		)
	case p.MemoryKiB < 8*uint32(p.Lanes):
		return fmt.Errorf(
			"memory is m=%d KiB; p=%d lanes need at least m=%d (RFC 9106, section 3.1)",
			p.MemoryKiB, p.Lanes, 8*uint32(p.Lanes),
		)
	}

	return nil
}

// Hash is a stored password hash. Printed, it shows its cost and nothing that
// helps to guess; PHC is the only way to the rest.
type Hash struct {
	Params
	salt, key []byte
}

// String returns the cost of h.
func (h Hash) String() string {
	return fmt.Sprintf("argon2id m=%d,t=%d,p=%d", h.MemoryKiB, h.Passes, h.Lanes)
}

const phcHead = "$argon2id$v=19$"

// PHC returns h as it is stored: $argon2id$v=19$m=19456,t=2,p=1$salt$hash.
func (h Hash) PHC() string {
	return fmt.Sprintf("%sm=%d,t=%d,p=%d$%s$%s", phcHead, h.MemoryKiB, h.Passes, h.Lanes,
		base64.RawStdEncoding.EncodeToString(h.salt), base64.RawStdEncoding.EncodeToString(h.key))
}

// weakerThan reports whether h should be replaced by a new hash that costs p. More
// passes do not make up for less memory; lanes only divide the work.
func (h Hash) weakerThan(p Params) bool {
	work := func(p Params) uint64 { return uint64(p.MemoryKiB) * uint64(p.Passes) }
	return h.MemoryKiB < p.MemoryKiB || work(h.Params) < work(p) ||
		len(h.salt) < saltSize || len(h.key) < keySize
}

// derive does the work: it returns the key that pw has under h's cost and salt.
func (h Hash) derive(pw []byte) []byte {
	return argon2.IDKey(pw, h.salt, h.Passes, h.MemoryKiB, h.Lanes, uint32(len(h.key)))
}

// Parse reads a stored hash. It takes exactly the strings that PHC returns, within
// the bounds of cost, so that one hash has one spelling. Its errors say what to
// change. They never contain a part of the text, which may be a password in the wrong
// place.
func Parse(phc string) (Hash, error) {
	var h Hash

	if len(phc) > maxPHC {
		return h, fmt.Errorf("password hash is %d bytes long; one has at most %d", len(phc), maxPHC)
	}

	rest, ok := strings.CutPrefix(phc, phcHead)
	if !ok {
		return h, wrongHead(phc)
	}

	part := strings.Split(rest, "$")
	if len(part) != 3 {
		return h, fmt.Errorf(
			"password hash has %d parts after the version; "+
				"it must have three: m=,t=,p= then salt then hash, each after a $",
			len(part),
		)
	}

	var err error
	// The cost is checked before anything is computed with it.
	h.Params, err = parseParams(part[0])
	if err != nil {
		return Hash{}, fmt.Errorf("password hash: %w", err)
	}

	h.salt, err = parseBytes(part[1], minSalt, maxSalt)
	if err != nil {
		return Hash{}, fmt.Errorf("password hash: salt %w", err)
	}

	h.key, err = parseBytes(part[2], minKey, maxKey)
	if err != nil {
		return Hash{}, fmt.Errorf("password hash: hash %w", err)
	}

	return h, nil
}

// wrongHead returns what is wrong with the beginning of phc.
func wrongHead(phc string) error {
	switch {
	case phc == "":
		return errors.New("password hash is empty; store what hashing the password returned")
	case strings.TrimSpace(phc) != phc:
		return errors.New("password hash has white space around it; remove it")
	case strings.HasPrefix(phc, "$argon2id$v="):
		return errors.New("password hash is of another argon2 version; it must be v=19: hash the password again")
	case strings.HasPrefix(phc, "$argon2id$"):
		return errors.New("password hash names no version; it must begin with " + phcHead + ": hash the password again")
	case strings.HasPrefix(phc, "$argon2i$"), strings.HasPrefix(phc, "$argon2d$"):
		return errors.New("password hash is argon2i or argon2d; it must be argon2id: hash the password again")
	case strings.HasPrefix(phc, "$"):
		return errors.New("password hash is of another kind; it must begin with " + phcHead +
			": hash the password again")
	}

	return errors.New("this is not a password hash; one begins with " + phcHead)
}

// parseParams parses the cost of a PHC string. One spelling is accepted, so that equal
// costs are equal text.
func parseParams(s string) (Params, error) {
	var got [3]uint32

	part := strings.Split(s, ",")
	if len(part) != len(got) {
		return Params{}, errors.New("cost must be written m=MEMORY,t=PASSES,p=LANES and nothing else")
	}

	for i, name := range []string{"m=", "t=", "p="} {
		digits, ok := strings.CutPrefix(part[i], name)
		if !ok {
			return Params{}, errors.New("cost must be written m=MEMORY,t=PASSES,p=LANES, in this order")
		}

		n, err := strconv.ParseUint(digits, 10, 32)
		// ParseUint also takes +1 and 01: a hash would have several spellings.
		if err != nil || strconv.FormatUint(n, 10) != digits {
			return Params{}, fmt.Errorf(
				"%s must be followed by a whole number without sign or leading zero, below 2^32",
				name,
			)
		}

		got[i] = uint32(n)
	}

	// Before the conversion to uint8, which would cut 257 down to 1.
	if got[2] > maxLanes {
		return Params{}, fmt.Errorf(
			"lanes are p=%d; they must be %d to %d: hash the password again with fewer",
			got[2], minLanes, maxLanes,
		)
	}

	p := Params{MemoryKiB: got[0], Passes: got[1], Lanes: uint8(got[2])}
	return p, p.check()
}

// parseBytes decodes s, which must be exactly what encoding the result gives.
func parseBytes(s string, shortest, longest int) ([]byte, error) {
	enc := base64.RawStdEncoding.Strict()
	if strings.ContainsAny(s, "\r\n") { // the decoder skips them
		return nil, errors.New("has a line break in it; remove it")
	}
	if strings.HasSuffix(s, "=") {
		return nil, errors.New("ends with padding; remove every = at its end")
	}

	b, err := enc.DecodeString(s)
	if err != nil {
		return nil, errors.New("is not base64 as argon2 writes it (A-Z a-z 0-9 + /, canonical); " +
			"copy it again from where it was made")
	}
	if len(b) < shortest || len(b) > longest {
		return nil, fmt.Errorf(
			"is %d bytes long; it must be %d to %d: hash the password again",
			len(b), shortest, longest,
		)
	}

	return b, nil
}
