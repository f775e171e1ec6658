package password

import (
	"bufio"
	"bytes"
	"compress/gzip"
	_ "embed" // the list of common passwords
	"fmt"
	"hash/maphash"
	"sync"
)

// commonPasswords is a sorted list of folded passwords, one a line. Its README.md has its origin and license.
//
//go:embed common/passwords.txt.gz
var commonPasswords []byte

// isCommon reports whether a folded password is in the list. Reading the list takes as long as a cheap hash: a filter,
// made at the first call, spares that for nearly all passwords that are not in it.
func isCommon(folded string) (bool, error) {
	f, err := commonFilter()
	if err != nil || !f.mayHave([]byte(folded)) {
		return false, err
	}

	found := false
	err = readCommon(func(line []byte) bool {
		order := bytes.Compare(line, []byte(folded))
		found = order == 0

		return order < 0
	})

	return found, err
}

// readCommon calls next with the lines of the list while it returns true.
func readCommon(next func(line []byte) bool) error {
	list, err := gzip.NewReader(bytes.NewReader(commonPasswords))
	if err != nil {
		return fmt.Errorf("read common passwords: %w", err)
	}

	lines := bufio.NewScanner(list)
	for lines.Scan() {
		if !next(lines.Bytes()) {
			return nil
		}
	}

	if err := lines.Err(); err != nil {
		return fmt.Errorf("read common passwords: %w", err)
	}

	return nil
}

// filterBits is the size of a filter: 512 KiB, twenty bits a password. Two bits for each let one in a hundred others
// pass.
const filterBits = 1 << 22

// filter is a Bloom filter. It is safe for concurrent use once it is filled.
type filter struct {
	seed maphash.Seed
	bits [filterBits / 64]uint64
}

var commonFilter = sync.OnceValues(func() (*filter, error) {
	f := &filter{seed: maphash.MakeSeed()}
	err := readCommon(func(line []byte) bool {
		for _, bit := range f.places(line) {
			f.bits[bit/64] |= 1 << (bit % 64)
		}

		return true
	})

	return f, err
})

// mayHave reports false only for a line that is not in the list.
func (f *filter) mayHave(line []byte) bool {
	for _, bit := range f.places(line) {
		if f.bits[bit/64]&(1<<(bit%64)) == 0 {
			return false
		}
	}

	return true
}

// places returns the bits of a line.
func (f *filter) places(line []byte) [2]uint64 {
	h := maphash.Bytes(f.seed, line)
	return [2]uint64{h % filterBits, h >> 32 % filterBits}
}
