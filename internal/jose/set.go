package jose

import (
	"crypto"
	"errors"
	"fmt"
)

// MaxKeys is the maximum number of keys in a set, usable or not.
const MaxKeys = 64

// ParseSet reads a JWK Set (RFC 7517, section 5). Entries that this package does not take are
// skipped, as section 5 demands, and skipped has a note for each: so one unusual entry does not
// disable the others, and the result may be empty. Of one kid there may be several keys, each
// for another algorithm. The whole set is ErrKey with more than MaxKeys entries, or if it is
// not a JSON object of unique members with a list of keys.
func ParseSet(text []byte) (keys []Key, skipped []string, err error) {
	list, err := entries(text)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: set: %w", ErrKey, err)
	}

	var set set
	for i, entry := range list {
		if err := set.add(entry); err != nil {
			set.skipped = append(set.skipped, fmt.Sprintf("key %d: %v", i+1, err))
		}
	}

	set.dropExposed()
	set.dropAmbiguous()

	return set.keys, set.skipped, nil
}

// entries returns the elements of the member keys.
func entries(text []byte) ([][]byte, error) {
	if len(text) > MaxKeyText {
		return nil, fmt.Errorf("%d bytes; at most %d are read", len(text), MaxKeyText)
	}

	members, err := object(text)
	if err != nil {
		return nil, err
	}

	for _, m := range members {
		if string(m.name) != "keys" {
			continue
		}

		list, err := elements(m.value, MaxKeys)
		if err != nil {
			return nil, fmt.Errorf("keys: %w", err)
		}
		return list, nil
	}

	return nil, errors.New("no keys")
}

// set is a JWK Set that is being read.
type set struct {
	keys    []Key
	skipped []string
	exposed map[string]bool // thumbprints of keys that the set shows a private member of
}

// add adds an entry, or returns why it is skipped.
func (s *set) add(entry []byte) error {
	key, err := ParseJWK(entry)
	if err == nil {
		s.keys = append(s.keys, key)
		return nil
	}

	// Its owner has published it. If it is one of a pair, the same key in another entry is
	// compromised as well.
	j, unread := readJWK(entry, "sign")
	if unread == nil && j.private != "" {
		public, unread := j.public()
		if unread == nil {
			s.expose(public)
		}
	}

	return err
}

func (s *set) expose(public crypto.PublicKey) {
	if s.exposed == nil {
		s.exposed = map[string]bool{}
	}
	s.exposed[thumbprint(public)] = true
}

// dropExposed drops the public half of every key of which the set shows the private half.
func (s *set) dropExposed() {
	s.drop(func(k Key) string {
		if s.exposed[k.Thumbprint()] {
			return "the set shows its private half"
		}
		return ""
	})
}

// dropAmbiguous drops keys with the kid and the algorithm of another one: the order of the list
// would decide which one checks. An entry that is there twice is kept once.
func (s *set) dropAmbiguous() {
	type name struct {
		id  string
		alg Alg
	}

	thumbprints := map[name]map[string]bool{}
	for _, k := range s.keys {
		n := name{k.ID, k.Alg}
		if thumbprints[n] == nil {
			thumbprints[n] = map[string]bool{}
		}
		thumbprints[n][k.Thumbprint()] = true
	}

	seen := map[name]bool{}
	s.drop(func(k Key) string {
		n := name{k.ID, k.Alg}

		switch {
		case len(thumbprints[n]) > 1:
			return "another key has its kid and its algorithm"
		case seen[n]:
			return "it is there twice"
		}

		seen[n] = true

		return ""
	})
}

// drop drops the keys that why returns a reason for.
func (s *set) drop(why func(Key) string) {
	var kept []Key
	for _, k := range s.keys {
		reason := why(k)
		if reason == "" {
			kept = append(kept, k)
		} else {
			s.skipped = append(s.skipped, fmt.Sprintf("kid %.80q, %s: %s", k.ID, k.Alg, reason))
		}
	}

	s.keys = kept
}
